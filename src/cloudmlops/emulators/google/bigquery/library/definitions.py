"""What the library holds."""

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


Library = dict[str, str | PythonFunction]
"""Functions by name: a macro of DuckDB as the statements that make it, or Python's."""


def python(place: str, takes: str, gives: str, *, takes_nulls: bool = False) -> PythonFunction:
    """One of Python's, at `module:function` of this package; the types that it takes are parted by semicolons."""
    return PythonFunction(
        place=f"{__package__}.{place}", takes=tuple(takes.split("; ")), gives=gives, takes_nulls=takes_nulls
    )
