"""What became of a call that a service did not do, in the words that all errors use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cloudmlops.errors import ServiceError, UnavailableError, UnexpectedReplyError

UNANSWERED: Final = "was not answered"
_VERDICTS: Final[Mapping[type[ServiceError], str]] = {
    UnavailableError: "did not succeed",
    UnexpectedReplyError: "was answered unexpectedly",
}


def verdict(kind: type[ServiceError]) -> str:
    """Say what became of what ended in an error of some kind: what is not known to be otherwise was refused."""
    return _VERDICTS.get(kind, "was refused")
