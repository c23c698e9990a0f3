"""Who is given which built-in role where, and what follows from it by the role's definition alone.

The other half of what verbs need is given besides: to who has a role for resources, the data; to who has one for data,
the resources. What roles grant is read from their definitions and matched by the standard library's patterns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cloudmlops import connect
from cloudmlops.domain.access import Permission
from cloudmlops.emulators.azure.cloud import SUBSCRIPTION, AzureCloud
from cloudmlops.emulators.azure.rbac.roles import BUILT_IN, Role
from cloudmlops.errors import PermissionDeniedError
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.mapping.access import Where, is_data, permissions_of
from cloudmlops.providers.azureml.scopes import Scopes

from .conftest import GROUP
from .custom_roles import SEEING, role_of
from .verb_calls import Act, Calls

AT_TIMES = (
    "/models/read",
    "/environments/read",
    "/environments/versions/write",
    "/codes/versions/write",
    "/codes/versions/startPendingUpload/action",
    "/blobs/delete",
)
"""Actions that only some calls need, whose verbs need others that are granted with them."""
DONE_AT_AZURE = frozenset({"endpoints.delete", "endpoints.undeploy"})
"""Verbs that write down at last what Azure has done: who may not write is told so when it is done."""
ROLES = [role.name for role in BUILT_IN]
PLACES = ("subscription", "resource group", "workspace", "storage account")
Granted = Sequence[tuple[Role, str]]
"""Roles, and where they were given."""


@dataclass(kw_only=True)
class Matrix:
    """The worker on one platform, who is given a role for as long as it is looked at what he may do."""

    cloud: AzureCloud
    platform: AzureMLBackends
    sees: bool = False
    """Whether the worker can ask what `check_access` asks, whatever role is looked at."""

    def __post_init__(self) -> None:
        self._worker = self.cloud.tokens.directory.by_name("worker").object_id
        scopes = Scopes(self.platform, operation="access.grant")
        self.places = {
            "subscription": f"/subscriptions/{SUBSCRIPTION}",
            "resource group": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}",
            "workspace": scopes.scope(Where.WORKSPACE),
            "storage account": scopes.scope(Where.ACCOUNT),
        }
        known = (Where.WORKSPACE, Where.ACCOUNT, Where.GROUP, *((Where.TOPIC,) if self.platform.settings.topic else ()))
        self.asked = {where: scopes.asked(where) for where in known}
        """Of what the actions are asked, unless a test says what is below a workspace."""
        self.known = permissions_of(self.platform.settings)
        wanted = {one.name for needed in self.known.values() for one in needed}
        self._resources = role_of(self.cloud, [one for one in wanted if not is_data(one)])
        self._data = role_of(self.cloud, [one for one in wanted if is_data(one) and "/blobs/" in one])
        self._seeing = role_of(self.cloud, SEEING)

    def given(self, role: str, place: str, *, half: str) -> Granted:
        """Return a built-in role at a place, and what else belongs to it: all but its half of the rights.

        Args:
            role: Its name.
            place: One of `places`.
            half: `resources`, `data`, or `events`: these are what the topic lets be sent and received.
        """
        found = next(one for one in BUILT_IN if one.name == role)
        data = (self._data, self.places["storage account"])
        resources = (self._resources, self.places["resource group"])
        others = {"resources": [data], "data": [resources], "events": [data, resources]}
        seeing = [(self._seeing, self.places["resource group"])] if self.sees else []
        return [(found, self.places[place]), *others[half], *seeing]

    @contextmanager
    def having(self, given: Granted) -> Iterator[None]:
        """Let the worker have roles for a while."""
        made = [self.cloud.access.assign(scope, self._worker, role)["name"] for role, scope in given]
        try:
            yield
        finally:
            for name in made:
                self.cloud.access.unassign(name)

    def lacking(self, given: Granted, verb: str) -> set[Permission]:
        """Say what of a verb's actions nobody grants."""
        return {one for one in self.known[verb] if not any(self._grants(*each, one) for each in given)}

    def lets_in(self, given: Granted, verb: str) -> bool:
        """Say whether a verb is let in, where nothing is asked for that it needs only on conditions."""
        return all(one.when or one.name.endswith(AT_TIMES) for one in self.lacking(given, verb))

    def _grants(self, role: Role, scope: str, permission: Permission) -> bool:
        if not f"{self.asked[Where(permission.scope)]}/".lower().startswith(f"{scope}/".lower()):
            return False
        data = is_data(permission.name)
        granted, taken = (role.data_actions, role.not_data_actions) if data else (role.actions, role.not_actions)
        name = permission.name.lower()
        return any(fnmatchcase(name, one.lower()) for one in granted) and not any(
            fnmatchcase(name, one.lower()) for one in taken
        )


def done(matrix: Matrix, calls: Calls, cases: Sequence[tuple[str, str, str]]) -> str:
    """Make calls as the worker; return a line for each that was let in or refused and should not have been.

    What a call needs is made anew as the owner once the one before was let in.

    Args:
        matrix: Of the platform.
        calls: By their verbs.
        cases: Roles, the places where they are given, and the halves of the rights that they are asked for.
    """
    wrong: list[str] = []
    ready: dict[str, Act] = {}
    for role, place, half in cases:
        given = matrix.given(role, place, half=half)
        with matrix.having(given):
            for verb, prepared in calls.of.items():
                act = ready.pop(verb, None) or prepared()
                should, let_in = matrix.lets_in(given, verb), let(matrix, calls, act)
                if not let_in and verb not in DONE_AT_AZURE:
                    ready[verb] = act
                if let_in is not should:
                    lacking = sorted(one.name for one in matrix.lacking(given, verb) if not one.when)
                    wrong.append(f"{role} at the {place}, {half}: {verb} lacks {lacking}, let in: {let_in}")
    return "\n".join(wrong)


def let(matrix: Matrix, calls: Calls, act: Act) -> bool:
    """Make a call as the worker on a platform of its own; say whether it was let in."""
    calls.become("worker")
    try:
        with connect(matrix.platform.settings.target) as platform:
            act(platform)
    except PermissionDeniedError:
        return False
    finally:
        calls.become("owner")
    return True
