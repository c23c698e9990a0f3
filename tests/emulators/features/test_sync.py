"""Sync: from emulated BigQuery to emulated Bigtable, through the SDK."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.api_core.exceptions import FailedPrecondition, InvalidArgument, MethodNotImplemented, NotFound
from google.cloud import aiplatform_v1 as vertex

from cloudmlops.emulators.google.cloud import GoogleCloud

from .conftest import Cloud

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
SCHEMA = {"entity_id": "STRING", "feature_timestamp": "TIMESTAMP", "wind": "FLOAT64", "gust": "FLOAT64"}
HISTORY = [
    {"entity_id": "e1", "feature_timestamp": "2026-01-15T12:00:00Z", "wind": 10.0, "gust": 15.0},
    {"entity_id": "e1", "feature_timestamp": "2026-01-15T13:00:00Z", "wind": 20.0, "gust": None},
]


def test_a_synced_row_is_fetched_by_its_key_with_its_types(cloud: Cloud) -> None:
    schema = {
        "entity_id": "STRING",
        "f": "FLOAT64",
        "i": "INT64",
        "b": "BOOL",
        "s": "STRING",
        "y": "BYTES",
        "fs": "FLOAT64[]",
        "ss": "STRING[]",
        "nothing": "STRING",
    }
    row = {"entity_id": "JFK", "f": 1.5, "i": 2**62, "b": False, "s": "", "y": "AAE=", "fs": [1.0, 2.0], "ss": ["a"]}
    view = cloud.plain_view(cloud.table("weather", schema, [row]))

    sync = cloud.sync(view)

    assert sync.final_status.code == 0, sync.final_status.message
    assert sync.sync_summary.row_synced == 1
    assert sync.run_time.HasField("end_time")
    assert cloud.values(view, "JFK") == {
        "f": 1.5,
        "i": 2**62,
        "b": False,
        "s": "",
        "y": b"\0\1",
        "fs": [1.0, 2.0],
        "ss": ["a"],
        "nothing": None,
    }


@pytest.mark.parametrize(("dense", "gust"), [(True, None), (False, 15.0)])
def test_a_dense_group_serves_the_newest_row_another_the_newest_values(
    cloud: Cloud, *, dense: bool, gust: float | None
) -> None:
    view = cloud.grouped_view(cloud.table("weather", SCHEMA, HISTORY), "wind", "gust", dense=dense)

    cloud.sync(view)

    assert cloud.values(view, "e1") == {"wind": 20.0, "gust": gust}


def test_parts_of_a_composite_key_make_one_key(cloud: Cloud) -> None:
    rows = [{"a": "1", "b": 11, "wind": 1.0}, {"a": "11", "b": 1, "wind": 2.0}, {"a": "x", "b": None, "wind": 3.0}]
    view = cloud.plain_view(cloud.table("pairs", {"a": "STRING", "b": "INT64", "wind": "FLOAT64"}, rows), "a", "b")

    assert cloud.sync(view).sync_summary.row_synced == 2

    assert cloud.values(view, "1", "11") == {"wind": 1.0}
    assert cloud.values(view, "11", "1") == {"wind": 2.0}
    assert cloud.values(view, "11:1") == {"wind": 2.0}


def test_nothing_is_served_before_the_first_sync_and_nobody_knows_a_missing_entity(cloud: Cloud) -> None:
    view = cloud.plain_view(cloud.table("weather", {"entity_id": "STRING", "wind": "FLOAT64"}, []))

    with pytest.raises(FailedPrecondition, match="has not been synced"):
        cloud.values(view, "JFK")
    cloud.sync(view)
    with pytest.raises(NotFound, match="'JFK'"):
        cloud.values(view, "JFK")


def test_rows_that_left_the_table_stay_and_go_with_the_view(cloud: Cloud) -> None:
    schema = {"entity_id": "STRING", "wind": "FLOAT64"}
    view = cloud.plain_view(cloud.table("weather", schema, [{"entity_id": "JFK", "wind": 1.0}]), at_once=True)
    uri = cloud.table("weather", schema, [{"entity_id": "LGA", "wind": 2.0}])
    cloud.sync(view)
    assert cloud.values(view, "JFK") == {"wind": 1.0}

    with pytest.raises(FailedPrecondition, match="force"):
        cloud.admin.delete_feature_online_store(name=cloud.store()).result()
    cloud.admin.delete_feature_view(name=view).result()

    again = cloud.plain_view(uri, at_once=True)
    assert cloud.values(again, "LGA") == {"wind": 2.0}
    with pytest.raises(NotFound):
        cloud.values(again, "JFK")


def test_one_sync_runs_at_a_time_and_ends_by_the_clock(cloud: Cloud) -> None:
    view = cloud.plain_view(cloud.table("weather", {"entity_id": "STRING", "wind": "FLOAT64"}, []))
    operations = cloud.emulator.cloud(GoogleCloud).vertex.operations
    cloud.emulator.clock.freeze()
    operations.takes = timedelta(minutes=2)
    try:
        running = cloud.sync(view)
        assert not running.run_time.HasField("end_time")
        with pytest.raises(FailedPrecondition, match="running already"):
            cloud.sync(view)
        cloud.emulator.clock.advance(timedelta(minutes=2))
    finally:
        operations.takes = timedelta(0)

    assert cloud.admin.get_feature_view_sync(name=running.name).run_time.HasField("end_time")
    assert len(list(cloud.admin.list_feature_view_syncs(parent=view))) == 1


def test_a_cron_syncs_when_its_time_comes_where_it_says(cloud: Cloud) -> None:
    uri = cloud.table("weather", {"entity_id": "STRING", "wind": "FLOAT64"}, [{"entity_id": "JFK", "wind": 1.0}])
    cloud.emulator.clock.freeze(NOON)
    view = cloud.plain_view(uri, cron="CRON_TZ=America/New_York 30 8 * * *")

    cloud.emulator.clock.advance(timedelta(hours=1))
    assert list(cloud.admin.list_feature_view_syncs(parent=view)) == []
    cloud.emulator.clock.advance(timedelta(hours=1))
    assert cloud.values(view, "JFK") == {"wind": 1.0}
    cloud.emulator.clock.advance(timedelta(days=2))

    times = sorted(sync.create_time for sync in cloud.admin.list_feature_view_syncs(parent=view))
    assert times == [datetime(2026, 1, day, 13, 30, tzinfo=UTC) for day in (15, 16, 17)]


def test_a_sync_that_fails_says_why_and_serves_what_it_did(cloud: Cloud) -> None:
    schema = {"entity_id": "STRING", "wind": "FLOAT64"}
    uri = cloud.table("weather", schema, [{"entity_id": "JFK", "wind": 1.0}])
    view = cloud.plain_view(uri, at_once=True)
    cloud.table("weather", schema, [{"entity_id": "JFK", "wind": 2.0}, {"entity_id": "JFK", "wind": 3.0}])

    twice = cloud.sync(view)
    cloud.bigquery.delete_table(f"{cloud.project}.features.weather")
    gone = cloud.sync(view)

    assert "several rows of the entity 'JFK'" in twice.final_status.message
    assert "weather" in gone.final_status.message
    assert cloud.values(view, "JFK") == {"wind": 1.0}


def test_a_sync_reads_with_the_rights_of_the_service_agent_and_not_of_who_asks_for_it(cloud: Cloud) -> None:
    view = cloud.plain_view(cloud.table("weather", {"entity_id": "STRING", "wind": "FLOAT64"}, [{"entity_id": "e1"}]))
    access = cloud.emulator.cloud(GoogleCloud).access
    access.deny("bigquery.*")
    access.deny("bigtable.*")
    assert cloud.sync(view).final_status.code == 0

    access.deny("bigquery.tables.getData", principal="service-*@gcp-sa-aiplatform.iam.gserviceaccount.com")

    refused = cloud.sync(view).final_status
    assert refused.code == 7
    assert "User does not have permission to query table" in refused.message


def test_the_newer_of_a_synced_and_a_directly_written_row_is_served(cloud: Cloud) -> None:
    view = cloud.grouped_view(cloud.table("weather", SCHEMA, HISTORY), "wind", "gust", dense=True)
    cloud.sync(view)
    synced = NOON + timedelta(hours=1)

    cloud.write(view, "e1", synced, wind=30.0)
    assert cloud.values(view, "e1")["wind"] == 20.0
    reply = cloud.write(view, "e1", synced + timedelta(seconds=1), wind=40.0)
    assert reply.status.code == 0
    assert [written.data_key.key for written in reply.write_responses] == ["e1"]
    assert cloud.values(view, "e1") == {"wind": 40.0}
    cloud.write(view, "e1", synced + timedelta(milliseconds=500), wind=35.0)
    assert cloud.values(view, "e1") == {"wind": 40.0}

    later = {**HISTORY[1], "feature_timestamp": "2026-01-15T14:00:00Z", "wind": 50.0}
    cloud.table("weather", SCHEMA, [*HISTORY, later])
    cloud.sync(view)
    assert cloud.values(view, "e1") == {"wind": 50.0, "gust": None}


def test_a_struct_is_served_when_it_is_asked_for(cloud: Cloud) -> None:
    schema = {"entity_id": "STRING", "wind": "FLOAT64", "on": "BOOL", "notes": "STRING[]", "nothing": "STRING"}
    row = {"entity_id": "JFK", "wind": 1.5, "on": True, "notes": ["a", "b"]}
    view = cloud.plain_view(cloud.table("weather", schema, [row]), at_once=True)

    reply = cloud.serving.fetch_feature_values(
        request=vertex.FetchFeatureValuesRequest(
            feature_view=view,
            data_key=vertex.FeatureViewDataKey(key="JFK"),
            data_format=vertex.FeatureViewDataFormat.PROTO_STRUCT,
        )
    )

    assert dict(reply.proto_struct) == {"wind": 1.5, "on": True, "notes": ["a", "b"], "nothing": None}


def test_what_is_not_emulated_names_itself(cloud: Cloud) -> None:
    uri = cloud.table("weather", {"entity_id": "STRING", "day": "DATE"}, [{"entity_id": "a", "day": "2026-01-01"}])
    with pytest.raises(MethodNotImplemented, match="optimized"):
        cloud.admin.create_feature_online_store(
            parent=cloud.parent,
            feature_online_store=vertex.FeatureOnlineStore(optimized=vertex.FeatureOnlineStore.Optimized()),
            feature_online_store_id="other",
        )
    view = cloud.plain_view(uri)
    assert "DATE is not emulated" in cloud.sync(view).final_status.message
    with pytest.raises(MethodNotImplemented, match="SearchNearestEntities"):
        cloud.serving.search_nearest_entities(request={"feature_view": view})


def test_what_the_service_refuses_is_refused(cloud: Cloud) -> None:
    source = vertex.FeatureView.BigQuerySource(uri="bq://p.d.t", entity_id_columns=["entity_id"])
    good = vertex.FeatureView(big_query_source=source)
    store = cloud.store()
    for view, identity, said in (
        (good, "Upper", "feature_view_id 'Upper'"),
        (good, "with-dash", "with-dash"),
        (good, "a" * 61, "up to 60"),
        (vertex.FeatureView(), "view", "source"),
        (
            vertex.FeatureView(big_query_source=source, sync_config=vertex.FeatureView.SyncConfig(cron="61 * * * *")),
            "view",
            "cron",
        ),
    ):
        with pytest.raises(InvalidArgument, match=said):
            cloud.admin.create_feature_view(parent=store, feature_view=view, feature_view_id=identity)
    missing = vertex.FeatureView.FeatureRegistrySource.FeatureGroup(feature_group_id="none", feature_ids=["f"])
    registered = vertex.FeatureView(
        feature_registry_source=vertex.FeatureView.FeatureRegistrySource(feature_groups=[missing])
    )
    with pytest.raises(NotFound, match="featureGroups/none"):
        cloud.admin.create_feature_view(parent=store, feature_view=registered, feature_view_id="view")
    group = vertex.FeatureGroup.BigQuery(big_query_source=vertex.BigQuerySource(input_uri="d.t"))
    with pytest.raises(InvalidArgument, match="bq://"):
        cloud.registry.create_feature_group(
            parent=cloud.parent, feature_group=vertex.FeatureGroup(big_query=group), feature_group_id="group"
        )
    scaling = vertex.FeatureOnlineStore.Bigtable.AutoScaling(min_node_count=1, max_node_count=11)
    with pytest.raises(InvalidArgument, match="10 times"):
        cloud.admin.create_feature_online_store(
            parent=cloud.parent,
            feature_online_store=vertex.FeatureOnlineStore(
                bigtable=vertex.FeatureOnlineStore.Bigtable(auto_scaling=scaling)
            ),
            feature_online_store_id="other",
        )
