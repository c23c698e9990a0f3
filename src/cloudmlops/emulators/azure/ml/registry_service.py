"""The hosts at which registries are looked up, and at which their assets are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from cloudmlops.emulators.azure.arm.errors import answer_error
from cloudmlops.emulators.azure.arm.recording import recorded
from cloudmlops.emulators.azure.arm.service import AUDIENCES, answered
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.ml.registries import TYPE, discovered, registry_named
from cloudmlops.emulators.azure.ml.registry_assets import FRONT, RegistryAssets
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service

NAME: Final = "registry"
HOSTS: Final = ("cert-*.experiments.azureml.net",)
DISCOVERY_HOSTS: Final = ("*.api.azureml.ms",)
_AUDIENCES: Final = (*AUDIENCES, "https://ml.azure.com")
_DISCOVERY: Final = re.compile(r"/registrymanagement/v1\.0/registries/([^/]+)/discovery")
_OPERATION: Final = re.compile(r"/assetstore/v1\.0/operations/([^/]+)")


def registry_services(world: World, assets: RegistryAssets) -> Sequence[Service]:
    """Build the services. Calls are named `registry/METHOD TYPES`, such as `registry/PUT registries/models`."""

    def find(asked: Asked) -> tuple[str, Operation]:
        path = asked.path.rstrip("/").removeprefix(FRONT)
        found = assets.routes.find(asked.method, path)
        if found is None:
            raise Refused("UNIMPLEMENTED", f"{asked.method} {path} is not emulated in registries")
        route, names = found
        return route.operation, lambda again: answered(
            world, route, dict(names), again, path=path, audiences=_AUDIENCES
        )

    def look_up(asked: Asked) -> tuple[str, Operation]:
        if asked.method == "GET" and (found := _DISCOVERY.fullmatch(asked.path.rstrip("/"))):
            return "discovery", lambda again: _discovered(world, again, found[1])
        if asked.method == "GET" and (found := _OPERATION.fullmatch(asked.path.rstrip("/"))):
            return "operations", lambda again: _followed(world, assets, again, found[1])
        raise Refused("UNIMPLEMENTED", f"{asked.method} {asked.path} is not emulated")

    def refusal(refused: Refused) -> Answer:
        return answer_error(refused, now=world.surroundings.clock.now(), location=world.location)

    return (
        Service(
            name=NAME,
            hosts=HOSTS,
            paths=(FRONT,),
            http=app(world.surroundings, NAME, find=find, refusal=refusal, recorded=recorded),
        ),
        Service(
            name="registry_discovery",
            hosts=DISCOVERY_HOSTS,
            paths=("/registrymanagement", "/assetstore"),
            http=app(world.surroundings, "registry", find=look_up, refusal=refusal),
        ),
    )


def _discovered(world: World, asked: Asked, name: str) -> Answer:
    caller = world.tokens.caller(asked.headers.get("authorization"), audiences=_AUDIENCES)
    found = registry_named(world.resources, name)
    if found is None:
        raise Refused("NOT_FOUND", f"The registry {name} was not found.", reason="ResourceNotFound")
    try:
        world.access.check(caller, f"{TYPE}/read", str(found["id"]))
    except Refused as refused:  # recorded: azure-sdk-assets, azure-ai-ml 1.32, 2026-03, `component` and `code_asset`
        message = f"User/tenant/subscription is not allowed to access registry {name}"
        raise Refused("PERMISSION_DENIED", message, reason="UserError") from refused
    return answer_json(discovered(found, world.tokens.directory.tenant))


def _followed(world: World, assets: RegistryAssets, asked: Asked, operation: str) -> Answer:
    world.tokens.caller(asked.headers.get("authorization"), audiences=_AUDIENCES)
    return assets.finished(operation)
