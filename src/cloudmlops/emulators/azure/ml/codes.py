"""Code: folders by the hash of their content, uploaded to containers of their own.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.32, 2026-03): who asks for a hash is
shown the code that has it whatever its name, and a version is not anonymous though it was put as such.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.ml import WORKSPACE
from cloudmlops.emulators.azure.ml.assets import Assets, described, unchanged
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer, answer_json

_LASTS: Final = timedelta(hours=24)


class Codes(Assets):
    """The handlers."""

    segment = "codes"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._blobs = Blobs(world.surroundings)
        world.routes.add(
            "POST", f"{WORKSPACE}/codes/{{name}}/versions/{{version}}/startPendingUpload", self.start_pending_upload
        )

    def list_versions(self, request: ArmRequest) -> Answer:
        wanted = request.query("hash")
        if not wanted:
            return super().list_versions(request)
        workspace = workspace_of(self._world, request)
        resources = self._world.resources
        found = [
            version
            for container in resources.directly_below(f"{workspace['id']}/codes")
            for version in resources.directly_below(f"{container['id']}/versions")
            if version["properties"]["properties"].get("hash_sha256") == wanted
            and version["properties"]["properties"].get("hash_version") == request.query("hashVersion")
        ]
        return paged(request, found)

    def start_pending_upload(self, request: ArmRequest) -> Answer:
        """Make a container to upload a version into."""
        workspace = workspace_of(self._world, request)
        kind = request.body.get("pendingUploadType", "TemporaryBlobReference")
        if kind != "TemporaryBlobReference":
            raise UserError("UNIMPLEMENTED", f"A pending upload of type {kind!r} is not emulated.")
        account = str(workspace["properties"]["storageAccount"]).rpartition("/")[2]
        container = f"{workspace['properties']['workspaceId']}-{secrets.token_hex(13)}"
        self._blobs.make_container(account, container)
        signed = self._blobs.container_url(account, container, permissions="rcwl", lasts=_LASTS)
        return answer_json(
            {
                "pendingUploadId": str(uuid4()),
                "pendingUploadType": kind,
                "blobReferenceForConsumption": {
                    "blobUri": signed.partition("?")[0],
                    "storageAccountArmId": workspace["properties"]["storageAccount"],
                    "credential": {"credentialType": "SAS", "sasUri": signed},
                },
            }
        )

    def version_properties(
        self,
        given: Mapping[str, Any],
        known: Mapping[str, Any] | None,
        request: ArmRequest,  # noqa: ARG002 for kinds that need it
    ) -> dict[str, Any]:
        uri = given.get("codeUri")
        if not uri:
            raise UserError("INVALID_ARGUMENT", "Request is invalid and/or missing fields: codeUri is required.")
        kept = {
            **described(given),
            "isAnonymous": False,
            "codeUri": str(uri),
            "provisioningState": "Succeeded",
        }
        unchanged(known, kept, "codeUri")
        return kept

    def absent(self, name: str, version: str) -> UserError:
        return not_found("CodeNotFound", f"Code {name}{f':{version}' if version else ''} not found.")
