"""Steps of tests, which a step's process imports quickly; in a folder of their own, for all of it is uploaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import cloudmlops as cm


@cm.step(cache=False)
def make(journal: str) -> cm.Dataset:
    """Write a file and say so."""
    with Path(journal).open("a", encoding="utf-8") as lines:
        lines.write("make\n")
    data = cm.Dataset.new("numbers.csv")
    data.path.write_text("1,2", encoding="utf-8")
    return data


@cm.step
def count(data: cm.Dataset) -> int:
    """Count numbers, and say where they came from."""
    print(data.uri)
    return len(data.path.read_text(encoding="utf-8").split(","))


@cm.step(cache=False)
def read(data: cm.Dataset, numbers: int, missing: str) -> str:
    """Fail while a file is missing."""
    if not Path(missing).exists():
        raise FileNotFoundError(missing)
    return f"{data.path.read_text(encoding='utf-8')} {numbers}"


@cm.pipeline
def reading(journal: str, missing: str) -> str:
    """Fail after an artifact and a value were made."""
    made = make(journal)
    return read(made, count(made), missing)


@cm.step
def exact(large: int, real: float, text: str, nothing: str | None) -> dict[str, object]:
    """Say what it was given."""
    return {"large": large + 1, "real": real, "text": text, "nothing": nothing}


@cm.step
def pass_on(values: dict[str, object]) -> dict[str, object]:
    """Say what it was given."""
    return values


@cm.pipeline
def exactly(large: int, real: float, text: str) -> dict[str, object]:
    """Let values pass twice."""
    return pass_on(exact(large, real, text, None))


@cm.step(resources=cm.Resources(cpu=4, memory_gib=16), environment={"A": "b"})
def small() -> int:
    """Ask for a machine."""
    return int(os.environ["A"] == "b")


@cm.step(resources=cm.Resources(cpu=4, accelerator="nvidia-t4:1", spot=True), image="mine:1")
def cheap() -> int:
    """Ask for a machine that may be taken away."""
    return 1


@cm.step
def together(a: int, b: int) -> int:
    """Add."""
    return a + b


@cm.pipeline
def machines() -> int:
    """Use several machines."""
    return together.with_options(name="in-all")(small(), cheap())


@cm.step(resources=cm.Resources(cpu=1000))
def huge() -> int:
    """Ask for too much."""
    return 1


@cm.step(resources=cm.Resources(accelerator="nvidia-t4:3"))
def odd(cloudmlops_a: int = 1) -> int:
    """Ask for a number that there is not."""
    return cloudmlops_a


@cm.pipeline
def impossible() -> int:
    """Ask for what there is not."""
    return together(huge(), odd(huge()))


@cm.step
def one(value: int = 1) -> int:
    """Return a number."""
    return value


@cm.pipeline
def single(value: int = 1) -> int:
    """Be as short as can be."""
    return one(value)


@cm.step(cache=False)
def talk(release: str) -> int:
    """Print, and wait."""
    print("begun", flush=True)
    while not Path(release).exists():
        signal.sigtimedwait([], 0.05)
    print("ended")
    return 1


@cm.pipeline
def talking(release: str) -> int:
    """Print while going on."""
    return talk(release)


@cm.step(cache=False)
def fall() -> int:
    """Be killed."""
    print("about to fall", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


@cm.pipeline
def falling() -> int:
    """Leave no word."""
    return fall()


@cm.step(cache=False, retries=1, retry_delay=timedelta(0), timeout=timedelta(milliseconds=500))
def leave(journal: str) -> bool:
    """Leave a process behind in the first attempt, and say in the second whether it is gone."""
    kept = Path(journal)
    if not kept.exists():
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        kept.write_text(str(child.pid), encoding="utf-8")
        signal.pause()
    return not Path(f"/proc/{kept.read_text(encoding='utf-8')}").exists()


@cm.pipeline
def leaving(journal: str) -> bool:
    """Have a second attempt."""
    return leave(journal)


@cm.step
def here() -> str:
    """Register what this step has made."""
    folder = Path("model")
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}", encoding="utf-8")
    with cm.connect() as platform:
        version = platform.models.register("made-inside", folder)
    return str(version.run)


@cm.pipeline
def registering() -> str:
    """Use the platform in a step."""
    return here()


@cm.pipeline
def ordered(journal: str, missing: str) -> int:
    """Have an order without data."""
    made = make(journal)
    return one.with_options(after=[made], name="later")(2)


@cm.pipeline
def pictured() -> int:
    """Run in an image of its own."""
    return one.with_options(image="mine:1")()


@cm.step(resources=cm.Resources(distribution="pytorch", nodes=2, processes=2), cache=False)
def torch() -> dict[str, str]:
    """Say which process this is, of how many."""
    print("process", os.environ["RANK"])
    return {name: os.environ[name] for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR")}


@cm.step(resources=cm.Resources(distribution="pytorch", processes=2), cache=False)
def chat(release: str) -> int:
    """Print in each of two processes, and wait in between; the last line of one is not ended."""
    rank = int(os.environ["RANK"])
    print(f"{rank} begun", flush=True)
    while not Path(release).exists():
        signal.sigtimedwait([], 0.05)
    print(f"{rank} ended", end="\n" * rank)
    return 1


@cm.pipeline
def chatting(release: str) -> int:
    """Print in several processes while going on."""
    return chat(release)


@cm.step(resources=cm.Resources(distribution="mpi", processes=2), cache=False)
def mpi(others: dict[str, str]) -> list[str]:
    """Say which process this is; the second one says it elsewhere."""
    return [others["WORLD_SIZE"], os.environ["OMPI_COMM_WORLD_RANK"], os.environ["OMPI_COMM_WORLD_SIZE"]]


@cm.pipeline
def distributed() -> list[str]:
    """Have steps of several processes."""
    return mpi(torch())


@cm.step(resources=cm.Resources(nodes=2))
def scattered() -> int:
    """Have several machines that do not know each other."""
    return 1


@cm.step(resources=cm.Resources(distribution="gossip", processes=0))
def gossiping() -> int:
    """Have what there is not."""
    return 1


@cm.pipeline
def undistributed() -> int:
    """Ask for distributions that there are not."""
    return together(scattered(), gossiping())
