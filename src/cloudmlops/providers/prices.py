"""What machines cost that are kept though nothing runs on them, in words that all providers say it with."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

_HOURS_OF_A_MONTH: Final = 730
_UNKNOWN: Final = "at a price that this library does not know"


def monthly(hourly_usd: float | None, nodes: int) -> float | None:
    """Return about how many US dollars some machines cost a month; None when no price is known of one.

    Args:
        hourly_usd: Of one machine.
        nodes: How many.
    """
    return None if hourly_usd is None else nodes * hourly_usd * _HOURS_OF_A_MONTH


def said(cost: float | None) -> str:
    """Say what something costs a month, in US dollars; a sum that somebody has agreed to is none that is said here."""
    return _UNKNOWN if cost is None else f"about {cost:.0f} US dollars a month"


def after_a_run(hourly_usd: float | None, nodes: int, idle: timedelta) -> float | None:
    """Return about how many US dollars machines cost that stay after a run, for a month at most; None as above.

    Args:
        hourly_usd: Of one machine.
        nodes: How many.
        idle: How long they stay.
    """
    hours = min(idle / timedelta(hours=1), _HOURS_OF_A_MONTH)
    return None if hourly_usd is None else nodes * hourly_usd * hours


def said_of_a_run(cost: float | None) -> str:
    """Say what that is."""
    return _UNKNOWN if cost is None else f"about {cost:.0f} US dollars a run"
