"""BigQuery when something goes wrong: an answer that is lost is no fault, and no fault leaves a table."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloudmlops import Entity, FeatureView, Platform, TableSource
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.errors import CloudMLOpsError, NotFoundError, PermissionDeniedError
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.providers.vertex.feature_store.warehouse import Warehouse

from .conftest import Opened

NOON: Final = datetime(2026, 1, 15, 12, tzinfo=UTC)
ROWS: Final = [{"origin": "JFK", "seen_at": NOON, "wind": 1.0}]
ASKED: Final = [{"origin": "JFK", "event_time": NOON}]
LOAD: Final = "bigquery/jobs.insert"
"""First the upload is begun, then its bytes are sent, which begins the job."""
NO: Final = Refused("INVALID_ARGUMENT", "no")


@pytest.fixture
def backends(opened: Opened) -> VertexBackends:
    return opened(timeout="2")


@pytest.fixture
def platform(backends: VertexBackends) -> Platform:
    made = Platform(backends)
    made.features.write_table("weather", ROWS)
    return made


@pytest.fixture
def warehouse(platform: Platform, backends: VertexBackends) -> Warehouse:
    return backends.features._warehouse


def view() -> FeatureView:
    airport = Entity("airport", keys={"origin": str})
    return FeatureView(
        "weather", entity=airport, source=TableSource("weather"), timestamp="seen_at", features={"wind": float}
    )


def winds(platform: Platform) -> list[float]:
    found: list[float] = platform.features.training_table(view(), ASKED)["wind"].to_pylist()
    return found


def exported(warehouse: Warehouse) -> pa.Table:
    statement = f"SELECT wind FROM {warehouse.name('weather')}"
    return warehouse.rows(statement, rows=10**7, operation="features.training_table", resource="weather")


def left(backends: VertexBackends) -> tuple[list[str], list[str]]:
    """Return the tables and the passing objects that are there."""
    return backends.features._warehouse.tables(operation="test"), list(backends.objects.list("passing/"))


def test_a_table_of_entity_rows_whose_making_was_not_answered_is_used_and_removed(
    platform: Platform, backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    vertex_emulator.calls.clear()
    vertex_emulator.faults.set(Fault(matching="bigquery/tables.insert", lose_response=True))

    assert winds(platform) == [1.0]

    assert [call.status for call in vertex_emulator.calls.list("bigquery/tables.insert")][:1] == ["DROPPED"]
    assert left(backends) == (["weather"], [])


@pytest.mark.parametrize(
    "then",
    [
        Fault(matching=LOAD, first=3, refused=Refused("NOT_FOUND", "the upload has ended")),
        Fault(matching=LOAD, first=3, refused=Refused("ALREADY_EXISTS", "the job is there")),
        Fault(matching=LOAD, first=3, times=None, refused=Refused("UNAVAILABLE", "later")),
        Fault(matching=LOAD, first=3, times=None, drop=True),
    ],
    ids=["ended", "there", "away", "cut"],
)
def test_a_load_whose_answer_is_lost_is_looked_up(
    platform: Platform, backends: VertexBackends, vertex_emulator: Emulator, then: Fault
) -> None:
    vertex_emulator.calls.clear()
    for fault in (Fault(matching=LOAD, first=2, lose_response=True), then):
        vertex_emulator.faults.set(fault)

    platform.features.write_table("weather", [{**ROWS[0], "wind": 2.0}])

    assert vertex_emulator.calls.list("bigquery/jobs.get")
    vertex_emulator.faults.clear()
    assert winds(platform) == [2.0]
    assert left(backends) == (["weather"], [])


def test_a_load_of_files_whose_answer_is_lost_is_looked_up(
    platform: Platform, warehouse: Warehouse, backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    backends.objects.put("source/0.parquet", parquet(pa.table({"wind": [5.0]})))
    vertex_emulator.faults.set(Fault(matching=LOAD, lose_response=True))

    warehouse.load_objects("loaded", [f"{backends.objects.uri}/source/0.parquet"], operation="features.apply")

    assert warehouse.tables(operation="test") == ["loaded", "weather"]


def test_an_export_whose_answer_is_lost_is_looked_up(
    warehouse: Warehouse, backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    vertex_emulator.calls.clear()
    vertex_emulator.faults.set(Fault(matching=LOAD, first=2, lose_response=True))

    assert exported(warehouse)["wind"].to_pylist() == [1.0]

    lost = next(call for call in vertex_emulator.calls.list(LOAD) if call.status == "DROPPED")
    assert "extract" in lost.request["configuration"]
    assert left(backends) == (["weather"], [])


@pytest.mark.parametrize("rows", [10, 10**7], ids=["pages", "exported"])
def test_a_query_whose_answer_is_lost_is_looked_up_where_it_runs(
    warehouse: Warehouse, vertex_emulator: Emulator, rows: int
) -> None:
    vertex_emulator.calls.clear()
    vertex_emulator.faults.set(Fault(matching=LOAD, lose_response=True))

    statement = f"SELECT wind FROM {warehouse.name('weather')}"
    found = warehouse.rows(statement, rows=rows, operation="features.training_table", resource="weather")

    assert found["wind"].to_pylist() == [1.0]
    (looked_up,) = vertex_emulator.calls.list("bigquery/jobs.get")[:1]
    assert looked_up.request["location"] == warehouse._wire.settings.location
    begun = [call.request for call in vertex_emulator.calls.list(LOAD)]
    assert begun[0]["jobReference"]["location"] == warehouse._wire.settings.location


def test_a_load_that_was_never_begun_fails_as_it_was_answered(
    platform: Platform, backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    vertex_emulator.faults.set(Fault(matching=LOAD, refused=Refused("NOT_FOUND", "the dataset went away")))

    with pytest.raises(NotFoundError, match="the dataset went away") as caught:
        platform.features.write_table("weather", ROWS)

    assert caught.value.hint


@pytest.mark.parametrize("first", [1, 2], ids=["beginning", "bytes"])
def test_no_table_is_left_when_entity_rows_cannot_be_loaded(
    platform: Platform, backends: VertexBackends, vertex_emulator: Emulator, first: int
) -> None:
    vertex_emulator.faults.set(Fault(matching=LOAD, first=first, refused=Refused("PERMISSION_DENIED", "no")))

    with pytest.raises(PermissionDeniedError, match=r"features\.training_table of 'weather' was refused: .*no"):
        winds(platform)

    assert left(backends) == (["weather"], [])


def test_a_table_that_cannot_be_removed_takes_nothing_from_the_training_table(
    platform: Platform, backends: VertexBackends, vertex_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    vertex_emulator.faults.set(Fault(matching="bigquery/tables.delete", refused=NO))

    with caplog.at_level(logging.WARNING, "cloudmlops.features"):
        assert winds(platform) == [1.0]

    (kept,) = [name for name in left(backends)[0] if name.startswith("Passing_")]
    (told,) = caplog.messages
    assert kept in told
    assert "no" in told


@pytest.mark.parametrize(
    ("call", "first"),
    [("bigquery/tables.delete", 1), ("storage/objects.list", 2), ("storage/objects.delete", 1)],
    ids=["table", "list", "file"],
)
def test_what_cannot_be_removed_takes_nothing_from_a_large_result(
    warehouse: Warehouse, vertex_emulator: Emulator, caplog: pytest.LogCaptureFixture, call: str, first: int
) -> None:
    vertex_emulator.faults.set(Fault(matching=call, first=first, refused=Refused("PERMISSION_DENIED", "not you")))

    with caplog.at_level(logging.WARNING, "cloudmlops.features"):
        assert exported(warehouse)["wind"].to_pylist() == [1.0]

    (told,) = caplog.messages
    assert "assing" in told


def test_a_table_that_cannot_be_removed_hides_no_error(platform: Platform, vertex_emulator: Emulator) -> None:
    vertex_emulator.faults.set(Fault(matching="bigquery/jobs.getQueryResults", refused=Refused("NOT_FOUND", "first")))
    vertex_emulator.faults.set(Fault(matching="bigquery/tables.delete", refused=Refused("INVALID_ARGUMENT", "second")))

    with pytest.raises(CloudMLOpsError, match="first"):
        winds(platform)


def test_a_file_that_cannot_be_removed_hides_no_error(warehouse: Warehouse, vertex_emulator: Emulator) -> None:
    for call in ("storage/objects.get", "storage/objects.delete"):
        vertex_emulator.faults.set(Fault(matching=call, refused=Refused("PERMISSION_DENIED", call)))

    with pytest.raises(PermissionDeniedError, match="cannot read object"):
        exported(warehouse)


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    written: bytes = sink.getvalue().to_pybytes()
    return written
