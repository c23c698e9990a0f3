"""Families that sum up, on ours and on Google's own emulator."""

import pytest

INT64 = {"int64_type": {"encoding": {"big_endian_bytes": {}}}}


def aggregate(aggregator: str, input_type: dict | None = None) -> dict:
    return {"value_type": {"aggregate_type": {"input_type": input_type or INT64, aggregator: {}}}}


def change(kind: str, value: dict, at: int = 1000) -> dict:
    mutation = {"family_name": "sums", "column_qualifier": {"raw_value": b"q"}, "input": value}
    return {kind: {**mutation, "timestamp": {"raw_timestamp_micros": at}}}


def add(number: int, at: int = 1000) -> dict:
    return change("add_to_cell", {"int_value": number}, at)


def merge(number: int, at: int = 1000) -> dict:
    return change("merge_to_cell", {"raw_value": number.to_bytes(8, "big", signed=True)}, at)


def table_of(bigtable, family: dict) -> str:
    table = bigtable.table(plain={})
    bigtable.admin.modify_column_families(name=table, modifications=[{"id": "sums", "create": family}])
    return table


@pytest.fixture
def table(bigtable) -> str:
    return table_of(bigtable, aggregate("sum"))


def numbers(bigtable, table: str) -> dict[int, int]:
    ((_, cells),) = bigtable.read(table)
    return {at: int.from_bytes(value, "big", signed=True) for _, _, at, value, _ in cells}


def test_cells_of_one_time_are_summed_up(bigtable, table):
    mutations = [add(4), add(-7), merge(5), add(1, at=2000)]
    bigtable.data.mutate_row(table_name=table, row_key=b"r", mutations=mutations)

    assert numbers(bigtable, table) == {2: 1, 1: 2}


@pytest.mark.parametrize(
    ("aggregator", "expected"), [("sum", 2), ("min_", -7), ("max_", 5)], ids=["sum", "least", "greatest"]
)
def test_the_least_and_the_greatest_stay_and_nothing_merged_changes_nothing(ours, aggregator, expected):
    """Google's emulator keeps the last instead."""
    table = table_of(ours, aggregate(aggregator))

    mutations = [add(4), merge(5), add(-7), change("merge_to_cell", {})]
    ours.data.mutate_row(table_name=table, row_key=b"r", mutations=mutations)

    assert numbers(ours, table) == {1: expected}


@pytest.mark.parametrize(
    "wrong",
    [change("merge_to_cell", {"raw_value": b"short"}), change("add_to_cell", {"raw_value": bytes(8)}), add(1, at=1)],
    ids=["state", "input", "time"],
)
def test_what_does_not_fit_is_refused(ours, refused, wrong):
    with refused("INVALID_ARGUMENT"):
        ours.data.mutate_row(table_name=table_of(ours, aggregate("sum")), row_key=b"r", mutations=[wrong])


def test_aggregates_are_not_written_as_other_cells_are(ours, refused):
    table = table_of(ours, aggregate("sum"))
    with refused("INVALID_ARGUMENT"):
        ours.put(table, b"r", ("sums", b"q", 1, bytes(8)))
    with refused("INVALID_ARGUMENT"):
        rule = {"family_name": "sums", "column_qualifier": b"q", "increment_amount": 1}
        ours.data.read_modify_write_row(table_name=table, row_key=b"r", rules=[rule])


@pytest.mark.parametrize(
    ("family", "named"),
    [(aggregate("hllpp_unique_count"), "hllpp_unique_count"), (aggregate("sum", {"bytes_type": {}}), "int64")],
    ids=["count", "bytes"],
)
def test_an_aggregate_that_is_not_emulated_names_itself(ours, refused, family, named):
    with refused("UNIMPLEMENTED") as caught:
        table_of(ours, family)
    assert named in str(caught.value)
