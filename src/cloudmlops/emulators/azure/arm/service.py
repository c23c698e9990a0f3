"""Azure Resource Manager's front door: who calls, may they, and who answers."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.errors import answer_error
from cloudmlops.emulators.azure.arm.queries import check_query
from cloudmlops.emulators.azure.arm.recording import recorded
from cloudmlops.emulators.azure.arm.routes import ArmRequest, Route
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.tokens import LOGIN_HOST, MANAGEMENT
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service

NAME: Final = "arm"
HOST: Final = "management.azure.com"
_METADATA: Final = "/metadata/endpoints"
_CLOUD: Final = {
    "name": "AzureCloud",
    "portal": "https://portal.azure.com",
    "resourceManager": f"https://{HOST}/",
    "authentication": {
        "loginEndpoint": f"https://{LOGIN_HOST}/",
        "audiences": ["https://management.core.windows.net/", f"{MANAGEMENT}/"],
    },
    "suffixes": {"storage": "core.windows.net"},
}
"""What anybody is told of the cloud: where its services are."""
AUDIENCES: Final = (MANAGEMENT, "https://management.core.windows.net")


def arm_service(world: World) -> Service:
    """Build the service. Calls are named `arm/METHOD TYPES`, such as `arm/PUT workspaces/models/versions`."""

    def find(asked: Asked) -> tuple[str, Operation]:
        path = asked.path.rstrip("/")
        if (asked.method, path) == ("GET", _METADATA):
            return "GET metadata/endpoints", lambda _: answer_json([_CLOUD])
        found = world.routes.find(asked.method, path)
        if found is None:
            raise Refused("UNIMPLEMENTED", f"{asked.method} {path} is not emulated")
        route, names = found
        return route.operation, lambda again: answered(world, route, dict(names), again, path=path)

    def refusal(refused: Refused) -> Answer:
        return answer_error(refused, now=world.surroundings.clock.now(), location=world.location)

    return Service(
        name=NAME,
        hosts=(HOST,),
        paths=("/subscriptions", "/providers", "/metadata/endpoints", "/tenants"),
        http=app(world.surroundings, NAME, find=find, refusal=refusal, recorded=recorded),
    )


def answered(
    world: World,
    route: Route,
    names: dict[str, str],
    asked: Asked,
    *,
    path: str,
    audiences: tuple[str, ...] = AUDIENCES,
) -> Answer:
    """Let a route answer who may take its action; note the api-version.

    Args:
        world: What it is about.
        route: That was found.
        names: What the names in its path stand for.
        asked: The call.
        path: From `/subscriptions` on, without a slash at its end.
        audiences: For whom tokens may be.

    Raises:
        Refused: The caller is nobody, or may not; the query asks for what is not emulated; or as the route does.
    """
    version = next((value for name, value in asked.query.items() if name.lower() == "api-version"), "")
    world.versions[route.operation].add(version)
    caller = world.tokens.caller(asked.headers.get("authorization"), audiences=audiences)
    if not version:
        raise Refused(
            "INVALID_ARGUMENT",
            "The api-version query parameter (?api-version=) is required for all requests.",
            reason="MissingApiVersionParameter",
        )
    if route.action:
        scope = (names["scope"] or "/") if "scope" in names else _scope(asked.method, path)
        world.access.check(caller, route.action, scope)
    check_query(route.operation, asked.query)
    answer = route.handler(ArmRequest(asked=asked, caller=caller, path=path, names=names, version=version))
    request = str(uuid4())
    told = {"x-ms-request-id": request, "x-ms-correlation-request-id": request, "x-ms-response-type": "standard"}
    return Answer(status=answer.status, body=answer.body, headers={**told, **answer.headers})


def _scope(method: str, path: str) -> str:
    """Return the resource that a call is about: an action's name at the end is none."""
    parts = path.split("/")
    of_resource = len(parts) % 2 == 1
    return path if of_resource and method != "POST" else "/".join(parts[: len(parts) - 1 if not of_resource else None])
