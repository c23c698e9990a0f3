"""Components: steps of pipelines, by name or by their content.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.32, 2026-03): what is anonymous gets
a version from its content, whatever version it was put as; truth values and numbers of a specification become text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.jobs.names import check_names
from cloudmlops.emulators.azure.ml.asset_references import check_code, check_environment
from cloudmlops.emulators.azure.ml.assets import Assets, described, unchanged
from cloudmlops.emulators.azure.ml.workspaces import workspace_id

ANONYMOUS: Final = "azureml_anonymous"
EMULATED: Final = ("command", "pipeline", "spark")
_DESCRIBING: Final = ("description", "display_name", "tags", "$schema")
_CURATED: Final = re.compile(r"azureml:(AzureML-[\w.-]+):([\w.-]+)")


class Components(Assets):
    """The handlers."""

    segment = "components"

    def address(self, request: ArmRequest, given: Mapping[str, Any]) -> str:
        if not given.get("isAnonymous"):
            return request.path
        content = json.dumps({**_specification(given, request), "version": None}, sort_keys=True)
        versions = request.path.rpartition("/")[0]
        return f"{versions}/{derived_id('component', versions.lower() + content)}"

    def version_properties(
        self, given: Mapping[str, Any], known: Mapping[str, Any] | None, request: ArmRequest
    ) -> dict[str, Any]:
        specification = _specification(given, request)
        self._check(specification, workspace_id(request.names))
        kept = {
            **described(given),
            "description": None,
            "autoDeleteSetting": None,
            "componentSpec": specification,
            "provisioningState": "Succeeded",
            "stage": "Logged" if specification.get("name") == ANONYMOUS else "Development",
        }
        unchanged(known and _deciding(known), _deciding(kept), "componentSpec")
        return kept

    def _check(self, specification: Mapping[str, Any], workspace: str) -> None:
        """Refuse names that are none, and an environment or code that is not registered."""
        check_names("the component", specification.get("inputs"), specification.get("outputs"))
        for name, node in (specification.get("jobs") or {}).items():
            check_names(f"the step {name}", node.get("inputs"), node.get("outputs"))
        environment, code = specification.get("environment"), specification.get("code")
        if isinstance(environment, str):
            check_environment(self._world.resources, workspace, environment)
        if isinstance(code, str):
            check_code(self._world.resources, code)

    def always_created(self, kept: Mapping[str, Any]) -> bool:
        return bool(kept["isAnonymous"])

    def absent(self, name: str, version: str) -> UserError:
        return UserError("NOT_FOUND", f"Not found component {name}{f' with version {version}' if version else ''}.")


def _specification(given: Mapping[str, Any], request: ArmRequest) -> dict[str, Any]:
    sent = given.get("componentSpec")
    if not isinstance(sent, dict):
        raise UserError("INVALID_ARGUMENT", "Request is invalid and/or missing fields: componentSpec is required.")
    kind = sent.get("type", "command")
    if kind not in EMULATED:
        raise UserError("UNIMPLEMENTED", f"A component of type {kind!r} is not emulated.")
    specification: dict[str, Any] = _text({key: value for key, value in sent.items() if key != "_source"})
    specification.setdefault("version", request.names["version"])
    for one in (specification.get("inputs") or {}).values():
        one.setdefault("optional", "False")
    if kind == "command":
        environment = specification.get("environment")
        if isinstance(environment, str) and (curated := _CURATED.fullmatch(environment)):
            specification["environment"] = (
                f"azureml://registries/azureml/environments/{curated[1]}/versions/{curated[2]}"
            )
        specification.setdefault("resources", {}).setdefault("instance_count", "1")
    return specification


def _deciding(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a component may not change: all but what describes it."""
    return {"componentSpec": {key: value for key, value in kept["componentSpec"].items() if key not in _DESCRIBING}}


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _text(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_text(one) for one in value]
    return value if value is None else str(value)
