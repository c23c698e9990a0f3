"""Roles and their assignments on the workspace and on the account that its datastore is in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from cloudmlops.domain.access import Grant, Permission, Role
from cloudmlops.errors import ConflictError
from cloudmlops.ports.access import AccessPort
from cloudmlops.providers.azureml.credentials import caller
from cloudmlops.providers.azureml.mapping import access as mapping
from cloudmlops.providers.azureml.mapping.access import Where
from cloudmlops.providers.azureml.mapping.roles import Definition, granted, includes

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.backends import AzureMLBackends

_CHECK: Final = "access.check"
_NAMES: Final = UUID("1c1f0a1e-6f0e-4f4b-9c57-5f1f0a6f7a2d")
"""Names of assignments are derived from what they say: the same grant again is the same assignment."""
_DEFINITIONS: Final = "/providers/Microsoft.Authorization/roleDefinitions/"


class AzureMLAccess(AccessPort):
    """Azure's role-based access control; assignments with a condition are passed over, for they may not apply."""

    def __init__(self, backends: AzureMLBackends) -> None:
        self._settings = backends.settings
        self._wire = backends.wire
        self._backends = backends
        self._permissions = mapping.permissions_of(backends.settings)
        self._parts = mapping.parts_of(backends.settings)

    @property
    def permissions(self) -> Mapping[str, Sequence[Permission]]:
        return self._permissions

    def list(self) -> Sequence[Grant]:
        """Read who holds all parts of a role, by assignments at workspace, account and topic or above."""
        return mapping.grants(
            mapping.held_by(
                (one.principal_id, where, _definition_id(one))
                for where, scope in self._scopes.items()
                for one in self._assignments(scope, "atScope()", "access.list")
            ),
            self._parts,
        )

    def held(self, permissions: Collection[Permission]) -> frozenset[Permission]:
        """Evaluate the caller's assignments, those of his groups too, at the workspace, the container and the topic."""
        me = caller(self._wire.management_token()).id
        data, events = mapping.of_data(permissions), mapping.of_events(permissions)
        others = frozenset(permissions) - data - events
        held = self._granted(self._settings.workspace_id, me, others) if others else frozenset()
        held |= self._granted(self._container, me, data) if data else frozenset()
        return held | (self._granted(self._settings.topic_id, me, events) if events else frozenset())

    def holders(self, role: Role, principals: Collection[str]) -> frozenset[str]:
        """Evaluate assignments, those of groups and inherited ones too: who is granted all that the parts grant."""
        return frozenset(one for one in principals if mapping.is_principal(one) and self._holds(one, role))

    def grant(self, role: Role, principal: str) -> None:
        """Assign the role's parts; Azure lets them count within minutes."""
        who = mapping.checked_principal(principal)
        for where, definition in self._parts[role]:
            with suppress(ConflictError):  # it is assigned already
                self._assign(self._scopes[where], definition, who)

    def revoke(self, role: Role, principal: str) -> None:
        """Remove assignments of the role's parts, but for those that another role of his needs, and inherited ones."""
        who = mapping.checked_principal(principal)
        assigned = [
            (where, one)
            for where, scope in self._scopes.items()
            for one in self._assignments(scope, f"principalId eq '{who}'", "access.revoke")
            if one.scope.lower() == scope.lower()
        ]
        held = mapping.held_by((who, where, _definition_id(one)) for where, one in assigned).get(who, frozenset())
        gone = mapping.to_take(held, role, self._parts)
        for where, one in assigned:
            if (where, _definition_id(one)) in gone:
                self._remove(one.id, who)

    @cached_property
    def _account(self) -> str:
        """The id of the account: the workspace's own, or one of that name in the same resource group."""
        settings, name = self._settings, self._backends.place.account
        workspace = self._ask(
            lambda: self._wire.client.workspaces.get(settings.workspace), _CHECK, f"workspace {settings.workspace}"
        )
        own = str(getattr(workspace, "storage_account", None) or "")
        if own.rpartition("/")[2].lower() == name.lower():
            return own
        return (
            f"/subscriptions/{settings.subscription}/resourceGroups/{settings.resource_group}"
            f"/providers/Microsoft.Storage/storageAccounts/{name}"
        )

    @property
    def _container(self) -> str:
        return f"{self._account}/blobServices/default/containers/{self._backends.place.container}"

    @property
    def _scopes(self) -> Mapping[Where, str]:
        scopes = {Where.WORKSPACE: self._settings.workspace_id, Where.ACCOUNT: self._account}
        return {**scopes, Where.TOPIC: self._settings.topic_id} if self._settings.topic else scopes

    @property
    def _client(self) -> Any:
        return self._wire.authorization

    def _holds(self, principal: str, role: Role) -> bool:
        scopes, parts = self._scopes, self._parts[role]
        roles = {where: tuple(self._roles(scopes[where], principal)) for where in dict.fromkeys(at for at, _ in parts)}
        return all(includes(roles[where], definition) for where, definition in parts)

    def _granted(self, scope: str, principal: str, permissions: Collection[Permission]) -> frozenset[Permission]:
        roles = tuple(self._roles(scope, principal))
        return frozenset(one for one in permissions if granted(roles, one.name))

    def _roles(self, scope: str, principal: str) -> Iterator[Definition]:
        assigned = self._assignments(scope, f"atScope() and assignedTo('{principal}')", _CHECK)
        for definition in dict.fromkeys(map(_definition_id, assigned)):
            shown = self._definition(scope, definition)
            for one in shown.permissions:
                yield Definition(
                    id=definition,
                    name=shown.role_name,
                    actions=tuple(one.actions or ()),
                    not_actions=tuple(one.not_actions or ()),
                    data_actions=tuple(getattr(one, "data_actions", None) or ()),
                    not_data_actions=tuple(getattr(one, "not_data_actions", None) or ()),
                )

    def _definition(self, scope: str, name: str) -> Any:
        return self._ask(lambda: self._client.role_definitions.get(scope, name), _CHECK, self._settings.address)

    def _assignments(self, scope: str, only: str, operation: str) -> Sequence[Any]:
        listed = self._wire.list(
            lambda: self._client.role_assignments.list_for_scope(scope, filter=only),
            operation=operation,
            resource=self._settings.address,
        )
        return [one for one in listed if not one.condition]

    def _remove(self, assignment: str, principal: str) -> None:
        self._ask(lambda: self._client.role_assignments.delete_by_id(assignment), "access.revoke", principal)

    def _assign(self, scope: str, definition: Definition, principal: str) -> None:
        parameters = self._client.role_assignments.models.RoleAssignmentCreateParameters(
            role_definition_id=f"/subscriptions/{self._settings.subscription}{_DEFINITIONS}{definition.id}",
            principal_id=principal,
        )
        parameters.principal_type = None  # Azure looks it up; the SDK says `User` of everybody
        name = str(uuid5(_NAMES, f"{scope.lower()}/{definition.id}/{principal}"))
        self._ask(lambda: self._client.role_assignments.create(scope, name, parameters), "access.grant", principal)

    def _ask(self, call: Callable[[], Any], operation: str, resource: str) -> Any:
        return self._wire.ask(call, operation=operation, resource=resource)


def _definition_id(assignment: Any) -> str:
    return str(assignment.role_definition_id).rpartition("/")[2].lower()
