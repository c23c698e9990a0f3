"""Features on Vertex AI: what is made there, what is sent, and how it fails."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import aiplatform_v1 as vertex

from cloudmlops import Entity, FeatureView, ParquetSource, Platform, SqlSource, TableSource
from cloudmlops.domain.features import FeatureService
from cloudmlops.domain.point_in_time import FeatureStatus
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.emulators.google.aiplatform.operations import Operations
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import ConflictError, InvalidEntitiesError, ServiceError, UnavailableError, UnsupportedError
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.providers.vertex.mapping.features import group_id

Opened = Callable[..., VertexBackends]

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROWS = [
    {"origin": "JFK", "seen_at": NOON, "wind": 1.0, "note": "calm"},
    {"origin": "JFK", "seen_at": NOON + HOUR, "wind": None, "note": "new"},
    {"origin": "LGA", "seen_at": NOON, "wind": 3.0, "note": ""},
]
AIRPORT = Entity("airport", keys={"origin": str})
ASKED = [{"origin": "JFK", "event_time": NOON + HOUR}, {"origin": "LGA", "event_time": NOON}]


def weather(**options: Any) -> FeatureView:
    return FeatureView(
        "weather-now",
        **{
            "entity": AIRPORT,
            "source": TableSource("weather"),
            "timestamp": "seen_at",
            "features": {"wind": float, "note": str},
            **options,
        },
    )


@pytest.fixture
def backends(opened: Opened) -> VertexBackends:
    return opened()


@pytest.fixture
def platform(backends: VertexBackends) -> Platform:
    made = Platform(backends)
    made.features.write_table("weather", ROWS)
    return made


@pytest.fixture
def operations(vertex_emulator: Emulator) -> Iterator[Operations]:
    found = vertex_emulator.cloud(GoogleCloud).vertex.operations
    yield found
    found.takes = timedelta(0)
    found.stuck = False


def wind(platform: Platform, view: FeatureView, origin: str = "JFK") -> Any:
    return platform.features.online(view, [{"origin": origin}]).values()[0]["wind"]


def called(emulator: Emulator, operation: str) -> list[Any]:
    return [call for call in emulator.calls.list() if call.operation == operation]


def test_applying_makes_what_the_console_shows(platform: Platform, backends: VertexBackends) -> None:
    view = weather()

    platform.features.apply([view])
    platform.features.apply([view])

    registry = backends.wire.client(vertex.FeatureRegistryServiceClient)
    groups = list(registry.list_feature_groups(parent=backends.settings.parent))
    shown = next(group for group in groups if not group.name.endswith("_online"))
    assert shown.labels["cloudmlops-view"] == "weather-now"
    assert shown.big_query.big_query_source.input_uri == f"bq://{backends.settings.project}.cloudmlops.weather"
    assert list(shown.big_query.entity_id_columns) == ["origin"]
    assert shown.big_query.time_series.timestamp_column == "seen_at"
    features = registry.list_features(parent=shown.name)
    assert sorted(feature.name.rpartition("/")[2] for feature in features) == ["note", "wind"]
    admin = backends.wire.client(vertex.FeatureOnlineStoreAdminServiceClient)
    (store,) = admin.list_feature_online_stores(parent=backends.settings.parent)
    assert store.bigtable.auto_scaling.min_node_count == 1
    (served,) = admin.list_feature_views(parent=store.name)
    assert served.labels["cloudmlops-view"] == "weather-now"


def test_that_the_online_store_costs_though_nothing_is_read_is_told_when_it_is_made(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "cloudmlops.vertex"]

    resources = opened(online_store="another").features._resources
    with caplog.at_level(logging.WARNING, logger="cloudmlops.vertex"):
        resources.ensure_store(operation="features.apply")
        (told,) = said()
        made = resources.ensure_store(operation="features.apply")

    scaling = made.bigtable.auto_scaling
    assert told.startswith(
        f"feature online store 'another' is made: it keeps from {scaling.min_node_count} to {scaling.max_node_count} "
        "nodes of Bigtable though nothing is read, at a price that this library does not know."
    )
    assert said() == [told], "one that is there is not told of again"


def test_a_feature_group_that_others_made_is_not_changed(platform: Platform, backends: VertexBackends) -> None:
    registry = backends.wire.client(vertex.FeatureRegistryServiceClient)
    parent, view = backends.settings.parent, weather()
    source = vertex.FeatureGroup.BigQuery(big_query_source={"input_uri": "bq://theirs.weather.rows"})
    theirs = vertex.FeatureGroup(big_query=source, labels={"team": "payments"})
    name = group_id(view.name)
    registry.create_feature_group(parent=parent, feature_group=theirs, feature_group_id=name).result(timeout=60)

    with pytest.raises(ConflictError, match=f"feature group '{name}'.* was not made by this library"):
        platform.features.apply([view])

    found = registry.get_feature_group(name=f"{parent}/featureGroups/{name}")
    assert found.big_query == source
    assert dict(found.labels) == {"team": "payments"}
    assert list(registry.list_features(parent=found.name)) == []


def test_what_is_made_is_encrypted_with_the_key_of_the_settings(opened: Opened) -> None:
    key = "projects/keys/locations/europe-west4/keyRings/ring/cryptoKeys/key"
    backends = opened(encryption_key=key)
    platform = Platform(backends)
    platform.features.write_table("weather", ROWS)
    platform.features.apply([weather()])

    admin = backends.wire.client(vertex.FeatureOnlineStoreAdminServiceClient)
    (store,) = admin.list_feature_online_stores(parent=backends.settings.parent)
    assert store.encryption_spec.kms_key_name == key


def test_a_training_table_is_one_statement_for_all_views(platform: Platform, vertex_emulator: Emulator) -> None:
    service = FeatureService("route", views=[weather(), weather().renamed(prefix="dest_", keys={"origin": "dest"})])
    asked = [{"origin": "JFK", "dest": "LGA", "event_time": NOON}]
    before = len(called(vertex_emulator, "jobs.insert"))

    table = platform.features.training_table(service, asked)

    jobs = called(vertex_emulator, "jobs.insert")[before:]
    queries = [job for job in jobs if "query" in job.request.get("configuration", {})]
    assert len(queries) == 1
    assert table.select(["wind", "dest_wind"]).to_pylist() == [{"wind": 1.0, "dest_wind": 3.0}]


def test_the_table_of_entity_rows_is_gone_afterwards(platform: Platform, backends: VertexBackends) -> None:
    platform.features.training_table(weather(), ASKED)

    assert backends.features._warehouse.tables(operation="test") == ["weather"]


def test_the_result_for_very_many_rows_is_read_from_a_table(platform: Platform, backends: VertexBackends) -> None:
    warehouse = backends.features._warehouse

    found = warehouse.rows(f"SELECT wind FROM {warehouse.name('weather')}", rows=10**7, operation="test", resource="")

    assert sorted(found["wind"].drop_null().to_pylist()) == [1.0, 3.0]
    assert warehouse.tables(operation="test") == ["weather"]


def test_who_logs_is_told_how_much_a_training_table_reads(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    platform.features.apply(weather())
    with caplog.at_level(logging.INFO, "cloudmlops"):
        platform.features.training_table(weather(), ASKED)

    told = "".join(record.getMessage() for record in caplog.records if "BigQuery" in record.getMessage())
    assert re.fullmatch(r"features\.training_table of 'weather-now' reads 0\.\d MiB in BigQuery", told)


@pytest.mark.conformance(ci=True)
def test_two_that_materialise_at_once_lose_nothing(platform: Platform, opened: Opened) -> None:
    view = weather(nulls="last_value")
    others = [Platform(opened()) for _ in range(2)]
    moments = [NOON, NOON + HOUR, NOON - HOUR, NOON + HOUR]

    with ThreadPoolExecutor(4) as pool:
        begun = [pool.submit(others[number % 2].features.materialize, view, at=at) for number, at in enumerate(moments)]
        for one in begun:
            one.result()

    row = platform.features.online(view, [{"origin": "JFK"}]).row(0)
    assert (row["wind"].value, row["note"].value) == (1.0, "new")


def test_no_entity_rows_are_no_rows(platform: Platform) -> None:
    table = platform.features.training_table(weather(), [])

    assert table.column_names == ["origin", "event_time", "wind", "note"]
    assert table.num_rows == 0


@pytest.mark.conformance(ci=True)
def test_sources_are_tables_queries_and_parquet_files(
    platform: Platform, backends: VertexBackends, tmp_path: Path
) -> None:
    file = tmp_path / "weather.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), file)
    backends.objects.put("data/weather/a.parquet", file.read_bytes())
    backends.objects.put("data/weather-of-a-run", file.read_bytes())
    folder = f"{backends.settings.store}/data/weather/"
    for source in (
        TableSource("weather"),
        SqlSource("SELECT * FROM weather"),
        SqlSource("SELECT * REPLACE (wind + 0 AS wind) FROM `weather`", dialect="bigquery"),
        ParquetSource(file),
        ParquetSource(f"{folder}a.parquet"),
        ParquetSource(folder),
        ParquetSource(folder.rstrip("/")),
        ParquetSource(f"{folder}*.parquet"),
        ParquetSource(f"{backends.settings.store}/data/weather-of-a-run"),
    ):
        view = weather(source=source)
        platform.features.apply([view])

        table = platform.features.training_table(view, ASKED)

        assert table["note"].to_pylist() == ["new", ""], source
        assert table["wind"].to_pylist() == [None, 3.0], source


def test_what_is_wrong_with_a_source_is_said_before_anything_is_made(
    platform: Platform, backends: VertexBackends, tmp_path: Path
) -> None:
    for source, said in (
        (TableSource("wether"), "no table 'wether'; there are: weather"),
        (SqlSource("SELECT origin FROM weather"), "'wind' is missing"),
        (SqlSource("SELECT nothing FROM weather"), "the query fails"),
        (SqlSource("SELEC", dialect="duckdb"), "duckdb query|the query fails"),
        (ParquetSource(tmp_path / "none.parquet"), "no Parquet file at"),
        (ParquetSource(f"{backends.settings.store}/none.parquet"), "no Parquet file at"),
    ):
        with pytest.raises(InvalidEntitiesError, match=said):
            platform.features.apply([weather(source=source)])
    with pytest.raises(InvalidEntitiesError, match="upper or lower case"):
        platform.features.apply([weather(features={"wind": float, "Wind": float})])
    with pytest.raises(UnsupportedError, match="s3://"):
        platform.features.apply([weather(source=ParquetSource("s3://bucket/x.parquet"))])
    assert platform.features.list() == []


@pytest.mark.conformance(ci=True)
def test_the_last_value_of_each_feature_is_served_with_its_own_time(platform: Platform) -> None:
    view = weather(nulls="last_value")

    platform.features.materialize(view)
    row = platform.features.online(view, [{"origin": "JFK"}]).row(0)

    assert (row["wind"].value, row["wind"].event_time) == (1.0, NOON)
    assert (row["note"].value, row["note"].event_time) == ("new", NOON + HOUR)


@pytest.mark.conformance(ci=True)
def test_all_types_are_served_as_they_are_trained_on(platform: Platform) -> None:
    kinds: dict[str, Any] = {
        "i": int,
        "f": float,
        "b": bool,
        "s": str,
        "y": bytes,
        "d": date,
        "t": datetime,
        **{f"{name}s": list[kind] for name, kind in (("i", int), ("f", float), ("b", bool), ("s", str))},  # type: ignore[valid-type]
        "ys": list[bytes],
        "ds": list[date],
        "ts": list[datetime],
    }
    values: dict[str, Any] = {
        "i": -(2**63),
        "f": float("inf"),
        "b": False,
        "s": "é\0",
        "y": b"\0\xff",
        "d": date(1969, 12, 31),
        "t": NOON,
        "is": [1, 2],
        "fs": [0.1, -0.0],
        "bs": [True, False],
        "ss": ["b", ""],
        "ys": [b"\xff", b""],
        "ds": [date(2026, 1, 2), date(1969, 12, 31)],
        "ts": [NOON, NOON - HOUR],
    }
    key = {"k": b"\0:", "day": date(2026, 1, 1), "yes": True}
    platform.features.write_table("typed", [{**key, "at": NOON, **values}])
    thing = Entity("thing", keys={"k": bytes, "day": date, "yes": bool})
    view = FeatureView("typed", entity=thing, source=TableSource("typed"), timestamp="at", features=kinds)

    table = platform.features.training_table(view, [{**key, "event_time": NOON}])
    assert platform.features.materialize(view) == {"typed": 1}

    assert table.select(list(kinds)).to_pylist() == [values]
    assert platform.features.online(view, [key]).values() == [values]


def test_before_it_is_materialised_nothing_is_known(platform: Platform) -> None:
    view = weather()
    assert wind(platform, view) is None

    platform.features.apply([view])

    assert platform.features.online(view, [{"origin": "JFK"}]).row(0)["wind"].status is FeatureStatus.MISSING


@pytest.mark.conformance(ci=True)
def test_a_rebuild_lets_corrections_and_removals_take_effect_for_all_readers(
    platform: Platform, opened: Opened, backends: VertexBackends
) -> None:
    view = weather()
    other = Platform(opened())
    platform.features.materialize(view)
    assert wind(other, view, "LGA") == 3.0
    platform.features.push(view, [{**ROWS[0], "seen_at": NOON + 2 * HOUR, "wind": 9.0}])
    platform.features.write_table("weather", [{**ROWS[0], "wind": 7.0}])

    assert platform.features.materialize(view, rebuild=True) == {"weather-now": 1}

    assert wind(platform, view) == 7.0
    again = platform.features.online(view, [{"origin": "LGA"}]).row(0)["wind"]
    assert again.status is FeatureStatus.MISSING
    assert wind(Platform(opened()), view) == 7.0
    admin = backends.wire.client(vertex.FeatureOnlineStoreAdminServiceClient)
    (store,) = admin.list_feature_online_stores(parent=backends.settings.parent)
    assert len(list(admin.list_feature_views(parent=store.name))) == 1


@pytest.mark.conformance(ci=True)
def test_a_rebuild_that_was_killed_leaves_nothing_behind(platform: Platform, vertex_emulator: Emulator) -> None:
    view = weather()
    platform.features.materialize(view)
    killed = Fault(matching="storage/objects.insert", refused=Refused("PERMISSION_DENIED", "killed"), times=None)
    vertex_emulator.faults.set(killed)
    with pytest.raises(ServiceError):
        platform.features.materialize(view, rebuild=True)
    vertex_emulator.faults.clear()
    assert wind(platform, view, "LGA") == 3.0
    platform.features.write_table("weather", ROWS[:1])

    platform.features.materialize(view, rebuild=True)

    assert wind(platform, view) == 1.0
    assert wind(platform, view, "LGA") is None


@pytest.mark.conformance(ci=True)
def test_a_pushed_row_outlives_a_materialisation_and_a_greater_one_of_its_time_replaces_it(platform: Platform) -> None:
    view = weather(created="made")
    rows = [{**row, "made": NOON} for row in ROWS]
    platform.features.write_table("weather", rows)
    platform.features.push(view, [{**rows[1], "wind": 5.0, "made": NOON + HOUR}])
    assert wind(platform, view) == 5.0
    platform.features.materialize(view)
    assert wind(platform, view) == 5.0

    platform.features.write_table("weather", [*rows, {**rows[1], "wind": 6.0, "made": NOON + 2 * HOUR}])
    platform.features.materialize(view)

    assert wind(platform, view) == 6.0


@pytest.mark.conformance(ci=True)
def test_materialising_waits_for_its_sync_and_for_one_that_runs(
    platform: Platform, backends: VertexBackends, operations: Operations
) -> None:
    view = weather()
    platform.features.materialize(view)
    platform.features.write_table("weather", [{**ROWS[0], "seen_at": NOON + 2 * HOUR, "wind": 8.0}])
    admin = backends.wire.client(vertex.FeatureOnlineStoreAdminServiceClient)
    (store,) = admin.list_feature_online_stores(parent=backends.settings.parent)
    (served,) = admin.list_feature_views(parent=store.name)
    operations.takes = timedelta(milliseconds=300)
    admin.sync_feature_view(feature_view=served.name)

    platform.features.materialize(view)

    assert wind(platform, view) == 8.0


@pytest.mark.conformance(ci=True)
def test_a_sync_that_fails_is_an_error_that_says_why(platform: Platform, vertex_emulator: Emulator) -> None:
    view = weather()
    platform.features.materialize(view)
    vertex_emulator.faults.set(
        Fault(matching="bigtable/Bigtable.MutateRows", refused=Refused("UNAVAILABLE", "not now"))
    )

    with pytest.raises(ServiceError, match="the sync of feature view 'weather-now' failed"):
        platform.features.materialize(view)

    platform.features.materialize(view)
    assert wind(platform, view) is None


def test_a_read_that_is_refused_for_a_moment_is_asked_again(platform: Platform, vertex_emulator: Emulator) -> None:
    view = weather()
    platform.features.materialize(view)
    fetching = "aiplatform/FeatureOnlineStoreService.FetchFeatureValues"
    vertex_emulator.faults.set(Fault(matching=fetching, refused=Refused("UNAVAILABLE", "not now")))

    assert wind(platform, view, "LGA") == 3.0


def test_bigquery_is_asked_again_for_as_long_as_a_call_may_take(opened: Opened, vertex_emulator: Emulator) -> None:
    platform = Platform(opened(timeout="2"))
    platform.features.write_table("weather", ROWS)
    away = Refused("UNAVAILABLE", "not now", reason="backendError")
    vertex_emulator.faults.set(Fault(matching="bigquery/tables.get", refused=away))
    assert platform.features.training_table(weather(), ASKED)["wind"].to_pylist() == [None, 3.0]

    vertex_emulator.faults.set(Fault(matching="bigquery/*", refused=away, times=None))
    with pytest.raises(UnavailableError, match="weather"):
        platform.features.training_table(weather(), ASKED)


def test_a_store_of_optimized_type_is_refused_with_its_last_day(
    platform: Platform, backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    google = vertex_emulator.cloud(GoogleCloud)
    name = google.vertex.projects.canonical(f"{backends.settings.parent}/featureOnlineStores/cloudmlops")
    optimized = vertex.FeatureOnlineStore(optimized=vertex.FeatureOnlineStore.Optimized())
    google.vertex.resources.create(name, vertex.FeatureOnlineStore.pb(optimized))

    with pytest.raises(UnsupportedError, match="2027-02-17"):
        platform.features.apply([weather()])


def test_rows_are_read_from_bigtable_itself_where_that_is_enabled(
    platform: Platform, backends: VertexBackends, vertex_emulator: Emulator
) -> None:
    admin = backends.wire.client(vertex.FeatureOnlineStoreAdminServiceClient)
    bigtable = vertex.FeatureOnlineStore.Bigtable(
        auto_scaling=vertex.FeatureOnlineStore.Bigtable.AutoScaling(min_node_count=1, max_node_count=1),
        enable_direct_bigtable_access=True,
    )
    admin.create_feature_online_store(
        parent=backends.settings.parent,
        feature_online_store=vertex.FeatureOnlineStore(bigtable=bigtable),
        feature_online_store_id="cloudmlops",
    ).result()
    view = weather()
    assert wind(platform, view) is None
    platform.features.apply([view])
    assert platform.features.online(view, [{"origin": "JFK"}]).row(0)["wind"].status is FeatureStatus.MISSING
    platform.features.materialize(view)
    platform.features.push(view, [{**ROWS[0], "seen_at": NOON + 2 * HOUR, "wind": 9.0}])
    fetched = len(called(vertex_emulator, "FeatureOnlineStoreService.FetchFeatureValues"))

    read = platform.features.online(view, [{"origin": name} for name in ("JFK", "XXX", None, "LGA", "JFK")])

    assert [values["wind"] for values in read.values()] == [9.0, None, None, 3.0, 9.0]
    assert read.row(1)["wind"].status is FeatureStatus.MISSING
    assert read.row(0)["wind"].event_time == NOON + 2 * HOUR
    assert len(called(vertex_emulator, "FeatureOnlineStoreService.FetchFeatureValues")) == fetched


def test_over_rest_features_are_read_but_not_pushed(opened: Opened, vertex_emulator: Emulator) -> None:
    platform = Platform(opened(transport="rest"))
    platform.features.write_table("weather", ROWS)
    view = weather()

    platform.features.materialize(view)

    assert wind(platform, view, "LGA") == 3.0
    before = len(vertex_emulator.calls.list())
    with pytest.raises(UnsupportedError, match="gRPC only"):
        platform.features.push(view, [ROWS[0]])
    assert len(vertex_emulator.calls.list()) == before
