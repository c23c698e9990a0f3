from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloudmlops.cli.emulate import emulate
from cloudmlops.errors import ConfigurationError

COMMAND = [sys.executable, "-c", "from cloudmlops.cli import main; main()", "emulate"]
PROGRAM = """
import os, sys
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential

subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
client = MLClient(DefaultAzureCredential(), subscription, "ml", "flights", enable_telemetry=False)
print(client.workspaces.get("flights").location, list(client.models.list()))
if "vertex" in sys.argv:
    from google.cloud import aiplatform_v1

    client = aiplatform_v1.ModelServiceClient(client_options={"api_endpoint": "europe-west4-aiplatform.googleapis.com"})
    print(list(client.list_models(parent="projects/p/locations/europe-west4")))
"""
SPARK = """
import os
import httpx
from azure.identity import DefaultAzureCredential

token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
workspace = f"/subscriptions/{os.environ['AZURE_SUBSCRIPTION_ID']}/resourceGroups/ml/providers/"
workspace += "Microsoft.MachineLearningServices/workspaces/flights"
job = {"jobType": "Spark", "codeId": "x", "entry": {"sparkJobEntryType": "SparkJobPythonEntry", "file": "a.py"}}
job["resources"] = {"runtimeVersion": "3.5"}
reply = httpx.put(
    f"https://management.azure.com{workspace}/jobs/one",
    params={"api-version": "2024-01-01-preview"},
    headers={"authorization": f"Bearer {token}"},
    json={"properties": job},
)
print(reply.status_code)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=200, check=False)


def test_a_program_for_azure_ml_is_sealed_with_a_workspace_and_an_identity() -> None:
    done = run("azureml", "--workspace", "northeurope/ml/flights", "--", sys.executable, "-c", PROGRAM)

    assert (done.returncode, done.stdout) == (0, "northeurope []\n"), done.stderr
    assert "refused" not in done.stderr


@pytest.mark.conformance(ci=True)
def test_one_program_uses_both_clouds_at_once() -> None:
    done = run("azureml", "vertex", "--workspace", "ml/flights", "--", sys.executable, "-c", PROGRAM, "vertex")

    assert (done.returncode, done.stdout) == (0, "westeurope []\n[]\n"), done.stderr


@pytest.mark.parametrize(("options", "status"), [((), "501"), (("--spark", sys.executable), "201")])
def test_spark_jobs_run_where_an_interpreter_is_named(options: tuple[str, ...], status: str) -> None:
    done = run("azureml", "--workspace", "ml/flights", *options, "--", sys.executable, "-c", SPARK)

    assert done.stdout == f"{status}\n", done.stderr


def test_who_there_is_comes_from_a_file(tmp_path: Path) -> None:
    principals = tmp_path / "principals.toml"
    principals.write_text('[[principals]]\nname = "nobody"\nsecret = "s"\n')

    done = run(
        *("azureml", "--principals", str(principals), "--workspace", "ml/flights"),
        *("--", sys.executable, "-c", PROGRAM),
    )

    assert done.returncode != 0
    assert "AuthorizationFailed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["azureml", "--bucket", "flights"], "--bucket is for vertex, which is not to run"),
        (["vertex", "--spark", sys.executable], "--spark is for azureml, which is not to run"),
        (["vertex", "--workspace", "ml/flights"], "--workspace is for azureml, which is not to run"),
        (["azureml", "--workspace", "flights"], "the workspace 'flights' cannot be made"),
        (["azureml", "--workspace", "a/b/c/d"], "the workspace 'a/b/c/d' cannot be made"),
        (["azureml", "--workspace", "ml/flights", "--environment", "steps"], "the environment 'steps' cannot be made"),
        (["azureml", "--environment", "steps:1"], "--environment says what is in workspaces, and there are none"),
    ],
)
def test_what_does_not_fit_together_is_told(arguments: list[str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        CliRunner().invoke(emulate, [*arguments, "--", "true"], catch_exceptions=False)


def test_malformed_principals_are_told_with_all_faults(tmp_path: Path) -> None:
    principals = tmp_path / "principals.toml"
    principals.write_text('[[principals]]\nkind = "Robot"\n')

    with pytest.raises(ConfigurationError, match=r"has no name; .*'Robot'"):
        CliRunner().invoke(emulate, ["azureml", "--principals", str(principals), "--", "true"], catch_exceptions=False)


def test_roles_that_there_are_not_are_told_all_at_once(tmp_path: Path) -> None:
    principals = tmp_path / "principals.toml"
    principals.write_text(
        '[[principals]]\nname = "a"\nsecret = "s"\nroles = ["Owners"]\n'
        '[[principals]]\nname = "b"\nroles = ["Reader", "Readers"]\n'
    )

    with pytest.raises(ConfigurationError, match=r"'a' has the role 'Owners'; 'b' has the role 'Readers': there are"):
        CliRunner().invoke(emulate, ["azureml", "--principals", str(principals), "--", "true"], catch_exceptions=False)


@pytest.mark.parametrize("content", ["", '[[principals]]\nname = "ada"\nkind = "User"\n'])
def test_principals_that_nobody_could_log_in_by_are_refused(tmp_path: Path, content: str) -> None:
    principals = tmp_path / "principals.toml"
    principals.write_text(content)

    with pytest.raises(ConfigurationError, match="as whom programs log in"):
        CliRunner().invoke(emulate, ["azureml", "--principals", str(principals), "--", "true"], catch_exceptions=False)
