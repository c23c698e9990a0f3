"""Features on Azure ML beyond the contract: sources, where things lie, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import deltalake

from cloudmlops import Entity, FeatureView, Platform, TableSource
from cloudmlops.providers.azureml.backends import AzureMLBackends

T = datetime(2026, 1, 15, 12, tzinfo=UTC)
airport = Entity("airport", keys={"origin": str})


def weather(**options: Any) -> FeatureView:
    return FeatureView(
        "weather",
        **{
            "entity": airport,
            "source": TableSource("weather"),
            "timestamp": "seen_at",
            "features": {"wind": float},
            **options,
        },
    )


def test_a_table_is_a_delta_table_in_the_datastore_that_others_read(backends: AzureMLBackends) -> None:
    Platform(backends).features.write_table("weather", [{"origin": "JFK", "seen_at": T, "wind": 1.0}])

    address = f"{backends.place.store('cloudmlops')}/features/tables/weather"
    options = {"bearer_token": backends.wire.storage_token()[0]}
    table = deltalake.DeltaTable(address, storage_options=options)
    assert table.to_pyarrow_table().to_pylist() == [{"origin": "JFK", "seen_at": T, "wind": 1.0}]
