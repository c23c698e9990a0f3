"""What is said of a step that failed."""

from __future__ import annotations

from cloudmlops.errors import CloudMLOpsError


def told(error: BaseException) -> str:
    """Say what happened in a line or two."""
    if isinstance(error, CloudMLOpsError):
        return str(error)
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}{f': {error}' if str(error) else ''}{notes}"
