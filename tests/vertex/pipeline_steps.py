"""Steps of tests, in a module that a step's process imports quickly."""

from __future__ import annotations

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


@cm.step(cache=False)
def read(data: cm.Dataset, missing: str) -> str:
    """Fail while a file is missing."""
    if not Path(missing).exists():
        raise FileNotFoundError(missing)
    return data.path.read_text(encoding="utf-8")


@cm.pipeline
def reading(journal: str, missing: str) -> str:
    """Fail after an artifact was made."""
    return read(make(journal), missing)


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
    return 1


@cm.step(resources=cm.Resources(cpu=8, accelerator="nvidia-l4:1", spot=True), image="mine:1")
def cheap() -> int:
    """Ask for a machine that may be taken away."""
    return 1


@cm.step(resources=cm.Resources(accelerator="nvidia-t4:2"))
def fast() -> int:
    """Ask for accelerators."""
    return 1


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


@cm.step
def together(a: int, b: int, c: int) -> int:
    """Add."""
    return a + b + c


@cm.pipeline
def machines() -> int:
    """Use several machines."""
    return together(small(), cheap(), fast())


@cm.step(resources=cm.Resources(cpu=1000))
def huge() -> int:
    """Ask for too much."""
    return 1


@cm.step(resources=cm.Resources(accelerator="nvidia-l4:3"))
def odd() -> int:
    """Ask for a number that there is not."""
    return 1


@cm.pipeline
def impossible() -> int:
    """Ask for what there is not."""
    return together(huge(), odd(), small())
