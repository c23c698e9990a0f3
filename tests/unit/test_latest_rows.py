"""The passage over time-ordered rows, over many blocks: the same as a search key by key."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from cloudmlops.providers.local.feature_store.latest_rows import NONE, TimeOrdered

ROWS = 120_000


def greatest(rows: Any, groups: Any) -> Any:
    """Break ties in favour of the row that is first in the source."""
    return np.array([rows[groups == group].min() for group in range(groups.max() + 1)])


@pytest.mark.parametrize("keys", [5, 3000], ids=["few-keys", "many-keys"])
@pytest.mark.parametrize("span", [400, 10**9], ids=["ties", "hardly-any-ties"])
@pytest.mark.parametrize("order", ["by time", "by key", "none"])
@pytest.mark.parametrize("ttl", [None, 50_000])
def test_each_asker_gets_the_last_row_before(keys: int, span: int, order: str, ttl: int | None) -> None:
    random = np.random.default_rng(keys + span)
    codes = random.integers(-1, keys, ROWS).astype(np.int32)
    # Many ties on a coarse clock make groups, which this test's way of breaking ties is slow for: so fewer rows.
    size = ROWS if span > 400 else 4000
    codes, times = codes[:size], random.integers(0, span, size)
    if order != "none":
        sort = np.lexsort([times] if order == "by time" else [times, codes])
        codes, times = codes[sort], times[sort]
    askers = random.integers(-1, keys, 5000).astype(np.int32)
    newest = random.integers(-5, span + 5, 5000)
    oldest = None if ttl is None else newest - ttl

    found = TimeOrdered(times, codes, keys).latest(askers, newest, oldest, greatest)

    of_key: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row, (code, at) in enumerate(zip(codes.tolist(), times.tolist(), strict=True)):
        of_key[code].append((at, -row))  # of equal times the first row is the greatest
    for rows in of_key.values():
        rows.sort()
    for number, (asker, at) in enumerate(zip(askers.tolist(), newest.tolist(), strict=True)):
        rows = of_key[asker] if asker >= 0 else []
        place = bisect_right(rows, (at, 1)) - 1
        expected = NONE
        if place >= 0 and (ttl is None or rows[place][0] >= at - ttl):
            expected = -rows[place][1]
        assert found[number] == expected
