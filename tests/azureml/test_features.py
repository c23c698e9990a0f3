"""Features on Azure ML beyond the contract: sources, where things lie, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import deltalake
import pytest

from cloudmlops import Entity, FeatureView, Platform, SqlSource, TableSource, connect
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.sdk import ml

from .conftest import GROUP, Opened

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth.
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]

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


@pytest.fixture
def shown(cloud: AzureCloud, opened: Opened, workspace: str) -> AzureMLBackends:
    """A platform whose feature sets another workspace shows."""
    cloud.ensure_workspace(f"store-of-{workspace}", group=GROUP)
    return opened(feature_store=f"store-of-{workspace}")


def store_of(shown: AzureMLBackends) -> Any:
    return shown.wire.client_of(shown.settings.feature_store)


def test_what_is_applied_is_shown_as_an_entity_and_a_feature_set(shown: AzureMLBackends) -> None:
    platform = Platform(shown)
    platform.features.write_table("weather", [{"origin": "JFK", "seen_at": T, "wind": 1.0, "notes": ["calm"]}])
    view = weather(
        features={"wind": float, "notes": list[str]}, ttl=timedelta(hours=3), source_delay=timedelta(seconds=90)
    )

    platform.features.apply([view])
    platform.features.apply([view])

    store = store_of(shown)
    (entity,) = store.feature_store_entities.list(name="airport")
    assert [(column.name, str(column.type)) for column in entity.index_columns] == [("origin", "string")]
    (made,) = store.feature_sets.list(name="weather")
    assert made.entities == [f"azureml:airport:{entity.version}"]
    assert made.tags == {"cloudmlops-store": shown.place.store("cloudmlops")}
    features = {one.name: one for one in store.feature_sets.list_features("weather", made.version)}
    assert {name: one.data_type for name, one in features.items()} == {"wind": "Double", "notes": "String"}
    assert features["notes"].description == "list[str]"


def test_another_definition_is_another_version(shown: AzureMLBackends) -> None:
    platform = Platform(shown)
    platform.features.write_table("weather", [{"origin": "JFK", "seen_at": T, "wind": 1.0}])

    platform.features.apply([weather()])
    platform.features.apply([weather(ttl=timedelta(hours=1))])

    store = store_of(shown)
    assert len(list(store.feature_sets.list(name="weather"))) == 2
    assert len(list(store.feature_store_entities.list(name="airport"))) == 1


def test_a_query_is_shown_as_a_source_of_its_own_kind(shown: AzureMLBackends) -> None:
    platform = Platform(shown)
    platform.features.write_table("seen", [{"origin": "JFK", "seen_at": T, "knots": 10}])

    platform.features.apply([weather(source=SqlSource("SELECT origin, seen_at, knots * 1.9 AS wind FROM seen"))])

    (made,) = store_of(shown).feature_sets.list(name="weather")
    assert '"custom"' in made.properties["featuresetProperties"]


def test_a_workspace_that_is_a_feature_store_shows_its_own(
    backends: AzureMLBackends, workspace: str, as_somebody: Callable[[str], None]
) -> None:
    name = f"self-{workspace}"
    made = ml().entities.FeatureStore(name=name, location="westeurope")
    backends.native.feature_stores.begin_create(made, grant_materialization_permissions=False).result()
    with connect(f"azureml://{SUBSCRIPTION}/{GROUP}/{name}") as platform:
        platform.features.write_table("weather", [{"origin": "JFK", "seen_at": T, "wind": 1.0}])

        platform.features.apply([weather()])

        assert [one.name for one in platform.native.feature_sets.list()] == ["weather"]
        (version,) = platform.native.feature_sets.list(name="weather")
        assert version.stage == "Development"
        version.stage = "Production"
        platform.native.feature_sets.begin_create_or_update(version).result()
        platform.features.apply([weather()])
        assert platform.native.feature_sets.get("weather", version.version).stage == "Production", "it is left alone"


def test_a_workspace_that_is_none_shows_nothing_and_all_works_without(backends: AzureMLBackends) -> None:
    platform = Platform(backends)
    platform.features.write_table("weather", [{"origin": "JFK", "seen_at": T, "wind": 1.0}])

    platform.features.apply([weather()])

    assert list(backends.native.feature_sets.list()) == []
    assert platform.features.view("weather") == weather()
