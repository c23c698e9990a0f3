from __future__ import annotations

from ast import literal_eval
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloudmlops.testing.model_folders import write_scaling_model

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from tests.emulators.azure.conftest import Azure

pytestmark = [
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]

SCRIPT = """
import os

def init():
    global factor
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "factor.txt")) as file:
        factor = float(file.read())

def run(mini_batch):
    print("mini batch of", len(mini_batch))
    results = []
    for path in mini_batch:
        with open(path) as file:
            results.append(f"{os.path.basename(path)},{factor * float(file.read())}")
    return results
"""


@pytest.fixture
def client(azure: Azure) -> MLClient:
    """Never used to invoke a named deployment: azure-ai-ml 1.35 would name it ever after in this process."""
    from azure.ai.ml.entities import AmlCompute

    client = azure.client()
    client.compute.begin_create_or_update(AmlCompute(name="cluster", size="Standard_DS3_v2", max_instances=2)).result()
    return client


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    folder = tmp_path / "numbers"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(str(number))
    return folder


def endpoint(client: MLClient, name: str) -> str:
    from azure.ai.ml.entities import BatchEndpoint

    made = client.batch_endpoints.begin_create_or_update(BatchEndpoint(name=name)).result()
    assert made.scoring_uri == f"https://{name}.westeurope.inference.ml.azure.com/jobs"
    assert made.defaults.deployment_name is None
    return name


def by_script(client: MLClient, folder: Path, endpoint: str, script: str = SCRIPT, **settings: Any) -> Any:
    from azure.ai.ml.entities import (
        CodeConfiguration,
        Environment,
        Model,
        ModelBatchDeployment,
        ModelBatchDeploymentSettings,
    )

    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "score.py").write_text(script)
    (folder / "factor.txt").write_text("2.5")
    model = client.models.create_or_update(Model(name="factor", path=folder / "factor.txt"))
    deployment = ModelBatchDeployment(
        name="blue",
        endpoint_name=endpoint,
        model=model,
        code_configuration=CodeConfiguration(code=str(folder / "code"), scoring_script="score.py"),
        environment=Environment(image="mcr.microsoft.com/azureml/minimal:latest"),
        compute="cluster",
        settings=ModelBatchDeploymentSettings(**{"mini_batch_size": 10, **settings}),
    )
    return client.batch_deployments.begin_create_or_update(deployment).result()


def scored(client: MLClient, name: str, folder: Path) -> str:
    client.jobs.download(name=name, download_path=folder / "got", output_name="score")
    (file,) = folder.glob("got/**/predictions.csv")
    return file.read_text()


def make_default(client: MLClient, name: str, deployment: str) -> None:
    found = client.batch_endpoints.get(name)
    found.defaults.deployment_name = deployment
    client.batch_endpoints.begin_create_or_update(found).result()


def invoke(client: MLClient, name: str, data: Path, kind: str = "uri_folder") -> Any:
    from azure.ai.ml import Input

    return client.batch_endpoints.invoke(name, inputs={"input": Input(type=kind, path=str(data))})


def test_a_deployment_with_a_script_scores_all_files_of_a_folder(
    azure: Azure, client: MLClient, numbers: Path, tmp_path: Path
) -> None:
    name = endpoint(client, f"{azure.workspace}-script")
    made = by_script(client, tmp_path, name, mini_batch_size=2)
    assert (made.mini_batch_size, made.output_action, made.error_threshold) == (2, "append_row", -1)
    make_default(client, name, "blue")

    job = invoke(client, name, numbers)
    client.jobs.stream(job.name)

    assert client.jobs.get(job.name).status == "Completed"
    assert scored(client, job.name, tmp_path) == "".join(f"{number}.txt,{2.5 * number}\n" for number in range(5))


def test_one_request_makes_one_job(azure: Azure, client: MLClient, numbers: Path, tmp_path: Path) -> None:
    name = endpoint(client, f"{azure.workspace}-once")
    by_script(client, tmp_path, name)
    make_default(client, name, "blue")

    job = invoke(client, name, numbers)
    client.jobs.stream(job.name)

    assert [one.name for one in client.jobs.list()] == [job.name]
    assert [one.name for one in client.batch_endpoints.list_jobs(name)] == [job.name]
    assert [one.name for one in client.batch_deployments.list_jobs(name, name="blue")] == [job.name]
    assert list(client.batch_deployments.list_jobs(name, name="green")) == []
    (child,) = client.jobs.list(parent_job_name=job.name)
    assert child.display_name == "batchscoring"


def test_a_model_of_mlflow_needs_no_script(azure: Azure, client: MLClient, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Model, ModelBatchDeployment, ModelBatchDeploymentSettings

    name = endpoint(client, f"{azure.workspace}-mlflow")
    folder = write_scaling_model(tmp_path / "scaling", factor=3.0)
    model = client.models.create_or_update(Model(name="scaling", path=folder, type="mlflow_model"))
    deployment = ModelBatchDeployment(
        name="blue",
        endpoint_name=name,
        model=model,
        compute="cluster",
        settings=ModelBatchDeploymentSettings(mini_batch_size=1),
    )
    client.batch_deployments.begin_create_or_update(deployment).result()
    make_default(client, name, "blue")
    data = tmp_path / "tables"
    data.mkdir()
    (data / "a.csv").write_text("value,seconds\n1.0,0\n2.0,0\n")
    (data / "b.csv").write_text("value,seconds\n3.0,0\n")

    job = invoke(client, name, data)
    client.jobs.stream(job.name)

    text = scored(client, job.name, tmp_path)
    assert literal_eval(text.replace("\n", ",")) == (["a.csv", 3.0], ["a.csv", 6.0], ["b.csv", 9.0])
