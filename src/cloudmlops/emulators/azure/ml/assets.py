"""What the kinds of assets share: containers by name, versions in them, lists, and what may change of a version."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest, Handler
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.ml import PROVIDER, WORKSPACE
from cloudmlops.emulators.azure.ml.views import versions_viewed, viewed
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer, answer_json


class Assets(ABC):
    """The handlers of one kind."""

    segment: ClassVar[str]
    """Of paths, such as `environments`."""

    def __init__(self, world: World) -> None:
        self._world = world
        container = f"{WORKSPACE}/{self.segment}/{{name}}"

        def add(method: str, path: str, handler: Handler) -> None:
            world.routes.add(method, path, handler, action=self.action(method), as_one=method == "PUT")

        add("GET", f"{WORKSPACE}/{self.segment}", self.list)
        add("GET", container, self.get)
        add("PUT", container, self.put)
        add("DELETE", container, self.delete)
        add("GET", f"{container}/versions", self.list_versions)
        add("GET", f"{container}/versions/{{version}}", self.get_version)
        add("PUT", f"{container}/versions/{{version}}", self.put_version)
        add("DELETE", f"{container}/versions/{{version}}", self.delete)

    def action(self, method: str) -> str | None:  # noqa: ARG002 for kinds that need it
        """Return the action that a call of a method takes, whatever its path; None is the one that follows from it."""
        return None

    @abstractmethod
    def version_properties(
        self, given: Mapping[str, Any], known: Mapping[str, Any] | None, request: ArmRequest
    ) -> dict[str, Any]:
        """Return the properties that are kept of a version.

        Raises:
            Refused: What is given is malformed, or would change what cannot be changed of the known ones.
        """

    @abstractmethod
    def absent(self, name: str, version: str) -> UserError:
        """Return the 404 of a version, or of a container when the version is empty."""

    def container_properties(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 for kinds that need it
        """Return the properties of a container that are its kind's own."""
        return {}

    def address(self, request: ArmRequest, given: Mapping[str, Any]) -> str:  # noqa: ARG002 for kinds that need it
        """Return the id under which a version is kept that is put."""
        return request.path

    def list(self, request: ArmRequest) -> Answer:
        """List the containers."""
        workspace_of(self._world, request)
        return paged(request, [self._shown(one) for one in viewed(self._world.resources, request)])

    def get(self, request: ArmRequest) -> Answer:
        """Show a container."""
        return answer_json(self._shown(self._container(request)))

    def put(self, request: ArmRequest) -> Answer:
        """Make or change a container."""
        workspace_of(self._world, request)
        known = self._world.resources.get(request.path)
        numbers = known["properties"]["numbers"] if known else 0
        kept = self._container_kept(properties_of(request), numbers)
        made, new = self._world.resources.put(request.path, self._type, kept, request.caller)
        return answer_json(self._shown(made), status=201 if new else 200)

    def delete(self, request: ArmRequest) -> Answer:
        """Remove a container with its versions, or one of these."""
        return Answer(status=200 if self._world.resources.delete(request.path) else 204)

    def list_versions(self, request: ArmRequest) -> Answer:
        """List the versions of a container, the newest first."""
        self._container(request)
        return paged(request, versions_viewed(self._world.resources, request))

    def get_version(self, request: ArmRequest) -> Answer:
        """Show a version."""
        workspace_of(self._world, request)
        found = self._world.resources.get(request.path)
        if found is None:
            raise self.absent(request.names["name"], request.names["version"])
        return answer_json(found)

    def put_version(self, request: ArmRequest) -> Answer:
        """Make a version, or change of one what can be changed."""
        workspace_of(self._world, request)
        given = properties_of(request)
        address = self.address(request, given)
        known = self._world.resources.get(address)
        kept = self.version_properties(given, known["properties"] if known else None, request)
        made = self.keep_version(address, kept, request.caller)
        location = f"https://management.azure.com{request.path}?api-version={request.version}"
        created = known is None or self.always_created(kept)
        return answer_json(made, status=201 if created else 200, headers={"location": location} if created else None)

    def always_created(self, kept: Mapping[str, Any]) -> bool:  # noqa: ARG002 for kinds that need it
        """Say whether a version is answered with 201 though it was there."""
        return False

    def keep_version(self, address: str, kept: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Keep a version, and make its container when there is none.

        Args:
            address: The version's id.
            kept: Its properties.
            caller: Who asks for it.
        """
        resources = self._world.resources
        with self._world.surroundings.state.transaction():
            container_id, _, version = address.rpartition("/versions/")
            number = int(version) if version.isdigit() else 0
            container = resources.get(container_id)
            if container is None:
                resources.put(container_id, self._type, self._container_kept(kept, number, own=False), caller)
            elif number > container["properties"]["numbers"]:
                container["properties"]["numbers"] = number
                resources.update(container)
            made, _ = resources.put(address, f"{self._type}/versions", kept, caller)
            return made

    @property
    def _type(self) -> str:
        return f"{PROVIDER}/workspaces/{self.segment}"

    def _container_kept(self, given: Mapping[str, Any], numbers: int, *, own: bool = True) -> dict[str, Any]:
        return {
            "description": given.get("description") if own else None,
            "tags": (given.get("tags") or {}) if own else {},
            "properties": (given.get("properties") or {}) if own else {},
            "isArchived": bool(given.get("isArchived", False)) if own else False,
            "numbers": numbers,
            **self.container_properties(given),
        }

    def _container(self, request: ArmRequest) -> dict[str, Any]:
        workspace_of(self._world, request)
        found = self._world.resources.get(request.path.removesuffix("/versions"))
        if found is None:
            raise self.absent(request.names["name"], "")
        return found

    def _shown(self, container: Mapping[str, Any]) -> dict[str, Any]:
        properties = dict(container["properties"])
        highest = properties.pop("numbers")
        versions = self._world.resources.directly_below(f"{container['id']}/versions")
        latest = versions[-1]["name"] if versions else None
        return {
            **container,
            "properties": {**properties, "latestVersion": latest, "nextVersion": str(highest + 1)},
        }


def properties_of(request: ArmRequest) -> Mapping[str, Any]:
    """Return the properties that were sent.

    Raises:
        Refused: There are none.
    """
    properties = request.body.get("properties")
    if not isinstance(properties, dict):
        raise UserError("INVALID_ARGUMENT", "Request is invalid and/or missing fields.")
    return properties


def described(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every version has, whatever its kind."""
    return {
        "description": given.get("description"),
        "tags": {str(key): str(value) for key, value in (given.get("tags") or {}).items()},
        "properties": {str(key): str(value) for key, value in (given.get("properties") or {}).items()},
        "isArchived": bool(given.get("isArchived", False)),
        "isAnonymous": bool(given.get("isAnonymous", False)),
    }


def unchanged(known: Mapping[str, Any] | None, kept: Mapping[str, Any], *fields: str) -> None:
    """Refuse to change fields of a version that is there.

    Raises:
        Refused: One would change.
    """
    changed = [field for field in fields if known is not None and known[field] != kept[field]]
    if changed:
        raise UserError(
            "INVALID_ARGUMENT", f"The field {changed[0]} of an asset that exists cannot be changed: make a new version."
        )
