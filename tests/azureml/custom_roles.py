"""Custom roles as tests give them: of exactly some actions, where a verb needs them."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from cloudmlops.domain.access import Permission
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.rbac.roles import Role
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.mapping.access import Where, is_data, permissions_of
from cloudmlops.providers.azureml.scopes import Scopes

ML = "Microsoft.MachineLearningServices/workspaces"
SEEING = ("Microsoft.Authorization/*/read", f"{ML}/read", f"{ML}/datastores/read")
"""What `check_access` asks itself."""


def role_of(cloud: AzureCloud, actions: Iterable[str]) -> Role:
    """Define a role that grants some actions, on resources and on data."""
    wanted = list(dict.fromkeys(actions))
    granted = {
        "actions": [one for one in wanted if not is_data(one)],
        "dataActions": [one for one in wanted if is_data(one)],
    }
    name = str(uuid4())
    return cloud.access.define({"name": name, "properties": {"roleName": name, "permissions": [granted]}})


def take_all(cloud: AzureCloud, principal: str) -> None:
    """Take all roles of somebody's away."""
    for assignment in cloud.access.assignments():
        if assignment["properties"]["principalId"] == principal:
            cloud.access.unassign(assignment["name"])


class Rights:
    """The rights of the worker on a platform: those of a verb, or these without one, and nothing else."""

    def __init__(self, cloud: AzureCloud, platform: AzureMLBackends) -> None:
        self._cloud = cloud
        self._worker = cloud.tokens.directory.by_name("worker").object_id
        self._scopes = Scopes(platform, operation="access.grant")
        self.settings = platform.settings
        self.known = permissions_of(platform.settings)

    def of(self, verb: str, *, without: Permission | None = None) -> None:
        take_all(self._cloud, self._worker)
        asked: dict[Where, list[str]] = {}
        for one in self.known[verb]:
            if one.scope != Where.REDIS and (without is None or (one.name, one.scope) != (without.name, without.scope)):
                asked.setdefault(Where(one.scope), []).append(one.name)
        for where, names in asked.items():
            self._cloud.access.assign(self._scopes.scope(where), self._worker, role_of(self._cloud, names))

    def place(self, scope: str) -> str:
        """Return the id of a scope."""
        return self._scopes.scope(Where(scope))

    def may_look(self) -> None:
        """Let the worker see who has which roles, and where a datastore is, for as long as nothing else is said."""
        self._cloud.access.assign("/", self._worker, role_of(self._cloud, SEEING))
