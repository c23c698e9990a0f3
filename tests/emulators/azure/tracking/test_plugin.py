"""Azure's own plugin of MLflow at the tracking store. It needs an older MLflow, so it has an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jwt
import pytest
from tests.emulators.azure.jobs.conftest import jobs

from cloudmlops.emulators.azure.jobs.images import Image

if TYPE_CHECKING:
    from tests.emulators.azure.conftest import Azure
    from tests.emulators.azure.jobs.conftest import Jobs
    from tests.emulators.azure.tracking.conftest import Tracking

__all__ = ["jobs"]
pytestmark = [
    pytest.mark.conformance,
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
]
PLUGIN = ("azureml-mlflow>=1.62,<2", "mlflow-skinny>=3.10,<=3.15.0", "azure-identity")
STEPS = Path(__file__).with_name("steps.py")


@pytest.fixture(scope="module")
def plugin_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with the plugin: the one that CLOUDMLOPS_AZUREML_MLFLOW_PYTHON names, or a new environment's."""
    if named := os.environ.get("CLOUDMLOPS_AZUREML_MLFLOW_PYTHON"):
        return named
    folder = tmp_path_factory.mktemp("plugin")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", *PLUGIN], check=True)
    return python


def test_a_job_logs_into_its_own_run_by_the_plugin(jobs: Jobs, tracking: Tracking, plugin_python: str) -> None:
    jobs.azure.cloud.images.let("contoso.azurecr.io/tracked:*", Image(python=plugin_python))
    job = jobs.command(
        "python steps.py", image="contoso.azurecr.io/tracked:1", code=str(jobs.code(steps=STEPS.read_text()))
    )

    run = jobs.finished(job)

    assert run["status"] == "Completed", run["error"]
    found = tracking.client().get_run(run["runId"])
    assert found.data.metrics == {"loss": 1.0}
    assert found.data.params == {"rate": "0.1"}
    assert found.data.tags["kind"] == "test"
    assert run["tags"]["kind"] == "test", "run history and MLflow have one record"


def test_somebody_tracks_searches_and_registers_by_the_plugin(azure: Azure, plugin_python: str, tmp_path: Path) -> None:
    owner, tenant = azure.principal("owner"), azure.cloud.tokens.directory.tenant
    token = tmp_path / "token"
    token.write_text(jwt.encode({"sub": owner.name, "iss": "https://ci.example"}, "k" * 32))
    variables = {
        **azure.emulator.environment(),
        "AZURE_TENANT_ID": tenant,
        "AZURE_CLIENT_ID": owner.client_id,
        "AZURE_FEDERATED_TOKEN_FILE": str(token),
    }
    uri = f"azureml://westeurope.api.azureml.ms/mlflow/v1.0{azure.workspace_id}"

    script = Path(__file__).with_name("client_of_plugin.py")
    done = subprocess.run(
        [plugin_python, str(script), uri], env=variables, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {
        "outer": told["outer"],
        "found": [told["outer"]],
        "children": ["inner"],
        "absent": True,
        "version": "1",
        "production": ["1"],
        "tags": {"checked": "yes"},
        "files": ["MLmodel", "registered_model_meta"],
    }
    version = azure.client().models.get("scaling", "1")
    assert (version.stage, version.tags) == ("Production", {"checked": "yes"})
