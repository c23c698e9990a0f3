"""Google's own clients, unmodified, find a Bigtable."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigtable as legacy
from google.cloud.bigtable import column_family, row_filters
from google.cloud.bigtable.data import (
    BigtableDataClient,
    BigtableDataClientAsync,
    DeleteAllFromRow,
    ReadRowsQuery,
    RowMutationEntry,
    RowRange,
    SetCell,
)
from google.cloud.bigtable.data import row_filters as filters
from google.cloud.bigtable.data.exceptions import MutationsExceptionGroup
from google.cloud.bigtable.data.read_modify_write_rules import AppendValueRule, IncrementRule

pytestmark = pytest.mark.filterwarnings("ignore:Connecting to Bigtable emulator:RuntimeWarning")
"""The data client says so whenever the environment names an emulator, which is what is wanted here."""


@pytest.fixture
def environment(bigtable, monkeypatch):
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", bigtable.address)


@pytest.fixture
def table(bigtable, environment):
    name = bigtable.table(f={}).rpartition("/")[2]
    client = BigtableDataClient(project="test")
    with client, client.get_table("flights", name) as table:
        yield table


def test_the_data_client_writes_and_reads(table):
    table.mutate_row(b"a", [SetCell("f", b"q", b"1", timestamp_micros=1000), SetCell("f", b"n", 41)])
    table.bulk_mutate_rows([RowMutationEntry(b"%d" % n, [SetCell("f", b"q", b"%d" % n)]) for n in range(5)])

    assert table.read_row(b"a").get_cells("f", b"q")[0].value == b"1"
    assert table.read_row(b"none") is None
    assert table.row_exists(b"3")
    query = ReadRowsQuery(
        row_ranges=[RowRange(start_key=b"1", end_key=b"4")], row_filter=filters.ValueRegexFilter(b"[13]")
    )
    assert [row.row_key for row in table.read_rows(query)] == [b"1", b"3"]
    assert len(table.read_rows_sharded(ReadRowsQuery().shard(table.sample_row_keys()))) == 6

    row = table.read_modify_write_row(b"a", [IncrementRule("f", b"n", 1), AppendValueRule("f", b"q", b"2")])
    assert int(row.get_cells("f", b"n")[0]) == 42
    assert row.get_cells("f", b"q")[0].value == b"12"
    assert table.check_and_mutate_row(
        b"a", filters.ValueRegexFilter(b"12"), true_case_mutations=DeleteAllFromRow(), false_case_mutations=None
    )
    assert not table.row_exists(b"a")


def test_the_data_client_puts_a_large_value_together(table):
    value = bytes(range(256)) * 10_000
    table.mutate_row(b"large", [SetCell("f", b"a", value), SetCell("f", b"b", b"small")])

    assert [cell.value for cell in table.read_row(b"large")] == [value, b"small"]


def test_the_batcher_sends_all(table):
    with table.mutations_batcher(flush_limit_mutation_count=7) as batcher:
        for number in range(30):
            batcher.append(RowMutationEntry(b"%02d" % number, [SetCell("f", b"q", b"v")]))

    assert len(table.read_rows(ReadRowsQuery())) == 30


def test_the_asynchronous_client_reads(bigtable, environment):
    name = bigtable.table(f={})
    bigtable.put(name, b"row", ("f", b"q", 1, b"v"))

    async def read() -> bytes:
        async with (
            BigtableDataClientAsync(project="test") as client,
            client.get_table("flights", name.rpartition("/")[2]) as table,
        ):
            row = await table.read_row(b"row")
            return row.get_cells()[0].value

    assert asyncio.run(read()) == b"v"


def test_the_legacy_client_makes_a_table_writes_and_reads(bigtable, environment):
    client = legacy.Client(project="test", admin=True, credentials=AnonymousCredentials())
    table = client.instance("flights").table(f"legacy-{int(bigtable.ours)}")
    rule = column_family.GCRuleUnion(
        [column_family.MaxVersionsGCRule(2), column_family.MaxAgeGCRule(timedelta(days=9))]
    )
    table.create(column_families={"f": rule})
    assert table.exists()
    assert table.list_column_families()["f"].gc_rule == rule

    row = table.direct_row(b"row")
    at = datetime.now(UTC).replace(microsecond=0)
    row.set_cell("f", b"q", b"old", timestamp=at - timedelta(seconds=1))
    row.set_cell("f", b"q", b"new", timestamp=at)
    assert [status.code for status in table.mutate_rows([row])] == [0]

    read = table.read_row(b"row", filter_=row_filters.CellsColumnLimitFilter(1))
    assert [(cell.value, cell.timestamp) for cell in read.cells["f"][b"q"]] == [(b"new", at)]
    assert [each.row_key for each in table.read_rows()] == [b"row"]

    table.truncate()
    assert list(table.read_rows()) == []
    table.delete()
    assert not table.exists()


def test_the_legacy_client_makes_an_instance(ours, monkeypatch):
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", ours.address)
    client = legacy.Client(project="test", admin=True, credentials=AnonymousCredentials())
    instance = client.instance("legacy-made", labels={"a": "b"})
    cluster = instance.cluster("legacy-c1", location_id="us-east1-b", serve_nodes=1)

    instance.create(clusters=[cluster]).result(timeout=5)

    assert instance.exists()
    assert [each.cluster_id for each in instance.list_clusters()[0]] == ["legacy-c1"]
    instance.delete()
    assert not instance.exists()


def test_what_a_row_is_refused_for_reaches_the_data_client(ours, monkeypatch):
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", ours.address)
    name = ours.table(f={}).rpartition("/")[2]
    with BigtableDataClient(project="test") as client, client.get_table("flights", name) as table:
        entries = [
            RowMutationEntry(b"r", [SetCell("none", b"q", b"v")]),
            RowMutationEntry(b"s", [SetCell("f", b"", b"")]),
        ]
        with pytest.raises(MutationsExceptionGroup, match="1 failed entry") as caught:
            table.bulk_mutate_rows(entries)
        assert "Requested column family not found" in str(caught.value.exceptions[0].__cause__)
        assert table.row_exists(b"s")
