"""Datastores: names of storage with what opens it.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.32, 2026-03): secrets are shown by
`listSecrets` alone, as an account's SAS when they are to expire and as the account's key when they are not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.paging import page_size, paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.ml import WORKSPACE
from cloudmlops.emulators.azure.ml.default_datastores import ARTIFACT_STORE, BLOB_STORE, ENDPOINT, TYPE
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer, answer_json

DATASTORE: Final = f"{WORKSPACE}/datastores/{{name}}"
PERMISSIONS: Final = "rcuwdl"
"""Of a SAS that `listSecrets` makes."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,254}")
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "AzureBlob": ("accountName", "containerName"),
    "AzureDataLakeGen1": ("storeName",),
    "AzureDataLakeGen2": ("accountName", "filesystem"),
    "AzureFile": ("accountName", "fileShareName"),
    "OneLake": ("artifact", "oneLakeWorkspaceName"),
}
"""What each type must say. Of all but `AzureBlob` only the record is kept: no storage of theirs is emulated."""
_SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "None": (),
    "AccountKey": (),
    "Sas": (),
    "ServicePrincipal": ("authorityUrl", "clientId", "resourceUrl", "tenantId"),
    "Certificate": ("authorityUrl", "clientId", "resourceUrl", "tenantId", "thumbprint"),
}
"""What is shown of credentials, by their type."""
_SECRETS: Final[Mapping[str, str]] = {
    "AccountKey": "key",
    "Sas": "sasToken",
    "ServicePrincipal": "clientSecret",
    "Certificate": "certificate",
}


def add_datastores(world: World) -> None:
    """Let datastores be registered, listed, opened and removed."""
    Datastores(world)


class Datastores:
    """The handlers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._blobs = Blobs(world.surroundings)
        self._secrets = world.surroundings.state.table("ml_datastore_secrets")
        add = world.routes.add
        add("GET", f"{WORKSPACE}/datastores", self.list)
        add("GET", DATASTORE, self.get)
        add("PUT", DATASTORE, self.put)
        add("DELETE", DATASTORE, self.delete)
        add("POST", f"{DATASTORE}/listSecrets", self.list_secrets)

    def list(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        found = self._world.resources.directly_below(request.path)
        if default := request.query("isDefault"):
            found = [one for one in found if one["properties"]["isDefault"] == (default.lower() == "true")]
        if names := request.query("names"):
            found = [one for one in found if one["name"] in names.split(",")]
        if text := request.query("searchText"):
            found = [one for one in found if text.lower() in one["name"].lower()]
        if order := request.query("orderBy"):
            raise UserError("UNIMPLEMENTED", f"the order of datastores by {order!r} is not emulated")
        if request.query("orderByAsc", "false").lower() != "true":
            found.reverse()
        return paged(request, found, size=page_size(request, "count"))

    def get(self, request: ArmRequest) -> Answer:
        return answer_json(self._datastore(request))

    def put(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        name = request.names["name"]
        if not _NAME.fullmatch(name):
            raise UserError("INVALID_ARGUMENT", f"The name {name!r} is invalid: letters, digits and '_', 255 at most.")
        given = request.body.get("properties") or {}
        kept = _kept(given)
        credentials: Mapping[str, Any] = given.get("credentials") or {}
        with self._world.surroundings.state.transaction():
            if kept["isDefault"]:
                self._undefault(request)
            made, new = self._world.resources.put(request.path, TYPE, kept, request.caller)
            self._secrets.put(request.path.lower(), json.dumps(credentials.get("secrets") or {}).encode())
        location = f"https://management.azure.com{request.path}?api-version={request.version}"
        return answer_json(made, status=201 if new else 200, headers={"location": location} if new else None)

    def delete(self, request: ArmRequest) -> Answer:
        if request.names["name"].lower() in (ARTIFACT_STORE, BLOB_STORE):
            raise UserError("INVALID_ARGUMENT", f"The datastore {request.names['name']} of the workspace stays.")
        self._secrets.delete(request.path.lower())
        gone = self._world.resources.delete(request.path)
        return Answer(status=200 if gone else 204)

    def list_secrets(self, request: ArmRequest) -> Answer:
        path = request.path.rpartition("/")[0]
        properties = self._datastore(request)["properties"]
        kind = properties["credentials"]["credentialsType"]
        if kind == "None":
            raise UserError("INVALID_ARGUMENT", "The datastore has no credentials: there are no secrets to list.")
        data = self._secrets.get(path.lower())
        secret = json.loads(data).get(_SECRETS[kind], "") if data is not None else self._key(properties)
        if kind == "AccountKey" and request.body.get("expirableSecret"):
            lasts = timedelta(hours=float(request.body.get("expireAfterHours") or 1))
            try:
                token = self._blobs.account_sas(
                    properties["accountName"], permissions=PERMISSIONS, lasts=lasts, key=secret
                )
            except ValueError:
                raise UserError("INVALID_ARGUMENT", "The key of the datastore's account is not Base64.") from None
            return answer_json({"secretsType": "Sas", "sasToken": token})
        return answer_json({"secretsType": kind, _SECRETS[kind]: secret})

    def _datastore(self, request: ArmRequest) -> dict[str, Any]:
        workspace_of(self._world, request)
        path = request.path.removesuffix("/listSecrets") if request.asked.method == "POST" else request.path
        found = self._world.resources.get(path)
        if found is None:
            raise UserError("NOT_FOUND", f"Could not find datastore: {request.names['name']}")
        return found

    def _key(self, properties: Mapping[str, Any]) -> str:
        """Return the key of a workspace's own account."""
        return self._blobs.key(properties["accountName"])

    def _undefault(self, request: ArmRequest) -> None:
        for one in self._world.resources.directly_below(request.path.rpartition("/")[0]):
            if one["properties"]["isDefault"]:
                one["properties"]["isDefault"] = False
                self._world.resources.update(one)


def _kept(given: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(given.get("datastoreType", ""))
    if kind not in _FIELDS:
        raise UserError("INVALID_ARGUMENT", f"The datastore type {kind!r} is not one of {', '.join(_FIELDS)}.")
    if missing := [name for name in _FIELDS[kind] if not given.get(name)]:
        raise UserError("INVALID_ARGUMENT", f"The field {missing[0]} of the datastore is required.")
    credentials = given.get("credentials") or {}
    credential = str(credentials.get("credentialsType", ""))
    if credential not in _SHOWN:
        raise UserError("INVALID_ARGUMENT", f"The credentials type {credential!r} is not one of {', '.join(_SHOWN)}.")
    shown = {name: credentials.get(name) for name in _SHOWN[credential]}
    return {
        "description": given.get("description"),
        "tags": given.get("tags") or {},
        "properties": given.get("properties"),
        "isDefault": bool(given.get("isDefault", False)),
        "credentials": {"credentialsType": credential, **shown},
        "subscriptionId": given.get("subscriptionId"),
        "resourceGroup": given.get("resourceGroup"),
        "datastoreType": kind,
        **{name: given[name] for name in _FIELDS[kind]},
        "endpoint": given.get("endpoint") or ENDPOINT,
        "protocol": given.get("protocol") or "https",
        "serviceDataAccessAuthIdentity": given.get("serviceDataAccessAuthIdentity") or "None",
    }
