"""The local engine and online store, held to the reference join of `domain.point_in_time`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudmlops import Entity, FeatureView, ParquetSource, Platform
from cloudmlops.domain.feature_columns import EVENT_TIME
from cloudmlops.domain.feature_types import is_scalar
from cloudmlops.domain.point_in_time import (
    FeatureRow,
    FeatureValue,
    as_of,
    reduced,
    served,
    to_datetime,
    to_microseconds,
    training_rows,
)
from cloudmlops.materializers.feature_columns import arrow_type
from cloudmlops.ports.clock import FixedClock
from cloudmlops.providers.local.backends import LocalBackends
from cloudmlops.providers.local.feature_store.history import joined_columns
from cloudmlops.providers.local.feature_store.sources import open_source
from cloudmlops.providers.local.settings import LocalSettings
from cloudmlops.providers.packed_rows import RowPacking

BASE = to_microseconds(datetime(2026, 3, 1, tzinfo=UTC))
CHECKS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=CHECKS)
THOROUGH = settings(max_examples=3000, deadline=None, suppress_health_check=CHECKS)
NUMBERS = count()

KEYS: dict[Any, st.SearchStrategy[Any]] = {
    # Composite keys that concatenate alike are the point of "1", "11" and "".
    str: st.sampled_from(["", "1", "11", "1,1", "é", "a\0b"]),
    int: st.sampled_from([0, 1, 11, -1, 2**63 - 1, -(2**63)]),
    bool: st.booleans(),
    date: st.sampled_from([date(2026, 1, 1), date(1969, 12, 31)]),
    bytes: st.sampled_from([b"", b"1", b"11", b"\0"]),
}
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    float: st.sampled_from([0.0, -0.0, 1.5, -1.5, math.nan, math.inf, -math.inf]),
    int: st.sampled_from([0, 1, -1, 2**62, -(2**63)]),
    bool: st.booleans(),
    str: st.sampled_from(["", "a", "b", "ab", "é", "\U0001f600", "￿"]),
    bytes: st.sampled_from([b"", b"a", b"\xff"]),
    date: st.sampled_from([date(2026, 1, 1), date(1969, 12, 31)]),
    datetime: st.sampled_from([to_datetime(0), to_datetime(-1), to_datetime(BASE)]),
    list[float]: st.lists(st.sampled_from([0.5, math.nan, None]), max_size=2),
    list[str]: st.lists(st.sampled_from(["a", "", None]), max_size=2),
}
OFFSETS = st.sampled_from([-3, -2, -1, 0, 1, 2, 3, 10, 1_000_000])
UNIT = st.sampled_from(["us", "ns"])
ZONE = st.sampled_from(["UTC", "America/New_York", "+05:30"])


@dataclass
class Case:
    """A view, the rows of its source, and entity rows; times are nanoseconds since `BASE`."""

    view: FeatureView
    rows: list[tuple[tuple[Any, ...], int | None, int | None, tuple[Any, ...]]]
    entities: list[tuple[tuple[Any, ...], int]]
    unit: str
    zone: str

    def source(self) -> pa.Table:
        """The rows as the source has them."""
        columns: dict[str, Any] = {}
        for place, (name, kind) in enumerate(self.view.entity.keys.items()):
            columns[name] = pa.array([key[place] for key, *_ in self.rows], arrow_type(kind))
        columns["at"] = self.times([at for _, at, _, _ in self.rows])
        columns["made"] = self.times([made for _, _, made, _ in self.rows])
        for place, (name, kind) in enumerate(self.view.features.items()):
            columns[name] = pa.array([values[place] for *_, values in self.rows], arrow_type(kind))
        return pa.table(columns)

    def asked(self) -> pa.Table:
        """The entity rows as a caller has them."""
        columns: dict[str, Any] = {}
        for place, (name, kind) in enumerate(self.view.entity.keys.items()):
            columns[name] = pa.array([key[place] for key, _ in self.entities], arrow_type(kind))
        columns[EVENT_TIME] = self.times([at for _, at in self.entities])
        return pa.table(columns)

    def times(self, nanoseconds: list[int | None]) -> pa.Array:
        step = 1 if self.unit == "ns" else 1000
        whole = [None if at is None else (BASE * 1000 + at) // step for at in nanoseconds]
        return pa.array(whole, pa.int64()).cast(pa.timestamp(self.unit, self.zone))

    def known(self) -> list[tuple[tuple[Any, ...], FeatureRow]]:
        """The rows as the reference takes them: feature times rounded up to microseconds."""
        created = self.view.created is not None
        return [
            (key, FeatureRow(self.up(at), None if made is None or not created else self.up(made), values))
            for key, at, made, values in self.rows
            if at is not None
        ]

    def up(self, at: int) -> int:
        return BASE + (-(-at // 1000) if self.unit == "ns" else at // 1000)

    def down(self, at: int) -> int:
        return BASE + at // 1000


@st.composite
def cases(draw: st.DrawFn) -> Case:
    keys = draw(st.lists(st.sampled_from(list(KEYS)), min_size=1, max_size=2))
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3))
    view = FeatureView(
        f"view-{next(NUMBERS)}",
        entity=Entity("thing", keys={f"k{place}": kind for place, kind in enumerate(keys)}),
        source=ParquetSource("unset"),
        timestamp="at",
        created=draw(st.sampled_from([None, "made"])),
        ttl=draw(st.sampled_from([None, timedelta(0), timedelta(microseconds=2), timedelta(seconds=1)])),
        source_delay=draw(st.sampled_from([timedelta(0), timedelta(0), timedelta(microseconds=1)])),
        nulls=draw(st.sampled_from(["row", "last_value"])),
        features={f"f{place}": kind for place, kind in enumerate(kinds)},
    )
    # Few keys and times, so that most cases have ties and matches.
    key = st.tuples(*(st.one_of(st.none(), KEYS[kind]) if draw(st.booleans()) else KEYS[kind] for kind in keys))
    some_keys = st.sampled_from(draw(st.lists(key, min_size=1, max_size=4)))
    unit, zone = draw(UNIT), draw(ZONE)
    finer = st.sampled_from([0, 0, 1, 999] if unit == "ns" else [0])
    at = st.builds(lambda whole, rest: whole * 1000 + rest, OFFSETS, finer)
    values = st.tuples(*(st.one_of(st.none(), VALUES[kind]) for kind in kinds))
    row = st.tuples(some_keys, st.one_of(at, at, at, st.none()), st.one_of(st.none(), at), values)
    rows = draw(st.lists(row, max_size=14))
    if draw(st.booleans()):
        rows.sort(key=lambda row: -math.inf if row[1] is None else row[1])
    entities = draw(st.lists(st.tuples(some_keys, at), max_size=8))
    return Case(view=view, rows=rows, entities=entities, unit=unit, zone=zone)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def backends() -> Iterator[LocalBackends]:
    opened = LocalBackends(LocalSettings(path=":memory:"))
    yield opened
    opened.close()


def expected(case: Case) -> list[tuple[Any, ...]]:
    return training_rows(case.view, case.known(), [(key, case.down(at)) for key, at in case.entities])


def same(one: Any, other: Any) -> bool:
    """Whether two results are alike to the last bit: NaN is NaN, and -0.0 is not 0.0."""
    return repr(one) == repr(other)


def check_training_table(case: Case, platform: Platform, folder: Path) -> None:
    path = folder / "source.parquet"
    pq.write_table(case.source(), path)
    view = replace(case.view, source=ParquetSource(path))
    asked = case.asked()

    table = platform.features.training_table(view, asked)

    assert table.select(asked.column_names).equals(asked)
    found = list(zip(*(normal(table[name]) for name in view.features), strict=True))
    assert same(found, expected(case))


def check_late_reading(case: Case, folder: Path) -> None:
    """Row groups of three, in two files, read column by column: as large sources are."""
    source, half = case.source(), len(case.rows) // 2
    parts = folder / "parts"
    parts.mkdir(exist_ok=True)
    pq.write_table(source.slice(0, half), parts / "a.parquet", row_group_size=3)
    pq.write_table(source.slice(half), parts / "b.parquet", row_group_size=3)
    view = replace(case.view, source=ParquetSource(parts))
    keys = case.asked()
    times = [case.down(at) for _, at in case.entities]
    keys = keys.set_column(
        keys.num_columns - 1, EVENT_TIME, pa.array(times, pa.int64()).cast(pa.timestamp("us", "UTC"))
    )

    columns = joined_columns(view, open_source(view, tables=folder, whole_rows=0), keys)

    assert same(list(zip(*map(normal, columns), strict=True)), expected(case))


def check_online(case: Case, backends: LocalBackends, folder: Path, moments: list[int]) -> None:
    """Write in any order and twice; then read at, and after, the last write."""
    path = folder / "online.parquet"
    pq.write_table(case.source(), path)
    view = replace(case.view, name=f"view-{next(NUMBERS)}", source=ParquetSource(path))
    platform = Platform(backends)
    last = max(moments)
    backends.clock = FixedClock(to_datetime(BASE + last))
    for moment in [*moments, last]:
        platform.features.materialize(view, at=to_datetime(BASE + moment))
    keys = list(dict.fromkeys((tuple(map(type, key)), key) for key, *_ in case.rows))
    rows = [dict(zip(view.entity.keys, key, strict=True)) for _, key in keys]
    delay = view.source_delay // timedelta(microseconds=1)
    written = [(key, row) for key, row in case.known() if row.ts <= BASE + last - delay]
    for later in (0, 1, 2, 3, 1_000_001):
        at = BASE + last + later
        backends.clock = FixedClock(to_datetime(at))

        answer = platform.features.online(view, rows)

        history = {
            (tuple(map(type, key)), key): [
                row for other, row in written if (tuple(map(type, other)), other) == (tuple(map(type, key)), key)
            ]
            for _, key in keys
        }
        for number, key in enumerate(keys):
            known = [] if None in key[1] else history[key]
            assert same(tuple(answer.row(number).values()), served(view, known, at))
            assert same(tuple(answer.values()[number].values()), as_of(view, known, at))


def normal(column: Any) -> list[Any]:
    """Python values with times in `UTC` of the standard library, as the reference has them."""
    values = column.to_pylist()
    return [value.astimezone(UTC) if isinstance(value, datetime) else value for value in values]


@QUICK
@given(case=cases())
def test_the_training_table_is_the_reference_join(case: Case, backends: LocalBackends, folder: Path) -> None:
    check_training_table(case, Platform(backends), folder)


@QUICK
@given(case=cases())
def test_reading_late_and_in_parts_changes_nothing(case: Case, folder: Path) -> None:
    check_late_reading(case, folder)


@QUICK
@given(case=cases(), moments=st.lists(OFFSETS, min_size=1, max_size=3))
def test_online_equals_the_join_for_what_is_materialised(
    case: Case, moments: list[int], backends: LocalBackends, folder: Path
) -> None:
    check_online(case, backends, folder, moments)


@QUICK
@given(case=cases(), cut=st.integers(0, 14), data=st.data())
def test_kept_rows_do_not_depend_on_the_order_of_writing(case: Case, cut: int, data: st.DataObject) -> None:
    rows = [row for _, row in case.known()]
    shuffled = data.draw(st.permutations(rows))

    at_once = reduced(case.view, rows)
    in_parts = reduced(case.view, [*reduced(case.view, shuffled[:cut]), *reduced(case.view, shuffled[cut:])])

    for later in (-1, 0, 2, 10, 1_000_001):
        assert same(told(case.view, in_parts, BASE + later), told(case.view, at_once, BASE + later))


def told(view: FeatureView, rows: list[FeatureRow], at: int) -> list[Any]:
    """What is served but for lists and the sign of zero: rows that differ in these alone are interchangeable."""
    return [
        FeatureValue(
            value.value + 0.0 if isinstance(value.value, float) else value.value, value.status, value.event_time
        )
        for value, kind in zip(served(view, rows, at), view.features.values(), strict=True)
        if is_scalar(kind)
    ]


@QUICK
@given(case=cases())
def test_rows_survive_packing(case: Case) -> None:
    packing = RowPacking(case.view)
    rows = [row for _, row in case.known()]
    source = case.source()

    assert same(packing.unpack(packing.pack(rows)), rows)
    times = pa.array([row.ts for row in rows], pa.int64()).cast(pa.timestamp("us", "UTC"))
    created = pa.array([row.created for row in rows], pa.int64()).cast(pa.timestamp("us", "UTC"))
    kept = source.filter(source["at"].is_valid())
    columns = [kept[name].combine_chunks() for name in case.view.features]
    packed = packing.pack_columns(times, created if case.view.created else None, columns)
    assert packed == [packing.pack([row]) for row in rows]


@pytest.mark.conformance
@THOROUGH
@given(case=cases())
def test_thousands_of_training_tables_are_the_reference_join(case: Case, backends: LocalBackends, folder: Path) -> None:
    check_training_table(case, Platform(backends), folder)
    check_late_reading(case, folder)


@pytest.mark.conformance
@THOROUGH
@given(case=cases(), moments=st.lists(OFFSETS, min_size=1, max_size=3))
def test_thousands_of_online_reads_equal_the_join(
    case: Case, moments: list[int], backends: LocalBackends, folder: Path
) -> None:
    check_online(case, backends, folder, moments)
