"""How Event Grid makes, changes and removes resources: at once in name, and done when its operation says so.

The answers follow recorded traffic (azure-cli, `eventgrid` tests): 201 with `provisioningState` `Creating` or
`Updating` and the address of an operation, whose status has an id, a name in lower case and a status, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import resource_not_found
from cloudmlops.emulators.azure.arm.operations import POLL_MILLISECONDS
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.eventgrid import PROVIDER
from cloudmlops.emulators.azure.eventgrid.filters import invalid
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

_OPERATIONS: Final = f"/subscriptions/{{subscription}}/providers/{PROVIDER}/locations/{{location}}"
_SAID: Final = frozenset(
    {"provisioningState", "endpoint", "metricResourceId", "privateEndpointConnections", "topic", "topicsConfiguration"}
)
"""What a resource that was read and is put again has of the service's own."""
Shown = Callable[[Mapping[str, Any]], dict[str, Any]]


class Provisioning:
    """Begins operations, and shows how they are."""

    def __init__(self, world: World) -> None:
        self._world = world
        world.routes.add("GET", f"{_OPERATIONS}/operationsStatus/{{operation}}", self.status, action="")
        world.routes.add("GET", f"{_OPERATIONS}/operationResults/{{operation}}", self.result, action="")

    def status(self, request: ArmRequest) -> Answer:
        name = request.names["operation"].lower()
        found = self._world.operations.status(name, request.path)
        if found is None:
            raise Refused("NOT_FOUND", f"The operation '{name}' was not found.", reason="ResourceNotFound")
        shown = {
            "id": f"https://management.azure.com{request.path}?api-version={request.version}",
            "name": name,
            "status": found["status"],
        }
        if "error" in found:
            shown["error"] = {"code": found["error"]["code"], "message": found["error"]["message"]}
        return answer_json(shown, headers={"retry-after-ms": POLL_MILLISECONDS})

    def result(self, request: ArmRequest) -> Answer:
        name = request.names["operation"].lower()
        found = self._world.operations.status(name, request.path)
        if found is None or found["status"] != "InProgress":
            return Answer(status=204)
        return Answer(status=202, headers={"location": self._address(request, name, "operationResults")})

    def made(
        self,
        request: ArmRequest,
        resource: Mapping[str, Any],
        shown: Shown,
        *,
        work: Callable[[str], None] | None = None,
        status: int = 201,
    ) -> Answer:
        """Answer that a resource is being made or changed.

        Args:
            request: That asks for it.
            resource: As it is kept, in state `Creating` or `Updating`.
            shown: Makes what is shown of it.
            work: Does the rest when the time has come, and ends the operation that it is given; by default there is no
                rest, and it has succeeded.
            status: Of the answer.
        """
        answer = shown(resource)
        operations = self._world.operations
        name = operations.start(str(resource["id"]))
        act = work if work is not None else (lambda name: self.succeeded(str(resource["id"]), name))
        if not operations.stuck:
            if operations.takes:
                self._world.surroundings.clock.after(operations.takes, lambda: act(name))
            else:
                act(name)
        return answer_json(answer, status=status, headers=self._headers(request, name))

    def removed(self, request: ArmRequest, work: Callable[[], None]) -> Answer:
        """Answer that a resource is being removed: it is gone at once, the operation ends when all do."""
        name = self._world.operations.start(request.path)
        work()
        operations = self._world.operations
        if not operations.stuck:
            if operations.takes:
                self._world.surroundings.clock.after(operations.takes, lambda: operations.succeed(name))
            else:
                operations.succeed(name)
        headers = {**self._headers(request, name), "location": self._address(request, name, "operationResults")}
        return Answer(status=202, headers=headers)

    def succeeded(self, resource_id: str, operation: str = "") -> None:
        """Let a resource be ready."""
        self.turn(resource_id, "Succeeded")
        if operation:
            self._world.operations.succeed(operation)

    def turn(self, resource_id: str, state: str) -> None:
        """Let a resource be in a provisioning state; one that is gone stays so."""
        with self._world.surroundings.state.transaction():
            resource = self._world.resources.get(resource_id)
            if resource is not None:
                resource["properties"]["provisioningState"] = state
                self._world.resources.update(resource)

    def _headers(self, request: ArmRequest, name: str) -> dict[str, str]:
        return {
            "azure-asyncoperation": self._address(request, name, "operationsStatus"),
            "retry-after-ms": POLL_MILLISECONDS,
        }

    def _address(self, request: ArmRequest, name: str, kind: str) -> str:
        base = _OPERATIONS.format(subscription=request.names["subscription"], location=self._world.location)
        return f"https://management.azure.com{base}/{kind}/{name.upper()}?api-version={request.version}"


def found(world: World, request: ArmRequest, kind: str, path: str = "") -> dict[str, Any]:
    """Return a resource of a group.

    Args:
        world: Where it is.
        request: That asks for it.
        kind: Such as `Microsoft.EventGrid/topics`.
        path: Its id; the request's when empty.

    Raises:
        Refused: There is none.
    """
    resource = world.resources.get(path or request.path)
    if resource is None:
        name = (path or request.path).rpartition("/")[2]
        raise resource_not_found(f"{kind}/{name}", request.names["group"])
    return resource


def properties_of(request: ArmRequest) -> dict[str, Any]:
    """Return the properties that a request gives; none is none.

    Raises:
        Refused: They are no object.
    """
    given = request.body.get("properties") or {}
    if not isinstance(given, dict):
        raise invalid("The properties of the request must be an object.")
    return given


def check_known(given: Mapping[str, Any], known: Container[str], what: str) -> None:
    """Let through what is emulated of a resource's properties, and what the service itself says of it.

    Raises:
        Refused: There are others.
    """
    others = [name for name, value in given.items() if value is not None and name not in known and name not in _SAID]
    if others:
        raise Refused("UNIMPLEMENTED", f"{', '.join(sorted(others))} of {what} are not emulated")
    if given.get("publicNetworkAccess", "Enabled") not in ("Enabled", None):
        raise Refused("UNIMPLEMENTED", f"publicNetworkAccess {given['publicNetworkAccess']} of {what} is not emulated")


def location_of(request: ArmRequest, default: str) -> str:
    """Return the location that a request gives, as Azure writes it in names: `West Europe` is `westeurope`."""
    return str(request.body.get("location") or default).replace(" ", "").lower()
