"""Models and their versions.

What is shown follows recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.32, 2026-03): a version has
a stage, `Development` unless it is given; versions of a model that there is not are 404 and no empty list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.paging import page_size, paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.eventgrid.system_events import SystemEvents
from cloudmlops.emulators.azure.ml import PROVIDER, WORKSPACE
from cloudmlops.emulators.azure.ml.views import versions_viewed, viewed
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer, answer_json

MODEL: Final = f"{WORKSPACE}/models/{{name}}"
VERSIONS: Final = f"{MODEL}/versions"
_CONTAINER_TYPE: Final = f"{PROVIDER}/workspaces/models"
_VERSION_TYPE: Final = f"{PROVIDER}/workspaces/models/versions"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_URI: Final = re.compile(r"(azureml://.*/)resourcegroups(/.*)")


def add_models(world: World, events: SystemEvents) -> None:
    """Let models be registered, listed, changed and archived."""
    Models(world, events)


class Models:
    """The handlers."""

    def __init__(self, world: World, events: SystemEvents) -> None:
        self._world = world
        self._events = events
        add = world.routes.add
        add("GET", f"{WORKSPACE}/models", self.list)
        add("GET", MODEL, self.get)
        add("PUT", MODEL, self.put)
        add("DELETE", MODEL, self.delete)
        add("GET", VERSIONS, self.list_versions)
        add("GET", f"{VERSIONS}/{{version}}", self.get_version)
        add("PUT", f"{VERSIONS}/{{version}}", self.put_version)
        add("DELETE", f"{VERSIONS}/{{version}}", self.delete_version)

    def list(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        found = [self._shown(one) for one in viewed(self._world.resources, request)]
        return paged(request, found, size=page_size(request, "count"))

    def get(self, request: ArmRequest) -> Answer:
        return answer_json(self._shown(self._container(request)))

    def put(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        given = _properties(request)
        known = self._world.resources.get(request.path)
        _check_name(request.names["name"])
        kept: dict[str, Any] = {
            "description": given.get("description"),
            "tags": given.get("tags") or {},
            "properties": given.get("properties") or {},
            "isArchived": bool(given.get("isArchived", False)),
            "numbers": known["properties"]["numbers"] if known else 0,
        }
        made, new = self._world.resources.put(request.path, _CONTAINER_TYPE, kept, request.caller)
        return answer_json(self._shown(made), status=201 if new else 200)

    def delete(self, request: ArmRequest) -> Answer:
        gone = self._world.resources.delete(request.path)
        return Answer(status=200 if gone else 204)

    def list_versions(self, request: ArmRequest) -> Answer:
        self._container(request)
        return paged(request, versions_viewed(self._world.resources, request))

    def get_version(self, request: ArmRequest) -> Answer:
        return answer_json(self._version(request))

    def put_version(self, request: ArmRequest) -> Answer:
        workspace = workspace_of(self._world, request)
        names = request.names
        _check_name(names["name"])
        given = _properties(request)
        resources = self._world.resources
        with self._world.surroundings.state.transaction():
            known = resources.get(request.path)
            kept = _version_properties(given, known["properties"] if known else None)
            self._count(request, names["version"])
            made, new = resources.put(request.path, _VERSION_TYPE, kept, request.caller)
            if new and not kept["isAnonymous"]:
                self._events.model_registered(
                    workspace["id"],
                    name=names["name"],
                    version=names["version"],
                    tags=kept["tags"],
                    properties=kept["properties"],
                )
        location = f"https://management.azure.com{request.path}?api-version={request.version}"
        return answer_json(made, status=201 if new else 200, headers={"location": location} if new else None)

    def delete_version(self, request: ArmRequest) -> Answer:
        gone = self._world.resources.delete(request.path)
        return Answer(status=200 if gone else 204)

    def _count(self, request: ArmRequest, version: str) -> None:
        """Make the container of a version unless it is there, and keep the highest number that a version had."""
        container_id = request.path.rpartition("/versions/")[0]
        known = self._world.resources.get(container_id)
        number = int(version) if version.isdigit() else 0
        if known is None:
            kept: dict[str, Any] = {
                "description": None,
                "tags": {},
                "properties": {},
                "isArchived": False,
                "numbers": number,
            }
            self._world.resources.put(container_id, _CONTAINER_TYPE, kept, request.caller)
        elif number > known["properties"]["numbers"]:
            known["properties"]["numbers"] = number
            self._world.resources.update(known)

    def _container(self, request: ArmRequest) -> dict[str, Any]:
        workspace_of(self._world, request)
        found = self._world.resources.get(request.path.partition("/versions")[0])
        if found is None:
            name = request.names["name"]
            raise not_found("ModelNotFound", f"Model container with name: {name} not found.")
        return found

    def _version(self, request: ArmRequest) -> dict[str, Any]:
        self._container(request)
        found = self._world.resources.get(request.path)
        if found is None:
            names = request.names
            raise not_found("ModelNotFound", f"Model {names['name']}:{names['version']} not found.")
        return found

    def _shown(self, container: Mapping[str, Any]) -> dict[str, Any]:
        properties = dict(container["properties"])
        highest = properties.pop("numbers")
        versions = self._world.resources.directly_below(f"{container['id']}/versions")
        latest = versions[-1]["name"] if versions else None
        shown = {"latestVersion": latest, "nextVersion": str(highest + 1), "provisioningState": "Succeeded"}
        return {**container, "properties": {**properties, **shown}}


def _version_properties(given: Mapping[str, Any], known: Mapping[str, Any] | None) -> dict[str, Any]:
    uri = given.get("modelUri")
    if not uri:
        raise UserError("INVALID_ARGUMENT", "The request is invalid: the field modelUri is required.")
    uri = _URI.sub(r"\1resourceGroups\2", str(uri))
    if known is not None and known["modelUri"] != uri:
        raise UserError("INVALID_ARGUMENT", "The field modelUri of an existing model version cannot be changed.")
    return {
        "description": given.get("description"),
        "tags": {str(key): str(value) for key, value in (given.get("tags") or {}).items()},
        "properties": {str(key): str(value) for key, value in (given.get("properties") or {}).items()},
        "isArchived": bool(given.get("isArchived", False)),
        "isAnonymous": bool(given.get("isAnonymous", False)),
        "autoDeleteSetting": None,
        "flavors": given.get("flavors") or {},
        "modelType": given.get("modelType") or "custom_model",
        "modelUri": uri,
        "jobName": given.get("jobName"),
        "provisioningState": "Succeeded",
        "stage": given.get("stage") or "Development",
        "intellectualProperty": None,
    }


def _properties(request: ArmRequest) -> Mapping[str, Any]:
    properties = request.body.get("properties")
    if not isinstance(properties, dict):
        raise UserError("INVALID_ARGUMENT", "The request is invalid: properties are required.")
    return properties


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            "INVALID_ARGUMENT", f"The name {name!r} is invalid: letters, digits, '.', '_' and '-', 255 at most."
        )
