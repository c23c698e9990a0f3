"""The online store is the reference, whatever is written, in whatever order and how often, whenever it is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudmlops import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow, rank, served, to_datetime, to_microseconds
from cloudmlops.emulators.azure.redis.service import Redis
from cloudmlops.providers.azureml.feature_store.online import OnlineStore
from cloudmlops.providers.azureml.feature_store.online_ranks import RowRanks
from cloudmlops.providers.packed_rows import RowPacking

from .online_rows import store_at, table_of, view_of

BASE = to_microseconds(datetime(2026, 3, 1, tzinfo=UTC))
CHECKS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=CHECKS)
THOROUGH = settings(max_examples=2000, deadline=None, suppress_health_check=CHECKS)
KEYS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.sampled_from(["", "1", "11", "é", "a\0b", "1:s1:1"]),
    int: st.sampled_from([0, 1, 11, -1, 2**63 - 1, -(2**63)]),
    bool: st.booleans(),
    date: st.sampled_from([date(2026, 1, 1), date(1969, 12, 31)]),
    bytes: st.sampled_from([b"", b"1", b"11", b"\0"]),
}
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    float: st.sampled_from([0.0, -0.0, 1.5, -1.5, 5e-324, -5e-324, math.nan, math.inf, -math.inf]) | st.floats(),
    int: st.sampled_from([0, 1, -1, 2**62, -(2**63), 2**63 - 1]),
    bool: st.booleans(),
    str: st.sampled_from(["", "a", "b", "ab", "a\0", "a\0\0", "a\0b", "é", "\U0001f600", "￿"]),
    bytes: st.sampled_from([b"", b"a", b"\xff", b"a\0", b"a\0\xff", b"\r\n"]),
    date: st.sampled_from([date(2026, 1, 1), date(1969, 12, 31)]),
    datetime: st.sampled_from([to_datetime(0), to_datetime(-1), to_datetime(BASE)]),
}
LISTS: tuple[Any, ...] = (list[float], list[str])
TIMES = st.sampled_from([-3, -2, -1, 0, 1, 2, 3, 1_000_000])
Written = list[tuple[tuple[Any, ...], FeatureRow]]


@pytest.fixture
def store(redis: Redis) -> Iterator[OnlineStore]:
    opened = store_at(redis.url)
    yield opened
    opened.close()


@st.composite
def views(draw: st.DrawFn) -> FeatureView:
    keys = draw(st.lists(st.sampled_from(list(KEYS)), min_size=1, max_size=2))
    kinds = draw(st.lists(st.sampled_from([*SCALARS, *LISTS]), min_size=1, max_size=4))
    return view_of(
        {f"f{place}": kind for place, kind in enumerate(kinds)},
        keys={f"k{place}": kind for place, kind in enumerate(keys)},
        created=draw(st.booleans()),
        ttl=draw(st.sampled_from([None, timedelta(0), timedelta(microseconds=2), timedelta(seconds=1)])),
        source_delay=draw(st.sampled_from([timedelta(0), timedelta(microseconds=1)])),
        nulls=draw(st.sampled_from(["row", "last_value"])),
    )


def listed(view: FeatureView, row: FeatureRow, known: tuple[bool, ...]) -> FeatureRow:
    """Fill in the lists: rows that rank alike have like ones, for lists decide nothing."""
    values = list(row.values)
    for place, kind in enumerate(view.features.values()):
        if kind in LISTS:
            stands_for = repr(rank(view, row)).replace("-0.0", "0.0")
            item: Any = float(len(stands_for)) if kind == list[float] else stands_for
            values[place] = [item, None] if known[place] else None
    return row._replace(values=tuple(values))


def rows_of(view: FeatureView) -> st.SearchStrategy[FeatureRow]:
    values = st.tuples(
        *(st.none() | SCALARS[kind] if kind in SCALARS else st.none() for kind in view.features.values())
    )
    created = st.none() | TIMES.map(lambda at: BASE + at) if view.created else st.none()
    rows = st.builds(FeatureRow, TIMES.map(lambda at: BASE + at), created, values)
    known = st.tuples(*(st.booleans() for _ in view.features))
    return st.builds(lambda row, present: listed(view, row, present), rows, known)


@st.composite
def histories(draw: st.DrawFn) -> tuple[FeatureView, list[Written]]:
    """Return a view and batches of rows that are written one after another."""
    view = draw(views())
    key = st.tuples(*(st.one_of(st.none(), KEYS[kind]) for kind in view.entity.keys.values()))
    some = st.sampled_from(draw(st.lists(key, min_size=1, max_size=3)))
    row = st.tuples(some, rows_of(view))
    return view, draw(st.lists(st.lists(row, max_size=6), min_size=1, max_size=4))


def check(store: OnlineStore, view: FeatureView, batches: list[Written], again: list[int]) -> None:
    for batch in batches:
        store.write(view, [table_of(view, batch)])
    for place in again:  # as after a kill
        store.write(view, [table_of(view, batches[place % len(batches)])])
    known = [entry for batch in batches for entry in batch]
    keys = list({repr(key): key for key, _ in known}.values())
    last = max((row.ts for _, row in known), default=BASE) + view.source_delay // timedelta(microseconds=1)
    found = store.reader(view)([key[0] if len(view.entity.keys) == 1 else key for key in keys])
    for key, rows in zip(keys, found, strict=True):
        own = [] if None in key else [row for other, row in known if repr(other) == repr(key)]
        for later in (0, 1, 2, 3, 1_000_000, 1_000_001):
            assert repr(served(view, rows, last + later)) == repr(served(view, own, last + later))


@QUICK
@given(history=histories(), again=st.lists(st.integers(0, 3), max_size=2))
def test_what_is_read_is_the_reference_from_the_last_write_on(
    store: OnlineStore, history: tuple[FeatureView, list[Written]], again: list[int]
) -> None:
    check(store, *history, again)


@pytest.mark.conformance
@THOROUGH
@given(history=histories(), again=st.lists(st.integers(0, 3), max_size=2))
def test_thousands_of_histories_read_as_the_reference(
    store: OnlineStore, history: tuple[FeatureView, list[Written]], again: list[int]
) -> None:
    check(store, *history, again)


@settings(QUICK, max_examples=120)
@given(data=st.data())
def test_ranks_sort_like_the_reference(data: st.DataObject) -> None:
    view = data.draw(views())
    rows = data.draw(st.lists(rows_of(view), max_size=8))
    table = table_of(view, [(tuple(None for _ in view.entity.keys), row) for row in rows])
    columns = [table[name].combine_chunks() for name in view.features]
    ranked = RowRanks(view).rank_columns(columns, [RowPacking(view).pack([row]) for row in rows])

    for one, its in zip(rows, ranked, strict=True):
        for other, others in zip(rows, ranked, strict=True):
            if rank(view, one) != rank(view, other):
                assert (its > others) == (rank(view, one) > rank(view, other))
            elif view.nulls == "row":
                assert its == others
