"""Access on Vertex AI: what is missing is told before anything is made, and roles are IAM's."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from cloudmlops import Platform, connect
from cloudmlops.cli.doctor import doctor
from cloudmlops.domain.access import Grant, Role
from cloudmlops.domain.features import Entity
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused
from cloudmlops.emulators.google.cloud import GoogleCloud
from cloudmlops.errors import (
    ConflictError,
    InvalidRequestError,
    PermissionDeniedError,
)
from cloudmlops.providers.vertex.mapping.access import IAM_ROLES, permissions_of, role_of, verb_of
from cloudmlops.providers.vertex.settings import VertexSettings
from cloudmlops.services.endpoints import Endpoints
from cloudmlops.services.events import Events
from cloudmlops.services.features import Features
from cloudmlops.services.models import Models
from cloudmlops.services.pipelines import Pipelines, Run
from cloudmlops.testing.contract.models import written_model

from .conftest import Opened

ADA = "user:ada@example.com"
airport = Entity("airport", keys={"origin": str})
NO_VERBS = {
    "endpoints.deployment",
    "endpoints.revive",
    "events.accept",
    "events.asgi",
    "events.emit",
    "events.handlers",
    "events.on",
    "models.ledger",
    "models.outbox",
    "pipelines.run_schedules",
}
"""Public, and nothing that anybody asks a cloud for: handles, registrations, and parts of other verbs."""


@pytest.fixture
def cloud(vertex_emulator: Emulator) -> GoogleCloud:
    return vertex_emulator.cloud(GoogleCloud)


@pytest.fixture
def platform(opened: Opened) -> Iterator[Platform]:
    with connect(opened().target) as found:
        yield found


def settings(**given: str) -> VertexSettings:
    return VertexSettings(project="my-project", location="europe-west4", bucket="mine", **given)  # type: ignore[arg-type]


def policy(emulator: Emulator, project: str) -> dict[str, Any]:
    url = f"{emulator.url}/v3/projects/{project}:getIamPolicy"
    found: dict[str, Any] = (
        httpx.post(url, json={"options": {"requestedPolicyVersion": 3}}, verify=False).raise_for_status().json()
    )
    return found


def set_policy(emulator: Emulator, project: str, *bindings: Mapping[str, Any]) -> None:
    url = f"{emulator.url}/v3/projects/{project}:setIamPolicy"
    httpx.post(url, json={"policy": {"version": 3, "bindings": list(bindings)}}, verify=False).raise_for_status()


def test_every_verb_of_the_five_nouns_has_its_permissions() -> None:
    public = {
        f"{noun}.{name}"
        for noun, service in (
            ("endpoints", Endpoints),
            ("events", Events),
            ("features", Features),
            ("models", Models),
            ("pipelines", Pipelines),
        )
        for name, _ in inspect.getmembers(service)
        if not name.startswith("_")
    } | {f"pipelines.{act.__name__}" for act in (Run.cancel, Run.logs, Run.resume, Run.wait)}
    absent = {"endpoints.mirror_traffic"}  # Vertex AI mirrors no traffic: nobody needs a right to be told so
    assert public - NO_VERBS - absent == set(permissions_of(settings()))


def test_what_a_refusal_is_about_can_be_asked_about_before() -> None:
    sources = Path(inspect.getfile(VertexSettings)).parent.rglob("*.py")
    nouns = "endpoints|events|features|models|pipelines"
    operations = {
        found for source in sources for found in re.findall(rf'"((?:{nouns})\.[a-z_]+)"', source.read_text("utf-8"))
    }
    assert "pipelines.log" in operations
    assert {operation for operation in operations if verb_of(operation) not in permissions_of(settings())} == set()


def test_topic_subscription_and_account_need_permissions_where_they_are_set() -> None:
    def needed(verb: str, **given: str) -> set[str]:
        return {permission.name for permission in permissions_of(settings(**given))[verb]}

    assert needed("models.register", topic="events") - needed("models.register") == {"pubsub.topics.publish"}
    assert needed("events.run", subscription="mine") - needed("events.run") == {"pubsub.subscriptions.consume"}
    assert needed("endpoints.deploy", service_account="a@b.c") - needed("endpoints.deploy") == {
        "iam.serviceAccounts.actAs"
    }


def test_the_role_of_a_permission_is_known() -> None:
    assert role_of("aiplatform.models.upload") is Role.TRAINER
    assert role_of("pubsub.topics.publish") is Role.TRAINER
    assert role_of("compute.instances.create") is None


@pytest.mark.parametrize("role", list(Role))
def test_the_documentation_tells_what_a_role_is_made_of(role: Role) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
    listed = ", ".join(f"`{name.removeprefix('roles/')}`" for name in sorted(IAM_ROLES[role]))

    assert f"| `{role}` | {listed} |" in page


def test_what_is_missing_is_told_with_the_role_that_has_it_and_nothing_is_made(
    platform: Platform, cloud: GoogleCloud, vertex_emulator: Emulator
) -> None:
    cloud.access.deny("aiplatform.models.upload")
    cloud.access.deny("storage.objects.create")

    missing = platform.check_access(["models.register", "models.get"])

    assert {(gap.verb, gap.permission.name, gap.permission.role) for gap in missing} == {
        ("models.register", "aiplatform.models.upload", Role.TRAINER),
        ("models.register", "storage.objects.create", Role.TRAINER),
    }
    asked = [call.name for call in vertex_emulator.calls.list() if not call.name.startswith("storage/buckets.insert")]
    assert sorted(asked) == [
        "resourcemanager/projects.testIamPermissions",
        "storage/buckets.getStorageLayout",
        "storage/buckets.testIamPermissions",
    ]


def test_who_holds_a_role_is_known_by_the_address_that_acts(platform: Platform, opened: Opened) -> None:
    platform.access.grant(Role.APPROVER, "user:ada@example.com")
    access = opened().access

    assert access.holders(Role.APPROVER, ["Ada@example.com", "bob@example.com"]) == {"Ada@example.com"}
    assert access.holders(Role.TRAINER, ["ada@example.com"]) == frozenset()


def test_a_right_on_the_bucket_alone_is_a_right(platform: Platform, cloud: GoogleCloud, project: str) -> None:
    cloud.access.deny("storage.objects.get", resource=f"projects/{project}")

    assert platform.check_access(["models.get"]) == ()


def test_the_doctor_tells_what_is_missing_and_where_the_bucket_is(opened: Opened, cloud: GoogleCloud) -> None:
    def access(target: str) -> dict[str, Any]:
        done = CliRunner().invoke(doctor, ["--target", target, "--json"])
        return next(check for check in json.loads(done.stdout) if check["check"] == "Access")

    assert access(opened().target)["ok"]
    assert "is in europe-west4, and not in us-central1" in access(opened(location="us-central1").target)["found"]
    cloud.access.deny("aiplatform.endpoints.list")
    assert access(opened().target)["found"] == "missing: aiplatform.endpoints.list"
    assert "role reader" in access(opened().target)["fix"]


def test_who_may_not_look_where_the_bucket_is_is_told_what_is_missing(platform: Platform, cloud: GoogleCloud) -> None:
    cloud.access.deny("storage.objects.list")

    assert [gap.permission.name for gap in platform.check_access(["models.get"])] == ["storage.objects.list"]


def test_a_topic_is_asked_itself(opened: Opened, cloud: GoogleCloud, project: str, vertex_emulator: Emulator) -> None:
    httpx.put(f"{vertex_emulator.url}/v1/projects/{project}/topics/events", json={}, verify=False).raise_for_status()
    cloud.access.deny("pubsub.topics.publish", resource="*/topics/events")

    with connect(opened(topic="events").target) as platform:
        missing = platform.check_access(["events.publish"])

    assert [gap.permission.name for gap in missing] == ["pubsub.topics.publish"]


def test_a_subscription_is_asked_itself(
    opened: Opened, cloud: GoogleCloud, project: str, vertex_emulator: Emulator
) -> None:
    topic = f"projects/{project}/topics/events"
    httpx.put(f"{vertex_emulator.url}/v1/{topic}", json={}, verify=False).raise_for_status()
    subscription = f"{vertex_emulator.url}/v1/projects/{project}/subscriptions/mine"
    httpx.put(subscription, json={"topic": topic}, verify=False).raise_for_status()
    cloud.access.deny("pubsub.subscriptions.consume", resource="*/subscriptions/mine")

    with connect(opened(subscription="mine").target) as platform:
        missing = platform.check_access(["events.run"])

    assert [gap.permission.name for gap in missing] == ["pubsub.subscriptions.consume"]


def test_the_account_of_runs_is_asked_itself(opened: Opened, cloud: GoogleCloud) -> None:
    account = "runner@my-project.iam.gserviceaccount.com"
    cloud.access.deny("iam.serviceAccounts.actAs", resource=f"*/serviceAccounts/{account}")

    with connect(opened(service_account=account).target) as platform:
        missing = platform.check_access(["pipelines.run"])

    assert [gap.permission.name for gap in missing] == ["iam.serviceAccounts.actAs"]


def test_all_verbs_together_are_asked_in_three_calls(platform: Platform, vertex_emulator: Emulator) -> None:
    vertex_emulator.calls.clear()

    assert platform.check_access(sorted(permissions_of(settings()))) == ()
    assert len(vertex_emulator.calls.list()) == 3


def test_a_refused_call_names_the_permission_and_the_remedy(
    platform: Platform, cloud: GoogleCloud, tmp_path: Path
) -> None:
    cloud.access.deny("aiplatform.models.upload")

    with pytest.raises(PermissionDeniedError, match=r"lacks aiplatform\.models\.upload\. The role trainer has it"):
        platform.models.register("churn", written_model(tmp_path / "model"))


@pytest.mark.parametrize(
    ("permission", "role", "act"),
    [
        ("storage.objects.get", "reader", lambda platform: platform.features.get("flight_delay")),
        ("storage.objects.list", "reader", lambda platform: platform.models.names()),
        ("storage.objects.create", "approver", lambda platform: platform.features.apply([airport])),
        ("storage.objects.delete", "approver", lambda platform: platform.features.apply([airport])),
    ],
)
def test_a_refused_object_names_the_object_the_permission_and_the_remedy(
    platform: Platform, cloud: GoogleCloud, permission: str, role: str, act: Callable[[Platform], object]
) -> None:
    platform.features.apply([airport])  # which is replaced the next time
    cloud.access.deny(permission)

    with pytest.raises(PermissionDeniedError) as caught:
        act(platform)

    assert caught.value.resource.startswith(("features/registry/", "ledger/"))
    assert caught.value.hint.startswith(f"The caller lacks {permission}. The role {role} has it (docs/access.md).")
    assert "platform.check_access()" in caught.value.hint


def test_a_refused_listing_is_a_refusal(opened: Opened, cloud: GoogleCloud) -> None:
    cloud.access.deny("storage.objects.list")

    with pytest.raises(PermissionDeniedError, match=r"storage\.objects\.list"):
        list(opened().objects.list("ledger/"))


@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_its_iam_roles_on_the_project(
    platform: Platform, vertex_emulator: Emulator, project: str, role: Role
) -> None:
    platform.access.grant(role, ADA)

    bound = {binding["role"] for binding in policy(vertex_emulator, project)["bindings"]}
    assert bound == IAM_ROLES[role]
    assert platform.access.list() == [Grant(principal=ADA, role=role)]

    platform.access.revoke(role, ADA)

    assert policy(vertex_emulator, project).get("bindings", []) == []
    assert platform.access.list() == []


def test_what_another_role_needs_stays(platform: Platform, vertex_emulator: Emulator, project: str) -> None:
    platform.access.grant(Role.TRAINER, ADA)
    platform.access.grant(Role.DEPLOYER, ADA)
    platform.access.revoke(Role.DEPLOYER, ADA)

    assert [grant.role for grant in platform.access.list()] == [Role.TRAINER]
    bound = {binding["role"] for binding in policy(vertex_emulator, project)["bindings"]}
    assert bound == IAM_ROLES[Role.TRAINER]


def test_others_bindings_and_conditions_are_left_as_they_are(
    platform: Platform, vertex_emulator: Emulator, project: str
) -> None:
    condition = {"title": "this year", "expression": "request.time < timestamp('2027-01-01T00:00:00Z')"}
    others = [
        {"role": "roles/owner", "members": ["user:root@example.com"]},
        {"role": "roles/aiplatform.viewer", "members": ["user:bob@example.com"]},
        {"role": "roles/aiplatform.viewer", "members": [ADA], "condition": condition},
    ]
    set_policy(vertex_emulator, project, *others)

    platform.access.grant(Role.READER, ADA)
    shared = {"role": "roles/aiplatform.viewer", "members": ["user:bob@example.com", ADA]}
    assert shared in policy(vertex_emulator, project)["bindings"]
    platform.access.revoke(Role.READER, ADA)

    assert policy(vertex_emulator, project)["bindings"] == others


def test_a_role_that_is_held_or_not_held_already_changes_nothing(platform: Platform, vertex_emulator: Emulator) -> None:
    platform.access.revoke(Role.READER, ADA)
    platform.access.grant(Role.READER, ADA)
    platform.access.grant(Role.READER, "user:Ada@Example.com")

    assert len(vertex_emulator.calls.list("projects.setIamPolicy")) == 1
    assert [grant.principal for grant in platform.access.list()] == [ADA]


@pytest.mark.parametrize("principal", [ADA, "serviceAccount:a@p.iam.gserviceaccount.com", "group:team@example.com"])
def test_people_accounts_and_groups_can_have_roles(platform: Platform, principal: str) -> None:
    platform.access.grant(Role.READER, principal)
    assert platform.access.list() == [Grant(principal=principal, role=Role.READER)]


@pytest.mark.parametrize("principal", ["ada", "ada@example.com", "allUsers", "user:ada", "user:a@b.c,user:d@e.f", ""])
def test_what_is_no_principal_is_refused_before_anything_is_asked(
    platform: Platform, vertex_emulator: Emulator, principal: str
) -> None:
    for act in (platform.access.grant, platform.access.revoke):
        with pytest.raises(InvalidRequestError, match="user:ADDRESS"):
            act(Role.READER, principal)
    assert vertex_emulator.calls.list("resourcemanager/") == []


def test_a_policy_that_somebody_changes_meanwhile_is_changed_again(
    platform: Platform, vertex_emulator: Emulator, project: str
) -> None:
    other = {"role": "roles/owner", "members": ["user:root@example.com"]}
    concurrent: Callable[[], None] = lambda: set_policy(vertex_emulator, project, other)  # noqa: E731
    vertex_emulator.faults.set(Fault(matching="resourcemanager/projects.setIamPolicy", before=concurrent))

    platform.access.grant(Role.READER, ADA)

    assert other in policy(vertex_emulator, project)["bindings"]
    assert platform.access.list() == [Grant(principal=ADA, role=Role.READER)]


def test_a_policy_that_never_rests_is_a_conflict_in_the_end(platform: Platform, vertex_emulator: Emulator) -> None:
    busy = Refused("ABORTED", "There were concurrent policy changes.")
    vertex_emulator.faults.set(Fault(matching="resourcemanager/projects.setIamPolicy", times=None, refused=busy))

    with pytest.raises(ConflictError, match="concurrent policy changes"):
        platform.access.grant(Role.READER, ADA)


def test_a_change_whose_answer_is_lost_is_made_once(
    platform: Platform, vertex_emulator: Emulator, project: str
) -> None:
    vertex_emulator.faults.set(Fault(matching="resourcemanager/projects.setIamPolicy", lose_response=True))

    platform.access.grant(Role.READER, ADA)

    members = [binding["members"] for binding in policy(vertex_emulator, project)["bindings"]]
    assert members == [[ADA]] * len(IAM_ROLES[Role.READER])


def test_who_may_not_change_the_policy_is_told_so(platform: Platform, cloud: GoogleCloud) -> None:
    cloud.access.deny("resourcemanager.projects.setIamPolicy")

    with pytest.raises(PermissionDeniedError, match=r"lacks resourcemanager\.projects\.setIamPolicy") as caught:
        platform.access.grant(Role.READER, ADA)
    assert "resourcemanager.projectIamAdmin" in caught.value.hint
    assert "check_access" not in caught.value.hint
