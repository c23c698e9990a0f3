"""For each (key, time) the newest row of a source, by position; the heart of the point-in-time join.

Only keys and times are looked at. Rows are passed once in order of time, in blocks small enough for the processor's
cache, while an array remembers the last row of each key: linear in both sizes, and indifferent to how many versions
of a key there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from cloudmlops.providers.local.feature_store.keys import NOBODY, Codes, Integers

NONE: Final = -1
"""The position of no row."""

Flags = np.ndarray[Any, np.dtype[np.bool_]]
BreakTies = Callable[[Integers, Integers], Integers]
"""Given rows, ascending, and the group of each, return the row that wins in each group, by group."""

_BLOCK: Final = 32_768


class TimeOrdered:
    """The rows of a source that belong to somebody, in order of time."""

    def __init__(self, times: Integers, codes: Codes, count: int, *, rows: Integers | None = None) -> None:
        """Put rows into order of time.

        Args:
            times: (n,) microseconds; without nulls.
            codes: (n,) key codes below `count`, or `NOBODY`.
            count: The number of codes.
            rows: (n,) the source's row of each, where they were put into order before; None where they were not.
        """
        self._rows = rows
        self._count = count
        if rows is None and len(times) and not (times[1:] >= times[:-1]).all():
            rows = np.flatnonzero(codes != NOBODY)
            rows = rows[np.argsort(times[rows])]
            times, codes, self._rows = times[rows], codes[rows], rows
        self._times = times
        self._codes = codes

    def only(self, known: Flags) -> TimeOrdered:
        """Return the same rows without those that are not `known`, a flag for each row of the source."""
        known = known if self._rows is None else known[self._rows]
        return TimeOrdered(self._times, np.where(known, self._codes, np.int32(NOBODY)), self._count, rows=self._rows)

    def latest(self, codes: Codes, newest: Integers, oldest: Integers | None, break_ties: BreakTies) -> Integers:
        """Return for each asker the source's row that is the greatest by rule 3, or `NONE`.

        Args:
            codes: (m,) whose rows are wanted.
            newest: (m,) microseconds; rows after it are not candidates.
            oldest: (m,) microseconds; nor are rows before it. None is no bound.
            break_ties: Decides between rows of the same key and time.
        """
        order = np.argsort(newest, kind="stable")
        stops = np.empty(len(order), np.int64)
        stops[:] = np.searchsorted(self._times, newest[order], side="right")
        first = 0 if oldest is None or not len(oldest) else int(np.searchsorted(self._times, oldest.min(), side="left"))
        found = np.empty(len(order), np.int64)
        found[order] = _last_before(self._codes, self._count, stops, codes[order], first)
        if oldest is not None and len(self._times):
            found[self._times[np.maximum(found, 0)] < oldest] = NONE
        return self._settled(found, break_ties)

    def latest_of_all(self, newest: int, break_ties: BreakTies) -> Integers:
        """Return for each code its greatest row that is not after `newest`, or `NONE`."""
        stop = int(np.searchsorted(self._times, newest, side="right"))
        last = np.full(self._count + 1, NONE, np.int64)
        last[self._codes[:stop]] = np.arange(stop)
        return self._settled(last[:-1], break_ties)

    def _settled(self, found: Integers, break_ties: BreakTies) -> Integers:
        """Turn positions into the source's rows, the greatest one where several have the same key and time."""
        tied, groups = self._ties(found)
        rows = np.arange(0) if self._rows is None else self._rows
        settled = found if self._rows is None else np.where(found == NONE, NONE, rows[found] if len(rows) else NONE)
        if not len(tied):
            return settled
        of_source = tied if self._rows is None else rows[tied]
        order = np.argsort(of_source, kind="stable")
        winners = break_ties(of_source[order], groups[order])
        group_of = np.full(len(self._times), NONE, np.int64)
        group_of[tied] = groups
        group = np.where(found == NONE, NONE, group_of[found])
        return np.where(group == NONE, settled, winners[group])

    def _ties(self, found: Integers) -> tuple[Integers, Integers]:
        """Return the positions of rows that share key and time with a found one and another, and numbered groups."""
        nothing = np.empty(0, np.int64)
        same = self._times[1:] == self._times[:-1]
        if not same.any():
            return nothing, nothing
        beside = np.zeros(len(self._times), bool)
        beside[1:] |= same
        beside[:-1] |= same
        chosen = np.zeros(len(self._times), bool)
        chosen[found[found != NONE]] = True
        chosen &= beside
        if not chosen.any():
            return nothing, nothing
        wanted = np.zeros(self._count + 1, bool)
        wanted[self._codes[chosen]] = True
        wanted[NOBODY] = False
        near = np.flatnonzero(beside & wanted[self._codes])
        moment = np.cumsum(np.concatenate(([0], self._times[near[1:]] != self._times[near[:-1]])))
        pairs = moment * np.int64(self._count) + self._codes[near]
        order = np.argsort(pairs, kind="stable")
        pairs, near = pairs[order], near[order]
        alike = pairs[1:] == pairs[:-1]
        several = np.zeros(len(pairs), bool)
        several[1:] |= alike
        several[:-1] |= alike
        pairs, near = pairs[several], near[several]
        if not len(pairs):
            return nothing, nothing
        number = np.cumsum(np.concatenate(([0], pairs[1:] != pairs[:-1])))
        has_chosen = np.zeros(number[-1] + 1, bool)
        has_chosen[number[chosen[near]]] = True
        kept = has_chosen[number]
        renumbered = np.cumsum(has_chosen) - 1
        return near[kept], renumbered[number[kept]]


def _last_before(codes: Codes, count: int, stops: Integers, wanted: Codes, first: int) -> Integers:
    """Return for each asker the last position in `codes[first:stop]` that has its code, or `NONE`.

    Args:
        codes: (n,) code of each row.
        count: The number of codes.
        stops: (m,) ascending.
        wanted: (m,) the asker's code.
        first: Rows before it are passed over.
    """
    last = np.full(count + 1, NONE, np.int64)  # one more place, for NOBODY, which is index -1
    asked = np.zeros(count + 1, bool)
    found = np.full(len(stops), NONE, np.int64)
    end = int(stops[-1]) if len(stops) else 0
    starts = range(first, end, _BLOCK)
    cuts = np.searchsorted(stops, [first, *(min(start + _BLOCK, end) for start in starts)], side="right")
    for start, low, high in zip(starts, cuts, cuts[1:], strict=False):
        block = codes[start : min(start + _BLOCK, end)]
        if high > low:
            askers = wanted[low:high]
            asked[askers] = True
            asked[NOBODY] = False
            near = np.flatnonzero(asked[block])
            asked[askers] = False
            best = last[askers]
            if len(near):
                packed = (block[near].astype(np.int64) << 32) | near
                packed.sort()
                sought = (askers.astype(np.int64) << 32) | (stops[low:high] - start)
                hit = packed[np.maximum(np.searchsorted(packed, sought, side="left") - 1, 0)]
                # The row just below may be another's, or not below at all when the asker comes before all of them.
                best = np.where((hit >> 32 == askers) & (hit < sought), (hit & 0xFFFFFFFF) + start, best)
            found[low:high] = best
        last[block] = np.arange(start, start + len(block))
        last[NOBODY] = NONE
    return found
