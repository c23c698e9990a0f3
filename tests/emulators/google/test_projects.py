from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import resourcemanager_v3
from google.iam.v1 import policy_pb2

MANAGER = "https://cloudresourcemanager.googleapis.com"


@pytest.fixture
def projects(google: Any) -> Any:
    kind = resourcemanager_v3.ProjectsClient.get_transport_class("grpc")
    channel = grpc.insecure_channel(google.emulator.address, [("grpc.enable_http_proxy", 0)])
    yield resourcemanager_v3.ProjectsClient(transport=kind(channel=channel, credentials=AnonymousCredentials()))
    channel.close()


def test_a_project_is_found_by_id_and_by_number_on_both_wires(google: Any, projects: Any) -> None:
    by_id = projects.get_project(name=f"projects/{google.project}")
    by_number = projects.get_project(name=by_id.name)
    first = google.ask("GET", f"{MANAGER}/v1/projects/{google.project}").json()
    third = google.ask("GET", f"{MANAGER}/v3/{by_id.name}").json()

    assert by_id.project_id == by_number.project_id == first["projectId"] == third["projectId"] == google.project
    assert by_id.name == third["name"] == f"projects/{first['projectNumber']}"
    assert by_id.state is resourcemanager_v3.Project.State.ACTIVE
    assert first["lifecycleState"] == third["state"] == "ACTIVE"


def test_a_number_that_belongs_to_no_project_is_denied(projects: Any) -> None:
    with pytest.raises(exceptions.PermissionDenied):
        projects.get_project(name="projects/12")


def test_everything_is_granted_until_it_is_denied(google: Any, projects: Any) -> None:
    wanted = ["aiplatform.models.upload", "aiplatform.models.get", "bigquery.jobs.create"]
    resource = f"projects/{google.project}"
    assert list(projects.test_iam_permissions(resource=resource, permissions=wanted).permissions) == wanted

    google.cloud.access.deny("aiplatform.models.*", resource=f"projects/{google.project}*")

    assert list(projects.test_iam_permissions(resource=resource, permissions=wanted).permissions) == [wanted[2]]
    for version in ("v1", "v3"):
        asked = f"{MANAGER}/{version}/projects/{google.project}:testIamPermissions"
        assert google.ask("POST", asked, {"permissions": wanted}).json() == {"permissions": [wanted[2]]}
    google.cloud.access.allow()
    assert list(projects.test_iam_permissions(resource=resource, permissions=wanted).permissions) == wanted


def test_a_permission_is_denied_to_one_and_granted_to_another(google: Any) -> None:
    google.http.post("/-/emulator/google/permissions", json={"deny": "a.b.c", "principal": "eve@*"})

    asked = f"{MANAGER}/v3/projects/{google.project}:testIamPermissions"
    sent = {"permissions": ["a.b.c"]}
    assert google.ask("POST", asked, sent, token=google.token("eve@example.com")).json() == {}
    assert google.ask("POST", asked, sent, token=google.token("ada@example.com")).json() == sent
    google.http.post("/-/emulator/google/permissions", json={"allow": "a.b.c", "principal": "eve@*"})
    assert google.ask("POST", asked, sent, token=google.token("eve@example.com")).json() == sent


def test_what_is_no_permission_is_an_invalid_argument(projects: Any) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="everything"):
        projects.test_iam_permissions(resource="projects/p", permissions=["everything"])


def test_a_policy_is_read_changed_and_written_unless_another_came_first(google: Any, projects: Any) -> None:
    resource = f"projects/{google.project}"
    policy = projects.get_iam_policy(resource=resource)
    stale = policy_pb2.Policy.FromString(policy.SerializeToString())
    policy.bindings.add(role="roles/aiplatform.user", members=["user:ada@example.com"])

    kept = projects.set_iam_policy({"resource": resource, "policy": policy})

    assert kept.etag != policy.etag
    assert projects.get_iam_policy(resource=resource) == kept
    over_rest = google.ask("POST", f"{MANAGER}/v1/{resource}:getIamPolicy").json()
    assert over_rest["bindings"] == [{"role": "roles/aiplatform.user", "members": ["user:ada@example.com"]}]
    with pytest.raises(exceptions.Aborted, match="concurrent policy changes"):
        projects.set_iam_policy({"resource": resource, "policy": stale})
    entry = google.cloud.logs.list([resource], 'protoPayload.methodName="SetIamPolicy"')[0]
    assert entry["protoPayload"]["request"]["policy"]["bindings"][0]["role"] == "roles/aiplatform.user"


@pytest.mark.parametrize(
    "policy",
    [{"bindings": [{"members": ["user:a@b"]}]}, {"bindings": [{"role": "r", "members": ["ada"]}]}, {"rules": []}],
    ids=["no role", "no kind of member", "no field of a policy"],
)
def test_a_malformed_policy_is_refused(google: Any, policy: dict[str, object]) -> None:
    answer = google.ask("POST", f"{MANAGER}/v3/projects/{google.project}:setIamPolicy", {"policy": policy})

    assert answer.status_code == 400


def test_services_are_enabled(google: Any) -> None:
    usage = f"https://serviceusage.googleapis.com/v1/projects/{google.project}/services"

    assert google.ask("GET", f"{usage}/aiplatform.googleapis.com").json()["state"] == "ENABLED"
    enabled = google.ask("POST", f"{usage}:batchEnable", {"serviceIds": ["pubsub.googleapis.com"]}).json()
    assert enabled["done"]
    both = google.ask("GET", f"{usage}:batchGet?names=a/services/x&names=a/services/y").json()["services"]
    assert [one["config"]["name"] for one in both] == ["x", "y"]
    assert google.ask("GET", usage).status_code == 501


def test_a_project_is_found_at_the_plain_address_too(google: Any) -> None:
    for version in ("v1", "v3"):
        found = google.http.get(f"/{version}/projects/{google.project}").json()
        assert found["projectId"] == google.project
    assert google.http.post(f"/v1/projects/{google.project}:getIamPolicy").json()["version"] == 1
