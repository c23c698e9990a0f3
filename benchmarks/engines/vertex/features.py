"""Features: one entity read online, by the service and from its Bigtable table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.aiplatform_v1 import (
    FeatureOnlineStore,
    FeatureOnlineStoreAdminServiceClient,
    FeatureOnlineStoreServiceClient,
    FeatureViewDataKey,
    FetchFeatureValuesRequest,
)
from google.cloud.bigtable_v2 import BigtableClient
from google.cloud.bigtable_v2.types import ReadRowsRequest, RowSet

import cloudmlops as cm
from benchmarks.engines.vertex.pairs import Pair

_FEATURES = tuple(f"f{number}" for number in range(10))
_KEYS = 100


def fetched(platform: cm.Platform) -> Pair:
    """By `FetchFeatureValues`."""
    backends: Any = platform._backends
    view = _materialized(platform)
    client = backends.wire.client(FeatureOnlineStoreServiceClient)
    served = _served(backends).name

    def bare(number: int) -> None:
        key = FeatureViewDataKey(key=_key(number))
        client.fetch_feature_values(request=FetchFeatureValuesRequest(feature_view=served, data_key=key))

    return Pair(ours=lambda number: _read(platform, view, number), bare=bare)


def read_directly(platform: cm.Platform) -> Pair:
    """From the table of an online store that allows it; the platform names one that is not there yet."""
    backends: Any = platform._backends
    settings = backends.settings
    admin = backends.wire.client(FeatureOnlineStoreAdminServiceClient)
    bigtable = FeatureOnlineStore.Bigtable(
        auto_scaling=FeatureOnlineStore.Bigtable.AutoScaling(min_node_count=1, max_node_count=1),
        enable_direct_bigtable_access=True,
    )
    store = admin.create_feature_online_store(
        parent=settings.parent,
        feature_online_store=FeatureOnlineStore(bigtable=bigtable),
        feature_online_store_id=settings.online_store,
    ).result()
    view = _materialized(platform)
    place = admin.get_feature_online_store(name=store.name).bigtable.bigtable_metadata
    table = f"projects/{place.tenant_project_id}/instances/{place.instance_id}/tables/{place.table_id}"
    channel = backends.wire.channel("bigtable.googleapis.com")
    client = BigtableClient(transport=BigtableClient.get_transport_class("grpc")(channel=channel))

    def bare(number: int) -> None:
        rows = RowSet(row_keys=[_key(number).encode()])
        if not any(reply.chunks for reply in client.read_rows(ReadRowsRequest(table_name=table, rows=rows))):
            raise AssertionError("the row was not found")

    return Pair(ours=lambda number: _read(platform, view, number), bare=bare)


def _materialized(platform: cm.Platform) -> cm.FeatureView:
    view = cm.FeatureView(
        "bench",
        entity=cm.Entity("thing", keys={"key": str}),
        source=cm.TableSource("bench"),
        timestamp="seen_at",
        features=dict.fromkeys(_FEATURES, float),
    )
    seen_at = datetime.now(UTC) - timedelta(hours=1)
    rows = [
        {"key": _key(number), "seen_at": seen_at, **dict.fromkeys(_FEATURES, float(number))} for number in range(_KEYS)
    ]
    platform.features.write_table("bench", rows)
    platform.features.apply([view])
    platform.features.materialize(view)
    return view


def _read(platform: cm.Platform, view: cm.FeatureView, number: int) -> None:
    (values,) = platform.features.online(view, [{"key": _key(number)}]).values()
    if values["f9"] != float(number % _KEYS):
        raise AssertionError(f"read {values}")


def _served(backends: Any) -> Any:
    admin = backends.wire.client(FeatureOnlineStoreAdminServiceClient)
    parent = f"{backends.settings.parent}/featureOnlineStores/{backends.settings.online_store}"
    (view,) = admin.list_feature_views(parent=parent)
    return view


def _key(number: int) -> str:
    return f"key{number % _KEYS:06}"
