from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from cloudmlops.emulators.core.faults import Fault, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Model

    from conftest import Azure

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]
GROUP = "shared"
API = "2021-10-01-dataplanepreview"
_numbers = itertools.count(1)


@pytest.fixture
def registry(azure: Azure) -> str:
    """The name of a new registry."""
    name = f"registry-{next(_numbers)}"
    azure.cloud.ensure_registry(name, group=GROUP)
    return name


def client(azure: Azure, registry: str, who: str = "owner") -> MLClient:
    from azure.ai.ml import MLClient

    return MLClient(azure.credential(who), registry_name=registry, enable_telemetry=False)


def register(azure: Azure, folder: Path, name: str = "churn", version: str = "4", **given: Any) -> Model:
    from azure.ai.ml.entities import Model

    files = folder / "files"
    files.mkdir(exist_ok=True)
    (files / "factor.txt").write_text("3")
    made: Model = azure.client().models.create_or_update(
        Model(name=name, version=version, path=str(files), type="custom_model", **given)
    )
    return made


def call(azure: Azure, method: str, path: str, *, who: str = "owner", **more: Any) -> httpx.Response:
    token = azure.cloud.tokens.issue(azure.principal(who), "https://management.azure.com")
    return httpx.request(
        method,
        f"{azure.emulator.url}{path}",
        headers={"authorization": f"Bearer {token}"},
        params={"api-version": API, **more.pop("params", {})},
        trust_env=False,
        **more,
    )


def assets(azure: Azure, registry: str) -> str:
    return f"/mferp/managementfrontend{azure.cloud.ensure_registry(registry, group=GROUP)}"


def test_a_registry_is_made_found_and_deleted_by_operations(azure: Azure) -> None:
    from azure.ai.ml.entities import (
        Registry,
        RegistryRegionDetails,
        SystemCreatedAcrAccount,
        SystemCreatedStorageAccount,
    )

    details = RegistryRegionDetails(
        location="westeurope",
        acr_config=[SystemCreatedAcrAccount(acr_account_sku="Premium")],
        storage_config=SystemCreatedStorageAccount(storage_account_hns=False, storage_account_type="standard_lrs"),
    )
    made = Registry(name="of-the-team", location="westeurope", replication_locations=[details], tags={"one": "two"})
    registries = azure.client().registries

    known = registries.begin_create(made).result()

    assert (known.name, known.location, known.tags) == ("of-the-team", "westeurope", {"one": "two"})
    assert known.discovery_url.endswith("/registrymanagement/v1.0/registries/of-the-team/discovery")
    assert registries.get("of-the-team").identity.type == "SystemAssigned"
    assert "of-the-team" in [one.name for one in registries.list()]
    assert "of-the-team" in [one.name for one in registries.list(scope="subscription")]
    registries.begin_delete(name="of-the-team").result()
    with pytest.raises(ResourceNotFoundError, match="registries/of-the-team"):
        registries.get("of-the-team")


def test_a_registry_takes_as_long_as_operations_do_and_its_name_is_taken(azure: Azure, registry: str) -> None:
    azure.emulator.clock.freeze()
    azure.cloud.operations.takes = timedelta(minutes=5)
    body = {"location": "westeurope", "properties": {"regionDetails": [{"location": "westeurope"}]}}
    group = f"/subscriptions/{azure.subscription}/resourceGroups/{GROUP}"
    path = f"{group}/providers/Microsoft.MachineLearningServices/registries"

    begun = call(azure, "PUT", f"{path}/slow", json=body)

    assert begun.status_code == 202
    assert "/registryOperationsStatus/" in begun.headers["azure-asyncoperation"]
    assert call(azure, "GET", f"{path}/slow").status_code == 404
    azure.emulator.clock.advance(timedelta(minutes=5))
    assert call(azure, "GET", f"{path}/slow").status_code == 200
    elsewhere = path.replace(f"/{GROUP}/", "/other/")
    assert call(azure, "PUT", f"{elsewhere}/{registry}", json=body).status_code == 409


def test_a_registry_is_discovered_by_its_name(azure: Azure, registry: str) -> None:
    told = call(azure, "GET", f"/registrymanagement/v1.0/registries/{registry}/discovery").json()

    assert set(told) == {
        *("registryId", "registryName", "tenantId", "primaryRegion", "regions", "subscriptionId", "resourceGroup"),
        *("workspaceName", "primaryRegionResourceProviderUri", "registryFqdns", "intellectualPropertyPublisher"),
    }
    assert told["primaryRegionResourceProviderUri"] == "https://cert-westeurope.experiments.azureml.net/"
    with pytest.raises(HttpResponseError, match="nowhere"):
        client(azure, "nowhere")


def test_a_model_is_shared_from_a_workspace_with_its_files(azure: Azure, registry: str, tmp_path: Path) -> None:
    register(azure, tmp_path, tags={"team": "a"}, description="who leaves")

    shared = azure.client().models.share(
        "churn", "4", share_with_name="leavers", share_with_version="1", registry_name=registry
    )

    assert shared.id == f"azureml://registries/{registry}/models/leavers/versions/1"
    known = client(azure, registry).models.get("leavers", "1")
    assert (known.name, known.version, known.tags, known.description) == ("leavers", "1", {"team": "a"}, "who leaves")
    client(azure, registry).models.download("leavers", "1", download_path=tmp_path / "got")
    (file,) = (tmp_path / "got").rglob("factor.txt")
    assert file.read_text() == "3"
    shown = call(azure, "GET", f"{assets(azure, registry)}/models/leavers/versions/1").json()
    assert set(shown["properties"]) == {
        *("description", "tags", "properties", "isArchived", "isAnonymous", "flavors", "modelType", "modelUri"),
        *("originAssetId", "jobName", "intellectualProperty"),
    }
    assert shown["properties"]["originAssetId"].endswith("/models/churn/versions/4")
    with pytest.raises(Exception, match="already exists in registry"):
        azure.client().models.share(
            "churn", "4", share_with_name="leavers", share_with_version="1", registry_name=registry
        )


def test_what_is_not_in_the_workspace_cannot_be_shared(azure: Azure, registry: str) -> None:
    with pytest.raises(HttpResponseError, match="There is no asset"):
        azure.client().models.share("none", "1", share_with_name="x", share_with_version="1", registry_name=registry)


def test_a_model_is_put_into_a_registry_without_a_workspace(azure: Azure, registry: str, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Model

    files = tmp_path / "model"
    files.mkdir()
    (files / "factor.txt").write_text("5")
    models = client(azure, registry).models

    made = models.create_or_update(Model(name="direct", version="1", path=str(files), type="custom_model"))

    assert made.id == f"azureml://registries/{registry}/models/direct/versions/1"
    models.download("direct", "1", download_path=tmp_path / "got")
    (file,) = (tmp_path / "got").rglob("factor.txt")
    assert file.read_text() == "5"


def test_environments_and_data_are_made_in_a_registry(azure: Azure, registry: str, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Data, Environment

    (tmp_path / "one.csv").write_text("1,2\n")
    there = client(azure, registry)

    made = there.environments.create_or_update(Environment(name="trainer", version="2", image="contoso/trainer:2"))
    data = there.data.create_or_update(
        Data(name="flights", version="1", path=str(tmp_path / "one.csv"), type="uri_file")
    )

    assert (made.name, made.version, made.image) == ("trainer", "2", "contoso/trainer:2")
    assert (
        there.environments.get("trainer", "2").id == f"azureml://registries/{registry}/environments/trainer/versions/2"
    )
    assert (data.name, data.version, data.type) == ("flights", "1", "uri_file")
    assert [one.version for one in there.data.list("flights")] == ["1"]
    assert [one.name for one in there.environments.list()] == ["trainer"]


def test_assets_of_a_workspace_are_shared_by_their_kind(azure: Azure, registry: str, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Data, Environment

    (tmp_path / "one.csv").write_text("1,2\n")
    own = azure.client()
    own.environments.create_or_update(Environment(name="trainer", version="1", image="contoso/trainer:1"))
    own.data.create_or_update(Data(name="flights", version="1", path=str(tmp_path / "one.csv"), type="uri_file"))
    given: Mapping[str, str] = {"share_with_name": "ours", "share_with_version": "7", "registry_name": registry}

    own.environments.share("trainer", "1", **given)
    own.data.share("flights", "1", **given)

    there = client(azure, registry)
    assert there.environments.get("ours", "7").image == "contoso/trainer:1"
    assert there.data.get("ours", "7").path.startswith("https://")


def test_versions_in_a_registry_are_listed_page_by_page_and_archived(
    azure: Azure, registry: str, tmp_path: Path
) -> None:
    register(azure, tmp_path)
    own = azure.client().models
    for version in ("1", "2", "3"):
        own.share("churn", "4", share_with_name="churn", share_with_version=version, registry_name=registry)
    there = client(azure, registry).models

    assert [one.version for one in there.list("churn")] == ["3", "2", "1"]
    assert there.get("churn", label="latest").version == "3"
    assert [one.latest_version for one in there.list()] == ["3"]
    assert list(there.list("nothing")) == []
    path = f"{assets(azure, registry)}/models/churn/versions"
    first = call(azure, "GET", path, params={"$top": "1"}).json()
    assert [one["id"].rpartition("/")[2] for one in first["value"]] == ["3"]
    with pytest.raises(ResourceNotFoundError):
        there.get("churn", "9")


def test_a_job_uses_what_is_in_a_registry(azure: Azure, registry: str, tmp_path: Path) -> None:
    from azure.ai.ml import Input, command
    from azure.ai.ml.entities import Environment
    from tests.emulators.azure.jobs.conftest import Jobs

    jobs = Jobs(azure, tmp_path)
    register(azure, tmp_path)
    azure.client().models.share("churn", "4", share_with_name="churn", share_with_version="1", registry_name=registry)
    client(azure, registry).environments.create_or_update(Environment(name="any", version="1", image="contoso/any:1"))
    job = command(
        command="cat ${{inputs.model}}/factor.txt",
        environment=f"azureml://registries/{registry}/environments/any/versions/1",
        inputs={"model": Input(type="custom_model", path=f"azureml://registries/{registry}/models/churn/versions/1")},
        experiment_name="flights",
    )

    run = jobs.finished(job)

    assert run["status"] == "Completed", run["error"]
    assert jobs.log(run["runId"]) == "3"
    model = {"jobInputType": "custom_model", "uri": job.inputs["model"].path}
    given = {"jobType": "Command", "command": "true", "environmentId": "x", "inputs": {"model": model}}
    body = {"properties": given}
    refused = call(azure, "PUT", f"{azure.workspace_id}/jobs/mine", who="scientist", json=body)
    assert refused.status_code == 403, "who submits must be allowed to read what is in the registry"
    assert "registries/assets/read" in refused.json()["error"]["message"]


def test_a_component_of_a_registry_brings_its_code_and_environment_to_pipelines_of_workspaces(
    azure: Azure, registry: str, tmp_path: Path
) -> None:
    from azure.ai.ml import dsl, load_component
    from azure.ai.ml.entities import Environment
    from tests.emulators.azure.jobs.conftest import Jobs

    jobs = Jobs(azure, tmp_path)
    there = client(azure, registry)
    there.environments.create_or_update(Environment(name="any", version="1", image="contoso/any:1"))
    source = tmp_path / "component.yml"
    environment = f"azureml://registries/{registry}/environments/any/versions/1"
    code = jobs.code(step="print('from the registry')")
    source.write_text(
        f"type: command\nname: step\nversion: '1'\ncommand: python step.py\ncode: {code}\nenvironment: {environment}\n"
    )

    made = there.components.create_or_update(load_component(source))

    assert (made.name, made.version) == ("step", "1")
    assert [one.version for one in there.components.list("step")] == ["1"]
    found = there.components.get("step", "1")
    assert found.id == f"azureml://registries/{registry}/components/step/versions/1"
    assert f"/registries/{registry}/" in found.code.replace("azureml://registries", "/registries")

    @dsl.pipeline(name="shared")
    def shared() -> None:
        found()

    pipeline = shared()
    pipeline.settings.default_compute = "serverless"
    run = jobs.finished(pipeline, experiment_name="flights")
    (step,) = jobs.call("GET", f"/history/v1.0{azure.workspace_id}/runs/{run['runId']}/children").json()["value"]
    assert run["status"] == "Completed", step
    assert "from the registry" in jobs.log(step["runId"])


def test_a_registry_user_reads_and_writes_assets_and_makes_no_registry(
    azure: Azure, registry: str, tmp_path: Path
) -> None:
    register(azure, tmp_path)
    scope = azure.cloud.ensure_registry(registry, group=GROUP)
    role = azure.cloud.access.role("AzureML Registry User")
    assert role is not None
    reads = azure.cloud.access.role("Reader")
    assert reads is not None
    azure.cloud.access.assign(azure.workspace_id, azure.principal("scientist").object_id, reads)
    sharer = azure.client("scientist").models
    given: Any = {"share_with_name": "churn", "share_with_version": "1", "registry_name": registry}
    with pytest.raises(HttpResponseError, match="not allowed to access registry"):
        sharer.share("churn", "4", **given)

    azure.cloud.access.assign(scope, azure.principal("scientist").object_id, role)

    assert sharer.share("churn", "4", **given).version == "1"
    body = {"location": "westeurope", "properties": {"regionDetails": [{"location": "westeurope"}]}}
    refused = call(azure, "PUT", f"{scope}-2", who="scientist", json=body)
    assert refused.status_code == 403
    assert "registries/write" in refused.json()["error"]["message"]
    with pytest.raises(HttpResponseError, match="registries/assets/write"):
        client(azure, registry, "reader").environments.create_or_update(_environment())


def _environment() -> Any:
    from azure.ai.ml.entities import Environment

    return Environment(name="x", version="1", image="x:1")


def test_calls_to_registries_are_recorded_faulted_and_their_versions_noticed(azure: Azure, registry: str) -> None:
    azure.emulator.faults.set(
        Fault(matching="registry/PUT registries/environments/versions", refused=Refused("UNAVAILABLE", "not today"))
    )
    path = f"{assets(azure, registry)}/environments/x/versions/1"
    body = {"properties": {"image": "x:1"}}

    assert call(azure, "PUT", path, json=body).status_code == 503
    assert call(azure, "PUT", path, json=body).status_code == 202

    assert azure.cloud.versions["PUT registries/environments/versions"] == {API}
    assert len(azure.emulator.calls.list("registry/PUT registries/environments")) == 2
