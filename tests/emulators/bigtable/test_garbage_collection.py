"""Cells outside their family's rule are out of sight as soon as the clock says so."""

from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TWO = {"max_num_versions": 2}
HOUR = {"max_age": timedelta(hours=1)}


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def written(bigtable, rule) -> str:
    """Make a table with cells of 0, 10, 20, 30 … 90 minutes ago, the value being the age."""
    table = bigtable.table(f=rule)
    now = bigtable.surroundings.clock.now() if bigtable.ours else datetime.now(UTC)
    ages = [(age, milliseconds(now - timedelta(minutes=age))) for age in range(0, 100, 10)]
    bigtable.put(table, b"row", *[("f", b"q", at, b"%d" % age) for age, at in ages])
    return table


def ages(bigtable, table) -> list[int]:
    return [int(value) for _, row in bigtable.read(table) for *_, value, _ in row]


@pytest.fixture
def frozen(ours):
    ours.surroundings.clock.freeze(NOW)
    yield ours
    ours.surroundings.clock.resume()
    ours.surroundings.clock.advance(max(timedelta(0), datetime.now(UTC) - ours.surroundings.clock.now()))


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (None, range(0, 100, 10)),
        (TWO, [0, 10]),
        (HOUR, range(0, 70, 10)),
        ({"union": {"rules": [TWO, HOUR]}}, [0, 10]),
        ({"intersection": {"rules": [TWO, HOUR]}}, range(0, 70, 10)),
        ({"union": {"rules": [HOUR, {"intersection": {"rules": [TWO, {"max_num_versions": 4}]}}]}}, range(0, 40, 10)),
    ],
    ids=["none", "versions", "age", "union", "intersection", "nested"],
)
def test_a_rule_leaves_the_newest(frozen, rule, left):
    assert ages(frozen, written(frozen, rule)) == list(left)


def test_cells_grow_old_with_the_clock(frozen):
    table = written(frozen, HOUR)

    frozen.surroundings.clock.advance(timedelta(minutes=25))
    assert ages(frozen, table) == [0, 10, 20, 30]

    frozen.surroundings.clock.advance(timedelta(hours=2))
    assert frozen.read(table) == []
    answer = frozen.data.check_and_mutate_row(
        table_name=table, row_key=b"row", false_mutations=[{"delete_from_row": {}}]
    )
    assert not answer.predicate_matched


def test_a_rule_set_later_holds_for_what_is_there(frozen):
    table = written(frozen, None)

    frozen.admin.modify_column_families(name=table, modifications=[{"id": "f", "update": {"gc_rule": TWO}}])

    assert ages(frozen, table) == [0, 10]


def test_what_a_write_has_collected_stays_gone(frozen):
    table = written(frozen, TWO)
    frozen.put(table, b"row", ("f", b"other", 0, b"0"))

    frozen.admin.modify_column_families(name=table, modifications=[{"id": "f", "update": {"gc_rule": {}}}])

    assert len(ages(frozen, table)) == 3


@pytest.mark.parametrize("rule", [TWO, HOUR, {"union": {"rules": [TWO, HOUR]}}], ids=["versions", "age", "union"])
def test_googles_emulator_comes_to_the_same_within_its_time(ours, googles, rule):
    """It collects every second or so; intersections it leaves out altogether."""
    expected = ages(ours, written(ours, rule))
    table = written(googles, rule)

    pause, deadline = Event(), datetime.now(UTC) + timedelta(seconds=20)
    while ages(googles, table) != expected and datetime.now(UTC) < deadline:
        pause.wait(0.1)

    assert ages(googles, table) == expected
