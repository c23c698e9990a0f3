"""Model registries: putting another version into production, and asking which one is there.

An engine's module has `open_registry(folder, versions) -> Registry`, with that many versions of one model ready for it.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from benchmarks.measuring import WARM_UP, latencies


class Registry(Protocol):
    """A registry with some versions of one model."""

    def promote(self, index: int) -> object:
        """Put a version, counted from 0, in the place of the one that is in production; durable on return."""

    def production(self) -> object:
        """Return the version that is in production."""


def drive(engine: ModuleType, *, folder: str, promotions: int, reads: int) -> dict[str, Any]:
    """Promote one version after another, then ask which one is in production."""
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    registry: Registry = engine.open_registry(home, WARM_UP + promotions)
    promotion = latencies(registry.promote, promotions)
    reading = latencies(lambda _: registry.production(), reads)
    return {"promotion": promotion, "reading": reading}
