from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from cloudmlops.emulators.core.faults import Fault, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from azure.ai.ml.entities import FeatureSet, FeatureStoreEntity

    from conftest import Azure

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
]
API = "2023-10-01"
SPECIFICATION = """
source:
  type: parquet
  path: abfss://flights@store.dfs.core.windows.net/delays/
  timestamp_column: {name: at}
  source_delay: {days: 0, hours: 1, minutes: 0}
features:
  - {name: delay, type: double, description: minutes late, tags: {team: a}}
  - {name: cancelled, type: boolean}
index_columns:
  - {name: flight, type: string}
  - {name: leg, type: long}
temporal_join_lookback: {days: 2, hours: 0, minutes: 0}
"""


def entity(azure: Azure, version: str = "1", **given: Any) -> FeatureStoreEntity:
    from azure.ai.ml.entities import DataColumn, FeatureStoreEntity

    columns = [DataColumn(name="flight", type="string"), DataColumn(name="leg", type="long")]
    made: FeatureStoreEntity = (
        azure.client()
        .feature_store_entities.begin_create_or_update(
            FeatureStoreEntity(name="flight", version=version, index_columns=columns, **given)
        )
        .result()
    )
    return made


def feature_set(
    azure: Azure, folder: Path, version: str = "1", *, text: str = SPECIFICATION, who: str = "owner", **given: Any
) -> FeatureSet:
    from azure.ai.ml.entities import FeatureSet, FeatureSetSpecification

    place = folder / "delays"
    place.mkdir(exist_ok=True)
    (place / "FeatureSetSpec.yaml").write_text(text)
    made: FeatureSet = (
        azure.client(who)
        .feature_sets.begin_create_or_update(
            FeatureSet(
                name="delays",
                version=version,
                entities=given.pop("entities", ["azureml:flight:1"]),
                specification=FeatureSetSpecification(path=str(place)),
                **given,
            )
        )
        .result()
    )
    return made


def call(azure: Azure, method: str, path: str, **more: Any) -> httpx.Response:
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")
    return httpx.request(
        method,
        f"{azure.emulator.url}{azure.workspace_id}{path}",
        headers={"authorization": f"Bearer {token}"},
        params={"api-version": API, **more.pop("params", {})},
        trust_env=False,
        **more,
    )


def ended(azure: Azure, job: str) -> Any:
    """Wait for a job's end; return its run."""
    waited = threading.Event()
    for _ in range(600):
        run = httpx.get(
            f"{azure.emulator.url}/history/v1.0{azure.workspace_id}/runs/{job}",
            headers={
                "authorization": f"Bearer {azure.cloud.tokens.issue(azure.principal('owner'), 'https://management.azure.com')}"
            },
            trust_env=False,
        ).json()
        if run["status"] in ("Completed", "Failed", "Canceled"):
            return run
        waited.wait(0.05)
    raise AssertionError(f"the job {job} goes on")


def test_an_entity_has_columns_by_which_features_are_joined(azure: Azure) -> None:
    made = entity(azure, description="one leg of a flight", tags={"team": "a"}, stage="Production")

    known = azure.client().feature_store_entities.get("flight", "1")

    assert made.name == known.name == "flight"
    assert [(one.name, one.type.value) for one in known.index_columns] == [("flight", "string"), ("leg", "long")]
    assert (known.description, known.tags, known.stage) == ("one leg of a flight", {"team": "a"}, "Production")


def test_versions_of_entities_are_listed_the_newest_first_and_archived_ones_are_not(azure: Azure) -> None:
    for version in ("1", "2", "3"):
        entity(azure, version)
    entities = azure.client().feature_store_entities
    entities.archive("flight", "2")

    assert [one.version for one in entities.list("flight")] == ["3", "1"]
    assert [one.version for one in entities.list("flight", list_view_type="All")] == ["3", "2", "1"]
    assert [(one.name, one.latest_version) for one in entities.list()] == [("flight", "3")]
    assert entities.get("flight", "2").stage == "Archived"
    entities.restore("flight", "2")
    assert [one.version for one in entities.list("flight")] == ["3", "2", "1"]


def test_the_columns_of_an_entity_cannot_be_changed(azure: Azure) -> None:
    from azure.ai.ml.entities import DataColumn, FeatureStoreEntity

    entity(azure)
    other = FeatureStoreEntity(name="flight", version="1", index_columns=[DataColumn(name="flight", type="long")])

    with pytest.raises(HttpResponseError, match="indexColumns"):
        azure.client().feature_store_entities.begin_create_or_update(other).result()


def test_a_feature_set_is_what_its_uploaded_specification_says(azure: Azure, tmp_path: Path) -> None:
    entity(azure)
    feature_set(azure, tmp_path, description="how late", tags={"team": "a"})
    sets = azure.client().feature_sets

    known = sets.get("delays", "1")

    assert (known.description, known.tags, known.stage) == ("how late", {"team": "a"}, "Development")
    assert known.entities == ["azureml:flight:1"]
    assert known.specification.path.startswith("azureml://subscriptions/")
    features = list(sets.list_features("delays", "1"))
    assert [(one.name, one.data_type) for one in features] == [("delay", "Double"), ("cancelled", "Boolean")]
    assert [one.name for one in sets.list_features("delays", "1", tags="team=a")] == ["delay"]
    assert [one.name for one in sets.list_features("delays", "1", feature_name="cancelled")] == ["cancelled"]
    one = sets.get_feature("delays", "1", feature_name="delay")
    assert (one.name, one.description, one.tags) == ("delay", "minutes late", {"team": "a"})
    with pytest.raises(ResourceNotFoundError, match="FeatureNotFound"):
        sets.get_feature("delays", "1", feature_name="other")


def test_a_feature_set_is_shown_with_all_that_the_service_shows(azure: Azure, tmp_path: Path) -> None:
    from azure.ai.ml.entities import MaterializationComputeResource, MaterializationSettings

    entity(azure)
    settings = MaterializationSettings(
        offline_enabled=True, resource=MaterializationComputeResource(instance_type="standard_e4s_v3")
    )
    feature_set(azure, tmp_path, materialization_settings=settings)

    shown = call(azure, "GET", "/featuresets/delays/versions/1").json()

    assert set(shown) == {"id", "name", "type", "properties", "systemData"}
    assert shown["type"] == "Microsoft.MachineLearningServices/workspaces/featuresets/versions"
    assert set(shown["properties"]) == {
        "description",
        "tags",
        "properties",
        "isArchived",
        "isAnonymous",
        "specification",
        "materializationSettings",
        "stage",
        "entities",
        "provisioningState",
    }
    assert set(shown["properties"]["properties"]) == {
        "featuresetPropertiesVersion",
        "featuresetProperties",
        "offlineMaterializationVersion",
        "onlineMaterializationVersion",
        "offlineStoreConnectionName",
        "onlineStoreConnectionName",
    }
    assert shown["properties"]["properties"]["featuresetProperties"] == (
        '{"features":[{"FeatureName":"delay","DataType":4},{"FeatureName":"cancelled","DataType":7}],'
        '"source":{"type":"parquet","path":"abfss://flights@store.dfs.core.windows.net/delays/"},'
        '"temporalJoinLookback":{"Days":2,"Hours":0,"Minutes":0},'
        '"indexColumns":[{"DataType":0,"ColumnName":"flight"},{"DataType":2,"ColumnName":"leg"}]}'
    )
    assert shown["properties"]["properties"]["onlineMaterializationVersion"] is None
    assert shown["properties"]["materializationSettings"] == {
        "storeType": "Offline",
        "schedule": None,
        "notification": None,
        "resource": {"instanceType": "standard_e4s_v3"},
        "sparkConfiguration": None,
    }


def test_what_describes_a_feature_set_can_be_changed_and_its_entities_cannot(azure: Azure, tmp_path: Path) -> None:
    entity(azure)
    entity(azure, "2")
    feature_set(azure, tmp_path, tags={"team": "a"})

    feature_set(azure, tmp_path, tags={"team": "b"}, stage="Production")

    known = azure.client().feature_sets.get("delays", "1")
    assert (known.tags, known.stage) == ({"team": "b"}, "Production")
    with pytest.raises(HttpResponseError, match="entities"):
        feature_set(azure, tmp_path, entities=["azureml:flight:2"])


def test_a_feature_set_of_an_entity_that_there_is_not_fails(azure: Azure, tmp_path: Path) -> None:
    with pytest.raises(HttpResponseError, match="no feature store entity azureml:flight:1"):
        feature_set(azure, tmp_path)

    shown = call(azure, "GET", "/featuresets/delays/versions/1").json()
    assert shown["properties"]["provisioningState"] == "Failed"


def test_feature_sets_are_archived_listed_and_found_by_stage(azure: Azure, tmp_path: Path) -> None:
    entity(azure)
    feature_set(azure, tmp_path, "1", stage="Production")
    feature_set(azure, tmp_path, "2", tags={"team": "a"})
    feature_set(azure, tmp_path, "3")
    sets = azure.client().feature_sets
    sets.archive("delays", "3")

    assert [one.version for one in sets.list("delays")] == ["2", "1"]
    assert [one.version for one in sets.list("delays", list_view_type="ArchivedOnly")] == ["3"]
    assert [one.version for one in sets.list("delays", stage="Production")] == ["1"]
    assert [one.version for one in sets.list("delays", tags="team=a")] == ["2"]
    assert [(one.name, one.latest_version) for one in sets.list()] == [("delays", "3")]


@pytest.mark.parametrize("path", ["featuresets/none", "featuresets/none/versions/1", "featurestoreEntities/x/versions"])
def test_what_there_is_not_is_an_error_of_the_user(azure: Azure, path: str) -> None:
    reply = call(azure, "GET", f"/{path}")

    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "UserError")


def test_an_operation_on_an_entity_takes_as_long_as_operations_do(azure: Azure) -> None:
    from azure.ai.ml.entities import DataColumn, FeatureStoreEntity

    azure.emulator.clock.freeze()
    azure.cloud.operations.takes = timedelta(minutes=1)
    poller = azure.client().feature_store_entities.begin_create_or_update(
        FeatureStoreEntity(name="leg", version="1", index_columns=[DataColumn(name="leg", type="long")])
    )
    assert not poller.done()

    azure.emulator.clock.advance(timedelta(minutes=1))

    assert poller.result().name == "leg"


def test_who_reads_cannot_write_and_a_data_scientist_can(azure: Azure, tmp_path: Path) -> None:
    entity(azure)

    feature_set(azure, tmp_path, who="scientist")

    reader = azure.client("reader").feature_sets
    assert [one.name for one in reader.list_features("delays", "1")] == ["delay", "cancelled"]
    with pytest.raises(HttpResponseError, match="workspaces/featuresets/write") as refused:
        reader.archive("delays", "1")
    assert refused.value.status_code == 403
    with pytest.raises(HttpResponseError, match="workspaces/featurestoreentities/read"):
        azure.client("nobody").feature_store_entities.get("flight", "1")


def test_calls_are_recorded_faulted_and_their_versions_noticed(azure: Azure) -> None:
    azure.emulator.faults.set(
        Fault(
            matching="arm/PUT workspaces/featurestoreEntities/versions",
            refused=Refused("FAILED_PRECONDITION", "not today"),
        )
    )
    with pytest.raises(HttpResponseError, match="not today"):
        entity(azure)

    entity(azure)

    (first, second) = azure.emulator.calls.list("PUT workspaces/featurestoreEntities/versions")
    assert (first.status, second.status) == ("FAILED_PRECONDITION", "OK")
    assert azure.cloud.versions["PUT workspaces/featurestoreEntities/versions"] == {API}


def test_a_backfill_is_a_job_that_says_that_it_cannot_be_run(azure: Azure, tmp_path: Path) -> None:
    from azure.ai.ml.entities import MaterializationComputeResource, MaterializationSettings, MaterializationType

    entity(azure)
    settings = MaterializationSettings(
        offline_enabled=True,
        resource=MaterializationComputeResource(instance_type="standard_e4s_v3"),
        spark_configuration={"spark.driver.cores": "2"},
    )
    feature_set(azure, tmp_path, materialization_settings=settings)
    sets = azure.client().feature_sets

    begun = sets.begin_backfill(
        name="delays",
        version="1",
        feature_window_start_time=datetime(2013, 1, 1, tzinfo=UTC),
        feature_window_end_time=datetime(2013, 2, 1, tzinfo=UTC),
        data_status=["None"],
    ).result()

    (job,) = begun.job_ids
    assert job.startswith("Featurestore-Materialization-BackfillJob-delays-1-")
    (known,) = sets.list_materialization_operations("delays", "1")
    assert (known.name, known.type) == (job, MaterializationType.BACKFILL_MATERIALIZATION)
    assert known.feature_window_start_time == datetime(2013, 1, 1)  # noqa: DTZ001 so the SDK reads it
    run = ended(azure, job)
    assert run["status"] == "Failed"
    assert "not emulated" in run["error"]["error"]["message"]
    shown = azure.client().jobs.get(job)
    assert (shown.type, shown.resources.instance_type, shown.driver_cores) == ("spark", "standard_e4s_v3", "2")
    assert "--featureset-name delays --featureset-version 1" in shown.args
    assert list(sets.list_materialization_operations("delays", "2")) == []


def test_what_is_materialized_nowhere_cannot_be_backfilled(azure: Azure, tmp_path: Path) -> None:
    entity(azure)
    feature_set(azure, tmp_path)
    window = {"featureWindowStart": "2013-01-01T00:00:00Z", "featureWindowEnd": "2013-02-01T00:00:00Z"}

    reply = call(azure, "POST", "/featuresets/delays/versions/1/backfill", json={"featureWindow": window})

    assert reply.status_code == 400
    assert "has no store" in reply.json()["error"]["message"]


def test_a_schedule_of_materialization_is_refused_by_name(azure: Azure, tmp_path: Path) -> None:
    from azure.ai.ml.entities import MaterializationSettings, RecurrenceTrigger

    entity(azure)
    settings = MaterializationSettings(offline_enabled=True, schedule=RecurrenceTrigger(frequency="day", interval=1))

    with pytest.raises(HttpResponseError, match="schedule of a feature set") as refused:
        feature_set(azure, tmp_path, materialization_settings=settings)
    assert refused.value.status_code == 501
