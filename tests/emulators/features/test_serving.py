"""Fetching many at once, and what a restart finds, through the SDK."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.api_core.exceptions import NotFound
from google.cloud import aiplatform_v1 as vertex
from google.cloud import aiplatform_v1beta1 as beta

from cloudmlops.emulators.google import vertex_emulator
from cloudmlops.emulators.google.cloud import GoogleCloud

from .conftest import Cloud, data_key

SCHEMA = {"entity_id": "STRING", "wind": "FLOAT64"}
ROWS = [{"entity_id": "JFK", "wind": 1.0}, {"entity_id": "LGA", "wind": 2.0}]


def test_a_stream_answers_for_many_keys_and_names_those_it_misses(cloud: Cloud) -> None:
    view = cloud.plain_view(cloud.table("weather", SCHEMA, ROWS), at_once=True)
    client = cloud.client(beta.FeatureOnlineStoreServiceClient)
    keys = [beta.FeatureViewDataKey(key=name) for name in ("LGA", "XXX", "JFK")]
    request = beta.StreamingFetchFeatureValuesRequest(feature_view=view, data_keys=keys)

    (reply,) = client.streaming_fetch_feature_values(requests=iter([request]))

    found = {data.data_key.key: data.key_values.features[0].value.double_value for data in reply.data}
    assert found == {"LGA": 2.0, "JFK": 1.0}
    assert [key.key for key in reply.data_keys_with_error] == ["XXX"]


def test_a_token_for_fetching_is_given(cloud: Cloud) -> None:
    view = cloud.plain_view(cloud.table("weather", SCHEMA, ROWS))

    token = cloud.serving.generate_fetch_access_token(request={"feature_view": view})

    assert token.access_token
    assert token.expire_time


def test_features_of_a_group_are_made_together_or_not_at_all(cloud: Cloud) -> None:
    group = vertex.FeatureGroup.BigQuery(big_query_source=vertex.BigQuerySource(input_uri="bq://p.d.t"))
    made = cloud.registry.create_feature_group(
        parent=cloud.parent, feature_group=vertex.FeatureGroup(big_query=group), feature_group_id="group"
    ).result()

    def create(*names: str) -> list[str]:
        requests = [
            vertex.CreateFeatureRequest(parent=made.name, feature=vertex.Feature(), feature_id=name) for name in names
        ]
        features = cloud.registry.batch_create_features(parent=made.name, requests=requests).result().features
        return [feature.version_column_name for feature in features]

    assert create("a", "b") == ["a", "b"]
    with pytest.raises(Exception, match="already exists"):
        create("c", "a")
    with pytest.raises(NotFound):
        cloud.registry.get_feature(name=f"{made.name}/features/c")


def test_a_restart_serves_what_was_synced_and_carries_out_a_sync_that_was_running(tmp_path: Path) -> None:
    with vertex_emulator(state=tmp_path) as emulator:
        cloud = Cloud(emulator)
        view = cloud.plain_view(cloud.table("weather", SCHEMA, ROWS), at_once=True, cron="0 3 * * *")
        emulator.cloud(GoogleCloud).vertex.operations.stuck = True
        running = cloud.sync(view)
        cloud.close()

    with vertex_emulator(state=tmp_path) as emulator:
        again = Cloud(emulator)
        found = again.serving.fetch_feature_values(feature_view=view, data_key=data_key("LGA"))
        ended = again.admin.get_feature_view_sync(name=running.name)
        second = again.sync(view)
        again.close()

    assert found.key_values.features[0].value.double_value == 2.0
    assert ended.final_status.code == 0
    assert ended.run_time.end_time
    assert ended.sync_summary.row_synced == 2
    assert second.sync_summary.row_synced == 2
