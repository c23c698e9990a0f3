"""Looking at a job that somebody waits for: that the provider cannot answer for a while is no end of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from cloudmlops.errors import ServiceError

_Seen = TypeVar("_Seen")


def seen(look: Callable[[], _Seen], *, job: str, log: logging.Logger) -> _Seen | None:
    """Look at a job; None when the provider cannot answer now, for the job goes on meanwhile.

    Args:
        look: Asks the provider.
        job: What it is called, for the log.
        log: Where an outage is told.

    Raises:
        ServiceError: What another try will not change.
    """
    try:
        return look()
    except ServiceError as error:
        if not error.retryable:
            raise
        log.warning("%s cannot be looked at, and is waited for: %s", job, error)
        return None


def cancelled(cancel: Callable[[], object], *, job: str, log: logging.Logger) -> str:
    """End a job that nobody waits for any more, and say what became of it."""
    try:
        cancel()
    except ServiceError as error:
        log.warning("%s, which nobody waits for any more, may go on: %s", job, error)
        return f"{job} could not be cancelled and may go on ({error.message})"
    return f"{job} was cancelled"
