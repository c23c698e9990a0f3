"""What a step asks of a machine, as machine types of Google's.

Sizes as Compute Engine's documentation lists them (cloud.google.com/compute/docs/machine-resource); Vertex AI takes
these families for custom training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cloudmlops.domain.graph import Resources


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """One machine type."""

    name: str
    cpu: int
    memory_gib: float
    accelerator: str = ""
    """As Vertex AI spells it, such as `NVIDIA_L4`."""
    count: int = 0


def _family(name: str, sizes: tuple[int, ...], gib_per_cpu: float) -> tuple[Machine, ...]:
    return tuple(Machine(name=f"{name}-{cpu}", cpu=cpu, memory_gib=cpu * gib_per_cpu) for cpu in sizes)


_GENERAL: Final = (
    *_family("e2-highcpu", (2, 4, 8, 16, 32), 1),
    *_family("e2-standard", (2, 4, 8, 16, 32), 4),
    *_family("e2-highmem", (2, 4, 8, 16), 8),
    *_family("n1-standard", (4, 8, 16, 32, 64, 96), 3.75),
    *_family("n1-highmem", (2, 4, 8, 16, 32, 64, 96), 6.5),
    *_family("n2-standard", (4, 8, 16, 32, 48, 64, 80), 4),
    *_family("n2-highmem", (2, 4, 8, 16, 32, 48, 64, 80), 8),
    *_family("m1-ultramem", (40, 80, 160), 24.025),
)
_L4: Final = "NVIDIA_L4"
_A100: Final = "NVIDIA_TESLA_A100"
_A100_80: Final = "NVIDIA_A100_80GB"
_BOUND: Final = (
    Machine(name="g2-standard-4", cpu=4, memory_gib=16, accelerator=_L4, count=1),
    Machine(name="g2-standard-8", cpu=8, memory_gib=32, accelerator=_L4, count=1),
    Machine(name="g2-standard-12", cpu=12, memory_gib=48, accelerator=_L4, count=1),
    Machine(name="g2-standard-16", cpu=16, memory_gib=64, accelerator=_L4, count=1),
    Machine(name="g2-standard-32", cpu=32, memory_gib=128, accelerator=_L4, count=1),
    Machine(name="g2-standard-24", cpu=24, memory_gib=96, accelerator=_L4, count=2),
    Machine(name="g2-standard-48", cpu=48, memory_gib=192, accelerator=_L4, count=4),
    Machine(name="g2-standard-96", cpu=96, memory_gib=384, accelerator=_L4, count=8),
    Machine(name="a2-highgpu-1g", cpu=12, memory_gib=85, accelerator=_A100, count=1),
    Machine(name="a2-highgpu-2g", cpu=24, memory_gib=170, accelerator=_A100, count=2),
    Machine(name="a2-highgpu-4g", cpu=48, memory_gib=340, accelerator=_A100, count=4),
    Machine(name="a2-highgpu-8g", cpu=96, memory_gib=680, accelerator=_A100, count=8),
    Machine(name="a2-megagpu-16g", cpu=96, memory_gib=1360, accelerator=_A100, count=16),
    Machine(name="a2-ultragpu-1g", cpu=12, memory_gib=170, accelerator=_A100_80, count=1),
    Machine(name="a2-ultragpu-2g", cpu=24, memory_gib=340, accelerator=_A100_80, count=2),
    Machine(name="a2-ultragpu-4g", cpu=48, memory_gib=680, accelerator=_A100_80, count=4),
    Machine(name="a2-ultragpu-8g", cpu=96, memory_gib=1360, accelerator=_A100_80, count=8),
    Machine(name="a3-highgpu-8g", cpu=208, memory_gib=1872, accelerator="NVIDIA_H100_80GB", count=8),
)
"""Machines that come with their accelerators."""
_ATTACHED: Final[Mapping[str, tuple[int, ...]]] = {
    "NVIDIA_TESLA_T4": (1, 2, 4),
    "NVIDIA_TESLA_V100": (1, 2, 4, 8),
    "NVIDIA_TESLA_P100": (1, 2, 4),
    "NVIDIA_TESLA_P4": (1, 2, 4),
}
"""Accelerators that are put into machines of the N1 family, and how many."""
_ACCELERATORS: Final[Mapping[str, str]] = {
    "nvidia-l4": _L4,
    "nvidia-a100": _A100,
    "nvidia-tesla-a100": _A100,
    "nvidia-a100-80gb": _A100_80,
    "nvidia-h100-80gb": "NVIDIA_H100_80GB",
    "nvidia-t4": "NVIDIA_TESLA_T4",
    "nvidia-tesla-t4": "NVIDIA_TESLA_T4",
    "nvidia-v100": "NVIDIA_TESLA_V100",
    "nvidia-tesla-v100": "NVIDIA_TESLA_V100",
    "nvidia-p100": "NVIDIA_TESLA_P100",
    "nvidia-tesla-p100": "NVIDIA_TESLA_P100",
    "nvidia-p4": "NVIDIA_TESLA_P4",
    "nvidia-tesla-p4": "NVIDIA_TESLA_P4",
}


def machine_for(resources: Resources) -> Machine | str:
    """Return the smallest machine that has what is asked, or, in words, why there is none."""
    cpu, memory = resources.cpu or 0, resources.memory_gib or 0
    if resources.accelerator is None:
        return _smallest(_GENERAL, cpu, memory) or f"no machine type has {cpu:g} CPUs and {memory:g} GiB"
    kind, _, number = resources.accelerator.partition(":")
    if not (number or "1").isdecimal() or (spelt := _ACCELERATORS.get(kind.lower())) is None:
        return (
            f"there is no accelerator {resources.accelerator!r}, such as nvidia-l4:1; known: {', '.join(_ACCELERATORS)}"
        )
    count = int(number or 1)
    if spelt in _ATTACHED:
        if count not in _ATTACHED[spelt]:
            return f"{kind} comes in numbers of {', '.join(map(str, _ATTACHED[spelt]))}, not {count}"
        found = _smallest(tuple(one for one in _GENERAL if one.name.startswith("n1-")), cpu, memory)
        if found is not None:
            return Machine(name=found.name, cpu=found.cpu, memory_gib=found.memory_gib, accelerator=spelt, count=count)
    else:
        fitting = tuple(one for one in _BOUND if one.accelerator == spelt and one.count == count)
        if not fitting:
            counts = sorted({one.count for one in _BOUND if one.accelerator == spelt})
            return f"{kind} comes in numbers of {', '.join(map(str, counts))}, not {count}"
        if (found := _smallest(fitting, cpu, memory)) is not None:
            return found
    return f"no machine type has {cpu:g} CPUs and {memory:g} GiB with {resources.accelerator}"


def _smallest(machines: tuple[Machine, ...], cpu: float, memory: float) -> Machine | None:
    fitting = [one for one in machines if one.cpu >= cpu and one.memory_gib >= memory]
    return min(fitting, key=lambda one: (one.cpu, one.memory_gib)) if fitting else None
