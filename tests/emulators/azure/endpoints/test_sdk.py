"""Endpoints and deployments through azure-ai-ml itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from tests.emulators.azure.conftest import Azure
    from tests.emulators.azure.endpoints.conftest import Endpoints

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
"""azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth."""
_LEAKING = """
import sys
from azure.ai.ml import MLClient
from azure.identity import ClientSecretCredential
tenant, client, secret, subscription, group, workspace, first, second, file = sys.argv[1:]
ml = MLClient(ClientSecretCredential(tenant, client, secret), subscription, group, workspace, enable_telemetry=False)
ml.online_endpoints.invoke(first, request_file=file, deployment_name="blue")
ml.online_endpoints.invoke(second, request_file=file)
"""


@pytest.fixture
def client(azure: Azure) -> MLClient:
    return azure.client()


def make(client: MLClient, name: str, **more: Any) -> Any:
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    return client.online_endpoints.begin_create_or_update(
        ManagedOnlineEndpoint(name=name, auth_mode="key", **more)
    ).result()


def deploy(client: MLClient, endpoint: str, model: str, name: str = "blue", **more: Any) -> Any:
    from azure.ai.ml.entities import ManagedOnlineDeployment

    made = ManagedOnlineDeployment(
        name=name, endpoint_name=endpoint, model=model, instance_type="Standard_F4s_v2", instance_count=1, **more
    )
    return client.online_deployments.begin_create_or_update(made).result()


def test_an_endpoint_lives_through_the_sdk(client: MLClient, endpoints: Endpoints, tmp_path: Path) -> None:
    name = f"{endpoints.prefix}-sdk"
    made = make(client, name, tags={"a": "b"}, description="d")
    assert (made.provisioning_state, made.auth_mode, made.tags) == ("Succeeded", "key", {"a": "b"})
    assert made.scoring_uri == f"https://{name}.westeurope.inference.ml.azure.com/score"

    deployed = deploy(client, name, endpoints.mlflow(2.0))
    assert (deployed.provisioning_state, deployed.instance_count) == ("Succeeded", 1)
    made.traffic = {"blue": 100}
    assert client.online_endpoints.begin_create_or_update(made).result().traffic == {"blue": 100}

    request = tmp_path / "request.json"
    request.write_text(json.dumps({"input_data": [[2.0, 0.0]]}))
    assert json.loads(client.online_endpoints.invoke(name, request_file=str(request))) == [4.0]
    assert client.online_deployments.get("blue", name).instance_type == "Standard_F4s_v2"
    assert [one.name for one in client.online_deployments.list(name)] == ["blue"]
    assert "serving" in client.online_deployments.get_logs("blue", name, lines=50)

    deployed.instance_count = 2
    deployed.endpoint_name = name
    assert client.online_deployments.begin_create_or_update(deployed).result().instance_count == 2
    with pytest.raises(HttpResponseError, match="traffic"):
        client.online_deployments.begin_delete("blue", name).result()
    assert [one.name for one in client.online_endpoints.list()] == [name]
    client.online_endpoints.begin_delete(name).result()
    with pytest.raises(ResourceNotFoundError, match=name):
        client.online_endpoints.get(name)


def test_a_scoring_script_is_uploaded_and_served(client: MLClient, endpoints: Endpoints, tmp_path: Path) -> None:
    from azure.ai.ml.entities import CodeConfiguration, Environment, Model
    from tests.emulators.azure.endpoints.conftest import SCORE

    name = f"{endpoints.prefix}-sdk"
    code, model = tmp_path / "code", tmp_path / "model"
    code.mkdir()
    model.mkdir()
    (code / "score.py").write_text(SCORE)
    (model / "factor.txt").write_text("6")
    make(client, name)
    deploy(
        client,
        name,
        Model(path=str(model / "factor.txt"), name="factor"),  # type: ignore[arg-type]
        code_configuration=CodeConfiguration(code=str(code), scoring_script="score.py"),
        environment=Environment(image="mcr.microsoft.com/azureml/minimal:latest"),
    )

    reply = endpoints.score(f"/onlineEndpoints/{name}", {"data": [7]}, **{"azureml-model-deployment": "blue"})
    assert reply.json() == [42.0]


def test_a_deployment_that_fails_tells_the_sdk_why(client: MLClient, endpoints: Endpoints) -> None:
    name = f"{endpoints.prefix}-sdk"
    make(client, name)

    with pytest.raises(HttpResponseError, match="the file is damaged") as failed:
        deploy(client, name, endpoints.mlflow(1.0, fails="the file is damaged"))

    assert failed.value.error is not None
    assert failed.value.error.code == "ResourceNotReady"
    assert client.online_deployments.get("blue", name).provisioning_state == "Failed"
    assert "the file is damaged" in client.online_deployments.get_logs("blue", name, lines=100)


def test_keys_are_listed_and_renewed(client: MLClient, endpoints: Endpoints) -> None:
    name = f"{endpoints.prefix}-sdk"
    make(client, name)
    before = client.online_endpoints.get_keys(name)

    client.online_endpoints.begin_regenerate_keys(name, key_type="secondary").result()

    after = client.online_endpoints.get_keys(name)
    assert (after.primary_key, after.secondary_key != before.secondary_key) == (before.primary_key, True)


@pytest.mark.parametrize("mode", ["aml_token", "aad_token"])
def test_tokens_let_the_sdk_score(client: MLClient, endpoints: Endpoints, tmp_path: Path, mode: str) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    name = f"{endpoints.prefix}-sdk"
    made = ManagedOnlineEndpoint(name=name, auth_mode=mode)
    client.online_endpoints.begin_create_or_update(made).result()
    endpoints.script(f"/onlineEndpoints/{name}", script="def run(data): return data")
    client.online_endpoints.begin_create_or_update(
        ManagedOnlineEndpoint(name=name, auth_mode=mode, traffic={"blue": 100})
    ).result()
    request = tmp_path / "request.json"
    request.write_text("[1]")

    assert client.online_endpoints.invoke(name, request_file=str(request)) == '"[1]"'


@pytest.mark.conformance(ci=True)
def test_the_sdk_sends_the_deployment_of_one_endpoint_to_another(
    azure: Azure, endpoints: Endpoints, tmp_path: Path
) -> None:
    """azure-ai-ml 1.35: `invoke` changes headers that the whole process shares. Our adapter never calls it."""
    paths = [endpoints.endpoint(name) for name in ("first", "second")]
    for name, path in zip(("first", "second"), paths, strict=True):
        endpoints.deploy(path, "blue", model=endpoints.mlflow(float(len(name))))
    endpoints.deploy(paths[1], "green", model=endpoints.mlflow(9.0))
    endpoints.endpoint("second", traffic={"green": 100})
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"data": [[1.0, 0.0]]}))
    who = azure.principal("owner")
    tenant = azure.cloud.tokens.directory.tenant
    names = [path.rpartition("/")[2] for path in paths]
    given = [tenant, who.client_id, who.secret, azure.subscription, azure.group, azure.workspace, *names, str(request)]

    subprocess.run([sys.executable, "-c", _LEAKING, *given], env=azure.emulator.environment(), check=True)

    sent = [call.request for call in azure.emulator.calls.list("scoring/POST")][-2:]
    assert [one["host"].partition(".")[0] for one in sent] == names
    assert sent[1]["headers"] == {"azureml-model-deployment": "blue"}, "nobody pinned the second: the leak is mended"
