"""Large results of BigQuery: read from files, equal to the bit to what pages of JSON say, and nothing is left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa
import pytest

from cloudmlops import Platform
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import CloudMLOpsError, PermissionDeniedError
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.providers.vertex.feature_store.warehouse import Warehouse

from .conftest import Opened

VERY_MANY: Final = 10**7
TYPES: Final = """
SELECT 1 AS place, 1.5 AS real, 9007199254740993 AS whole, 'a\\n"é😀' AS text, TRUE AS yes, DATE '0001-01-01' AS day,
       TIMESTAMP '1969-12-31 23:59:59.999999+00' AS moment, FROM_HEX('00ff') AS bytes, NUMERIC '0.123456789' AS exact,
       DATETIME '2026-01-31 12:00:00.000001' AS shown, TIME '23:59:59.999999' AS hour,
       [1.5, CAST('nan' AS FLOAT64)] AS reals, ['', 'b'] AS texts, [TIMESTAMP '2026-01-31 12:00:00+02'] AS moments
UNION ALL
SELECT 2, CAST('nan' AS FLOAT64), -9223372036854775807, '', FALSE, DATE '9999-12-31',
       TIMESTAMP '9999-12-31 23:59:59.999999+00', b'', NUMERIC '-99999999999999999999999999999.999999999',
       DATETIME '0001-01-01 00:00:00', TIME '00:00:00', [], [], []
UNION ALL
SELECT 3, CAST('-inf' AS FLOAT64), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
UNION ALL
SELECT 4, -0.0, 0, ' ', NULL, DATE '1970-01-01', TIMESTAMP '0001-01-01 00:00:00+00', b'a', NUMERIC '1', NULL, NULL,
       [CAST('inf' AS FLOAT64)], ['é'], []
"""


@pytest.fixture
def backends(opened: Opened) -> VertexBackends:
    return opened()


@pytest.fixture
def warehouse(backends: VertexBackends) -> Warehouse:
    Platform(backends).features.write_table("weather", [{"wind": 1.0}, {"wind": 3.0}])
    return backends.features._warehouse


def found(warehouse: Warehouse, sql: str, *, rows: int = VERY_MANY) -> pa.Table:
    return warehouse.rows(sql, rows=rows, operation="features.training_table", resource="weather")


def left(backends: VertexBackends) -> tuple[Sequence[str], Sequence[str]]:
    """Return the tables and the passing objects that are there."""
    return backends.features._warehouse.tables(operation="test"), list(backends.objects.list("passing/"))


def test_every_type_is_equal_to_the_bit_whichever_way_it_is_read(warehouse: Warehouse) -> None:
    by_pages = found(warehouse, TYPES, rows=4).sort_by("place")
    by_files = found(warehouse, TYPES).sort_by("place")

    assert by_files.schema.types == by_pages.schema.types
    assert by_files.column_names == by_pages.column_names
    for name in by_pages.column_names:
        assert repr(by_files[name].to_pylist()) == repr(by_pages[name].to_pylist()), name
    assert by_files["moment"].type == pa.timestamp("us", "UTC")
    assert str(by_files["real"].to_pylist()) == "[1.5, nan, -inf, -0.0]"
    assert by_files["texts"].to_pylist() == [["", "b"], [], [], ["é"]]


def test_a_result_of_no_rows_has_its_columns(warehouse: Warehouse) -> None:
    nothing = found(warehouse, f"SELECT * FROM ({TYPES}) WHERE place = 0")

    assert nothing.num_rows == 0
    assert nothing.schema.types == found(warehouse, TYPES, rows=4).schema.types


def test_a_small_result_is_one_job(warehouse: Warehouse, vertex_emulator: Emulator) -> None:
    vertex_emulator.calls.clear()

    found(warehouse, "SELECT 1 AS one", rows=100_000)

    jobs = vertex_emulator.calls.list("bigquery/jobs.insert")
    assert ["query" in job.request["configuration"] for job in jobs] == [True]


def test_neither_table_nor_file_is_left(warehouse: Warehouse, backends: VertexBackends) -> None:
    assert sorted(found(warehouse, f"SELECT wind FROM {warehouse.name('weather')}")["wind"].to_pylist()) == [1.0, 3.0]

    assert left(backends) == (["weather"], [])


@pytest.mark.parametrize(
    "fault",
    [
        Fault(matching="bigquery/jobs.insert", first=2, refused=Refused("INVALID_ARGUMENT", "no")),
        Fault(matching="bigquery/tables.patch", refused=Refused("INVALID_ARGUMENT", "no")),
        Fault(matching="storage/objects.get", refused=Refused("PERMISSION_DENIED", "no")),
    ],
    ids=["export", "table", "file"],
)
def test_neither_is_left_when_something_goes_wrong(
    warehouse: Warehouse, backends: VertexBackends, vertex_emulator: Emulator, fault: Fault
) -> None:
    vertex_emulator.calls.clear()
    vertex_emulator.faults.set(fault)

    with pytest.raises(CloudMLOpsError, match="no"):
        found(warehouse, f"SELECT wind FROM {warehouse.name('weather')}")

    assert fault.refused is not None
    assert fault.refused.code in {call.status for call in vertex_emulator.calls.list(fault.matching)}
    assert left(backends) == (["weather"], [])


def test_what_a_killed_process_left_a_day_ago_is_removed_and_what_another_is_reading_stays(
    warehouse: Warehouse, backends: VertexBackends
) -> None:
    now = datetime.now(UTC)
    old, new = (f"passing/{now - age:%Y%m%dt%H%M%Sz}-x/0.parquet" for age in (timedelta(days=2), timedelta(hours=2)))
    for key in (old, new):
        backends.objects.put(key, b"")

    found(warehouse, f"SELECT wind FROM {warehouse.name('weather')}")

    assert left(backends) == (["weather"], [new])


def test_who_may_not_export_is_told_so(
    warehouse: Warehouse, backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    vertex_emulator.cloud(GoogleCloud).access.deny("bigquery.tables.export")

    with pytest.raises(PermissionDeniedError) as caught:
        found(warehouse, f"SELECT wind FROM {warehouse.name('weather')}")

    assert "lacks bigquery.tables.export. The role trainer has it" in caught.value.hint
    assert left(backends) == (["weather"], [])


@pytest.mark.parametrize("answer", ["bigquery/jobs.insert", "bigquery/jobs.get", "storage/objects.get"])
def test_a_lost_answer_does_no_harm(
    warehouse: Warehouse, backends: VertexBackends, vertex_emulator: Emulator, answer: str
) -> None:
    vertex_emulator.faults.set(Fault(matching=answer, times=2, lose_response=True))

    table = found(warehouse, f"SELECT wind FROM {warehouse.name('weather')}")

    assert sorted(table["wind"].to_pylist()) == [1.0, 3.0]
    assert left(backends) == (["weather"], [])
