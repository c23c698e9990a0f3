"""Roles and their assignments on the workspace, on the account of its datastore, and on what the settings name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from cloudmlops.domain.access import Grant, Lack, Permission, Role
from cloudmlops.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
)
from cloudmlops.ports.access import AccessPort
from cloudmlops.providers import role_parts
from cloudmlops.providers.azureml.credentials import caller
from cloudmlops.providers.azureml.mapping import access as mapping
from cloudmlops.providers.azureml.mapping import role_parts as parts
from cloudmlops.providers.azureml.mapping.access import Where
from cloudmlops.providers.azureml.mapping.roles import Definition, granted, includes
from cloudmlops.providers.azureml.scopes import Scopes

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.backends import AzureMLBackends

_CHECK: Final = "access.check"
_NAMES: Final = UUID("1c1f0a1e-6f0e-4f4b-9c57-5f1f0a6f7a2d")
"""Names of assignments are derived from what they say: the same grant again is the same assignment."""
_DEFINITIONS: Final = "/providers/Microsoft.Authorization/roleDefinitions/"


class AzureMLAccess(AccessPort):
    """Azure's role-based access control; an assignment with a condition counts as none, for it may not apply."""

    def __init__(self, backends: AzureMLBackends) -> None:
        self._settings = backends.settings
        self._wire = backends.wire
        self._scopes = Scopes(backends, operation=_CHECK)
        self._permissions = mapping.permissions_of(backends.settings)
        self._parts = parts.parts_of(backends.settings)

    @property
    def permissions(self) -> Mapping[str, Sequence[Permission]]:
        return self._permissions

    def list(self) -> Sequence[Grant]:
        """Read who holds all parts of a role, by assignments at the scopes of its parts or above."""
        scopes = self._places()
        held = parts.held_by(
            (one.principal_id, scope, _definition_id(one))
            for scope in dict.fromkeys(scopes.values())
            for one in self._unconditional(scope, "atScope()", "access.list")
        )
        return role_parts.grants(held, parts.placed(self._parts, scopes))

    def lacking(self, permissions: Collection[Permission]) -> Mapping[Permission, Lack]:
        """Evaluate the caller's assignments, those of his groups too, at what each permission is asked of.

        What Redis lets him do, Redis is asked.
        """
        asked: dict[Where, list[Permission]] = {}
        for one in permissions:
            asked.setdefault(Where(one.scope), []).append(one)
        found: dict[Permission, Lack] = {}
        for where, some in asked.items():
            found |= self._lacking_in_redis(some) if where is Where.REDIS else self._lacking_at(where, some)
        return found

    def holders(self, role: Role, principals: Collection[str]) -> frozenset[str]:
        """Evaluate assignments, those of groups and inherited ones too: who is granted all that the parts grant."""
        known = [one for one in principals if parts.is_principal(one)]
        if not known:
            return frozenset()
        made_of = [(self._scopes.scope(where), definition) for where, definition in self._parts[role]]
        return frozenset(one for one in known if self._holds(one, made_of))

    def grant(self, role: Role, principal: str) -> None:
        """Assign the role's parts; Azure lets them count within minutes. What fails says which of them are assigned."""
        who = parts.checked_principal(principal)
        scopes = {where: self._scopes.scope(where) for where, _ in self._parts[role]}
        wanted = parts.in_order(self._parts[role], scopes)
        for done, (where, definition) in enumerate(wanted):
            try:
                with suppress(ConflictError):  # it is assigned already
                    self._assign(scopes[where], definition, who)
            except ServiceError as error:
                error.hint = (
                    f"Assigned: {parts.names_of(wanted[:done])}. Not assigned: {parts.names_of(wanted[done:])}. "
                    f"The same grant assigns the rest, revoke takes all of them away. {error.hint}".rstrip()
                )
                raise

    def revoke(self, role: Role, principal: str) -> None:
        """Remove assignments of the role's parts, but for those that another role of his needs, and inherited ones.

        What fails says which of them are left.
        """
        who, scopes = parts.checked_principal(principal), self._places()
        assigned = [
            (scope, one)
            for scope in dict.fromkeys(scopes.values())
            for one in self._unconditional(scope, f"principalId eq '{who}'", "access.revoke")
            if one.scope.lower() == scope.lower()
        ]
        held = parts.held_by((who, scope, _definition_id(one)) for scope, one in assigned).get(who, frozenset())
        gone = role_parts.to_take(held, role, parts.placed(self._parts, scopes))
        left = [
            (where, definition)
            for where, definition in parts.in_order(self._parts[role], scopes)
            if (scopes[where].lower(), definition.id) in gone
        ]
        while left:
            where, definition = left[-1]
            try:
                for scope, one in assigned:
                    if scope.lower() == scopes[where].lower() and _definition_id(one) == definition.id:
                        self._remove(one.id, who)
            except ServiceError as error:
                told = f"Still assigned: {parts.names_of(left)}. The same revoke takes them away. {error.hint}"
                error.hint = told.rstrip()
                raise
            left.pop()

    @property
    def _client(self) -> Any:
        return self._wire.authorization

    def _places(self) -> Mapping[Where, str]:
        """Return the scopes of the parts of all roles."""
        wanted = dict.fromkeys(where for made_of in self._parts.values() for where, _ in made_of)
        return {where: self._scopes.scope(where) for where in wanted}

    def _lacking_at(self, where: Where, permissions: Collection[Permission]) -> dict[Permission, Lack]:
        resource = ""
        try:
            resource = self._scopes.asked(where)
            assigned = self._assigned(resource, caller(self._wire.management_token()).id)
            roles = tuple(self._roles(resource, [one for one in assigned if not one.condition]))
            missing = [one for one in permissions if not granted(roles, one.name)]
            doubtful = [one for one in assigned if one.condition] if missing else []
            conditional = tuple(self._roles(resource, doubtful))
        except (ConfigurationError, NotFoundError, PermissionDeniedError) as error:
            told = f"{error.message}. {error.hint}".rstrip()
            return dict.fromkeys(permissions, Lack(resource=resource, unknown=told))
        return {one: Lack(resource=resource, unknown=_doubt(conditional, one.name)) for one in missing}

    def _lacking_in_redis(self, permissions: Collection[Permission]) -> dict[Permission, Lack]:
        from cloudmlops.providers.azureml.feature_store.redis_rights import refused

        resource = mapping.redis_host(self._settings)
        try:
            commands = refused(self._wire, [one.name.removeprefix("+") for one in permissions], operation=_CHECK)
        except AuthenticationError:  # he is no user of the cache, or it would know his token
            return dict.fromkeys(permissions, Lack(resource=resource))
        except ServiceError as error:
            return dict.fromkeys(permissions, Lack(resource=resource, unknown=error.message))
        return {one: Lack(resource=resource) for one in permissions if one.name.removeprefix("+") in commands}

    def _holds(self, principal: str, made_of: Collection[tuple[str, Definition]]) -> bool:
        roles = {
            scope: tuple(self._roles(scope, [one for one in self._assigned(scope, principal) if not one.condition]))
            for scope in dict.fromkeys(scope for scope, _ in made_of)
        }
        return all(includes(roles[scope], definition) for scope, definition in made_of)

    def _assigned(self, scope: str, principal: str) -> Sequence[Any]:
        """Return somebody's assignments, those of his groups and inherited ones too."""
        return self._assignments(scope, f"atScope() and assignedTo('{principal}')", _CHECK)

    def _roles(self, scope: str, assigned: Sequence[Any]) -> Iterator[Definition]:
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
        return [*listed]

    def _unconditional(self, scope: str, only: str, operation: str) -> Sequence[Any]:
        return [one for one in self._assignments(scope, only, operation) if not one.condition]

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


def _doubt(conditional: Sequence[Definition], action: str) -> str:
    """Say which roles might grant an action if their conditions hold, which is not evaluated here."""
    names = dict.fromkeys(role.name for role in conditional if role.grants(action))
    return f"assigned with a condition, which is not looked at: {', '.join(names)}" if names else ""
