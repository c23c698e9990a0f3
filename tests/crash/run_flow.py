"""Steps that leave a trace of when they run, and notice when they run twice at once."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import cloudmlops as cm


def trace(folder: str, line: str) -> None:
    with Path(folder, "trace").open("ab", buffering=0) as lines:
        lines.write(f"{line}\n".encode())


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


@cm.step(cache=False)
def work(folder: str, name: str, before: list[int], seconds: float = 0.03) -> int:
    if any(alive(int(mark.suffix[1:])) for mark in Path(folder).glob(f"{name}.running.*")):
        trace(folder, f"overlap {name}")
    Path(folder, f"{name}.running.{os.getpid()}").touch()
    trace(folder, f"start {name}")
    time.sleep(seconds)
    trace(folder, f"end {name}")
    return sum(before) + 1


@cm.step(cache=False)
def gather(parts: int, more: int) -> list[int]:
    return [parts, more]


@cm.pipeline
def lattice(folder: str) -> int:
    """Three layers of two; each step after a pair of the layer before."""
    left, right = work(folder, "l0", []), work(folder, "r0", [])
    for layer in range(1, 3):
        pair = gather.with_options(name=f"g{layer}")(left, right)
        left, right = work(folder, f"l{layer}", pair), work(folder, f"r{layer}", pair)
    return work(folder, "last", gather(left, right))


@cm.step(cache=False)
def breeding(folder: str, release: str) -> int:
    """Start a program and fork a child; both would go on for long. The second time, end."""
    if Path(release).exists():
        survivors = [int(line) for line in Path(folder, "offspring").read_text().split()]
        trace(folder, f"alive {sum(alive(process) for process in survivors)}")
        return 1
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    child = os.fork()
    if child == 0:
        time.sleep(600)
    Path(folder, "offspring.new").write_text(f"{program.pid} {child} {os.getpid()}")
    Path(folder, "offspring.new").rename(Path(folder, "offspring"))
    time.sleep(600)
    return 0


@cm.pipeline
def family(folder: str, release: str) -> int:
    return breeding(folder, release)


@cm.pipeline
def strict_family(folder: str, release: str) -> int:
    return breeding.with_options(timeout=timedelta(milliseconds=500))(folder, release)


@cm.step(cache=False)
def leaving(folder: str) -> int:
    """Succeed, and leave a program behind."""
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    return program.pid


@cm.pipeline
def litter(folder: str) -> int:
    return leaving(folder)


def daemon(*command: str) -> int:
    """Start a process as a daemon is: in a session of its own, its parent gone; a fork of this one, or a program."""
    told, tells = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if grandchild := os.fork():
            os.write(tells, str(grandchild).encode())
            os._exit(0)
        if command:
            os.execvp(command[0], command)
        time.sleep(600)
        os._exit(0)
    os.waitpid(child, 0)
    process = int(os.read(told, 20))
    os.close(tells)
    os.close(told)
    return process


def leave_daemons(folder: str) -> list[int]:
    daemons = [daemon(), daemon("sleep", "600")]
    Path(folder, "offspring.new").write_text(" ".join(map(str, daemons)))
    Path(folder, "offspring.new").rename(Path(folder, "offspring"))
    return daemons


@cm.step(cache=False)
def haunting(folder: str, release: str) -> int:
    """Leave daemons and go on for long. The second time, end."""
    if Path(release).exists():
        survivors = [int(line) for line in Path(folder, "offspring").read_text().split()]
        trace(folder, f"alive {sum(alive(process) for process in survivors)}")
        return 1
    leave_daemons(folder)
    time.sleep(600)
    return 0


@cm.pipeline
def haunted(folder: str, release: str) -> int:
    return haunting(folder, release)


@cm.pipeline
def strictly_haunted(folder: str, release: str) -> int:
    return haunting.with_options(timeout=timedelta(seconds=5))(folder, release)


@cm.step(cache=False)
def bequeathing(folder: str) -> list[int]:
    return leave_daemons(folder)


@cm.pipeline
def bequest(folder: str) -> list[int]:
    return bequeathing(folder)


@cm.step(cache=False)
def patience(release: str) -> int:
    while not Path(release).exists():
        time.sleep(0.01)
    return 1


@cm.pipeline
def patient(release: str) -> int:
    return patience(release)


@cm.step(cache=False)
def commissioning(release: str) -> str:
    return cm.connect().pipelines.run(patient, {"release": release}, id="commissioned").id


@cm.pipeline
def commission(release: str) -> str:
    return commissioning(release)


@cm.step(cache=False)
def serving(folder: str, release: str) -> int:
    """Deploy a model and go on for long. The second time, end."""
    if not Path(release).exists():
        platform = cm.connect()
        version = platform.models.register("scaling", Path(folder, "model"))
        platform.endpoints.deploy(version, to="scaling").wait(timeout=timedelta(seconds=60))
        leave_daemons(folder)
        time.sleep(600)
    return 1


@cm.pipeline
def served(folder: str, release: str) -> int:
    return serving(folder, release)
