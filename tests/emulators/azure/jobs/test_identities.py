"""As whom jobs run: as their submitter, or as a managed identity of what they run on, and as nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.emulators.azure.jobs.conftest import Jobs

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]
IDENTITIES = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
WHO = """
import os
import sys
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential
import jwt

for named in (os.environ.get("DEFAULT_IDENTITY_CLIENT_ID"), sys.argv[1], None):
    credential = ManagedIdentityCredential(client_id=named) if named else ManagedIdentityCredential()
    try:
        token = credential.get_token("https://management.azure.com/.default").token
    except ClientAuthenticationError:
        print("token of: nobody")
    else:
        print("token of:", jwt.decode(token, options={"verify_signature": False})["oid"])
"""


def test_a_job_on_a_compute_is_the_identity_that_is_assigned_there_and_no_other(jobs: Jobs) -> None:
    machine = jobs.azure.principal("machine")
    compute(jobs, "with", {"type": "UserAssigned", "userAssignedIdentities": {f"{IDENTITIES}/machine": {}}})
    compute(jobs, "own", {"type": "SystemAssigned"})
    own = jobs.azure.cloud.resources.get(f"{jobs.azure.workspace_id}/computes/own") or {}

    said = said_by(jobs, machine.client_id, compute="with", identity=managed(machine.client_id))
    of_its_own = said_by(jobs, machine.client_id, compute="own", identity=managed())

    assert said == [machine.object_id, machine.object_id, "nobody"]
    assert of_its_own == [own["identity"]["principalId"], "nobody", own["identity"]["principalId"]]


@pytest.mark.conformance(ci=True)
def test_a_serverless_job_is_an_identity_of_its_workspace(jobs: Jobs) -> None:
    machine = jobs.azure.principal("machine")
    jobs.azure.cloud.ensure_workspace("with-machine", group=jobs.azure.group, identities=[f"{IDENTITIES}/machine"])
    theirs = type(jobs)(type(jobs.azure)(jobs.azure.emulator, jobs.azure.cloud, "with-machine"), jobs.folder)

    said = said_by(theirs, machine.client_id, identity=managed(machine.client_id))

    assert said == [machine.object_id, machine.object_id, "nobody"]


@pytest.mark.parametrize(("name", "on"), [("machine", None), ("machine", "without"), ("owner", "without")])
def test_a_job_is_no_identity_that_is_not_assigned_to_what_it_runs_on(jobs: Jobs, name: str, on: str | None) -> None:
    if on:
        compute(jobs, on, {"type": "SystemAssigned"})
    job = jobs.command("true", compute=on)
    job.identity = managed(jobs.azure.principal(name).client_id)

    run = jobs.finished(job)

    assert run["status"] == "Failed"
    where = "the compute without" if on else f"the workspace {jobs.azure.workspace}"
    assert f"is not assigned to {where}" in run["error"]["error"]["message"]


@pytest.mark.conformance(ci=True)
def test_a_step_is_no_identity_that_is_not_assigned_either(jobs: Jobs) -> None:
    from azure.ai.ml.dsl import pipeline

    step = jobs.command("true")

    @pipeline()
    def one() -> None:
        node = step()
        node.identity = managed(jobs.azure.principal("machine").client_id)

    made = one()
    made.settings.default_compute = "serverless"
    run = jobs.finished(made)
    (child,) = jobs.azure.client().jobs.list(parent_job_name=run["runId"])

    assert run["status"] == "Failed"
    assert "is not assigned to the workspace" in jobs.run(str(child.name))["error"]["error"]["message"]


def managed(client_id: str | None = None) -> Any:
    from azure.ai.ml import ManagedIdentityConfiguration

    return ManagedIdentityConfiguration(client_id=client_id)


def compute(jobs: Jobs, name: str, identity: dict[str, Any]) -> None:
    body = {
        "identity": identity,
        "properties": {"computeType": "AmlCompute", "properties": {"vmSize": "STANDARD_DS3_V2"}},
    }
    made = jobs.call(
        "PUT",
        f"{jobs.azure.workspace_id}/computes/{name}",
        params={"api-version": "2023-08-01-preview"},
        json=body,
    )
    made.raise_for_status()


def said_by(jobs: Jobs, other: str, *, identity: Any, compute: str | None = None) -> list[str]:
    """Return whose tokens a job gets: of what its variable names, of another, of nobody in particular."""
    job = jobs.command(f"python who.py {other}", code=str(jobs.code(who=WHO)), compute=compute)
    job.identity = identity
    run = jobs.finished(job)
    assert run["status"] == "Completed", run["error"]
    told = jobs.log(run["runId"]).splitlines()
    return [line.removeprefix("token of: ") for line in told if line.startswith("token of: ")]
