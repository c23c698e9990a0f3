"""Managed identities of resources: one of a resource's own, and user-assigned ones that it has been given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloudmlops.emulators.azure.entra.principals import Principal
from cloudmlops.emulators.azure.entra.tokens import Tokens

SYSTEM: Final = "SystemAssigned"


@dataclass(frozen=True, kw_only=True, slots=True)
class Assigned:
    """Whose tokens what runs on a resource may have."""

    own: Principal | None
    """The system-assigned one."""
    others: Mapping[str, Principal]
    """The user-assigned ones, by resource id in lower case; those that nobody knows are left out."""

    @property
    def default(self) -> Principal | None:
        """Of which there is no doubt where none is named: the own one, else the only one."""
        if self.own is not None:
            return self.own
        return next(iter(self.others.values())) if len(self.others) == 1 else None

    def named(self, wanted: str) -> Principal | None:
        """Return the one of a client id, an object id or a resource id."""
        known = {**self.others, **({"": self.own} if self.own is not None else {})}
        for resource, one in known.items():
            if wanted.lower() in (one.client_id, one.object_id, resource):
                return one
        return None


def identity_given(tokens: Tokens, resource: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Give a resource the identities that a request says, and take away its own if it does not; return what is shown.

    Args:
        tokens: Of the tenant.
        resource: Its id.
        given: The `identity` of the request.
    """
    shown = dict(given)
    if users := given.get("userAssignedIdentities"):
        shown["userAssignedIdentities"] = {one: _ids(tokens, one) for one in users}
    if SYSTEM not in str(given.get("type")):
        tokens.system_identities.remove(resource)
        return shown
    own = tokens.system_identities.assign(resource)
    return {**shown, "principalId": own.object_id, "tenantId": tokens.directory.tenant}


def assigned_to(tokens: Tokens, resource: Mapping[str, Any]) -> Assigned:
    """Return whose tokens what runs on a resource may have, by the identity that it shows."""
    identity: Mapping[str, Any] = resource.get("identity") or {}
    directory = tokens.directory
    users = {
        name.lower(): directory.by_object(str((ids or {}).get("principalId")))
        for name, ids in (identity.get("userAssignedIdentities") or {}).items()
    }
    return Assigned(
        own=directory.by_object(str(identity.get("principalId"))),
        others={name: one for name, one in users.items() if one is not None},
    )


def _ids(tokens: Tokens, identity: str) -> dict[str, str]:
    """Return the ids of a user-assigned identity; none where nobody of its name is in the tenant."""
    name = identity.rpartition("/")[2].lower()
    for known in tokens.directory.principals:
        if known.kind == "ManagedIdentity" and not known.resource and known.name.lower() == name:
            return {"principalId": known.object_id, "clientId": known.client_id}
    return {}
