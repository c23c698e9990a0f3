"""Generated features, for engines that are held to the reference join of `domain.point_in_time`.

A case is many small worlds under one view, told apart by the first part of the key, so that one statement decides them
all.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import pyarrow as pa

from cloudmlops import Entity, FeatureView, Platform, TableSource
from cloudmlops.domain.feature_columns import EVENT_TIME
from cloudmlops.domain.point_in_time import FeatureRow, rank, served, to_datetime, to_microseconds, training_rows
from cloudmlops.materializers.feature_columns import TIME, arrow_type
from cloudmlops.ports.backends import Backends
from cloudmlops.ports.clock import Clock, FixedClock

BASE = to_microseconds(datetime(2026, 3, 1, tzinfo=UTC))
WORLDS = 25
KEYS: dict[Any, list[Any]] = {
    str: ["", "1", "11", "1:1", "1%3A1", "%", "é"],
    int: [0, 1, 11, -1, 2**63 - 1, -(2**63)],
    bool: [True, False],
    date: [date(2026, 1, 1), date(1969, 12, 31)],
    bytes: [b"", b"1", b"11", b"\0"],
}
VALUES: dict[Any, list[Any]] = {
    float: [0.0, -0.0, 1.5, -1.5, math.nan, math.inf, -math.inf, 0.1],
    int: [0, 1, -1, 2**62, -(2**63)],
    bool: [True, False],
    str: ["", "a", "b", "ab", "é", "\U0001f600", "￿"],
    bytes: [b"", b"a", b"\xff"],
    date: [date(2026, 1, 1), date(1969, 12, 31)],
    datetime: [to_datetime(0), to_datetime(-1), to_datetime(BASE)],
    list[float]: [[], [0.5], [0.5, math.inf]],
    list[str]: [[], ["a", ""]],
    list[bytes]: [[b"", b"\xff"]],
    list[date]: [[date(2026, 1, 1), date(1969, 12, 31)]],
}
OFFSETS = (-3, -2, -1, 0, 1, 2, 3, 10, 1_000_000)
Key = tuple[Any, ...]


@dataclass
class Case:
    """A view, the rows of its source, and entity rows."""

    view: FeatureView
    rows: list[tuple[Key, FeatureRow]]
    entities: list[tuple[Key, int]]

    def table(self, rows: list[tuple[Key, FeatureRow]]) -> pa.Table:
        """Rows as a source has them."""
        columns = self.keys([key for key, _ in rows])
        columns["at"] = pa.array([row.ts for _, row in rows], pa.int64()).cast(TIME)
        columns["made"] = pa.array([row.created for _, row in rows], pa.int64()).cast(TIME)
        for place, (name, kind) in enumerate(self.view.features.items()):
            columns[name] = pa.array([row.values[place] for _, row in rows], arrow_type(kind))
        return pa.table(columns)

    def asked(self) -> pa.Table:
        """The entity rows as a caller has them."""
        columns = self.keys([key for key, _ in self.entities])
        columns[EVENT_TIME] = pa.array([at for _, at in self.entities], pa.int64()).cast(TIME)
        return pa.table(columns)

    def keys(self, keys: list[Key]) -> dict[str, Any]:
        kinds = self.view.entity.keys.items()
        return {
            name: pa.array([key[place] for key in keys], arrow_type(kind)) for place, (name, kind) in enumerate(kinds)
        }


def made_case(seed: int, *, null_lists: bool = True, in_order: bool = False) -> Case:
    """Few keys and times in each world, so that most have ties and matches.

    Args:
        seed: Of the case.
        null_lists: Whether the engine tells no list from an empty one.
        in_order: Whether the engine knows the order of a source's rows, which decides when nothing else does.
    """
    chance = random.Random(seed)
    keys = chance.sample(list(KEYS), chance.randint(0, 2))
    kinds = chance.choices(list(VALUES), k=chance.randint(1, 3))
    view = FeatureView(
        f"view-{seed}",
        entity=Entity("thing", keys={"world": int, **{f"k{place}": kind for place, kind in enumerate(keys)}}),
        source=TableSource(f"rows-{seed}"),
        timestamp="at",
        created=chance.choice([None, "made"]),
        ttl=chance.choice([None, timedelta(0), timedelta(microseconds=2), timedelta(days=36_525_000)]),
        source_delay=chance.choice([timedelta(0), timedelta(0), timedelta(microseconds=1)]),
        nulls=chance.choice(["row", "last_value"]),
        features={f"F{place}": kind for place, kind in enumerate(kinds)},
    )
    rows: list[tuple[Key, FeatureRow]] = []
    entities: list[tuple[Key, int]] = []
    for world in range(WORLDS):
        some = [(world, *(made_value(chance, KEYS[kind]) for kind in keys)) for _ in range(chance.randint(1, 3))]
        rows += [
            (chance.choice(some), made_row(chance, view, null_lists=null_lists)) for _ in range(chance.randint(0, 8))
        ]
        entities += [(chance.choice(some), BASE + chance.choice(OFFSETS)) for _ in range(chance.randint(1, 5))]
    if in_order:
        return Case(view=view, rows=rows, entities=entities)
    # Lists never decide, nor does the sign of zero, and without an order of rows: no two rows of a key differ in
    # nothing else.
    distinct = {(typed(key), repr(rank(view, row)).replace("-0.0", "0.0")): (key, row) for key, row in rows}
    return Case(view=view, rows=list(distinct.values()), entities=entities)


def made_row(chance: random.Random, view: FeatureView, *, null_lists: bool) -> FeatureRow:
    created = BASE + chance.choice(OFFSETS) if view.created and chance.random() < 0.7 else None
    values = []
    for kind in view.features.values():
        value = made_value(chance, VALUES[kind], null=0.3)
        values.append([] if value is None and not null_lists and isinstance(VALUES[kind][0], list) else value)
    return FeatureRow(BASE + chance.choice(OFFSETS), created, tuple(values))


def made_value(chance: random.Random, values: list[Any], *, null: float = 0.1) -> Any:
    return None if chance.random() < null else chance.choice(values)


def typed(key: Key) -> Key:
    return tuple((type(part), part) for part in key)


def normal(value: Any) -> Any:
    """A value by which results are compared: NaN is NaN, 0.0 is -0.0, a time is in `UTC` of the standard library."""
    return repr(value + 0.0) if isinstance(value, float) else exactly(value)


def exactly(value: Any) -> str:
    """Likewise, and -0.0 is another than 0.0."""
    return repr(value.astimezone(UTC)) if isinstance(value, datetime) else repr(value)


class Timed(Backends, Protocol):
    """Backends whose clock a test can set."""

    clock: Clock


def expected_table(case: Case) -> list[tuple[Any, ...]]:
    """What the reference join answers."""
    known = [(key, row) for key, row in case.rows if None not in key]
    return training_rows(case.view, known, case.entities)


def check_training_table(case: Case, platform: Platform, *, exact: bool = False) -> None:
    """Held to the reference; `exact` tells -0.0 from 0.0, which only an engine that knows the order of rows can."""
    source = case.view.source
    assert isinstance(source, TableSource)
    platform.features.write_table(source.table, case.table(case.rows))

    table = platform.features.training_table(case.view, case.asked())

    expected = expected_table(case)
    found = list(zip(*(table[name].to_pylist() for name in case.view.features), strict=True))
    compared = exactly if exact else normal
    assert [list(map(compared, row)) for row in found] == [list(map(compared, row)) for row in expected]


def check_online(case: Case, backends: Timed, seed: int) -> None:
    """Materialise and push in any order, then read at the last write and after it."""
    chance = random.Random(seed)
    platform = Platform(backends)
    source = case.view.source
    assert isinstance(source, TableSource)
    view = replace(case.view, source_delay=timedelta(0)) if chance.random() < 0.7 else case.view
    delay = view.source_delay // timedelta(microseconds=1)
    rows = [(key, row) for key, row in case.rows if None not in key]
    chance.shuffle(rows)
    cut = chance.randint(0, len(rows)) if not delay else len(rows)
    in_source, pushed = rows[:cut], rows[cut:]
    platform.features.write_table(source.table, case.table(in_source))
    backends.clock = FixedClock(to_datetime(BASE + max(OFFSETS)))
    written: list[tuple[Key, FeatureRow]] = []
    for _ in range(chance.randint(1, 3)):
        if pushed and chance.random() < 0.5:
            part, pushed = pushed[: len(pushed) // 2 + 1], pushed[len(pushed) // 2 + 1 :]
            platform.features.push(view, case.table(part))
            written += part
            continue
        moment = BASE + chance.choice(OFFSETS)
        platform.features.materialize(view, at=to_datetime(moment))
        written += [(key, row) for key, row in in_source if row.ts <= moment - delay]
    platform.features.materialize(view, at=to_datetime(BASE - 10))
    keys = list({typed(key): key for key, _ in case.entities}.values())
    asked = [dict(zip(view.entity.keys, key, strict=True)) for key in keys]
    for later in (0, 2):
        at = BASE + max(OFFSETS) + later
        backends.clock = FixedClock(to_datetime(at))
        answer = platform.features.online(view, asked)
        for number, key in enumerate(keys):
            history = [row for other, row in written if typed(other) == typed(key)]
            found = [(normal(value.value), value.status, value.event_time) for value in answer.row(number).values()]
            wanted = [(normal(value.value), value.status, value.event_time) for value in served(view, history, at)]
            assert found == wanted, (key, history)
