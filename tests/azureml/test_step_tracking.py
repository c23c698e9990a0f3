"""What a step logs through MLflow on Azure ML is in its record, and in the run that Azure ML itself shows."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.runtime.mirrored import CloudRun, taken_from

from .conftest import Connects, Opened
from .tracked_steps import autologged, tracked

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
ADDRESS = "azureml://westeurope.api.azureml.ms/mlflow/v1.0"


@pytest.mark.conformance(ci=True)
def test_what_a_step_logs_is_in_its_record_and_in_the_run_of_azure_ml(
    connect_to_run: Connects, cloud: AzureCloud
) -> None:
    platform = connect_to_run()

    run = platform.pipelines.run(tracked, wait=True)

    assert run.steps["logs"].logged == {"metrics": {"loss": 0.25}, "params": {"depth": "3"}, "tags": {"owner": "ada"}}
    workspace = str(platform.native.workspaces.get(platform.native.workspace_name).id)
    (child,) = platform.native.jobs.list(parent_job_name=run.id)
    measures = cloud.tracking.measures
    history = measures.history(workspace, str(child.name), "loss")
    assert [(one.step, one.value) for one in history] == [(0, 0.5), (1, 0.25)]
    assert measures.params(workspace, str(child.name)) == {"depth": "3"}
    assert child.tags["owner"] == "ada"


@pytest.mark.conformance
def test_what_mlflow_logs_of_a_training_by_itself_is_in_the_run_of_azure_ml(
    connect_to_run: Connects, cloud: AzureCloud
) -> None:
    """With the models that Azure ML's own tracking store does not take: they stay in the step's folder."""
    platform = connect_to_run()

    run = platform.pipelines.run(autologged, wait=True)

    assert run.steps["trains"].logged["metrics"]["training_accuracy_score"] == 1.0
    workspace = str(platform.native.workspaces.get(platform.native.workspace_name).id)
    (child,) = platform.native.jobs.list(parent_job_name=run.id)
    measures = cloud.tracking.measures
    assert measures.last(workspace, str(child.name))["training_accuracy_score"].value == 1.0
    assert measures.params(workspace, str(child.name))["C"] == "0.5"


def test_all_that_was_logged_is_sent_however_much_it_is(
    cloud: AzureCloud, workspace: str, opened: Opened, tmp_path: Path
) -> None:
    identity = cloud.ensure_workspace(workspace, group="experiments")
    run, token = made_run(cloud, identity)
    folder = tmp_path / "mlflow" / "0" / "run"
    for kind in ("metrics", "params", "tags"):
        (folder / kind).mkdir(parents=True)
    (folder / "meta.yaml").touch()
    (folder / "metrics" / "loss").write_text("".join(f"5 {step / 2} {step}\n" for step in range(2001)))
    (folder / "metrics" / "odd").write_text("5 nan 0\n5 inf 1\n")
    for number in range(150):
        (folder / "params" / f"p{number}").write_text(str(number))
    (folder / "tags" / "mlflow.user").write_text("not sent")

    CloudRun(address=f"https:{ADDRESS.partition(':')[2]}{identity}", run=run, token=token).log(tmp_path / "mlflow")

    measures = cloud.tracking.measures
    assert len(measures.history(identity, run, "loss")) == 2001
    assert math.isinf(measures.last(identity, run)["odd"].value)
    assert measures.params(identity, run) == {f"p{number}": str(number) for number in range(150)}


def test_what_cannot_be_sent_fails_no_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "0" / "run"
    (folder / "params").mkdir(parents=True)
    (folder / "meta.yaml").touch()
    (folder / "params" / "depth").write_text("3")

    CloudRun(address="http://127.0.0.1:9", run="job", token="t").log(tmp_path)

    assert "the run job does not show all that was logged" in capsys.readouterr().err


def test_the_variables_of_the_clouds_run_are_taken_away_from_mlflow() -> None:
    variables = {
        "MLFLOW_TRACKING_URI": f"{ADDRESS}/subscriptions/s?",
        "MLFLOW_RUN_ID": "job",
        "MLFLOW_TRACKING_TOKEN": "secret",
        "MLFLOW_EXPERIMENT_ID": "1",
        "MLFLOW_EXPERIMENT_NAME": "flights",
        "OTHER": "stays",
    }

    found = taken_from(variables)

    assert found == CloudRun(
        address="https://westeurope.api.azureml.ms/mlflow/v1.0/subscriptions/s", run="job", token="secret"
    )
    assert variables == {"OTHER": "stays"}
    without_token = {"MLFLOW_TRACKING_URI": ADDRESS, "MLFLOW_RUN_ID": "job"}
    assert taken_from(without_token) is None, "as in all processes of a distributed step but the first"
    assert without_token == {}
    assert taken_from({"MLFLOW_TRACKING_URI": "https://tracking.contoso.example", "MLFLOW_RUN_ID": "x"}) is None


def made_run(cloud: AzureCloud, workspace: str) -> tuple[str, str]:
    """Make a run; return its id, and a token that may write it."""
    import httpx

    token = cloud.tokens.issue(cloud.tokens.directory.by_name("owner"), "https://management.azure.com")
    url = f"https:{ADDRESS.partition(':')[2]}{workspace}/api/2.0/mlflow/runs/create"
    made = httpx.post(url, json={}, headers={"authorization": f"Bearer {token}"}, verify=False).json()
    return str(made["run"]["info"]["run_id"]), token
