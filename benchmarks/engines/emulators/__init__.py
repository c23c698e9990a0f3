"""Emulated clouds: the first call that they answer, and the time of the following ones.

An engine's module has `measured(**parameters)`, its figures.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any


def drive(engine: ModuleType, **parameters: Any) -> dict[str, Any]:
    """Measure."""
    figures: dict[str, Any] = engine.measured(**parameters)
    return figures
