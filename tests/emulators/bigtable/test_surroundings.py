"""What Bigtable has from the emulators' core: a state that lasts, faults and a record of calls."""

import pytest
from google.api_core.exceptions import ServiceUnavailable
from tests.emulators.bigtable.conftest import INSTANCE, serving

from cloudmlops.emulators.core.faults import Fault, Refused


@pytest.fixture
def table(ours) -> str:
    table = ours.table(f={})
    ours.put(table, b"r", ("f", b"q", 1, b"v"))
    ours.surroundings.calls.clear()
    return table


@pytest.fixture
def fault(ours):
    yield ours.surroundings.faults.set
    ours.surroundings.faults.clear()


def test_a_state_in_a_folder_has_its_tables_rows_and_instances_after_a_restart(tmp_path):
    clusters = {"lasting-c1": {"serve_nodes": 1}}
    with serving(tmp_path) as first:
        table = first.table(z={"max_num_versions": 1}, a={})
        first.put(table, b"\x00\xff", ("a", b"", 1, b"\x00"), ("z", b"q", 1, b"1"), ("z", b"q", 2, b"2"))
        first.put(table, b"gone", ("a", b"", 1, b""))
        first.data.mutate_row(table_name=table, row_key=b"gone", mutations=[{"delete_from_row": {}}])
        deleted = first.table(f={})
        first.put(deleted, b"r", ("f", b"", 1, b""))
        first.admin.delete_table(name=deleted)
        first.instances.create_instance(
            parent="projects/test", instance_id="lasting", instance={}, clusters=clusters
        ).result()
        before = first.read(table)
        first.channel.close()

    with serving(tmp_path) as second:
        assert before == second.read(table)
        assert before == [(b"\x00\xff", [("z", b"q", 2, b"2", ()), ("a", b"", 1, b"\x00", ())])]
        assert [each.name for each in second.admin.list_tables(parent=INSTANCE)] == [table]
        assert second.instances.get_cluster(name="projects/test/instances/lasting/clusters/lasting-c1").serve_nodes == 1
        second.admin.create_table(parent=INSTANCE, table_id=deleted.rpartition("/")[2], table={})
        assert second.read(deleted) == []
        second.channel.close()


def test_calls_are_recorded_with_what_was_sent_and_how_they_ended(ours, table):
    ours.read(table, rows_limit=7)
    with pytest.raises(Exception, match="Table not found"):
        ours.read(f"{table}-none")

    first, second = ours.surroundings.calls.list("bigtable/Bigtable.ReadRows")
    assert (first.resource, first.request["rowsLimit"], first.status) == (table, "7", "OK")
    assert (second.resource, second.status) == (f"{table}-none", "NOT_FOUND")


def test_a_fault_refuses_a_call_and_nothing_is_done(ours, table, fault):
    fault(Fault(matching="bigtable/Bigtable.MutateRow", refused=Refused("UNAVAILABLE", "try again")))

    with pytest.raises(ServiceUnavailable, match="try again"):
        ours.data.mutate_row(table_name=table, row_key=b"r", mutations=[{"delete_from_row": {}}], retry=None)

    assert ours.read(table)


def test_a_lost_response_is_of_a_call_that_was_done(ours, table, fault):
    fault(Fault(matching="bigtable/Bigtable.MutateRow", lose_response=True))

    with pytest.raises(ServiceUnavailable):
        ours.data.mutate_row(table_name=table, row_key=b"r", mutations=[{"delete_from_row": {}}], retry=None)

    assert ours.read(table) == []
    ((host, port),) = ours.dropped
    assert host == "127.0.0.1"
    assert port > 0
