"""The provider for Vertex AI: its own share of a call.

An engine's module has `measured(**parameters)`, its figures.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any


def drive(engine: ModuleType, **parameters: Any) -> dict[str, Any]:
    """Measure."""
    figures: dict[str, Any] = engine.measured(**parameters)
    return figures
