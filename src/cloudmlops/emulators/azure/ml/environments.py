"""Environments: which image a job runs in, with what installed.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.17, 2024-05): what conda is to
install is shown as JSON though it was sent as YAML, and every PUT of an anonymous environment is answered with 201.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.ml.assets import Assets, described
from cloudmlops.emulators.azure.ml.workspaces import SYSTEM


class Environments(Assets):
    """The handlers."""

    segment = "environments"

    def version_properties(
        self,
        given: Mapping[str, Any],
        known: Mapping[str, Any] | None,  # noqa: ARG002 all of it may change
        request: ArmRequest,  # noqa: ARG002 for kinds that need it
    ) -> dict[str, Any]:
        return _kept(given)

    def ensure(self, workspace: str, name: str, version: str, *, image: str) -> str:
        """Make a version that is an image, unless it is there; return its id."""
        address = f"{workspace}/environments/{name}/versions/{version}"
        if self._world.resources.get(address) is None:
            self.keep_version(address, _kept({"image": image}), SYSTEM)
        return address

    def always_created(self, kept: Mapping[str, Any]) -> bool:
        return bool(kept["isAnonymous"])

    def absent(self, name: str, version: str) -> UserError:
        what = f"Environment version {name}:{version}" if version else f"Environment container with name: {name}"
        return not_found("EnvironmentNotFound", f"{what} not found.")


def _kept(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that are kept of a version.

    Raises:
        Refused: They are malformed.
    """
    if not given.get("image") and not given.get("build"):
        raise UserError("INVALID_ARGUMENT", "Request is invalid and/or missing fields: image or build is required.")
    common = described(given)
    labels = "" if common["isAnonymous"] else "latest"
    kept: dict[str, Any] = {
        **common,
        "properties": {**common["properties"], "azureml.labels": labels},
        "autoDeleteSetting": None,
        "environmentType": "UserCreated",
        "image": given.get("image"),
        "condaFile": _conda(given.get("condaFile")),
        "osType": given.get("osType") or "Linux",
        "autoRebuild": given.get("autoRebuild") or "Disabled",
        "provisioningState": "Succeeded",
        "stage": given.get("stage") or ("Logged" if common["isAnonymous"] else "Development"),
        "intellectualProperty": None,
    }
    for optional in ("build", "inferenceConfig"):
        if given.get(optional):
            kept[optional] = given[optional]
    return {name: value for name, value in kept.items() if value is not None or name not in ("image", "condaFile")}


def _conda(text: str | None) -> str | None:
    """Return what conda is to install as the service shows it.

    Raises:
        Refused: It is no YAML.
    """
    if text is None:
        return None
    try:
        return json.dumps(yaml.safe_load(text), indent=2)
    except (yaml.YAMLError, TypeError) as error:
        raise UserError("INVALID_ARGUMENT", f"The conda file is malformed: {error}") from error
