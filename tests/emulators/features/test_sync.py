"""The emulated feature store through the SDK: registry, sync out of BigQuery, fetching, direct writes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as vertex
from google.cloud import bigquery

from cloudmlops.emulators.core.emulator import Emulator

LOCATION = "europe-west4"


class Cloud:
    """Clients of a project of one's own."""

    def __init__(self, emulator: Emulator) -> None:
        self.project = f"p{uuid.uuid4().hex[:12]}"
        self.parent = f"projects/{self.project}/locations/{LOCATION}"
        self.emulator = emulator
        self.channel = grpc.insecure_channel(emulator.address)
        self.registry = self._client(vertex.FeatureRegistryServiceClient)
        self.admin = self._client(vertex.FeatureOnlineStoreAdminServiceClient)
        self.serving = self._client(vertex.FeatureOnlineStoreServiceClient)
        self.bigquery = bigquery.Client(
            project=self.project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": emulator.url},
        )
        self.bigquery.create_dataset("features")

    def _client(self, kind: Any) -> Any:
        return kind(transport=kind.get_transport_class("grpc")(channel=self.channel))

    def table(self, name: str, schema: dict[str, str], rows: list[dict[str, Any]]) -> str:
        """Load rows, in the place of those before."""
        fields = [
            bigquery.SchemaField(
                column, kind.removesuffix("[]"), mode="REPEATED" if kind.endswith("[]") else "NULLABLE"
            )
            for column, kind in schema.items()
        ]
        configuration = bigquery.LoadJobConfig(schema=fields, write_disposition="WRITE_TRUNCATE")
        self.bigquery.load_table_from_json(rows, f"{self.project}.features.{name}", job_config=configuration).result()
        return f"bq://{self.project}.features.{name}"

    def store(self) -> str:
        """Make an online store."""
        scaling = vertex.FeatureOnlineStore.Bigtable.AutoScaling(min_node_count=1, max_node_count=2)
        store = vertex.FeatureOnlineStore(bigtable=vertex.FeatureOnlineStore.Bigtable(auto_scaling=scaling))
        made = self.admin.create_feature_online_store(
            parent=self.parent, feature_online_store=store, feature_online_store_id="store"
        )
        return str(made.result().name)

    def close(self) -> None:
        self.channel.close()
        self.bigquery.close()


@pytest.fixture
def cloud(vertex_emulator: Emulator) -> Iterator[Cloud]:
    made = Cloud(vertex_emulator)
    yield made
    made.close()


def test_a_synced_row_is_fetched_by_its_key(cloud: Cloud) -> None:
    uri = cloud.table(
        "weather",
        {"entity_id": "STRING", "wind": "FLOAT64", "note": "STRING", "gusts": "FLOAT64[]"},
        [{"entity_id": "JFK", "wind": 1.5, "note": None, "gusts": [1.0, 2.0]}],
    )
    view = cloud.admin.create_feature_view(
        parent=cloud.store(),
        feature_view=vertex.FeatureView(
            big_query_source=vertex.FeatureView.BigQuerySource(uri=uri, entity_id_columns=["entity_id"])
        ),
        feature_view_id="weather",
    ).result()

    name = cloud.admin.sync_feature_view(feature_view=view.name).feature_view_sync
    sync = cloud.admin.get_feature_view_sync(name=name)
    found = cloud.serving.fetch_feature_values(
        feature_view=view.name, data_key=vertex.FeatureViewDataKey(key="JFK")
    ).key_values.features

    assert sync.final_status.code == 0, sync.final_status.message
    assert sync.sync_summary.row_synced == 1
    assert [feature.name for feature in found] == ["wind", "note", "gusts"]
    assert found[0].value.double_value == 1.5
    assert vertex.FeatureValue.pb(found[1].value).WhichOneof("value") is None
    assert list(found[2].value.double_array_value.values) == [1.0, 2.0]
