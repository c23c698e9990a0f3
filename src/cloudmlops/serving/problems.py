"""What is wrong with a request, as values that become an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

LISTED: Final = 100
"""Faults are all counted; so many are listed, so that a bad million rows do not come back as a million lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing wrong with the input."""

    expected: str
    got: str
    row: int | None = None
    """Counted from 0; None when it is wrong in every row."""
    column: str | None = None

    def __str__(self) -> str:
        where = [f"row {self.row}"] if self.row is not None else []
        where += [f"column {self.column!r}"] if self.column is not None else []
        return f"{', '.join(where) or 'the body'}: expected {self.expected}, got {self.got}"

    def plain(self) -> dict[str, object]:
        """Return the fault as JSON values."""
        return {"row": self.row, "column": self.column, "expected": self.expected, "got": self.got}


class ProblemError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, reason: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.hint = hint
        self.headers = headers or {}

    def plain(self) -> dict[str, object]:
        """Return the answer's body as JSON values."""
        return {"error": {"reason": self.reason} | ({"hint": self.hint} if self.hint else {})}


class BadInputError(ProblemError):
    """The input does not fit the model; `faults` are all that was found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        listed = "; ".join(map(str, faults[:3])) + ("; …" if len(faults) > 3 else "")
        super().__init__(400, f"the input does not fit the model ({count}): {listed}")
        self.faults = faults

    def plain(self) -> dict[str, object]:
        """Return the answer's body as JSON values, with the faults."""
        faults = [fault.plain() for fault in self.faults[:LISTED]]
        return {"error": {"reason": self.reason, "faults": faults, "fault_count": len(self.faults)}}


def shown(value: object) -> str:
    """Name a JSON value for a message, cut short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return _KINDS.get(type(value), "") + (text if len(text) <= 60 else f"{text[:57]}…")


_KINDS: Final[Mapping[type, str]] = {str: "text ", list: "array ", dict: "object "}
