"""A function of the library that is Python's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonFunction:
    """One that DuckDB calls with each row's values."""

    place: str
    """Such as `package.module:function`; it is imported when a statement first needs it."""
    takes: tuple[str, ...]
    """DuckDB's types of the arguments."""
    gives: str
    takes_nulls: bool = False
    """Else a NULL among the arguments gives NULL, and the function is not called."""
