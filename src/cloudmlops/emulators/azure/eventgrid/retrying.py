"""When a delivery that failed is tried again, and what becomes of it at last: pure rules.

As Microsoft documents them (learn.microsoft.com, "Event Grid message delivery and retry", 2026-02).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cloudmlops.emulators.azure.eventgrid.filters import invalid

SCHEDULE: Final = (
    timedelta(seconds=10),
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
)
"""How long is waited after the first attempt, the second, and so on; the last one from then on."""
RESPONSE_TIMEOUT: Final = timedelta(seconds=30)
DEAD_LETTER_DELAY: Final = timedelta(minutes=5)
"""From the last attempt to the dead letter."""
DEAD_LETTER_PATIENCE: Final = timedelta(hours=4)
"""How long a dead letter is tried to be stored before the event is dropped."""
DELIVERED: Final = frozenset(range(200, 205))
NOT_RETRIED: Final = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 413: "RequestEntityTooLarge"}
"""What a webhook answers that no retry would change, and the name of that in the reason of a dead letter."""
MOST_ATTEMPTS: Final = 30
MOST_MINUTES: Final = 1440
_AT_LEAST: Final = {408: timedelta(minutes=2), 503: timedelta(seconds=30)}
_OUTCOMES: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "TimedOut",
    413: "PayloadTooLarge",
    429: "Busy",
    503: "Busy",
    504: "TimedOut",
}
TIMED_OUT: Final = -1
"""Stands for the status of an attempt that was not answered in time."""
UNREACHABLE: Final = -2
"""Stands for the status of an attempt that met nobody."""


def wait_after(attempts: int, status: int, *, seed: str, jitter: float) -> timedelta:
    """Return how long is waited before the next attempt.

    Args:
        attempts: How many there were.
        status: What the last one was answered, or `TIMED_OUT` or `UNREACHABLE`.
        seed: Decides the jitter: the same attempt of the same delivery always waits as long.
        jitter: The largest part of the wait that is added to it.
    """
    wait = max(SCHEDULE[min(attempts, len(SCHEDULE)) - 1], _AT_LEAST.get(status, timedelta(0)))
    return wait * (1 + jitter * random.Random(f"{seed}/{attempts}").random())  # noqa: S311 not a secret


def outcome(status: int) -> str:
    """Return the word for what an attempt ended with, as a dead letter tells it."""
    if status == TIMED_OUT:
        return "TimedOut"
    if status == UNREACHABLE:
        return "SocketError"
    return _OUTCOMES.get(status, "Aborted")


def policy_of(given: Mapping[str, Any] | None) -> dict[str, int]:
    """Return a subscription's retry policy, with the defaults.

    Raises:
        Refused: A number is beyond its limits.
    """
    policy = given or {}
    attempts = _given(policy, "maxDeliveryAttempts", MOST_ATTEMPTS)
    minutes = _given(policy, "eventTimeToLiveInMinutes", MOST_MINUTES)
    if not isinstance(attempts, int) or not 1 <= attempts <= MOST_ATTEMPTS:
        raise invalid(f"Max delivery attempts should be between 1 and {MOST_ATTEMPTS}.")
    if not isinstance(minutes, int) or not 1 <= minutes <= MOST_MINUTES:
        raise invalid(f"Event time to live in minutes should be between 1 and {MOST_MINUTES}.")
    return {"maxDeliveryAttempts": attempts, "eventTimeToLiveInMinutes": minutes}


def _given(policy: Mapping[str, Any], name: str, default: int) -> Any:
    return default if policy.get(name) is None else policy[name]
