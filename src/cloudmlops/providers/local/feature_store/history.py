"""The local engine: point-in-time joins and reductions over one view's source, keys and times first, values last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cloudmlops.domain.feature_columns import EVENT_TIME
from cloudmlops.domain.feature_types import is_scalar
from cloudmlops.domain.features import FeatureView, microseconds
from cloudmlops.providers.local.feature_store.keys import NOBODY, Integers, key_codes
from cloudmlops.providers.local.feature_store.latest_rows import NONE, TimeOrdered
from cloudmlops.providers.local.feature_store.sources import ViewSource


def joined_columns(view: FeatureView, source: ViewSource, entities: pa.Table) -> list[pa.ChunkedArray]:
    """Return each feature's values at the entity rows' times, in their order: rules 2 to 5.

    Args:
        view: The view.
        source: Its source.
        entities: The join keys and `event_time`, in their declared types.
    """
    history = _History(view, source, [entities[name] for name in view.join_keys])
    times = _integers(entities[EVENT_TIME])
    newest = times - microseconds(view.source_delay)
    oldest = None if view.ttl is None else times - microseconds(view.ttl)
    columns: dict[str, pa.ChunkedArray] = {}

    def select(ordered: TimeOrdered, askers: Any) -> Integers:
        bound = None if oldest is None else oldest[askers]
        return ordered.latest(history.asked[askers], newest[askers], bound, history.winners)

    for names, rows in history.selections(select):
        columns |= _gathered(source, names, rows)
    return [columns[name] for name in view.features]


def latest_rows(view: FeatureView, source: ViewSource, *, at: int) -> tuple[Integers, int]:
    """Return which rows of the source an online store must keep at a time, ascending, and of how many keys: rule 6.

    One a key, or several with `nulls="last_value"`, where each has a value that the greater ones lack.
    """
    history = _History(view, source, None)
    newest = at - microseconds(view.source_delay)

    def select(ordered: TimeOrdered, keys: Any) -> Integers:
        rows: Integers = ordered.latest_of_all(newest, history.winners)[keys]
        return rows

    kept = [rows for _, rows in history.selections(select)]
    # Keys share no rows, so one selection has none twice; sorting is much cheaper than looking for those.
    rows: Integers = np.sort(kept[0]) if len(kept) == 1 else np.unique(np.concatenate(kept))
    return rows[rows != NONE], int(np.count_nonzero(kept[0] != NONE))


class _History:
    """Keys and times of a source, numbered and put into order."""

    def __init__(self, view: FeatureView, source: ViewSource, asking: Sequence[pa.ChunkedArray] | None) -> None:
        self._view = view
        self._source = source
        given = source.keys()
        self.asked, self._codes, self._count = key_codes(given if asking is None else asking, given)
        del given
        times = source.times()
        if times.null_count:
            self._codes = np.where(_nulls(times), np.int32(NOBODY), self._codes)
            times = pc.fill_null(times, pa.scalar(0, times.type))
        self._times = _integers(times)
        self._everything = TimeOrdered(self._times, self._codes, self._count)

    def selections(self, select: Callable[[TimeOrdered, Any], Integers]) -> list[tuple[list[str], Integers]]:
        """Return selected rows and for which features they are: one selection for all, unless nulls are passed over.

        Args:
            select: Given rows and the numbers of askers, returns the row that each of them gets.

        Returns:
            Features and, for each asker, a row. The first selection passes no row over; with `nulls="last_value"` it
            may be for no feature.
        """
        whole = select(self._everything, slice(None))
        if self._view.nulls == "row":
            return [(list(self._view.features), whole)]
        complete: list[str] = []
        others: list[tuple[list[str], Integers]] = []
        found = np.flatnonzero(whole != NONE)
        for name in self._view.features:
            null = _flags(self._source.nulls(name))
            if not len(lacking := found[null[whole[found]]]):
                complete.append(name)
                continue
            rows = whole.copy()
            rows[lacking] = select(self._everything.only(~null), lacking)
            others.append(([name], rows))
        return [(complete, whole), *others]

    def winners(self, rows: Integers, groups: Integers) -> Integers:
        """Return the greatest row of each group by rule 3, given that key and time are the same."""
        view = self._view
        scalars = [name for name, kind in view.features.items() if is_scalar(kind)]
        ranked = self._source.features(scalars, rows)
        if (created := self._source.created(rows)) is not None:
            ranked.insert(0, created)
        order = np.lexsort(np.stack([rows, *(-_ranks(column) for column in reversed(ranked)), groups]))
        first = np.concatenate(([True], groups[order][1:] != groups[order][:-1]))
        winners = np.empty(int(groups.max()) + 1, np.int64)
        winners[groups[order][first]] = rows[order][first]
        return winners


def _gathered(source: ViewSource, names: Sequence[str], rows: Integers) -> Mapping[str, pa.ChunkedArray]:
    """Return features' values in `rows`, in that order, null where there is no row."""
    if not names:
        return {}
    missing = rows == NONE
    needed = np.zeros(source.rows, bool)
    needed[rows[~missing]] = True
    distinct = np.flatnonzero(needed)
    place = np.zeros(source.rows, np.int32 if source.rows < 2**31 else np.int64)
    place[distinct] = np.arange(len(distinct))
    picked = pa.array(place[rows] if source.rows else rows, mask=missing if missing.any() else None)
    return {
        name: pa.chunked_array([column.combine_chunks().take(picked)])
        for name, column in zip(names, source.features(names, distinct), strict=True)
    }


def _ranks(column: pa.ChunkedArray) -> Integers:
    """Number values from the least: null, then values, NaN above infinity; -0.0 and 0.0 are one."""
    values = column.combine_chunks()
    if pa.types.is_floating(values.type):
        values = _ordered_floats(values)
    elif pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    ranks = np.zeros(len(values), np.int64)
    known = values.is_valid().to_numpy(zero_copy_only=False)
    ranks[known] = pc.rank(values.drop_null(), sort_keys="ascending", tiebreaker="dense").to_numpy()
    return ranks


def _ordered_floats(values: pa.Array) -> pa.Array:
    null = values.is_null().to_numpy(zero_copy_only=False)
    floats = pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False)
    bits = (floats + 0.0).view(np.int64)  # adding makes -0.0 to 0.0
    ordered = np.where(bits < 0, bits ^ np.int64(0x7FFFFFFFFFFFFFFF), bits)
    ordered[np.isnan(floats)] = np.iinfo(np.int64).max
    return pa.array(ordered, mask=null)


def _integers(times: pa.ChunkedArray) -> Integers:
    found: Integers = times.cast(pa.int64()).to_numpy()
    return found


def _nulls(column: pa.ChunkedArray) -> Any:
    return _flags(column.is_null())


def _flags(column: pa.ChunkedArray) -> Any:
    return column.to_numpy().astype(bool, copy=False)
