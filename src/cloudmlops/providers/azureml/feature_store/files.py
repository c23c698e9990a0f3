"""A file of a source, wherever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file, opened when it is read."""

    name: str
    """Its path, from the folder that was listed; or its address."""
    size: int
    """In bytes."""
    open: Callable[[], Any]
    """Returns what `pyarrow.parquet` reads."""
