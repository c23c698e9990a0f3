from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as vertex
from google.cloud import bigquery

from cloudmlops.emulators.core.emulator import Emulator

LOCATION = "europe-west4"


class Cloud:
    """Clients of a project of one's own, and a dataset `features`."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.project = f"p{uuid.uuid4().hex[:12]}"
        self.parent = f"projects/{self.project}/locations/{LOCATION}"
        self.channel = grpc.insecure_channel(emulator.address)
        self.registry = self.client(vertex.FeatureRegistryServiceClient)
        self.admin = self.client(vertex.FeatureOnlineStoreAdminServiceClient)
        self.serving = self.client(vertex.FeatureOnlineStoreServiceClient)
        self.bigquery = bigquery.Client(
            project=self.project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": emulator.url},
        )
        self.bigquery.create_dataset("features")

    def client(self, kind: Any) -> Any:
        """Make a client over gRPC."""
        return kind(transport=kind.get_transport_class("grpc")(channel=self.channel))

    def table(self, name: str, schema: dict[str, str], rows: list[dict[str, Any]]) -> str:
        """Load rows, in the place of those before; `FLOAT64[]` is an array. Return the table's address."""
        fields = [
            bigquery.SchemaField(
                column, kind.removesuffix("[]"), mode="REPEATED" if kind.endswith("[]") else "NULLABLE"
            )
            for column, kind in schema.items()
        ]
        configuration = bigquery.LoadJobConfig(schema=fields, write_disposition="WRITE_TRUNCATE")
        self.bigquery.load_table_from_json(rows, f"{self.project}.features.{name}", job_config=configuration).result()
        return f"bq://{self.project}.features.{name}"

    def store(self, *, direct: bool = False) -> str:
        """Make an online store, unless it is there; return its name."""
        name = f"{self.parent}/featureOnlineStores/store"
        if not list(self.admin.list_feature_online_stores(parent=self.parent)):
            scaling = vertex.FeatureOnlineStore.Bigtable.AutoScaling(min_node_count=1, max_node_count=2)
            bigtable = vertex.FeatureOnlineStore.Bigtable(auto_scaling=scaling, enable_direct_bigtable_access=direct)
            self.admin.create_feature_online_store(
                parent=self.parent,
                feature_online_store=vertex.FeatureOnlineStore(bigtable=bigtable),
                feature_online_store_id="store",
            ).result()
        return name

    def plain_view(self, uri: str, *keys: str, cron: str = "", at_once: bool = False) -> str:
        """Make a feature view of a table itself."""
        view = vertex.FeatureView(
            big_query_source=vertex.FeatureView.BigQuerySource(uri=uri, entity_id_columns=keys or ["entity_id"])
        )
        if cron:
            view.sync_config.cron = cron
        request = vertex.CreateFeatureViewRequest(
            parent=self.store(), feature_view=view, feature_view_id="view", run_sync_immediately=at_once
        )
        return str(self.admin.create_feature_view(request).result().name)

    def grouped_view(self, uri: str, *features: str, dense: bool) -> str:
        """Make a feature view of a feature group."""
        group = vertex.FeatureGroup(
            big_query=vertex.FeatureGroup.BigQuery(big_query_source=vertex.BigQuerySource(input_uri=uri), dense=dense)
        )
        made = self.registry.create_feature_group(
            parent=self.parent, feature_group=group, feature_group_id="grouped"
        ).result()
        for feature in features:
            self.registry.create_feature(parent=made.name, feature=vertex.Feature(), feature_id=feature).result()
        source = vertex.FeatureView.FeatureRegistrySource(
            feature_groups=[
                vertex.FeatureView.FeatureRegistrySource.FeatureGroup(feature_group_id="grouped", feature_ids=features)
            ]
        )
        view = vertex.FeatureView(feature_registry_source=source)
        created = self.admin.create_feature_view(parent=self.store(), feature_view=view, feature_view_id="view")
        return str(created.result().name)

    def sync(self, view: str) -> Any:
        """Sync a view; return the `FeatureViewSync` as it is then."""
        begun = self.admin.sync_feature_view(feature_view=view)
        return self.admin.get_feature_view_sync(name=begun.feature_view_sync)

    def values(self, view: str, *key: str) -> dict[str, Any]:
        """Fetch what is served of an entity; None where a feature has no value."""
        reply = self.serving.fetch_feature_values(feature_view=view, data_key=data_key(*key))
        return {feature.name: value_of(feature.value) for feature in reply.key_values.features}

    def write(self, view: str, key: str, when: datetime | None = None, **values: float) -> Any:
        """Write a row directly."""
        row = vertex.FeatureViewDirectWriteRequest.DataKeyAndFeatureValues(data_key=data_key(key))
        for name, value in values.items():
            metadata = vertex.FeatureValue.Metadata(generate_time=when) if when else None
            row.features.append(
                vertex.FeatureViewDirectWriteRequest.DataKeyAndFeatureValues.Feature(
                    name=name, value=vertex.FeatureValue(double_value=value, metadata=metadata)
                )
            )
        request = vertex.FeatureViewDirectWriteRequest(feature_view=view, data_key_and_feature_values=[row])
        return next(iter(self.serving.feature_view_direct_write(requests=iter([request]))))

    def close(self) -> None:
        """Close connections."""
        self.channel.close()
        self.bigquery.close()


def data_key(*parts: str) -> vertex.FeatureViewDataKey:
    if len(parts) == 1:
        return vertex.FeatureViewDataKey(key=parts[0])
    return vertex.FeatureViewDataKey(composite_key=vertex.FeatureViewDataKey.CompositeKey(parts=parts))


def value_of(value: vertex.FeatureValue) -> Any:
    raw = vertex.FeatureValue.pb(value)
    form = raw.WhichOneof("value")
    if form is None:
        return None
    content = getattr(raw, form)
    return list(content.values) if form.endswith("_array_value") else content


@pytest.fixture
def cloud(vertex_emulator: Emulator) -> Iterator[Cloud]:
    made = Cloud(vertex_emulator)
    yield made
    made.close()
