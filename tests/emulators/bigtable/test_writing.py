"""What changes rows, on ours and on Google's own emulator; where its codes are not the service's, ours alone."""

import pytest

MISSING = "projects/test/instances/flights/tables/none"
LARGEST = (1 << 63) - 1


def set_cell(family: str, qualifier: bytes, timestamp: int, value: bytes) -> dict:
    cell = {"family_name": family, "column_qualifier": qualifier, "timestamp_micros": timestamp, "value": value}
    return {"set_cell": cell}


def delete(qualifier: bytes, start: int = 0, end: int = 0) -> dict:
    times = {"start_timestamp_micros": start, "end_timestamp_micros": end}
    return {"delete_from_column": {"family_name": "f", "column_qualifier": qualifier, "time_range": times}}


@pytest.fixture
def table(bigtable) -> str:
    table = bigtable.table(f={}, g={})
    bigtable.put(table, b"row", *[("f", b"q", at, b"%d" % at) for at in (1, 2, 3, 4)], ("g", b"q", 1, b"g"))
    return table


@pytest.fixture
def mutate(bigtable, table):
    def apply(*mutations, key: bytes = b"row"):
        bigtable.data.mutate_row(table_name=table, row_key=key, mutations=list(mutations))

    return apply


def seen(bigtable, table) -> list:
    return [(family, at, value) for _, row in bigtable.read(table) for family, _, at, value, _ in row]


def test_a_cell_takes_the_place_of_the_one_with_its_timestamp(bigtable, table, mutate):
    mutate(set_cell("f", b"q", 2000, b"new"), set_cell("f", b"q", 0, b"oldest"))

    assert seen(bigtable, table) == [
        ("f", 4, b"4"),
        ("f", 3, b"3"),
        ("f", 2, b"new"),
        ("f", 1, b"1"),
        ("f", 0, b"oldest"),
        ("g", 1, b"g"),
    ]


@pytest.mark.parametrize(
    ("mutations", "left"),
    [
        ([delete(b"q")], [("g", 1)]),
        ([delete(b"q", 2000, 4000)], [("f", 4), ("f", 1), ("g", 1)]),
        ([delete(b"q", 2000)], [("f", 1), ("g", 1)]),
        ([delete(b"q", 0, 2000)], [("f", 4), ("f", 3), ("f", 2), ("g", 1)]),
        ([delete(b"none")], [("f", 4), ("f", 3), ("f", 2), ("f", 1), ("g", 1)]),
        ([{"delete_from_family": {"family_name": "f"}}], [("g", 1)]),
        ([{"delete_from_row": {}}], []),
        ([{"delete_from_row": {}}, set_cell("g", b"", 7000, b"")], [("g", 7)]),
    ],
    ids=["column", "between", "from", "until", "no-column", "family", "row", "in-order"],
)
def test_a_deletion_takes_what_it_names(bigtable, table, mutate, mutations, left):
    mutate(*mutations)

    assert [(family, at) for family, at, _ in seen(bigtable, table)] == left


def test_many_rows_are_changed_each_by_itself(bigtable, table):
    entries = [
        {"row_key": b"a", "mutations": [set_cell("f", b"", 0, b"a")]},
        {"row_key": b"b", "mutations": [set_cell("none", b"", 0, b"b")]},
        {"row_key": b"row", "mutations": [{"delete_from_row": {}}]},
    ]

    answers = bigtable.data.mutate_rows(table_name=table, entries=entries)
    codes = {entry.index: entry.status.code for answer in answers for entry in answer.entries}

    assert [index for index, code in codes.items() if code == 0] == [0, 2]
    assert codes[1] == (5 if bigtable.ours else 13)
    assert [key for key, _ in bigtable.read(table)] == [b"a"]


@pytest.mark.parametrize(
    ("predicate", "key", "matched"),
    [
        (None, b"row", True),
        (None, b"none", False),
        ({"value_regex_filter": b"3"}, b"row", True),
        ({"value_regex_filter": b"9"}, b"row", False),
        ({"pass_all_filter": True}, b"none", False),
    ],
    ids=["any", "no-row", "match", "no-match", "filter-of-no-row"],
)
def test_a_row_is_changed_by_what_it_holds(bigtable, table, predicate, key, matched):
    asked = {
        "table_name": table,
        "row_key": key,
        "true_mutations": [set_cell("f", b"yes", 0, b"")],
        "false_mutations": [set_cell("f", b"no", 0, b"")],
    }
    answer = bigtable.data.check_and_mutate_row({**asked, "predicate_filter": predicate} if predicate else asked)

    assert answer.predicate_matched is matched
    ((_, cells),) = bigtable.read(table, rows={"row_keys": [key]})
    assert (b"yes" if matched else b"no") in {qualifier for _, qualifier, *_ in cells}


def number(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)


def test_a_rule_reads_the_newest_cell_and_writes_over_the_future(bigtable, table):
    future = 1 << 52
    future -= future % 1000
    bigtable.data.mutate_row(
        table_name=table,
        row_key=b"row",
        mutations=[set_cell("f", b"n", future, number(LARGEST)), set_cell("f", b"n", 0, number(5))],
    )

    answer = bigtable.data.read_modify_write_row(
        table_name=table,
        row_key=b"row",
        rules=[
            {"family_name": "g", "column_qualifier": b"text", "append_value": b"a"},
            {"family_name": "f", "column_qualifier": b"n", "increment_amount": 1},
            {"family_name": "g", "column_qualifier": b"text", "append_value": b"b"},
            {"family_name": "g", "column_qualifier": b"count", "increment_amount": -2},
        ],
    )

    written = {
        (family.name, column.qualifier): [cell.value for cell in column.cells]
        for family in answer.row.families
        for column in family.columns
    }
    assert answer.row.key == b"row"
    assert written == {
        ("f", b"n"): [number(-LARGEST - 1)],
        ("g", b"count"): [number(-2)],
        ("g", b"text"): [b"ab"],
    }
    assert answer.row.families[0].columns[0].cells[0].timestamp_micros == future


def test_sampled_keys_are_sorted_and_end_the_table(bigtable, table):
    samples = list(bigtable.data.sample_row_keys(table_name=table))

    assert samples[-1].row_key == b""
    offsets = [sample.offset_bytes for sample in samples]
    assert offsets == sorted(offsets)


def test_a_ping_is_answered(bigtable):
    bigtable.data.ping_and_warm(name="projects/test/instances/flights")


@pytest.mark.parametrize("asks", ["mutate_row", "mutate_rows"])
def test_no_mutations_are_refused(bigtable, table, refused, asks):
    asked = {"mutate_row": {"row_key": b"row", "mutations": []}, "mutate_rows": {"entries": []}}[asks]
    with refused("INVALID_ARGUMENT"):
        list(getattr(bigtable.data, asks)({"table_name": table, **asked}) or ())


def test_a_table_that_is_not_there_is_not_found(bigtable, refused):
    mutation = set_cell("f", b"", 0, b"")
    for act in (
        lambda: bigtable.data.mutate_row(table_name=MISSING, row_key=b"r", mutations=[mutation]),
        lambda: list(
            bigtable.data.mutate_rows(table_name=MISSING, entries=[{"row_key": b"r", "mutations": [mutation]}])
        ),
        lambda: bigtable.data.check_and_mutate_row(table_name=MISSING, row_key=b"r", true_mutations=[mutation]),
        lambda: list(bigtable.data.sample_row_keys(table_name=MISSING)),
    ):
        with refused("NOT_FOUND"):
            act()


class TestWhatTheServiceRefusesByItsOwnCodes:
    """Google's emulator answers UNKNOWN, or takes it."""

    @pytest.fixture
    def bigtable(self, ours):
        return ours

    @pytest.mark.parametrize(
        ("mutation", "code", "says"),
        [
            (set_cell("none", b"", 0, b""), "NOT_FOUND", "Requested column family not found"),
            ({"delete_from_family": {"family_name": "none"}}, "NOT_FOUND", "Requested column family not found"),
            (set_cell("f", b"", 1, b""), "INVALID_ARGUMENT", "Expected a multiple of 1000"),
            (set_cell("f", b"", -2, b""), "INVALID_ARGUMENT", "at least 0"),
            (set_cell("f", b"q" * 16385, 0, b""), "INVALID_ARGUMENT", "16384"),
            (delete(b"q", 4000, 2000), "INVALID_ARGUMENT", "timestamp range"),
            ({}, "INVALID_ARGUMENT", "No mutation is set"),
            ({"merge_to_cell": {"family_name": "f"}}, "INVALID_ARGUMENT", "not an aggregate"),
        ],
        ids=["set", "delete", "microseconds", "negative", "qualifier", "inverted", "nothing", "merge"],
    )
    def test_and_the_row_stays_as_it_was(self, bigtable, table, mutate, refused, mutation, code, says):
        before = bigtable.read(table)

        with refused(code) as caught:
            mutate({"delete_from_row": {}}, mutation)

        assert says in str(caught.value)
        assert bigtable.read(table) == before

    @pytest.mark.parametrize("key", [b"", b"k" * 4097], ids=["empty", "too-long"])
    def test_a_key_that_no_row_can_have(self, mutate, refused, key):
        with refused("INVALID_ARGUMENT"):
            mutate(set_cell("f", b"", 0, b""), key=key)

    def test_a_sum_with_what_is_no_number(self, bigtable, table, refused):
        rule = {"family_name": "f", "column_qualifier": b"q", "increment_amount": 1}
        with refused("FAILED_PRECONDITION") as caught:
            bigtable.data.read_modify_write_row(table_name=table, row_key=b"row", rules=[rule])

        assert "Cannot increment value '4' (family=f, qualifier=q)" in str(caught.value)

    def test_a_check_without_mutations_and_a_row_without_rules(self, bigtable, table, refused):
        with refused("INVALID_ARGUMENT"):
            bigtable.data.check_and_mutate_row(table_name=table, row_key=b"row")
        with refused("INVALID_ARGUMENT"):
            bigtable.data.read_modify_write_row(table_name=table, row_key=b"row", rules=[])


def test_the_services_time_is_the_clocks_to_the_millisecond(ours):
    from datetime import UTC, datetime

    table = ours.table()
    ours.surroundings.clock.freeze(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
    try:
        ours.data.mutate_row(table_name=table, row_key=b"r", mutations=[set_cell("f", b"", -1, b"")])
    finally:
        ours.surroundings.clock.resume()

    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    ((_, ((_, _, milliseconds, _, _),)),) = ours.read(table)
    assert milliseconds == at.timestamp() * 1000


def test_concurrent_sums_lose_nothing(bigtable, table):
    from concurrent.futures import ThreadPoolExecutor

    rule = {"family_name": "f", "column_qualifier": b"n", "increment_amount": 1}

    def add(_: int) -> None:
        bigtable.data.read_modify_write_row(table_name=table, row_key=b"sum", rules=[rule])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))

    ((_, cells),) = bigtable.read(table, rows={"row_keys": [b"sum"]}, filter={"cells_per_column_limit_filter": 1})
    assert cells[0][3] == number(40)
