"""Features computed when they are asked for: the same functions run in training and in the serving process.

They are packed with the model, so this file imports nothing of the rest.
"""

from __future__ import annotations

from typing import Any

import cloudmlops as cm


@cm.on_demand
def gust_distance(wind_gust: Any, distance: Any) -> Any:
    """Gust in mph times distance in miles: a plane that goes far is heavy, and waits longer for a gusty runway."""
    return wind_gust * distance


@cm.on_demand(dtype=int)
def part_of_day(scheduled_hour: Any) -> Any:
    """Night 0, morning 1, afternoon 2, evening 3, from New York's hour of the schedule."""
    return scheduled_hour // 6
