"""What machines cost that are kept though nothing runs on them, in words that all providers say it with."""

from __future__ import annotations

from typing import Final

_HOURS_OF_A_MONTH: Final = 730


def monthly(hourly_usd: float | None, nodes: int) -> float | None:
    """Return about how many US dollars some machines cost a month; None when no price is known of one.

    Args:
        hourly_usd: Of one machine.
        nodes: How many.
    """
    return None if hourly_usd is None else nodes * hourly_usd * _HOURS_OF_A_MONTH


def said(cost: float | None) -> str:
    """Say what something costs a month, in US dollars; a sum that somebody has agreed to is none that is said here."""
    return "at a price that this library does not know" if cost is None else f"about {cost:.0f} US dollars a month"
