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
