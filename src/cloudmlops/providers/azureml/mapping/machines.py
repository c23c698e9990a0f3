"""What a step asks of a machine, as machine types of Azure's.

Sizes as Azure's documentation lists them (learn.microsoft.com/azure/virtual-machines/sizes), of families that Azure ML
takes for training.
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
    hourly_usd: float | None = None
    """About what one asks an hour, with Linux, on demand, in the region East US: list prices of 2026, which the price
    page knows better. None where this library knows none."""
    accelerator: str = ""
    count: int = 0


def _machine(name: str, cpu: int, memory: float, usd: float | None, accelerator: str = "", count: int = 0) -> Machine:
    return Machine(
        name=f"Standard_{name}", cpu=cpu, memory_gib=memory, hourly_usd=usd, accelerator=accelerator, count=count
    )


_T4: Final = "nvidia-t4"
_V100: Final = "nvidia-v100"
_A100: Final = "nvidia-a100"
_A100_80: Final = "nvidia-a100-80gb"
_H100: Final = "nvidia-h100-94gb"
_H100_80: Final = "nvidia-h100-80gb"
MACHINES: Final = (
    _machine("DS1_v2", 1, 3.5, 0.073),
    _machine("DS2_v2", 2, 7, 0.146),
    _machine("DS3_v2", 4, 14, 0.293),
    _machine("DS4_v2", 8, 28, 0.585),
    _machine("DS5_v2", 16, 56, 1.17),
    _machine("DS11_v2", 2, 14, 0.185),
    _machine("DS12_v2", 4, 28, 0.370),
    _machine("DS13_v2", 8, 56, 0.741),
    _machine("DS14_v2", 16, 112, 1.482),
    _machine("D2s_v3", 2, 8, 0.096),
    _machine("D4s_v3", 4, 16, 0.192),
    _machine("D8s_v3", 8, 32, 0.384),
    _machine("D16s_v3", 16, 64, 0.768),
    _machine("D32s_v3", 32, 128, 1.536),
    _machine("D48s_v3", 48, 192, 2.304),
    _machine("D64s_v3", 64, 256, 3.072),
    _machine("E2s_v3", 2, 16, 0.126),
    _machine("E4s_v3", 4, 32, 0.252),
    _machine("E8s_v3", 8, 64, 0.504),
    _machine("E16s_v3", 16, 128, 1.008),
    _machine("E32s_v3", 32, 256, 2.016),
    _machine("E64s_v3", 64, 432, 3.629),
    _machine("F2s_v2", 2, 4, 0.085),
    _machine("F4s_v2", 4, 8, 0.169),
    _machine("F8s_v2", 8, 16, 0.338),
    _machine("F16s_v2", 16, 32, 0.677),
    _machine("F32s_v2", 32, 64, 1.353),
    _machine("F72s_v2", 72, 144, 3.045),
    _machine("M128s", 128, 2048, 13.338),
    _machine("NC4as_T4_v3", 4, 28, 0.526, _T4, 1),
    _machine("NC8as_T4_v3", 8, 56, 0.752, _T4, 1),
    _machine("NC16as_T4_v3", 16, 110, 1.204, _T4, 1),
    _machine("NC64as_T4_v3", 64, 440, 4.352, _T4, 4),
    _machine("NC6s_v3", 6, 112, 3.06, _V100, 1),
    _machine("NC12s_v3", 12, 224, 6.12, _V100, 2),
    _machine("NC24s_v3", 24, 448, 12.24, _V100, 4),
    _machine("ND40rs_v2", 40, 672, 22.032, _V100, 8),
    _machine("NC24ads_A100_v4", 24, 220, 3.673, _A100_80, 1),
    _machine("NC48ads_A100_v4", 48, 440, 7.346, _A100_80, 2),
    _machine("NC96ads_A100_v4", 96, 880, 14.692, _A100_80, 4),
    _machine("ND96amsr_A100_v4", 96, 1900, 32.77, _A100_80, 8),
    _machine("ND96asr_v4", 96, 900, 27.197, _A100, 8),
    _machine("NC40ads_H100_v5", 40, 320, 6.98, _H100, 1),
    _machine("NC80adis_H100_v5", 80, 640, 13.96, _H100, 2),
    _machine("ND96isr_H100_v5", 96, 1900, 98.32, _H100_80, 8),
)
_BY_NAME: Final[Mapping[str, Machine]] = {one.name.lower(): one for one in MACHINES}
_ALIASES: Final[Mapping[str, str]] = {
    "nvidia-tesla-t4": _T4,
    "nvidia-tesla-v100": _V100,
    "nvidia-tesla-a100": _A100,
}


def known(name: str) -> Machine | None:
    """Return a machine type; None when it is not in the table."""
    return _BY_NAME.get(name.lower())


def machine_for(resources: Resources) -> Machine | str:
    """Return the smallest machine that has what is asked, or, in words, why there is none."""
    fitting = _accelerated(resources)
    if isinstance(fitting, str):
        return fitting
    cpu, memory = resources.cpu or 0, resources.memory_gib or 0
    large = [one for one in fitting if one.cpu >= cpu and one.memory_gib >= memory]
    if not large:
        beside = f" with {resources.accelerator}" if resources.accelerator else ""
        return f"no machine type has {cpu:g} CPUs and {memory:g} GiB{beside}"
    return min(large, key=lambda one: (one.cpu, one.memory_gib))


def lacks(machine: Machine, resources: Resources) -> str:
    """Say what a machine has not of what is asked; empty when it has all."""
    wanted = _accelerated(resources)
    if isinstance(wanted, str):
        return wanted
    if resources.cpu and machine.cpu < resources.cpu:
        return f"it asks for {resources.cpu:g} CPUs, and {machine.name} has {machine.cpu}"
    if resources.memory_gib and machine.memory_gib < resources.memory_gib:
        return f"it asks for {resources.memory_gib:g} GiB, and {machine.name} has {machine.memory_gib:g}"
    if resources.accelerator and machine not in wanted:
        has = f"{machine.accelerator}:{machine.count}" if machine.accelerator else "none"
        return f"it asks for {resources.accelerator}, and {machine.name} has {has}"
    return ""


def _accelerated(resources: Resources) -> list[Machine] | str:
    if resources.accelerator is None:
        return [one for one in MACHINES if not one.accelerator]
    kind, _, number = resources.accelerator.partition(":")
    spelt = _ALIASES.get(kind.lower(), kind.lower())
    of_kind = [one for one in MACHINES if one.accelerator == spelt]
    if not (number or "1").isdecimal() or not of_kind:
        kinds = dict.fromkeys(one.accelerator for one in MACHINES if one.accelerator)
        return f"there is no accelerator {resources.accelerator!r}, such as {_T4}:1; known: {', '.join(kinds)}"
    count = int(number or 1)
    fitting = [one for one in of_kind if one.count == count]
    if not fitting:
        counts = sorted({one.count for one in of_kind})
        return f"{kind} comes in numbers of {', '.join(map(str, counts))}, not {count}"
    return fitting
