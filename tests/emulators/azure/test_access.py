from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.models import Permission, RoleAssignmentCreateParameters, RoleDefinition
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.emulators.azure.entra.principals import directory
from cloudmlops.emulators.azure.rbac.deciding import granted, scopes_above
from cloudmlops.emulators.azure.rbac.roles import BUILT_IN, Role

if TYPE_CHECKING:
    from conftest import Azure

ML = "Microsoft.MachineLearningServices/workspaces"
ROLES = {role.name: role for role in BUILT_IN}


@pytest.mark.parametrize(
    ("role", "action", "allowed"),
    [
        ("Owner", f"{ML}/delete", True),
        ("Owner", "Microsoft.Authorization/roleAssignments/write", True),
        ("Contributor", f"{ML}/delete", True),
        ("Contributor", "Microsoft.Authorization/roleAssignments/write", False),
        ("Contributor", "Microsoft.Authorization/roleAssignments/read", True),
        ("Reader", f"{ML}/models/versions/read", True),
        ("Reader", f"{ML}/models/versions/write", False),
        ("Reader", f"{ML}/datastores/listSecrets/action", False),
        ("AzureML Data Scientist", f"{ML}/models/versions/write", True),
        ("AzureML Data Scientist", f"{ML}/datastores/listSecrets/action", True),
        ("AzureML Data Scientist", f"{ML}/onlineEndpoints/score/action", True),
        ("AzureML Data Scientist", f"{ML}/write", False),
        ("AzureML Data Scientist", f"{ML}/delete", False),
        ("AzureML Data Scientist", f"{ML}/read", False),
        ("AzureML Data Scientist", f"{ML}/computes/listKeys/action", False),
        ("AzureML Data Scientist", f"{ML}/computes/start/action", True),
        ("AzureML Compute Operator", f"{ML}/computes/write", True),
        ("AzureML Compute Operator", f"{ML}/models/read", False),
        ("AzureML Registry User", "Microsoft.MachineLearningServices/registries/assets/write", True),
        ("AzureML Metrics Writer (preview)", f"{ML}/metrics/run/write", True),
        ("AzureML Metrics Writer (preview)", f"{ML}/experiments/runs/write", False),
        ("EventGrid Contributor", "Microsoft.EventGrid/eventSubscriptions/write", True),
        ("EventGrid Contributor", f"{ML}/read", False),
        ("EventGrid EventSubscription Contributor", "Microsoft.EventGrid/eventSubscriptions/write", True),
        ("EventGrid EventSubscription Contributor", "Microsoft.EventGrid/systemTopics/write", False),
        ("EventGrid EventSubscription Reader", "Microsoft.EventGrid/eventSubscriptions/read", True),
        ("EventGrid EventSubscription Reader", "Microsoft.EventGrid/eventSubscriptions/write", False),
        ("User Access Administrator", "Microsoft.Authorization/roleAssignments/write", True),
        ("User Access Administrator", f"{ML}/models/versions/write", False),
    ],
)
def test_a_built_in_role_allows_what_its_documented_actions_say(role: str, action: str, allowed: bool) -> None:
    assert granted([ROLES[role]], action) is allowed


def test_the_strict_reading_of_a_data_scientist_s_computes_is_that_writing_one_is_not_taken_away() -> None:
    """`computes/*/write` does not match `computes/write`, though Microsoft's text says "no compute creation"."""
    assert granted([ROLES["AzureML Data Scientist"]], f"{ML}/computes/write")
    assert not granted([ROLES["AzureML Data Scientist"]], f"{ML}/computes/nodes/write")


def test_what_one_role_takes_away_another_may_grant() -> None:
    contributor, administrator = ROLES["Contributor"], ROLES["User Access Administrator"]

    assert granted([contributor, administrator], "Microsoft.Authorization/roleAssignments/write")


def test_actions_on_data_are_granted_by_data_actions_only() -> None:
    read = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"

    assert not granted([ROLES["Owner"]], read, data=True)
    assert granted([ROLES["Storage Blob Data Reader"]], read, data=True)
    assert not granted([ROLES["Storage Blob Data Reader"]], read.replace("read", "write"), data=True)
    assert granted([ROLES["Storage Blob Data Owner"]], read.replace("read", "tags/write"), data=True)
    assert not granted([ROLES["Storage Blob Delegator"]], read, data=True)
    send, receive = (f"Microsoft.EventGrid/events/{verb}/action" for verb in ("send", "receive"))
    for role, sends, receives in (
        ("EventGrid Data Sender", True, False),
        ("EventGrid Data Receiver", False, True),
        ("EventGrid Contributor", False, False),
    ):
        assert granted([ROLES[role]], send, data=True) is sends
        assert granted([ROLES[role]], receive, data=True) is receives


@given(st.text(alphabet="abAB/.*+()", max_size=12), st.text(alphabet="abAB/.+()", max_size=12))
def test_a_pattern_is_text_but_for_its_stars(pattern: str, action: str) -> None:
    parts = pattern.lower().split("*")
    text = action.lower()
    expected = text.startswith(parts[0]) and text.endswith(parts[-1]) and len(text) >= len(parts[0]) + len(parts[-1])
    if len(parts) == 1:
        expected = text == parts[0]
    elif expected:
        at = len(parts[0])
        for part in parts[1:-1]:
            at = text.find(part, at)
            if at < 0 or at + len(part) > len(text) - len(parts[-1]):
                expected = False
                break
            at += len(part)
    role = Role(id="x", name="x", actions=(pattern,))

    assert granted([role], action) is expected


def test_a_scope_lies_in_its_group_its_subscription_and_the_root() -> None:
    model = "/subscriptions/S/resourceGroups/G/providers/Microsoft.MachineLearningServices/workspaces/W/models/M"

    assert scopes_above(model) == [
        model.lower(),
        model.lower().removesuffix("/models/m"),
        "/subscriptions/s/resourcegroups/g",
        "/subscriptions/s",
        "/",
    ]


def assignments(azure: Azure) -> AuthorizationManagementClient:
    return AuthorizationManagementClient(azure.credential(), azure.subscription)


def assign(azure: Azure, name: str, role: str, scope: str, called: str = "") -> str:
    known = assignments(azure)
    (definition,) = known.role_definitions.list(scope, filter=f"roleName eq '{role}'")
    who = azure.principal(name).object_id
    parameters = RoleAssignmentCreateParameters(
        role_definition_id=definition.id, principal_id=who, principal_type="ServicePrincipal"
    )
    made: str = known.role_assignments.create(scope, called or str(uuid4()), parameters).name
    return made


def test_who_has_no_role_is_refused_in_azures_own_words(azure: Azure) -> None:
    with pytest.raises(HttpResponseError) as raised:
        azure.client("nobody").workspaces.get(azure.workspace)

    assert (raised.value.status_code, raised.value.error.code) == (403, "AuthorizationFailed")
    assert f"{ML}/read" in raised.value.message
    assert azure.principal("nobody").object_id in raised.value.message


@pytest.mark.parametrize("above", ["workspace", "group", "subscription"])
def test_a_role_counts_where_it_was_given_and_below_and_no_more_when_it_is_taken(azure: Azure, above: str) -> None:
    scope = {
        "workspace": azure.workspace_id,
        "group": f"/subscriptions/{azure.subscription}/resourceGroups/{azure.group}",
        "subscription": f"/subscriptions/{azure.subscription}",
    }[above]
    models = azure.client("nobody").models
    name = assign(azure, "nobody", "AzureML Data Scientist", scope)

    assert list(models.list()) == []

    assignments(azure).role_assignments.delete(scope, name)
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        list(models.list())


def test_a_role_in_one_workspace_is_none_in_another(azure: Azure) -> None:
    other = azure.cloud.ensure_workspace("another", group=azure.group)
    name = assign(azure, "nobody", "Reader", other)

    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        list(azure.client("nobody").models.list())
    assignments(azure).role_assignments.delete(other, name)


def test_the_name_of_an_assignment_that_was_taken_away_can_be_used_again(azure: Azure) -> None:
    models = azure.client("nobody").models
    name = str(uuid4())
    for _ in range(2):
        assign(azure, "nobody", "Reader", azure.workspace_id, name)
        assert list(models.list()) == []
        assignments(azure).role_assignments.delete(azure.workspace_id, name)
        with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
            list(models.list())


def test_a_change_counts_when_its_delay_has_passed(azure: Azure) -> None:
    models = azure.client("nobody").models
    azure.emulator.clock.freeze()
    azure.cloud.access.delay = timedelta(minutes=5)
    name = assign(azure, "nobody", "Reader", azure.workspace_id)

    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        list(models.list())
    azure.emulator.clock.advance(timedelta(minutes=5))
    assert list(models.list()) == []

    assignments(azure).role_assignments.delete(azure.workspace_id, name)
    assert list(models.list()) == []
    azure.emulator.clock.advance(timedelta(minutes=5))
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        list(models.list())


def test_the_same_role_twice_is_a_conflict(azure: Azure) -> None:
    assign(azure, "nobody", "Reader", azure.workspace_id)

    with pytest.raises(ResourceExistsError, match="RoleAssignmentExists"):
        assign(azure, "nobody", "Reader", azure.workspace_id)


def test_who_may_not_give_roles_is_refused(azure: Azure) -> None:
    known = AuthorizationManagementClient(azure.credential("scientist"), azure.subscription)

    with pytest.raises(HttpResponseError, match="roleAssignments/write"):
        known.role_assignments.create(
            azure.workspace_id,
            str(uuid4()),
            RoleAssignmentCreateParameters(
                role_definition_id=ROLES["Owner"].definition["id"], principal_id=azure.principal("nobody").object_id
            ),
        )


def test_a_role_for_nobody_is_refused(azure: Azure) -> None:
    with pytest.raises(HttpResponseError, match="PrincipalNotFound"):
        assignments(azure).role_assignments.create(
            azure.workspace_id,
            str(uuid4()),
            RoleAssignmentCreateParameters(
                role_definition_id=ROLES["Reader"].definition["id"], principal_id=str(uuid4())
            ),
        )


def test_assignments_are_listed_by_whose_they_are_and_where(azure: Azure) -> None:
    known = assignments(azure)
    name = assign(azure, "nobody", "Reader", azure.workspace_id)
    who = azure.principal("nobody").object_id

    at = known.role_assignments.list_for_scope(azure.workspace_id, filter=f"principalId eq '{who}'")
    everywhere = known.role_assignments.list_for_subscription(filter=f"assignedTo('{who}')")
    elsewhere = known.role_assignments.list_for_scope(
        azure.cloud.ensure_workspace("another", group=azure.group), filter=f"principalId eq '{who}'"
    )

    assert name in [one.name for one in at]
    assert name in [one.name for one in everywhere]
    assert name not in [one.name for one in elsewhere]


def test_a_role_of_ones_own_is_made_used_and_removed_when_nobody_has_it(azure: Azure) -> None:
    known = assignments(azure)
    id_ = str(uuid4())
    known.role_definitions.create_or_update(
        azure.workspace_id,
        id_,
        RoleDefinition(
            role_name="Model Reader",
            role_type="CustomRole",
            permissions=[Permission(actions=[f"{ML}/models/*"], not_actions=[f"{ML}/models/versions/delete"])],
            assignable_scopes=[azure.workspace_id],
        ),
    )
    name = assign(azure, "nobody", "Model Reader", azure.workspace_id)

    assert list(azure.client("nobody").models.list()) == []
    with pytest.raises(HttpResponseError, match="RoleDefinitionHasAssignments"):
        known.role_definitions.delete(azure.workspace_id, id_)
    known.role_assignments.delete(azure.workspace_id, name)
    known.role_definitions.delete(azure.workspace_id, id_)
    assert list(known.role_definitions.list(azure.workspace_id, filter="roleName eq 'Model Reader'")) == []


def test_roles_from_the_start_count_at_whatever_time_the_clock_is_set_to(azure: Azure) -> None:
    azure.emulator.clock.freeze(datetime(2013, 1, 1, tzinfo=UTC))

    assert list(azure.client("scientist").models.list()) == []


def test_a_condition_is_not_taken_for_none(azure: Azure) -> None:
    known = assignments(azure)
    parameters = RoleAssignmentCreateParameters(
        role_definition_id=f"/providers/Microsoft.Authorization/roleDefinitions/{ROLES['Reader'].id}",
        principal_id=azure.principal("nobody").object_id,
        principal_type="ServicePrincipal",
        condition="@Resource[name] StringEquals 'mine'",
        condition_version="2.0",
    )

    with pytest.raises(HttpResponseError, match="a condition of a role assignment is not emulated") as raised:
        known.role_assignments.create(azure.workspace_id, str(uuid4()), parameters)

    assert raised.value.status_code == 501


def test_who_is_in_a_group_acts_as_it_too_and_so_do_groups_in_groups() -> None:
    known = directory(
        {
            "principals": [
                {"name": "ada"},
                {"name": "seniors", "kind": "Group", "members": ["ada", "everybody"]},
                {"name": "everybody", "kind": "Group", "members": ["seniors"]},
                {"name": "others", "kind": "Group"},
            ]
        }
    )
    ada, seniors, everybody, others = known.principals

    assert known.acting(ada.object_id.upper()) == {ada.object_id, seniors.object_id, everybody.object_id}
    assert known.acting(others.object_id) == {others.object_id}
    assert known.by_client(seniors.client_id) is None, "a group logs in nowhere"
    with pytest.raises(ValueError, match=r"there is no 'bob'.*only a Group has members"):
        directory({"principals": [{"name": "ada", "members": ["bob"]}]})
