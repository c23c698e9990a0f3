"""Microsoft.Authorization: role definitions and assignments, at any scope."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.rbac.deciding import scopes_above
from cloudmlops.emulators.azure.rbac.roles import Role
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

_PROVIDER: Final = "/providers/Microsoft.Authorization"
_FILTER: Final = re.compile(
    r"\s*(\w+)\(\)\s*|\s*(\w+)\s+eq\s+'([^']*)'\s*|\s*assignedTo\('([^']*)'\)\s*", re.IGNORECASE
)


def add_authorization(world: World) -> None:
    """Let roles be listed, defined, given and taken away."""
    _Authorization(world)


class _Authorization:
    def __init__(self, world: World) -> None:
        self._world = world
        self._access = world.access
        of = world.routes.add_at_any_scope
        of("GET", f"{_PROVIDER}/roleDefinitions", self.list_definitions)
        of("GET", f"{_PROVIDER}/roleDefinitions/{{role}}", self.get_definition)
        of("PUT", f"{_PROVIDER}/roleDefinitions/{{role}}", self.put_definition)
        of("DELETE", f"{_PROVIDER}/roleDefinitions/{{role}}", self.delete_definition)
        of("GET", f"{_PROVIDER}/roleAssignments", self.list_assignments)
        of("GET", f"{_PROVIDER}/roleAssignments/{{assignment}}", self.get_assignment)
        of("PUT", f"{_PROVIDER}/roleAssignments/{{assignment}}", self.put_assignment)
        of("DELETE", f"{_PROVIDER}/roleAssignments/{{assignment}}", self.delete_assignment)

    def list_definitions(self, request: ArmRequest) -> Answer:
        wanted = _filter(request.query("$filter"))
        found = [role for role in self._access.roles() if _assignable(role, request.names["scope"])]
        if name := wanted.pop("rolename", ""):
            found = [role for role in found if role.name == name]
        if kind := wanted.pop("type", ""):
            found = [role for role in found if role.custom == (kind.lower() == "customrole")]
        wanted.pop("atscopeandbelow", None)
        _refuse_other(wanted)
        return answer_json({"value": [_at(role, request.names["scope"]) for role in found]})

    def get_definition(self, request: ArmRequest) -> Answer:
        role = self._access.role(request.names["role"])
        if role is None:
            raise _no_role(request.names["role"])
        return answer_json(_at(role, request.names["scope"]))

    def put_definition(self, request: ArmRequest) -> Answer:
        name = _uuid(request.names["role"], "role definition")
        properties: dict[str, Any] = request.body.get("properties") or {}
        if not properties.get("roleName"):
            raise Refused("INVALID_ARGUMENT", "The role definition has no name.", reason="InvalidRoleDefinitionName")
        other = self._access.role(properties["roleName"])
        if other is not None and other.id.lower() != name:
            raise Refused(
                "ALREADY_EXISTS",
                f"Custom role with name {properties['roleName']} already exists.",
                reason="RoleDefinitionWithSameNameExists",
            )
        role = self._access.define({"name": name, "properties": properties}, by=request.caller.object_id)
        return answer_json(_at(role, request.names["scope"]), status=201)

    def delete_definition(self, request: ArmRequest) -> Answer:
        gone = self._access.undefine(request.names["role"])
        return answer_json(_at(gone, request.names["scope"])) if gone is not None else Answer(status=204)

    def list_assignments(self, request: ArmRequest) -> Answer:
        scope = request.names["scope"]
        wanted = _filter(request.query("$filter"))
        found: Iterable[dict[str, Any]] = self._access.assignments()
        above = set(scopes_above(scope or "/"))
        at_scope = wanted.pop("atscope", None) is not None
        found = [one for one in found if _concerns(one["properties"]["scope"], scope, above, below=not at_scope)]
        if principal := wanted.pop("principalid", ""):
            found = [one for one in found if one["properties"]["principalId"] == principal.lower()]
        if principal := wanted.pop("assignedto", ""):  # groups count, too
            who = self._world.tokens.directory.acting(principal)
            found = [one for one in found if one["properties"]["principalId"] in who]
        _refuse_other(wanted)
        return answer_json({"value": found})

    def get_assignment(self, request: ArmRequest) -> Answer:
        found = self._named(request)
        if found is None:
            raise Refused(
                "NOT_FOUND",
                f"The role assignment '{request.names['assignment']}' is not found.",
                reason="RoleAssignmentNotFound",
            )
        return answer_json(found)

    def put_assignment(self, request: ArmRequest) -> Answer:
        name = _uuid(request.names["assignment"], "role assignment")
        given: dict[str, Any] = request.body.get("properties") or {}
        if given.get("condition"):
            raise Refused("UNIMPLEMENTED", "a condition of a role assignment is not emulated: assign without")
        role = self._access.role(str(given.get("roleDefinitionId", "")))
        if role is None:
            raise _no_role(str(given.get("roleDefinitionId", "")).rpartition("/")[2])
        principal = self._world.tokens.directory.by_object(str(given.get("principalId", "")))
        if principal is None:
            raise Refused(
                "INVALID_ARGUMENT",
                f"Principal {str(given.get('principalId', '')).replace('-', '')} does not exist in the directory "
                f"{self._world.tokens.directory.tenant}.",
                reason="PrincipalNotFound",
            )
        made = self._access.assign(
            request.names["scope"] or "/", principal.object_id, role, name=name, kind=principal.kind
        )
        return answer_json(made, status=201)

    def delete_assignment(self, request: ArmRequest) -> Answer:
        gone = self._access.unassign(request.names["assignment"]) if self._named(request) else None
        return answer_json(gone) if gone is not None else Answer(status=204)

    def _named(self, request: ArmRequest) -> dict[str, Any] | None:
        name = request.names["assignment"].lower()
        return next((one for one in self._access.assignments() if one["name"].lower() == name), None)


def _at(role: Role, scope: str) -> dict[str, Any]:
    """Return a definition as it is shown at a scope."""
    parts = scope.strip("/").split("/")
    within = f"/subscriptions/{parts[1]}" if len(parts) > 1 else ""
    return {**role.definition, "id": f"{within}{role.definition['id']}"}


def _assignable(role: Role, scope: str) -> bool:
    above = scopes_above(scope or "/")
    return any(one.lower().rstrip("/") in (known.rstrip("/") for known in above) for one in role.assignable)


def _concerns(assigned: str, scope: str, above: set[str], *, below: bool) -> bool:
    return assigned.lower() in above or (below and assigned.lower().startswith(f"{scope.lower()}/"))


def _filter(text: str) -> dict[str, str]:
    """Read `$filter`: `atScope()`, `assignedTo('…')` and `name eq '…'`, joined by `and`.

    Raises:
        Refused: It is another expression.
    """
    found: dict[str, str] = {}
    for part in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE) if text.strip() else []:
        matched = _FILTER.fullmatch(part)
        if matched is None:
            raise Refused("INVALID_ARGUMENT", f"The filter '{text}' is not supported.", reason="UnsupportedQuery")
        function, name, value, assigned = matched.groups()
        if function:
            found[function.lower()] = "true"
        elif name:
            found[name.lower()] = value
        else:
            found["assignedto"] = assigned
    return found


def _refuse_other(wanted: dict[str, str]) -> None:
    if wanted:
        raise Refused(
            "INVALID_ARGUMENT",
            f"The filter on {', '.join(sorted(wanted))} is not supported.",
            reason="UnsupportedQuery",
        )


def _no_role(name: str) -> Refused:
    return Refused(
        "NOT_FOUND",
        f"The specified role definition with ID '{name}' does not exist.",
        reason="RoleDefinitionDoesNotExist",
    )


def _uuid(text: str, what: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise Refused(
            "INVALID_ARGUMENT",
            f"The {what} ID '{text}' is not valid. The {what} ID must be a GUID.",
            reason="InvalidRoleAssignmentId" if "assignment" in what else "InvalidRoleDefinitionId",
        ) from error
