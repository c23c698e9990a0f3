"""Role definitions and role assignments, as they are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.entra.principals import GROUP, Directory, Principal, derived_id
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.rbac.deciding import granted, scopes_above
from cloudmlops.emulators.azure.rbac.roles import BUILT_IN, Role
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State

DEFINITIONS: Final = "/providers/Microsoft.Authorization/roleDefinitions/"
ASSIGNMENTS: Final = "/providers/Microsoft.Authorization/roleAssignments/"


_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
"""What was there from the start counts at whatever time the clock is set to."""


class Access:
    """Who may do what. What was assigned or taken away counts when `delay` has passed on the clock."""

    def __init__(self, state: State, clock: Clock, directory: Directory) -> None:
        self._clock = clock
        self._directory = directory
        self._state = state
        self._definitions = state.table("role_definitions")
        self._assignments = state.table("role_assignments")
        self.delay = timedelta(0)
        """How long a change takes to count; Azure's takes up to ten minutes."""
        self._seed(directory)

    def check(self, caller: Caller, action: str, scope: str, *, data: bool = False) -> None:
        """Let somebody do something.

        Raises:
            Refused: No role grants it, in Azure's own words.
        """
        if not self.granted(caller.object_id, action, scope, data=data):
            raise Refused(
                "PERMISSION_DENIED",
                f"The client '{caller.client_id}' with object id '{caller.object_id}' does not have authorization to "
                f"perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently "
                "granted, please refresh your credentials.",
                reason="AuthorizationFailed",
            )

    def granted(self, object_id: str, action: str, scope: str, *, data: bool = False) -> bool:
        """Say whether somebody may do something."""
        return granted(self._roles_of(object_id, scope), action, data=data)

    def roles(self) -> list[Role]:
        """Return all definitions: those that are built in, and custom ones."""
        return [*BUILT_IN, *(_role(json.loads(data)) for _, data in self._definitions.items())]

    def role(self, name_or_id: str) -> Role | None:
        """Return the definition of a name, an id, or a resource id that ends with one."""
        wanted = name_or_id.rpartition("/")[2].lower()
        return next((role for role in self.roles() if wanted in (role.id.lower(), role.name.lower())), None)

    def define(self, definition: Mapping[str, Any], *, by: str | None = None) -> Role:
        """Keep a custom role.

        Args:
            definition: As Azure Resource Manager writes it.
            by: The object id of who makes it.
        """
        made = {"createdOn": self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "createdBy": by}
        role = _role({**definition, "properties": {**definition["properties"], **made}})
        self._definitions.put(role.id.lower(), json.dumps(role.definition).encode())
        return role

    def undefine(self, role_id: str) -> Role | None:
        """Remove a custom role.

        Raises:
            Refused: It is assigned to somebody.
        """
        role = self.role(role_id)
        if role is None or not role.custom:
            return None
        if any(one["properties"]["roleDefinitionId"].lower().endswith(role.id.lower()) for one in self.assignments()):
            raise Refused(
                "FAILED_PRECONDITION",
                "There are existing role assignments referencing role "
                f"(code: RoleDefinitionHasAssignments). Role: {role.id}",
                reason="RoleDefinitionHasAssignments",
            )
        self._definitions.delete(role.id.lower())
        return role

    def assign(
        self,
        scope: str,
        object_id: str,
        role: Role,
        *,
        name: str = "",
        kind: str = "",
        condition: str = "",
        counts_from: datetime | None = None,
    ) -> dict[str, Any]:
        """Give somebody a role.

        Args:
            scope: Where it counts, and below.
            object_id: Whose it is.
            role: Of `roles`.
            name: Of the assignment, a UUID; one is chosen when it is empty.
            kind: Of the principal.
            condition: What must hold besides; it is not evaluated: such an assignment is shown and grants nothing.
            counts_from: When it begins to count; None is when `delay` has passed.

        Raises:
            Refused: They have it there already, or another assignment has that name.
        """
        with self._state.transaction():
            if any(_is_same(one["properties"], scope, object_id, role) for one in self.assignments()):
                raise Refused("ALREADY_EXISTS", "The role assignment already exists.", reason="RoleAssignmentExists")
            name = name or str(uuid4())
            now = self._clock.now()
            kept = _assignment(scope, object_id, role, name=name, kind=kind, condition=condition, now=now)
            begin = now + self.delay if counts_from is None else counts_from
            data = {"resource": kept, "from": begin.isoformat(), "until": None}
            self._make_room(name.lower())
            if not self._assignments.create(name.lower(), json.dumps(data).encode()):
                raise Refused(
                    "ALREADY_EXISTS",
                    "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
                    reason="RoleAssignmentUpdateNotPermitted",
                )
            return kept

    def ensure_assigned(self, scope: str, principal: Principal, role: str) -> None:
        """Give somebody a role of a name that counts from the beginning, unless they once were given it like this."""
        self._assign_once(scope, principal, self._role_named(role, principal))

    def _make_room(self, name: str) -> None:
        """Let the name of an assignment that was taken away be used again; that one counts for as long as it does."""
        data = self._assignments.get(name)
        if data is not None and json.loads(data)["until"] is not None:
            self._assignments.delete(name)
            self._assignments.put(f"{name}~{uuid4().hex}", data)

    def unassign(self, name: str) -> dict[str, Any] | None:
        """Take a role away by its assignment's name; None when there is none."""
        with self._state.transaction():
            data = self._assignments.get(name.lower())
            if data is None or (known := json.loads(data))["until"] is not None:
                return None
            known["until"] = (self._clock.now() + self.delay).isoformat()
            self._assignments.put(name.lower(), json.dumps(known).encode())
            resource: dict[str, Any] = known["resource"]
            return resource

    def assignments(self) -> list[dict[str, Any]]:
        """Return all assignments that were made and not taken away."""
        kept = [json.loads(data) for _, data in self._assignments.items()]
        return [one["resource"] for one in kept if one["until"] is None]

    def _roles_of(self, object_id: str, scope: str) -> list[Role]:
        above, now = set(scopes_above(scope)), self._clock.now().isoformat()
        who = self._directory.acting(object_id)
        found = []
        for kept in [json.loads(data) for _, data in self._assignments.items()]:
            properties = kept["resource"]["properties"]
            counts = kept["from"] <= now and (kept["until"] is None or now < kept["until"])
            counts = counts and not properties["condition"]
            if counts and properties["principalId"] in who and properties["scope"].lower() in above:
                found.append(self.role(properties["roleDefinitionId"]))
        return [role for role in found if role is not None]

    def _seed(self, directory: Directory) -> None:
        given = [(principal, name) for principal in directory.principals for name in principal.roles]
        if unknown := [f"{principal.name!r} has the role {name!r}" for principal, name in given if not self.role(name)]:
            known = ", ".join(role.name for role in self.roles())
            raise Refused("INVALID_ARGUMENT", f"the principals are malformed: {'; '.join(unknown)}: there are {known}")
        for principal, name in given:
            self._assign_once(principal.scope or "/", principal, self._role_named(name, principal))

    def _assign_once(self, scope: str, principal: Principal, role: Role) -> None:
        name = derived_id("assignment", f"{principal.object_id}/{role.id}/{scope.lower()}")
        if self._assignments.get(name) is None:
            self.assign(scope, principal.object_id, role, name=name, kind=principal.kind, counts_from=_ALWAYS)

    def _role_named(self, name: str, principal: Principal) -> Role:
        role = self.role(name)
        if role is None:
            raise ValueError(
                f"{principal.name!r} has the role {name!r}, which there is not: "
                + ", ".join(known.name for known in self.roles())
            )
        return role


def _is_same(properties: Mapping[str, Any], scope: str, object_id: str, role: Role) -> bool:
    return bool(
        properties["scope"].lower() == scope.lower()
        and properties["principalId"] == object_id
        and properties["roleDefinitionId"].lower().endswith(role.id.lower())
    )


def _assignment(
    scope: str, object_id: str, role: Role, *, name: str, kind: str, condition: str, now: datetime
) -> dict[str, Any]:
    """Return an assignment as Azure Resource Manager shows it."""
    return {
        "id": f"{scope.rstrip('/')}{ASSIGNMENTS}{name}",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": name,
        "properties": {
            "roleDefinitionId": f"{_subscription(scope)}{DEFINITIONS}{role.id}",
            "principalId": object_id,
            "principalType": kind if kind in ("User", GROUP) else "ServicePrincipal",
            "scope": scope or "/",
            "condition": condition or None,
            "conditionVersion": "2.0" if condition else None,
            "createdOn": now.isoformat(),
            "updatedOn": now.isoformat(),
            "createdBy": None,
            "updatedBy": None,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
    }


def _subscription(scope: str) -> str:
    parts = scope.strip("/").split("/")
    return f"/subscriptions/{parts[1]}" if len(parts) > 1 and parts[0].lower() == "subscriptions" else ""


def _role(definition: Mapping[str, Any]) -> Role:
    properties = definition["properties"]
    permissions: list[Mapping[str, Any]] = properties.get("permissions") or []

    def of(key: str) -> tuple[str, ...]:
        return tuple(action for one in permissions for action in one.get(key) or ())

    return Role(
        id=str(definition["name"]),
        name=str(properties["roleName"]),
        actions=of("actions"),
        not_actions=of("notActions"),
        data_actions=of("dataActions"),
        not_data_actions=of("notDataActions"),
        custom=True,
        created_on=str(properties["createdOn"]),
        created_by=properties["createdBy"],
        assignable=tuple(properties.get("assignableScopes") or ("/",)),
        description=str(properties.get("description") or ""),
    )
