"""System-assigned identities: principals that come to be with a resource, and are gone with it.

Whoever makes a resource of the same name again gets another principal: roles of the former one do not come back
(learn.microsoft.com, "What are managed identities for Azure resources?").
"""

from __future__ import annotations

import json
from typing import Any

from cloudmlops.emulators.azure.entra.principals import Principal, derived_id
from cloudmlops.emulators.core.state import State


class SystemIdentities:
    """The principals of resources, by the resources' ids."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept = state.table("system_identities")

    def assign(self, resource: str) -> Principal:
        """Return the principal of a resource; it is made when the resource has none."""
        key = resource.lower()
        with self._state.transaction():
            kept = self._read(key)
            if not kept["there"]:
                kept = {"resource": resource, "made": kept["made"] + 1, "there": True}
                self._kept.put(key, json.dumps(kept).encode())
        return _principal(kept)

    def remove(self, resource: str) -> None:
        """Let the principals of a resource, and of what lies in it, be gone."""
        below = resource.lower()
        with self._state.transaction():
            for key, data in list(self._kept.items(below)):
                if key == below or key.startswith(f"{below}/"):
                    self._kept.put(key, json.dumps({**json.loads(data), "there": False}).encode())

    def all(self) -> tuple[Principal, ...]:
        """Return all that there are."""
        kept = [json.loads(data) for _, data in self._kept.items("")]
        return tuple(_principal(one) for one in kept if one["there"])

    def _read(self, key: str) -> dict[str, Any]:
        data = self._kept.get(key)
        found: dict[str, Any] = json.loads(data) if data is not None else {"made": 0, "there": False}
        return found


def _principal(kept: dict[str, Any]) -> Principal:
    """Return a principal as Entra shows it: under the name of its resource."""
    resource, made = str(kept["resource"]), int(kept["made"])
    which = resource.lower() if made == 1 else f"{resource.lower()}#{made}"
    return Principal(
        name=resource.rpartition("/")[2],
        kind="ManagedIdentity",
        client_id=derived_id("client", which),
        object_id=derived_id("object", which),
        resource=resource,
    )
