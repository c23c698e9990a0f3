"""What the modules of Azure grant is what the library needs: nothing is missing, and nothing is over."""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest
from tests.terraform.applying import Applied, applied
from tests.terraform.azure_needs import IMAGES, SETTINGS, least, needs, uses_redis
from tests.terraform.jobs import JOBS, OF_PEOPLE

from cloudmlops.domain.access import Role
from cloudmlops.providers.azureml.mapping.role_parts import parts_of
from cloudmlops.providers.azureml.mapping.roles import FROM_LEAST

UUID = "00000000-0000-0000-0000-00000000000{}"
ROLES = list(Role)
VARIABLES = {
    "budget": {"amount": 1, "start_month": "2026-12"},
    "features": {"redis": {}},
    "location": "westeurope",
    "people": {role: {"object_id": UUID.format(number + 3), "role": role} for number, role in enumerate(ROLES)},
    "prefix": "acme",
    "subscription": UUID.format(1),
    "tenant": UUID.format(2),
}
PLACES = {
    "azurerm_container_registry[cracme]": "images",
    "azurerm_eventgrid_namespace_topic[mlops]": "topic",
    "azurerm_machine_learning_workspace[mlfs-acme]": "feature store",
    "azurerm_machine_learning_workspace[mlw-acme]": "workspace",
    "azurerm_resource_group[rg-acme]": "resource group",
    "azurerm_storage_account[fsacme]": "storage account of the feature store",
    "azurerm_storage_account[stacme]": "whole storage account",
    "azurerm_storage_container[cloudmlops]": "storage account",  # of which the library asks only about this container
    "azurerm_storage_container[undelivered]": "dead letters",
    "azurerm_user_assigned_identity[id-acme-serve]": "identity of serve",
}
"""What roles are given on, as the stand-ins invent its id, and what the library calls it."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Applied:
    return applied("stacks/azure", tmp_path_factory.mktemp("stack"), VARIABLES)


@pytest.mark.parametrize("job", sorted(JOBS))
def test_an_identity_is_granted_all_that_the_verbs_of_its_job_need(stack: Applied, job: str) -> None:
    assert _missing(stack, job) == []


@pytest.mark.parametrize("job", sorted(JOBS))
def test_an_identity_is_granted_nothing_that_no_verb_of_its_job_needs(stack: Applied, job: str) -> None:
    assert _over(stack, job) == []


def test_an_action_that_is_taken_out_of_a_role_is_missed(stack: Applied) -> None:
    changed = copy.deepcopy(stack)
    actions = _role(changed, "acme deploy (workspace)")["permissions"][0]["actions"]
    actions.remove("Microsoft.MachineLearningServices/workspaces/onlineEndpoints/write")

    (fault,) = _missing(changed, "deploy")
    assert "onlineEndpoints/write is not granted" in fault
    assert _missing(changed, "train") == []


def test_an_action_that_is_added_to_a_role_is_found(stack: Applied) -> None:
    changed = copy.deepcopy(stack)
    actions = _role(changed, "acme serve (workspace)")["permissions"][0]["actions"]
    actions.append("Microsoft.MachineLearningServices/workspaces/datastores/listSecrets/action")

    (fault,) = _over(changed, "serve")
    assert "listSecrets/action is granted, and nothing needs it" in fault


def test_a_larger_role_of_azures_than_a_job_needs_is_found(stack: Applied) -> None:
    changed = copy.deepcopy(stack)
    _assigned(changed, "serve/container")["role_definition_name"] = "Storage Blob Data Contributor"

    (fault,) = _over(changed, "serve")
    assert "Storage Blob Data Reader would do" in fault


def test_a_role_on_more_than_the_container_is_found(stack: Applied) -> None:
    changed = copy.deepcopy(stack)
    _assigned(changed, "serve/container")["scope"] = "made-up-azurerm_storage_account[stacme].id"

    assert any("blobs/read is not granted" in fault for fault in _missing(changed, "serve"))
    assert any("whole storage account" in fault for fault in _over(changed, "serve"))


def test_who_has_a_role_on_redis_is_who_reads_or_writes_features_online(stack: Applied) -> None:
    users = {one["object_id"] for one in stack.resources("azurerm_managed_redis_access_policy_assignment").values()}

    assert users == {_principal(job) for job in JOBS if uses_redis(job)}


@pytest.mark.parametrize("role", ROLES)
def test_people_have_the_parts_of_their_role_and_no_more(stack: Applied, role: Role) -> None:
    granted = {
        (_place(one["scope"]), one["role_definition_name"])
        for one in _assignments(stack)
        if one["principal_id"] == VARIABLES["people"][role]["object_id"]  # type: ignore[index]
    }

    assert granted == {(_called(where), definition.name) for where, definition in parts_of(SETTINGS)[role]}


def test_only_jobs_people_and_services_that_deliver_have_roles(stack: Applied) -> None:
    known = {_principal(job) for job in JOBS} | {UUID.format(number + 3) for number in range(len(ROLES))}
    others = defaultdict(set)
    for one in _assignments(stack):
        if one["principal_id"] not in known:
            others[one["principal_id"]].add((_place(one["scope"]), one["role_definition_name"]))

    assert others == {
        "made-up-azurerm_machine_learning_workspace[mlw-acme].principal_id": {
            ("storage account", "Storage Blob Data Reader")
        },
        "made-up-azurerm_eventgrid_namespace[evgns-acme].principal_id": {
            ("dead letters", "Storage Blob Data Contributor")
        },
        "made-up-azurerm_eventgrid_system_topic[evgt-acme].principal_id": {
            ("dead letters", "Storage Blob Data Contributor"),
            ("topic", "EventGrid Data Sender"),
        },
    }


def test_nobody_has_a_basic_role_and_no_role_of_ours_has_a_star(stack: Applied) -> None:
    assert not {one["role_definition_name"] for one in _assignments(stack)} & {"Owner", "Contributor"}
    for one in stack.resources("azurerm_role_definition").values():
        (permissions,) = one["permissions"]
        assert not any("*" in action for action in permissions["actions"])
        assert not permissions["data_actions"]
        assert one["assignable_scopes"] == ["made-up-azurerm_resource_group[rg-acme].id"]


def test_every_verb_is_of_a_job_or_of_people() -> None:
    from cloudmlops.providers.azureml.mapping.access import permissions_of

    assert frozenset().union(OF_PEOPLE, *JOBS.values()) == permissions_of(SETTINGS).keys()


def _missing(stack: Applied, job: str) -> list[str]:
    own, given = _own(stack, job), _given(stack, job)
    return [
        f"{job} on the {scope}: {action} is not granted"
        for scope, actions in needs(job).items()
        for action in sorted(actions - own.get(scope, frozenset()))
        if not any(_grants(role, action) for role in given.get(scope, ()))
    ]


def _over(stack: Applied, job: str) -> list[str]:
    wanted = needs(job)
    faults = [
        f"{job} on the {scope}: {action} is granted, and nothing needs it"
        for scope, actions in _own(stack, job).items()
        for action in sorted(actions - wanted.get(scope, frozenset()))
    ]
    for scope, roles in _given(stack, job).items():
        if scope not in wanted:
            faults.append(f"{job} on the {scope}: {', '.join(roles)} is granted, and nothing needs it")
        elif roles != (enough := _least_roles(wanted[scope])):
            faults.append(f"{job} on the {scope}: {', '.join(roles)} is granted, and {', '.join(enough)} would do")
    return faults


def _role(stack: Applied, name: str) -> dict[str, Any]:
    return next(one for one in stack.resources("azurerm_role_definition").values() if one["name"] == name)


def _assigned(stack: Applied, what: str) -> dict[str, str]:
    return next(one for one in _assignments(stack) if one["description"] == f"cloudmlops: {what}")


def _own(stack: Applied, job: str) -> Mapping[str, frozenset[str]]:
    """Return the actions of the module's own roles, by what an identity has them on."""
    definitions = {
        one["role_definition_resource_id"]: frozenset(one["permissions"][0]["actions"])
        for one in stack.resources("azurerm_role_definition").values()
    }
    found: dict[str, frozenset[str]] = {}
    for one in _assignments(stack):
        if one["principal_id"] == _principal(job) and one["role_definition_id"] in definitions:
            place = _place(one["scope"])
            assert place not in found, f"{job} has two roles on the {place}"
            found[place] = definitions[one["role_definition_id"]]
    return found


def _given(stack: Applied, job: str) -> Mapping[str, frozenset[str]]:
    """Return the names of Azure's roles, by what an identity has them on."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in _assignments(stack):
        if one["principal_id"] == _principal(job) and not one["role_definition_name"].startswith("made-up"):
            found[_place(one["scope"])].add(one["role_definition_name"])
    return {place: frozenset(names) for place, names in found.items()}


def _grants(name: str, action: str) -> bool:
    if name in IMAGES:
        return action in IMAGES[name]
    return next(role for role in FROM_LEAST if role.name == name).grants(action)


def _least_roles(actions: frozenset[str]) -> frozenset[str]:
    """Return the smallest of Azure's roles: one that has all, or, where there is none, one for each action."""
    if images := {name for name, may in IMAGES.items() if may & actions}:
        return frozenset(images)
    data = frozenset(one for one in actions if one.startswith("Microsoft.EventGrid/events/"))
    return frozenset(least(frozenset({one})).name for one in data) if data else frozenset({least(actions).name})


def _assignments(stack: Applied) -> list[dict[str, str]]:
    return list(stack.resources("azurerm_role_assignment").values())


def _principal(job: str) -> str:
    return f"made-up-azurerm_user_assigned_identity[id-acme-{job}].principal_id"


def _place(scope: str) -> str:
    return PLACES[re.sub(r"^made-up-(.*)\.id$", r"\1", scope)]


def _called(where: str) -> str:
    return "whole storage account" if where == "storage account" else str(where)
