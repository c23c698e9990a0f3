"""What views on Azure ML read: tables, data assets, Parquet files wherever they are, queries; and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloudmlops import Entity, FeatureView, ParquetSource, Platform, SqlSource, TableSource
from cloudmlops.errors import InvalidEntitiesError, InvalidRequestError, UnsupportedError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.sdk import ml

from .conftest import Opened

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth.
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
]
T = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROWS = [
    {"origin": "JFK", "seen_at": T, "wind": 1.0},
    {"origin": "JFK", "seen_at": T + HOUR, "wind": 2.0},
]
airport = Entity("airport", keys={"origin": str})


@pytest.fixture
def platform(backends: AzureMLBackends) -> Platform:
    return Platform(backends)


def weather(source: TableSource | ParquetSource | SqlSource, **options: Any) -> FeatureView:
    return FeatureView(
        "weather", **{"entity": airport, "timestamp": "seen_at", "features": {"wind": float}, **options}, source=source
    )


def wind(platform: Platform, view: FeatureView) -> list[float | None]:
    asked = [{"origin": "JFK", "event_time": at} for at in (T, T + HOUR)]
    return platform.features.training_table(view, asked)["wind"].to_pylist()  # type: ignore[no-any-return]


def written(rows: Any) -> bytes:
    file = BytesIO()
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows), file)
    return file.getvalue()


@pytest.fixture
def folder(backends: AzureMLBackends) -> str:
    """A folder in the datastore with two files, and what is none of them."""
    for number, row in enumerate(ROWS):
        backends.objects.put(f"exports/part-{number}.parquet", written([row]))
    backends.objects.put("exports/README.txt", b"not Parquet")
    return f"{backends.place.store('cloudmlops')}/exports"


@pytest.mark.parametrize("end", ["", "/", "/*.parquet", "/part-?.parquet"])
def test_a_folder_or_pattern_in_the_datastore_is_a_source(platform: Platform, folder: str, end: str) -> None:
    view = weather(ParquetSource(folder + end))
    platform.features.apply([view])

    assert wind(platform, view) == [1.0, 2.0]


def test_a_file_in_the_datastore_is_a_source(platform: Platform, folder: str) -> None:
    assert wind(platform, weather(ParquetSource(f"{folder}/part-1.parquet"))) == [None, 2.0]


def test_azure_ml_s_own_addresses_are_sources(platform: Platform, backends: AzureMLBackends, folder: str) -> None:
    long = backends.place.native_uri(backends.settings, folder)
    short = "azureml://datastores/workspaceblobstore/paths/cloudmlops/exports"

    assert wind(platform, weather(ParquetSource(long))) == wind(platform, weather(ParquetSource(short))) == [1.0, 2.0]


def test_an_address_in_another_workspace_is_refused(platform: Platform) -> None:
    elsewhere = "azureml://subscriptions/s/resourcegroups/g/workspaces/other/datastores/d/paths/p"

    with pytest.raises(UnsupportedError, match="no path in a datastore of the workspace"):
        platform.features.apply([weather(ParquetSource(elsewhere))])


def test_files_of_this_machine_are_sources(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "weather.parquet").write_bytes(written(ROWS))

    for source in (str(tmp_path), str(tmp_path / "weather.parquet"), (tmp_path / "*.parquet").as_uri()):
        assert wind(platform, weather(ParquetSource(source))) == [1.0, 2.0], source


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_a_data_asset_is_a_table(platform: Platform, backends: AzureMLBackends, folder: str, kind: str) -> None:
    path = backends.place.native_uri(backends.settings, folder)
    if kind == "delta":
        platform.features.write_table("original", ROWS)
        path = backends.place.native_uri(
            backends.settings, f"{backends.place.store('cloudmlops')}/features/tables/original"
        )
    data = ml().entities.Data(name="seen", version="1", path=path, type="uri_folder")
    backends.native.data.create_or_update(data)

    assert wind(platform, weather(TableSource("seen"))) == [1.0, 2.0]


def test_a_table_of_the_platform_comes_before_a_data_asset(
    platform: Platform, backends: AzureMLBackends, folder: str
) -> None:
    path = backends.place.native_uri(backends.settings, folder)
    backends.native.data.create_or_update(ml().entities.Data(name="weather", version="1", path=path, type="uri_folder"))
    platform.features.write_table("weather", [{**ROWS[0], "wind": 7.0}])

    assert wind(platform, weather(TableSource("weather"))) == [7.0, 7.0]


@pytest.mark.parametrize(
    ("query", "dialect"),
    [
        ("SELECT origin, seen_at, knots * 2.0 AS wind FROM seen", "duckdb"),
        ("SELECT `origin`, `seen_at`, CAST(`knots` AS FLOAT64) * 2 AS wind FROM `seen`", "bigquery"),
        ("SELECT [origin], [seen_at], CAST([knots] AS FLOAT) * 2 AS wind FROM [seen]", "tsql"),
    ],
)
def test_a_query_is_run_in_the_dialect_that_it_is_written_in(platform: Platform, query: str, dialect: str) -> None:
    platform.features.write_table(
        "seen", [{"origin": row["origin"], "seen_at": row["seen_at"], "knots": 1} for row in ROWS]
    )
    view = weather(SqlSource(query, dialect=dialect))
    platform.features.apply([view])

    assert wind(platform, view) == [2.0, 2.0]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (SqlSource("SELECT origin FROM"), "the query fails"),
        (SqlSource("SELECT nothing FROM seen"), "nothing"),
        (SqlSource("SELECT origin, seen_at, 1.0 AS wind FROM nowhere"), "no table 'nowhere'"),
        (SqlSource("SELECT (FROM seen", dialect="spark"), "spark"),
        (TableSource("nowhere"), "there are: seen"),
        (ParquetSource("azureml://datastores/workspaceblobstore/paths/none/*.parquet"), "there is no Parquet file"),
        (ParquetSource("/nowhere/weather.parquet"), "there is no Parquet file"),
    ],
    ids=["no query", "no such column", "no such table", "no such dialect's query", "no table", "no blob", "no file"],
)
def test_a_source_that_is_not_there_is_told_when_it_is_applied(
    platform: Platform, source: TableSource | ParquetSource | SqlSource, said: str
) -> None:
    platform.features.write_table("seen", [{**ROWS[0]}])

    with pytest.raises(InvalidEntitiesError, match=said):
        platform.features.apply([weather(source)])

    assert platform.features.list() == []


def test_columns_that_are_missing_or_of_another_type_are_told_at_once_for_each_kind_of_source(
    platform: Platform, backends: AzureMLBackends
) -> None:
    rows = [{"origin": 7, "seen_at": datetime(2026, 1, 1), "speed": 1.0}]  # noqa: DTZ001
    platform.features.write_table("weather", rows)
    backends.objects.put("exports/weather.parquet", written(rows))
    sources = [
        TableSource("weather"),
        SqlSource("SELECT * FROM weather"),
        ParquetSource(f"{backends.place.store('cloudmlops')}/exports/"),
    ]

    for source in sources:
        with pytest.raises(InvalidEntitiesError) as refused:
            platform.features.apply([weather(source)])
        said = str(refused.value)
        assert "'origin' is int64, not str" in said
        assert "'seen_at' has no time zone" in said
        assert "'wind' is missing" in said


def test_a_table_that_delta_cannot_hold_is_refused_whole(platform: Platform) -> None:
    table = pa.table(
        {
            "a": pa.array([datetime(2026, 1, 1).time()]),  # noqa: DTZ001
            "b": pa.array([2**64 - 1], pa.uint64()),
            "c": [1],
            "C": [1],
        }
    )

    with pytest.raises(InvalidRequestError) as refused:
        platform.features.write_table("weather", table)

    said = str(refused.value)
    assert "'a' is time64[us], which Delta has not" in said
    assert "'b' holds a value that Delta has not" in said
    assert "2 columns are called 'c'" in said


COLUMNS: Mapping[str, tuple[Any, Any, Any]] = {
    "small": (int, pa.array([7], pa.int8()), 7),
    "unsigned": (int, pa.array([7], pa.uint32()), 7),
    "single": (float, pa.array([0.5], pa.float32()), 0.5),
    "exact": (float, pa.array([5], pa.decimal128(5, 1)), 5.0),
    "coded": (str, pa.array(["a"]).dictionary_encode(), "a"),
    "large": (str, pa.array(["a"], pa.large_string()), "a"),
    "raw": (bytes, pa.array([b"\x00a"], pa.binary(2)), b"\x00a"),
    "nothing": (float, pa.nulls(1), None),
    "listed": (list[float], pa.array([[1.5, 2.5]], pa.list_(pa.float32(), 2)), [1.5, 2.5]),
    "nanos": (datetime, pa.array([1_999], pa.timestamp("ns", "UTC")), datetime(1970, 1, 1, 0, 0, 0, 1, UTC)),
}


@pytest.mark.parametrize("kept", ["table", "file"])
def test_columns_come_in_their_declared_types_whatever_they_were_kept_in(
    platform: Platform, tmp_path: Path, kept: str
) -> None:
    table = pa.table(
        {
            "origin": ["JFK"],
            "seen_at": pa.array([T], pa.timestamp("us", "UTC")),
            **{name: column for name, (_, column, _) in COLUMNS.items()},
        }
    )
    source: TableSource | ParquetSource = ParquetSource(tmp_path)
    if kept == "table":
        platform.features.write_table("weather", table)
        source = TableSource("weather")
    else:
        pq.write_table(table, tmp_path / "weather.parquet")
    view = weather(source, features={name: kind for name, (kind, _, _) in COLUMNS.items()})

    found = platform.features.training_table(view, [{"origin": "JFK", "event_time": T}]).to_pylist()[0]

    wanted = {name: value for name, (_, _, value) in COLUMNS.items()}
    if kept == "table":
        wanted["nanos"] = datetime(1970, 1, 1, 0, 0, 0, 2, UTC)  # kept in microseconds, rounded up
    assert {name: found[name] for name in COLUMNS} == wanted


def test_what_is_known_a_nanosecond_later_is_not_known_yet(platform: Platform, tmp_path: Path) -> None:
    at = int(T.timestamp()) * 1_000_000_000 + 1
    table = pa.table({"origin": ["JFK"], "seen_at": pa.array([at], pa.timestamp("ns", "UTC")), "wind": [1.0]})
    pq.write_table(table, tmp_path / "weather.parquet")
    platform.features.write_table("weather", table)
    tick = timedelta(microseconds=1)

    for source in (ParquetSource(tmp_path), TableSource("weather")):
        asked = [{"origin": "JFK", "event_time": moment} for moment in (T, T + tick)]
        assert platform.features.training_table(weather(source), asked)["wind"].to_pylist() == [None, 1.0]


def test_files_of_this_machine_are_no_source_of_a_spark_job(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "weather.parquet").write_bytes(written(ROWS))

    with pytest.raises(UnsupportedError, match="not on Blob storage, and too large"):
        wind(Platform(opened(spark_from_mib="0")), weather(ParquetSource(tmp_path)))


def test_a_delta_table_of_others_that_is_partitioned_is_no_source_of_a_spark_job(
    opened: Opened, backends: AzureMLBackends
) -> None:
    import deltalake

    uri = f"{backends.place.store('cloudmlops')}/features/tables/weather"
    options = {"bearer_token": backends.wire.storage_token()[0]}
    deltalake.write_deltalake(uri, pa.Table.from_pylist(ROWS), partition_by="origin", storage_options=options)
    assert wind(Platform(backends), weather(TableSource("weather"))) == [1.0, 2.0]

    with pytest.raises(UnsupportedError, match="has partitions"):
        wind(Platform(opened(spark_from_mib="0")), weather(TableSource("weather")))
