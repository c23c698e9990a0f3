"""Rows come back as they are asked for, from ours and from Google's own emulator."""

import pytest
from google.cloud.bigtable_v2.types import RowFilter

KNOWS_MASKS = "value_bitmask_filter" in RowFilter.pb().DESCRIPTOR.fields_by_name

PASS = {"pass_all_filter": True}
BLOCK = {"block_all_filter": True}


@pytest.fixture
def flights(bigtable) -> str:
    table = bigtable.table(a={}, b={})
    bigtable.put(table, b"ewr", ("a", b"delay", 3, b"12"), ("a", b"delay", 2, b"7"), ("a", b"gate", 1, b"C3"))
    bigtable.put(table, b"jfk", ("b", b"delay", 1, b"0"), ("a", b"gate", 5, b"B\n2"))
    bigtable.put(table, b"lga", ("b", b"\x00\xff", 1, b"\xff\x00"))
    return table


def cells(rows) -> list:
    return [(key, family, qualifier, at) for key, row in rows for family, qualifier, at, _, _ in row]


def values(rows) -> list[bytes]:
    return [value for _, row in rows for _, _, _, value, _ in row]


def chain(*filters) -> dict:
    return {"chain": {"filters": list(filters)}}


def interleave(*filters) -> dict:
    return {"interleave": {"filters": list(filters)}}


def test_rows_come_by_key_families_as_they_were_made_qualifiers_sorted_and_cells_newest_first(bigtable, flights):
    assert cells(bigtable.read(flights)) == [
        (b"ewr", "a", b"delay", 3),
        (b"ewr", "a", b"delay", 2),
        (b"ewr", "a", b"gate", 1),
        (b"jfk", "a", b"gate", 5),
        (b"jfk", "b", b"delay", 1),
        (b"lga", "b", b"\x00\xff", 1),
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"row_keys": [b"lga", b"none", b"ewr", b"lga"]}, [b"ewr", b"lga"]),
        ({"row_ranges": [{"start_key_closed": b"jfk"}]}, [b"jfk", b"lga"]),
        ({"row_ranges": [{"start_key_open": b"jfk"}]}, [b"lga"]),
        ({"row_ranges": [{"end_key_open": b"jfk"}]}, [b"ewr"]),
        ({"row_ranges": [{"end_key_closed": b"jfk"}]}, [b"ewr", b"jfk"]),
        ({"row_ranges": [{"start_key_closed": b"jfk", "end_key_open": b"jfk"}]}, []),
        ({"row_ranges": [{"start_key_open": b"a", "end_key_open": b""}]}, [b"ewr", b"jfk", b"lga"]),
        (
            {"row_ranges": [{"end_key_closed": b"f"}, {"start_key_closed": b"l"}], "row_keys": [b"jfk"]},
            [b"ewr", b"jfk", b"lga"],
        ),
    ],
    ids=["keys", "closed-start", "open-start", "open-end", "closed-end", "empty", "no-end", "several"],
)
def test_the_rows_of_keys_and_ranges_come_once_and_in_order(bigtable, flights, rows, expected):
    assert [key for key, _ in bigtable.read(flights, rows=rows)] == expected


def test_a_limit_counts_rows_that_have_a_cell_left(bigtable, flights):
    found = bigtable.read(flights, rows_limit=1, filter={"family_name_regex_filter": "b"})

    assert [key for key, _ in found] == [b"jfk"]


@pytest.mark.parametrize(
    ("row_filter", "expected"),
    [
        (PASS, 6),
        (BLOCK, 0),
        ({"row_key_regex_filter": rb"[ej]\C*"}, 5),
        ({"family_name_regex_filter": "a|c"}, 4),
        ({"column_qualifier_regex_filter": rb".\xff"}, 1),
        ({"value_regex_filter": b"B.2"}, 0),
        ({"value_regex_filter": rb"B\C2"}, 1),
        ({"value_regex_filter": rb"\d+"}, 3),
        ({"column_range_filter": {"family_name": "a", "start_qualifier_open": b"delay"}}, 2),
        ({"column_range_filter": {"family_name": "a", "end_qualifier_closed": b"delay"}}, 2),
        ({"column_range_filter": {"family_name": "none"}}, 0),
        ({"timestamp_range_filter": {"start_timestamp_micros": 2000, "end_timestamp_micros": 5000}}, 2),
        ({"value_range_filter": {"start_value_closed": b"12", "end_value_open": b"C3"}}, 3),
        ({"cells_per_column_limit_filter": 1}, 5),
        (chain({"family_name_regex_filter": "a"}, {"cells_per_row_limit_filter": 2}), 3),
        (chain({"family_name_regex_filter": "a"}, {"cells_per_row_offset_filter": 1}), 2),
        (chain({"family_name_regex_filter": "a"}, {"cells_per_row_offset_filter": 0}), 4),
        (interleave(PASS, {"family_name_regex_filter": "a"}), 10),
        ({"condition": {"predicate_filter": {"value_regex_filter": b"C3"}, "true_filter": PASS}}, 3),
        ({"condition": {"predicate_filter": {"value_regex_filter": b"C3"}, "false_filter": PASS}}, 3),
        ({"condition": {"predicate_filter": PASS}}, 0),
    ],
    ids=repr,
)
def test_a_filter_leaves_its_cells(bigtable, flights, row_filter, expected):
    assert len(cells(bigtable.read(flights, filter=row_filter))) == expected


def test_values_are_stripped_and_copies_told_apart_by_their_labels(bigtable, flights):
    label = chain({"apply_label_transformer": "first"}, {"cells_per_column_limit_filter": 1})
    row_filter = interleave(label, {"strip_value_transformer": True})

    found = bigtable.read(flights, rows={"row_keys": [b"ewr"]}, filter=row_filter)

    assert sorted(found[0][1], key=repr) == sorted(
        [
            ("a", b"delay", 3, b"12", ("first",)),
            ("a", b"delay", 3, b"", ()),
            ("a", b"delay", 2, b"", ()),
            ("a", b"gate", 1, b"C3", ("first",)),
            ("a", b"gate", 1, b"", ()),
        ],
        key=repr,
    )


def test_about_the_asked_share_of_rows_is_sampled_whole(bigtable):
    table = bigtable.table()
    entries = [
        {"row_key": b"%03d" % number, "mutations": [{"set_cell": {"family_name": "f", "timestamp_micros": 0}}]}
        for number in range(400)
    ]
    list(bigtable.data.mutate_rows(table_name=table, entries=entries))

    assert 100 < len(bigtable.read(table, filter={"row_sample_filter": 0.5})) < 300


def test_a_value_longer_than_a_chunk_comes_back_whole(bigtable):
    table = bigtable.table()
    value = bytes(range(256)) * 8192 + b"end"
    bigtable.put(table, b"large", ("f", b"after", 1, b"x"), ("f", b"a", 1, value))

    assert values(bigtable.read(table)) == [value, b"x"]


@pytest.mark.parametrize(
    "row_filter",
    [
        chain(PASS),
        interleave(PASS),
        {"pass_all_filter": False},
        {"block_all_filter": False},
        {"cells_per_row_limit_filter": 0},
        {"cells_per_column_limit_filter": 0},
        {"row_sample_filter": 1.5},
        {"apply_label_transformer": "NO"},
        {"row_key_regex_filter": b"("},
        {"row_key_regex_filter": b""},
        {"family_name_regex_filter": "[[:none:]]"},
        {"column_qualifier_regex_filter": rb"(a)\1"},
        {"value_regex_filter": b"(?=a)"},
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_filter_that_means_nothing_is_refused(bigtable, flights, refused, row_filter):
    with refused("INVALID_ARGUMENT"):
        bigtable.read(flights, filter=row_filter)


def test_a_range_that_ends_before_it_starts_is_refused(bigtable, flights, refused):
    with refused("INVALID_ARGUMENT"):
        bigtable.read(flights, rows={"row_ranges": [{"start_key_closed": b"z", "end_key_closed": b"a"}]})


def test_a_table_that_is_not_there_is_not_found(bigtable, refused):
    with refused("NOT_FOUND"):
        bigtable.read("projects/test/instances/flights/tables/none")


class TestWhatTheServiceDoesAndGooglesEmulatorDoesNot:
    """By the API's own definition, `google/bigtable/v2/data.proto`."""

    @pytest.fixture
    def bigtable(self, ours):
        return ours

    def test_rows_come_backwards_when_asked_so(self, bigtable, flights):
        found = bigtable.read(flights, reversed=True, rows_limit=2)

        assert [key for key, _ in found] == [b"lga", b"jfk"]
        assert [at for _, _, _, at in cells(bigtable.read(flights, reversed=True))][-3:] == [3, 2, 1]

    def test_what_reaches_a_sink_is_in_the_answer_whatever_follows(self, bigtable):
        table = bigtable.table(A={}, B={})
        bigtable.put(table, b"row", ("A", b"A", 1, b"w"), ("A", b"B", 2, b"x"), ("B", b"B", 4, b"z"))
        row_filter = chain(
            {"family_name_regex_filter": "A"},
            interleave(PASS, chain({"apply_label_transformer": "foo"}, {"sink": True})),
            {"column_qualifier_regex_filter": b"B"},
        )

        ((_, found),) = bigtable.read(table, filter=row_filter)

        assert sorted(found) == [
            ("A", b"A", 1, b"w", ("foo",)),
            ("A", b"B", 2, b"x", ()),
            ("A", b"B", 2, b"x", ("foo",)),
        ]

    @pytest.mark.skipif(not KNOWS_MASKS, reason="the oldest SDK of the range has no value_bitmask_filter")
    def test_a_mask_finds_values_of_its_length_with_its_bits(self, bigtable):
        table = bigtable.table()
        bigtable.put(table, b"row", ("f", b"a", 1, b"\x05"), ("f", b"b", 1, b"\x02"), ("f", b"c", 1, b"\x05\x05"))

        assert values(bigtable.read(table, filter={"value_bitmask_filter": {"mask": b"\x04"}})) == [b"\x05"]

    @pytest.mark.parametrize(
        "row_filter",
        [
            {"sink": False},
            {"condition": {"predicate_filter": {"sink": True}}},
            {"condition": {"true_filter": PASS}},
            {"strip_value_transformer": False},
            {"cells_per_row_offset_filter": -1},
            {"timestamp_range_filter": {"start_timestamp_micros": 1}},
            {"family_name_regex_filter": "a:b"},
            {"value_regex_filter": b"a" * 20480},
            chain({"apply_label_transformer": "a"}, interleave(PASS, {"apply_label_transformer": "b"})),
        ],
        ids=lambda value: repr(value)[:60],
    )
    def test_a_filter_outside_the_rules_is_refused(self, bigtable, flights, refused, row_filter):
        with refused("INVALID_ARGUMENT"):
            bigtable.read(flights, filter=row_filter)

    def test_a_filter_nested_deeper_than_20_is_refused(self, bigtable, flights, refused):
        row_filter = PASS
        for _ in range(19):
            row_filter = chain(PASS, row_filter)
        assert bigtable.read(flights, filter=row_filter)

        with refused("INVALID_ARGUMENT"):
            bigtable.read(flights, filter=chain(PASS, row_filter))

    def test_what_is_not_emulated_names_itself(self, bigtable, flights, refused):
        with refused("UNIMPLEMENTED") as caught:
            bigtable.read(flights, request_stats_view=2)
        assert "request_stats_view" in str(caught.value)

        with refused("UNIMPLEMENTED") as caught:
            list(bigtable.data.execute_query(instance_name="projects/test/instances/flights", query="SELECT 1"))
        assert "google.bigtable.v2.Bigtable/ExecuteQuery" in str(caught.value)

        with refused("UNIMPLEMENTED") as caught:
            bigtable.read("", authorized_view_name=f"{flights}/authorizedViews/v")
        assert "authorized_view_name" in str(caught.value)

    def test_families_and_qualifiers_come_only_where_they_change(self, bigtable, flights):
        (answer,) = bigtable.data.read_rows(request={"table_name": flights, "rows": {"row_keys": [b"ewr"]}})
        chunks = [type(chunk).pb(chunk) for chunk in answer.chunks]

        assert [chunk.row_key for chunk in chunks] == [b"ewr", b"", b""]
        assert [chunk.HasField("family_name") for chunk in chunks] == [True, False, False]
        assert [chunk.HasField("qualifier") for chunk in chunks] == [True, False, True]
        assert [chunk.commit_row for chunk in chunks] == [False, False, True]
