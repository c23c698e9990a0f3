"""Assets of registries: put, shown, listed, uploaded, and brought there from workspaces.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.15, 2024-04, `model`, `environment`,
`dataset`): a PUT is answered with 202 and `null`, and its operation, at another host, leaves no more than the asset's
id; a list of versions of what there is not is empty. That an import leaves nothing is read off azure-ai-ml, which then
asks for the asset. Roles speak of all kinds by one action, such as `registries/assets/write` (learn.microsoft.com,
"Create and manage registries").
"""

from __future__ import annotations

import json
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest, Routes
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.azure.ml.assets import described, properties_of, unchanged
from cloudmlops.emulators.azure.ml.data_addresses import storage_of
from cloudmlops.emulators.azure.ml.registries import REGISTRY, TYPE, account_of, registry_of
from cloudmlops.emulators.azure.ml.registry_addresses import address_of
from cloudmlops.emulators.azure.ml.views import versions_viewed, viewed
from cloudmlops.emulators.azure.ml.workspaces import TYPE as WORKSPACE_TYPE
from cloudmlops.emulators.core.answering import Answer, answer_json

KINDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "models": ("modelUri", ("flavors", "modelType", "jobName", "stage")),
    "data": ("dataUri", ("dataType", "referencedUris")),
    "environments": ("", ("image", "build", "condaFile", "osType", "inferenceConfig")),
    "components": ("componentSpec", ()),
    "codes": ("codeUri", ()),
}
"""What of each kind is required and cannot be changed, and what else is its own."""
FRONT: Final = "/mferp/managementfrontend"
"""What all paths are below."""
IMPORTED: Final = ("models", "data", "environments")
_ADDRESSES: Final = ("modelUri", "dataUri", "codeUri")
_LASTS: Final = timedelta(hours=8)
_SOURCE: Final = re.compile(r"azureml://locations/[^/]+/workspaces/([^/]+)/(\w+)/([^/]+)/versions/([^/]+)")


class RegistryAssets:
    """The handlers; `routes` are those of the front end of registries, not of Azure Resource Manager."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._blobs = Blobs(world.surroundings)
        self.routes = Routes()
        for kind in KINDS:
            container = f"{REGISTRY}/{kind}/{{name}}"
            self._add("GET", f"{REGISTRY}/{kind}", self.list)
            self._add("GET", container, self.get)
            self._add("PUT", container, self.put)
            self._add("GET", f"{container}/versions", self.list_versions)
            self._add("GET", f"{container}/versions/{{version}}", self.get_version)
            self._add("PUT", f"{container}/versions/{{version}}", self.put_version)
        self._add("PUT", f"{REGISTRY}/tempdatarefs/{{name}}/versions/{{version}}", self.make_place)
        self._add("POST", f"{REGISTRY}/datarefs/{{name}}/versions/{{version}}", self.sign, action="read")
        self._add("POST", f"{REGISTRY}/import", self.bring, action="write")

    def list(self, request: ArmRequest) -> Answer:
        """List the containers of a kind."""
        registry_of(self._world, request)
        found = [self._container(one) for one in viewed(self._world.resources, request)]
        return paged(request, found, at=f"https://{request.asked.host}{FRONT}")

    def get(self, request: ArmRequest) -> Answer:
        """Show a container."""
        registry_of(self._world, request)
        found = self._world.resources.get(request.path)
        if found is None:
            raise self._absent(request)
        return answer_json(self._container(found))

    def put(self, request: ArmRequest) -> Answer:
        """Change a container."""
        registry_of(self._world, request)
        given = properties_of(request)
        kept = {"description": given.get("description"), "tags": given.get("tags") or {}, "properties": {}}
        kept |= {"isArchived": bool(given.get("isArchived", False)), **_of_container(request.path, given)}
        made, new = self._world.resources.put(request.path, _type(request.path), kept, request.caller)
        return answer_json(self._container(made), status=201 if new else 200)

    def list_versions(self, request: ArmRequest) -> Answer:
        """List the versions of a container, the newest first; of what there is not, none."""
        registry_of(self._world, request)
        found = versions_viewed(self._world.resources, request)
        return paged(request, [_shown(one) for one in found], at=f"https://{request.asked.host}{FRONT}")

    def get_version(self, request: ArmRequest) -> Answer:
        """Show a version."""
        registry_of(self._world, request)
        found = self._world.resources.get(request.path)
        if found is None:
            raise self._absent(request)
        return answer_json(_shown(found))

    def put_version(self, request: ArmRequest) -> Answer:
        """Make a version, or change what describes one."""
        registry = registry_of(self._world, request)
        kind, name, version = _named(request.path)
        given, known = properties_of(request), self._world.resources.get(request.path)
        kept = _kept(kind, given, known)
        self._keep(request, kept)
        return self._begun(request, registry, {"assetId": address_of(registry["name"], kind, name, version)})

    def make_place(self, request: ArmRequest) -> Answer:
        """Make a container to upload a version into."""
        registry = registry_of(self._world, request)
        kind = request.body.get("temporaryDataReferenceType", "TemporaryBlobReference")
        if kind != "TemporaryBlobReference":
            raise UserError("UNIMPLEMENTED", f"A temporary data reference of type {kind!r} is not emulated.")
        account, container = self._place(registry)
        signed = self._blobs.container_url(account, container, permissions="rcwl", lasts=_LASTS)
        told = _reference(registry, signed.partition("?")[0].replace(".net/", ".net:443/"), signed)
        return answer_json(
            {
                **told,
                "imageReferenceForConsumption": None,
                "temporaryDataReferenceId": str(uuid4()),
                "temporaryDataReferenceType": None,
            }
        )

    def sign(self, request: ArmRequest) -> Answer:
        """Let somebody read what lies at an asset's address."""
        registry = registry_of(self._world, request)
        uri = str(request.body.get("blobUri") or "")
        place = storage_of(self._world.resources, "", uri)
        if place.account != account_of(registry)["storageAccountName"]:
            raise UserError("INVALID_ARGUMENT", f"{uri!r} is not in the registry {registry['name']}.")
        signed = self._blobs.container_url(place.account, place.container, permissions="rl", lasts=_LASTS)
        return answer_json(_reference(registry, uri, signed))

    def bring(self, request: ArmRequest) -> Answer:
        """Bring a version of an asset from a workspace; whoever does must be allowed to read it there."""
        registry = registry_of(self._world, request)
        given = properties_of(request)
        found = _SOURCE.fullmatch(str(given.get("sourceAssetId") or ""))
        if given.get("referenceType") != "Id" or found is None:
            raise UserError("INVALID_ARGUMENT", f"{given.get('sourceAssetId')!r} is no asset of a workspace.")
        workspace = next(
            (
                one
                for one in self._world.resources.of_type(WORKSPACE_TYPE)
                if one["properties"]["workspaceId"] == found[1]
            ),
            None,
        )
        if found[2] not in IMPORTED:
            raise UserError("UNIMPLEMENTED", f"The import of {found[2]} into a registry is not emulated.")
        source = f"{workspace['id']}/{found[2]}/{found[3]}/versions/{found[4]}" if workspace else ""
        if workspace is not None:
            action = f"{PROVIDER}/workspaces/{found[2]}/versions/read"
            self._world.access.check(request.caller, action, str(workspace["id"]))
        known = self._world.resources.get(source)
        if workspace is None or known is None:
            raise not_found("AssetNotFound", f"There is no asset {given['sourceAssetId']}.")
        name, version = given.get("destinationName") or found[3], given.get("destinationVersion") or found[4]
        address = f"{registry['id']}/{found[2]}/{name}/versions/{version}"
        if self._world.resources.get(address) is not None:
            raise UserError("INVALID_ARGUMENT", f"There is a version {version} of {name} in the registry.")
        kept = _kept(found[2], self._copied(registry, str(workspace["id"]), known["properties"]), None)
        if found[2] == "models":
            kept["originAssetId"] = given["sourceAssetId"]
        self._keep(request, kept, address)
        return self._begun(request, registry, None)

    def finished(self, operation: str) -> Answer:
        """Tell how an operation goes on, at its own host.

        Raises:
            Refused: There is none of that name, or it has failed.
        """
        status = self._world.operations.status(operation, "")
        if status is None:
            raise not_found("NotFound", f"The operation {operation} is not known.")
        if status["status"] == "InProgress":
            return Answer(status=202, headers={"retry-after-ms": "10"})
        left = self._world.operations.result(operation)
        return answer_json(left) if left is not None else Answer(status=200)

    def _begun(self, request: ArmRequest, registry: Mapping[str, Any], result: Mapping[str, Any] | None) -> Answer:
        location = registry["location"]
        headers = self._world.operations.begin(
            request.names["subscription"], location, request.path, result=result, version=request.version
        )
        name = headers["azure-asyncoperation"].rpartition("/")[2].partition("?")[0]
        return Answer(
            status=202,
            body=json.dumps(None).encode(),
            headers={
                "content-type": "application/json; charset=utf-8",
                "location": f"https://{location}.api.azureml.ms/assetstore/v1.0/operations/{name}",
                "x-ms-async-operation-timeout": headers["x-ms-async-operation-timeout"],
                "retry-after-ms": headers["retry-after-ms"],
            },
        )

    def _keep(self, request: ArmRequest, kept: Mapping[str, Any], address: str = "") -> None:
        address = address or request.path
        container = address.rpartition("/versions/")[0]
        resources = self._world.resources
        with self._world.surroundings.state.transaction():
            if resources.get(container) is None:
                empty: dict[str, Any] = {"description": None, "tags": {}, "properties": {}, "isArchived": False}
                empty |= _of_container(container, kept)
                resources.put(container, _type(container), empty, request.caller)
            resources.put(address, f"{_type(container)}/versions", kept, request.caller)

    def _place(self, registry: Mapping[str, Any]) -> tuple[str, str]:
        account = str(account_of(registry)["storageAccountName"])
        container = f"{registry['name'].lower()}-{secrets.token_hex(16)}"[:63]
        self._blobs.make_container(account, container)
        return account, container

    def _copied(self, registry: Mapping[str, Any], workspace: str, source: Mapping[str, Any]) -> dict[str, Any]:
        """Return an asset's properties with its files in the registry's own storage."""
        field = next((one for one in _ADDRESSES if one in source), None)
        if field is None:
            return dict(source)
        place = storage_of(self._world.resources, workspace, source[field])
        account, container = self._place(registry)
        base = place.path.rstrip("/").rpartition("/")[2]
        single = self._blobs.exists(place.account, place.container, place.path)
        with tempfile.TemporaryDirectory() as folder:
            if not self._blobs.download(place.account, place.container, place.path, Path(folder)):
                raise UserError("NOT_FOUND", f"There is nothing at {source[field]}.")
            self._blobs.upload(Path(folder), account, container, "" if single else base)
        return {**source, field: f"https://{account}.blob.core.windows.net/{container}/{base}"}

    def _container(self, container: Mapping[str, Any]) -> dict[str, Any]:
        kind, name = container["id"].split("/")[-2:]
        versions = self._world.resources.directly_below(f"{container['id']}/versions")
        numbers = [int(one["name"]) for one in versions if one["name"].isdigit()]
        registry = container["id"].split("/")[-3]
        return {
            **container,
            "id": f"azureml://registries/{registry}/{kind}/{name}",
            "type": kind,
            "properties": {
                **container["properties"],
                "latestVersion": versions[-1]["name"] if versions else None,
                "nextVersion": str(max(numbers, default=0) + 1),
            },
        }

    def _absent(self, request: ArmRequest) -> UserError:
        what = "/".join(request.path.split("/")[9:])
        return not_found("NotFound", f"{what} not found in the registry {request.names['registry']}.")

    def _add(
        self, method: str, path: str, handler: Callable[[ArmRequest], Answer], *, action: str | None = None
    ) -> None:
        verb = action or {"GET": "read", "PUT": "write"}[method]
        self.routes.add(method, path, handler, action=f"{TYPE}/assets/{verb}", as_one=verb == "write")


def _kept(kind: str, given: Mapping[str, Any], known: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what is kept of a version.

    Raises:
        Refused: What is required is missing, or would change.
    """
    required, own = KINDS[kind]
    if required and not given.get(required):
        raise UserError("INVALID_ARGUMENT", f"Request is invalid and/or missing fields: {required} is required.")
    if kind == "environments" and not given.get("image") and not given.get("build"):
        raise UserError("INVALID_ARGUMENT", "Request is invalid and/or missing fields: image or build is required.")
    kept = {**described(given), **({required: given[required]} if required else {})}
    kept |= {name: given[name] for name in own if given.get(name) is not None}
    if kind == "models":
        kept = {"flavors": {}, "modelType": "custom_model", "jobName": None, "originAssetId": None, **kept}
        kept.pop("stage", None)
        kept["intellectualProperty"] = None
    if required:
        unchanged(known["properties"] if known else None, kept, required)
    if known is not None and kind == "models":
        kept["originAssetId"] = known["properties"]["originAssetId"]
    return kept


def _of_container(container: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a container of its kind has besides: that of data says of which type its versions are.

    Raises:
        Refused: It is not said.
    """
    if _type(container) != f"{TYPE}/data":
        return {}
    if not given.get("dataType"):
        raise UserError("INVALID_ARGUMENT", "Request is invalid and/or missing fields: dataType is required.")
    return {"dataType": given["dataType"]}


def _named(path: str) -> tuple[str, str, str]:
    """Return kind, name and version of a version's path."""
    parts = path.split("/")
    return parts[-4], parts[-3], parts[-1]


def _shown(version: Mapping[str, Any]) -> dict[str, Any]:
    kind, name, number = _named(version["id"])
    registry = version["id"].split("/")[-5]
    return {
        **version,
        "id": address_of(registry, kind, name, number),
        "name": name if kind == "models" else number,
        "type": kind,
    }


def _reference(registry: Mapping[str, Any], uri: str, signed: str) -> dict[str, Any]:
    return {
        "blobReferenceForConsumption": {
            "blobUri": uri,
            "storageAccountArmId": account_of(registry)["armResourceId"]["resourceId"],
            "credential": {"credentialType": "SAS", "sasUri": signed},
        }
    }


def _type(container: str) -> str:
    return f"{TYPE}/{container.split('/')[-2]}"
