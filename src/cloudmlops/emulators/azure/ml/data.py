"""Data assets.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.32, 2026-03): a version's address is
shown in its long form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.ml.assets import Assets, described, unchanged

TYPES: Final = ("uri_file", "uri_folder", "mltable")
_SHORT: Final = re.compile(r"azureml://(datastores/.*)")


class Data(Assets):
    """The handlers."""

    segment = "data"

    def register(self, workspace: str, name: str, version: str, *, kind: str, uri: str, caller: Caller) -> str:
        """Register a version for another part of the service; return its id.

        Args:
            workspace: The id of it.
            name: Of the asset.
            version: Of the asset; empty is the next number.
            kind: One of `TYPES`.
            uri: Where it lies.
            caller: For whom.
        """
        container = f"{workspace}/data/{name}"
        if not version:
            known = self._world.resources.get(container)
            version = str(known["properties"]["numbers"] + 1 if known else 1)
        made = self.keep_version(
            f"{container}/versions/{version}", _kept({"dataUri": uri, "dataType": kind}, workspace), caller
        )
        return str(made["id"])

    def version_properties(
        self, given: Mapping[str, Any], known: Mapping[str, Any] | None, request: ArmRequest
    ) -> dict[str, Any]:
        kind = given.get("dataType")
        if kind not in TYPES:
            raise UserError("INVALID_ARGUMENT", f"The data type {kind!r} is not one of {', '.join(TYPES)}.")
        if not given.get("dataUri"):
            raise UserError("INVALID_ARGUMENT", "Request is invalid and/or missing fields: dataUri is required.")
        kept = _kept(given, request.path.partition("/data/")[0])
        unchanged(known, kept, "dataUri", "dataType")
        return kept

    def container_properties(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"dataType": given.get("dataType")}

    def absent(self, name: str, version: str) -> UserError:
        what = f"Data version {name}:{version}" if version else f"Data container with name: {name}"
        return not_found("DataNotFound", f"{what} not found.")


def _kept(given: Mapping[str, Any], workspace: str) -> dict[str, Any]:
    parts = workspace.split("/")
    long = f"azureml://subscriptions/{parts[2]}/resourcegroups/{parts[4]}/workspaces/{parts[8]}/"
    kept = {
        **described(given),
        "autoDeleteSetting": None,
        "dataUri": _SHORT.sub(lambda found: long + found[1], str(given["dataUri"])),
        "stage": given.get("stage"),
        "intellectualProperty": None,
        "dataType": given["dataType"],
    }
    if given["dataType"] == "mltable":
        kept["referencedUris"] = given.get("referencedUris")
    return kept
