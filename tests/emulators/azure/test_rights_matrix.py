"""Every call of Azure Resource Manager by who has one built-in role at one scope: let in or refused as its actions say.

What a role says is read off the wire, and matched by the standard library's patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloudmlops.emulators.azure import azure_cloud
from cloudmlops.emulators.azure.arm.routes import Route
from cloudmlops.emulators.azure.arm.service import AUDIENCES
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.azure.rbac.roles import BUILT_IN
from cloudmlops.emulators.core.emulator import Emulator

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rights"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/absent"
ELSEWHERE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/elsewhere"
SCOPES = ("/", f"/subscriptions/{SUBSCRIPTION}", GROUP, WORKSPACE, ELSEWHERE)
ROLES = [role.name for role in BUILT_IN]
NAMES = {
    **dict.fromkeys(("subscription", "subscriptionId", "s"), SUBSCRIPTION),
    **dict.fromkeys(("group", "resource_group", "g"), "rights"),
}


class Asking:
    """Asks as a principal that has exactly one role, on an emulator of its own."""

    def __init__(self, emulator: Emulator) -> None:
        cloud = emulator.cloud(AzureCloud)
        self.routes = [route for route in cloud.routes if route.action]
        self._access = cloud.access
        self._nobody = cloud.tokens.directory.by_name("nobody")
        self._http = httpx.Client(base_url=emulator.url, params={"api-version": "2023-10-01"}, verify=False)
        self._http.headers["Authorization"] = f"Bearer {cloud.tokens.issue(self._nobody, AUDIENCES[0])}"
        self._access.assign("/", self._nobody.object_id, BUILT_IN[0], name="to-read-the-roles")
        shown = self._http.get("/providers/Microsoft.Authorization/roleDefinitions").json()["value"]
        self._access.unassign("to-read-the-roles")
        self.roles: dict[str, Any] = {one["properties"]["roleName"]: one for one in shown}

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def having(self, role: str, scope: str) -> Iterator[None]:
        definition = self._access.role(self.roles[role]["id"])
        assert definition is not None
        assignment = self._access.assign(scope, self._nobody.object_id, definition)
        yield
        self._access.unassign(assignment["name"])

    def is_let_in(self, route: Route) -> bool:
        sent = {} if route.method in {"PUT", "PATCH", "POST"} else None
        answer = self._http.request(route.method, filled(route.path), json=sent)
        assert answer.status_code != 401, answer.text
        if answer.status_code != 403:
            return True
        assert answer.json()["error"]["code"] == "AuthorizationFailed", answer.text
        assert route.action in answer.json()["error"]["message"]
        return False

    def should_be_let_in(self, route: Route, role: str, scope: str) -> bool:
        (said,) = self.roles[role]["properties"]["permissions"]
        granted = any(matches(route.action, one) for one in said["actions"])
        taken = any(matches(route.action, one) for one in said["notActions"])
        within = scope == "/" or f"{about(route)}/".lower().startswith(f"{scope}/".lower())
        return within and granted and not taken


def about(route: Route) -> str:
    """Return the id of what a call is about: of a list or an action, what it is of."""
    if "{scope}" in route.path:
        return WORKSPACE
    above, providers, below = filled(route.path).rpartition("/providers/")
    if not providers:
        return "/".join(below.split("/")[:5])  # up to the resource group
    namespace, *typed = below.split("/")
    names = len(typed) // 2 * 2
    return f"{above}{providers}{'/'.join([namespace, *typed[:names]])}" if names and providers else above


def filled(path: str) -> str:
    """Return a route's path with names of what is not there."""
    return re.sub(r"\{(\w+)\}", lambda name: NAMES.get(name[1], "absent"), path.replace("{scope}", WORKSPACE))


def matches(action: str, pattern: str) -> bool:
    return fnmatchcase(action.lower(), pattern.lower())


@pytest.fixture
def asking(principals_file: Path) -> Iterator[Asking]:
    with Emulator([azure_cloud(principals_file)]) as emulator:
        made = Asking(emulator)
        yield made
        made.close()


@pytest.mark.parametrize(
    "scope",
    [pytest.param(scope, marks=() if scope == WORKSPACE else pytest.mark.conformance(ci=True)) for scope in SCOPES],
)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_lets_in_what_its_actions_say_where_it_was_given_and_below(
    asking: Asking, role: str, scope: str
) -> None:
    with asking.having(role, scope):
        wrong = [
            f"{route.method} {route.path}: should {'' if should else 'not '}be let in"
            for route in asking.routes
            if asking.is_let_in(route) is not (should := asking.should_be_let_in(route, role, scope))
        ]

    assert wrong == []
    assert len(asking.routes) > 100


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_at_one_resource_lets_in_what_its_actions_say_of_that_resource(asking: Asking, role: str) -> None:
    wrong = []
    for route in asking.routes:
        with asking.having(role, about(route)):
            if asking.is_let_in(route) is not (should := asking.should_be_let_in(route, role, about(route))):
                wrong.append(f"{route.method} {route.path}: should {'' if should else 'not '}be let in")

    assert wrong == []
