"""What there is: resources by their ids, with who made and changed them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.state import State

_BY: Final = {"User": "User", "ManagedIdentity": "ManagedIdentity"}


class Resources:
    """Resources as JSON, as Azure Resource Manager shows them. Ids are compared without regard to case."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._kept = state.table("arm_resources")

    def get(self, resource_id: str) -> dict[str, Any] | None:
        """Return a resource."""
        data = self._kept.get(resource_id.lower())
        return json.loads(data) if data is not None else None

    def put(
        self,
        resource_id: str,
        resource_type: str,
        properties: Mapping[str, Any],
        caller: Caller,
        **beside: Any,
    ) -> tuple[dict[str, Any], bool]:
        """Make or replace a resource; return it, and whether it is new.

        Args:
            resource_id: From `/subscriptions` on.
            resource_type: Such as `Microsoft.MachineLearningServices/workspaces/models`.
            properties: All of them.
            caller: Who asks for it.
            beside: What stands beside the properties, such as `location`.
        """
        with self._state.transaction():
            known = self.get(resource_id)
            now, by, kind = written(self._clock.now()), caller.client_id, _BY.get(caller.kind, "Application")
            made = known["systemData"] if known else {"createdAt": now, "createdBy": by, "createdByType": kind}
            resource = {
                "id": known["id"] if known else resource_id,
                "name": known["name"] if known else resource_id.rpartition("/")[2],
                "type": resource_type,
                **beside,
                "properties": dict(properties),
                "systemData": {**made, "lastModifiedAt": now, "lastModifiedBy": by, "lastModifiedByType": kind},
            }
            self._kept.put(resource_id.lower(), json.dumps(resource).encode())
            return resource, known is None

    def update(self, resource: Mapping[str, Any]) -> None:
        """Keep what the service itself changed of a resource."""
        self._kept.put(resource["id"].lower(), json.dumps(resource).encode())

    def change(self, resource_id: str, change: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
        """Change a resource as one step; None when there is none, for what is gone is not brought back.

        Args:
            resource_id: Its id.
            change: Changes it in its place; what it raises leaves the resource as it was.
        """
        with self._state.transaction():
            found = self.get(resource_id)
            if found is not None:
                change(found)
                self.update(found)
            return found

    def delete(self, resource_id: str) -> bool:
        """Remove a resource with all that lies in it; False when there was none."""
        with self._state.transaction():
            for inner, _ in self._kept.items(f"{resource_id.lower()}/"):
                self._kept.delete(inner)
            return self._kept.delete(resource_id.lower())

    def directly_below(self, collection: str) -> list[dict[str, Any]]:
        """Return the members of a collection such as `…/workspaces/w/models`, the oldest first."""
        prefix = f"{collection.lower()}/"
        found = [json.loads(data) for key, data in self._kept.items(prefix) if "/" not in key[len(prefix) :]]
        return sorted(found, key=lambda one: (one["systemData"]["createdAt"], one["name"]))

    def of_type(self, resource_type: str) -> list[dict[str, Any]]:
        """Return all resources of a type, wherever they are, the oldest first."""
        known = (json.loads(data) for _, data in self._kept.items("/subscriptions/"))
        found = [one for one in known if one["type"].lower() == resource_type.lower()]
        return sorted(found, key=lambda one: (one["systemData"]["createdAt"], one["name"]))


def written(moment: datetime) -> str:
    """Return a time as Azure Resource Manager writes it, with seven digits of a second."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0+00:00"
