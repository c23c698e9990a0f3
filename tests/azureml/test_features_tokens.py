"""Tables and files on Blob storage outlive the tokens that they are read and written with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloudmlops import Platform
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import AuthenticationError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.feature_store.lake import Lake

from .deployments import until

SHORT = 2
"""Seconds."""
LATER = timedelta(seconds=2)
"""Entra tells clients an end that is a little before the true one."""
ASKED = "entra/token"
COUNT = 20_000


@pytest.fixture
def cloud(cloud: AzureCloud) -> Iterator[AzureCloud]:
    lifetime = cloud.tokens.lifetime_seconds
    yield cloud
    cloud.tokens.lifetime_seconds = lifetime


@pytest.fixture
def lake(backends: AzureMLBackends) -> Lake:
    return Lake(backends.wire)


def uri_of(backends: AzureMLBackends, name: str) -> str:
    return f"{backends.place.store(backends.settings.prefix)}/features/tables/{name}"


def found(lake: Lake, uri: str) -> deltalake.DeltaTable:
    table = lake.table(uri, operation="test", resource="table")
    assert table is not None
    return table


def rows(lake: Lake, uri: str, table: deltalake.DeltaTable) -> list[Any]:
    read = lake.rows(uri, table, table.schema().to_arrow().names, operation="test", resource="table")
    return sorted(pa.table(read).to_pylist(), key=str)


@pytest.mark.conformance(ci=True)
def test_a_table_is_read_for_longer_than_its_token_is_good(
    backends: AzureMLBackends, lake: Lake, cloud: AzureCloud
) -> None:
    cloud.tokens.lifetime_seconds = SHORT
    uri = uri_of(backends, "long")
    lake.replace(uri, pa.table({"number": range(3)}), operation="test", resource="long")
    table, end = found(lake, uri), backends.wire.storage_token()[1]

    until(lambda: datetime.now(UTC) > end + LATER)

    assert rows(lake, uri, table) == [{"number": number} for number in range(3)]


def test_a_file_is_read_for_longer_than_its_token_is_good(
    backends: AzureMLBackends, lake: Lake, cloud: AzureCloud
) -> None:
    cloud.tokens.lifetime_seconds = SHORT
    sink = pa.BufferOutputStream()
    # More than what Arrow reads of any file at first, to find its footer.
    pq.write_table(pa.table({"number": range(COUNT)}), sink, row_group_size=COUNT // 2, compression="none")
    backends.objects.put("rows/0.parquet", sink.getvalue().to_pybytes())
    (file,) = lake.files(f"{backends.place.store(backends.settings.prefix)}/rows")
    opened = pq.ParquetFile(file.open())
    first, end = opened.read_row_group(0), backends.wire.storage_token()[1]

    until(lambda: datetime.now(UTC) > end + LATER)

    assert pa.concat_tables([first, opened.read_row_group(1)])["number"].to_pylist() == list(range(COUNT))


def test_a_table_is_written_with_a_token_that_has_half_an_hour_left(
    backends: AzureMLBackends, cloud: AzureCloud, azureml_emulator: Emulator
) -> None:
    cloud.tokens.lifetime_seconds = 20 * 60
    platform = Platform(backends)
    platform.features.write_table("table", [{"number": 1}])
    cloud.tokens.lifetime_seconds = 60 * 60
    begun = len(azureml_emulator.calls.list(ASKED))

    platform.features.write_table("table", [{"number": 2}])
    renewed = len(azureml_emulator.calls.list(ASKED))
    platform.features.write_table("table", [{"number": 3}])

    assert renewed > begun, "of the first token, less is left"
    assert len(azureml_emulator.calls.list(ASKED)) == renewed, "of the second one, enough is"


def test_tokens_that_storage_finds_too_old_are_renewed_to_write_and_to_open_a_table(
    backends: AzureMLBackends, lake: Lake, cloud: AzureCloud
) -> None:
    uri = uri_of(backends, "table")
    for number in range(2):
        lake.replace(uri, pa.table({"number": [number]}), operation="test", resource="table")
        cloud.tokens.expire()

    table = found(lake, uri)

    assert rows(lake, uri, table) == [{"number": 1}]
    assert table.version() == 1


def test_who_is_not_let_in_with_a_new_token_either_is_told_so(
    backends: AzureMLBackends, lake: Lake, cloud: AzureCloud
) -> None:
    uri = uri_of(backends, "table")
    lake.replace(uri, pa.table({"number": [1]}), operation="test", resource="table")
    cloud.tokens.lifetime_seconds = -1
    cloud.tokens.expire()

    with pytest.raises(AuthenticationError, match="test of 'table'"):
        lake.table(uri, operation="test", resource="table")


def test_partitions_of_any_name_are_read(backends: AzureMLBackends, lake: Lake) -> None:
    uri = uri_of(backends, "parts")
    names = ["a b", "x%y", "x%20y", "ü", "c:d", "q/r", "e=f&g"]
    table = pa.table({"part": names, "number": range(len(names))})
    token = backends.wire.storage_token()[0]
    account = uri.partition("@")[2].partition(".dfs.")[0]
    options = {"bearer_token": token, "azure_endpoint": f"https://{account}.blob.core.windows.net"}

    deltalake.write_deltalake(uri, table, partition_by=["part"], storage_options=options)

    assert rows(lake, uri, found(lake, uri)) == sorted(table.to_pylist(), key=str)
