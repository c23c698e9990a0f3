"""How a deployment is served: which program, with which files, at which routes."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.ml.data_addresses import storage_of
from cloudmlops.emulators.azure.ml.registry_addresses import in_registry, kind_at
from cloudmlops.emulators.azure.scoring.images import MODEL_SERVER, ServingImages
from cloudmlops.emulators.azure.scoring.runner import HEALTH_ROUTE, SCORING_ROUTE
from cloudmlops.emulators.core.faults import Refused

_RUNNER: Final = (sys.executable, "-u", "-P", "-m", "cloudmlops.emulators.azure.scoring.runner")
_ASSET: Final = re.compile(
    r"(?:azureml:)?(?P<id>/subscriptions/.*/(?P<kind>\w+)/(?P<name>[^/]+)/versions/(?P<version>[^/]+))"
)
_MLFLOW: Final = "mlflow_model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to run for a deployment; the same plan needs no other process."""

    workspace: str
    """Its id."""
    command: Sequence[str]
    """With `{port}`, `{code}` for the folder of the code."""
    variables: Mapping[str, str]
    """What the deployment sets."""
    health_route: str
    scoring_route: str
    model: str = ""
    """Address of the model's files; empty when there is none."""
    model_path: str = ""
    """Where it lies below `azureml-models`: name and version."""
    code: str = ""
    """Address of the code's files; empty when there is none."""
    script: str = ""


def planned(
    resources: Resources, images: ServingImages, workspace: Mapping[str, Any], given: Mapping[str, Any]
) -> Plan:
    """Return how a deployment is served.

    Args:
        resources: All that there are.
        images: What stands for which image.
        workspace: That it is in.
        given: Its properties.

    Raises:
        Refused: Something of it does not exist, is missing, or is not emulated.
    """
    model = _asset(resources, "models", given.get("model"))
    environment = _asset(resources, "environments", given.get("environmentId"))
    code = given.get("codeConfiguration")
    common: dict[str, Any] = {
        "workspace": workspace["id"],
        "variables": {name: str(value) for name, value in (given.get("environmentVariables") or {}).items()},
    }
    if model is not None:
        parts = model["id"].split("/")
        common |= {"model": model["properties"]["modelUri"], "model_path": f"{parts[-3]}/{parts[-1]}"}
    inference = environment["properties"].get("inferenceConfig") if environment is not None else None
    if code:
        if environment is None:
            raise UserError("INVALID_ARGUMENT", "A deployment with a scoring script needs an environment.")
        found = _asset(resources, "codes", code.get("codeId"))
        if found is None or not code.get("scoringScript"):
            raise UserError("INVALID_ARGUMENT", "The code configuration needs a codeId and a scoringScript.")
        script = str(code["scoringScript"])
        return Plan(
            **common,
            command=(*_RUNNER, f"{{code}}/{script}", "--port", "{port}"),
            code=found["properties"]["codeUri"],
            script=script,
            health_route=HEALTH_ROUTE,
            scoring_route=SCORING_ROUTE,
        )
    if environment is None or (model is not None and _is_mlflow(model) and inference is None):
        if model is None or not _is_mlflow(model):
            raise UserError(
                "INVALID_ARGUMENT", "Only a model of type mlflow_model is deployed without environment and code."
            )
        return Plan(
            **common,
            command=tuple(MODEL_SERVER.command),
            health_route=MODEL_SERVER.health_route,
            scoring_route=MODEL_SERVER.scoring_route,
        )
    image = images.of(str(environment["properties"].get("image", "")))
    return Plan(
        **common,
        command=tuple(image.command),
        health_route=_route(inference, "livenessRoute") or image.health_route,
        scoring_route=_route(inference, "scoringRoute") or image.scoring_route,
    )


def provided(plan: Plan, resources: Resources, blobs: Blobs, folder: Path) -> tuple[list[str], dict[str, str], str]:
    """Bring the files of a plan to a folder; return command and variables, and what was done for the log.

    Raises:
        Refused: Some of them are not there.
    """
    lines: list[str] = []
    variables: dict[str, str] = {}
    code = folder / "code"
    if plan.model:
        mounted = folder / "azureml-models" / plan.model_path
        place = storage_of(resources, plan.workspace, plan.model)
        base = place.path.rstrip("/").rpartition("/")[2]
        single = blobs.exists(place.account, place.container, place.path)
        files = blobs.download(place.account, place.container, place.path, mounted if single else mounted / base)
        if not files:
            raise UserError("INVALID_ARGUMENT", f"The model's files {plan.model} are not there.")
        variables["AZUREML_MODEL_DIR"] = str(mounted)
        lines.append(f"Downloaded {len(files)} files of the model {plan.model_path} to {mounted}")
    if plan.code:
        place = storage_of(resources, plan.workspace, plan.code)
        files = blobs.download(place.account, place.container, place.path, code)
        lines.append(f"Downloaded {len(files)} files of the code to {code}")
        variables["AZUREML_ENTRY_SCRIPT"] = plan.script
    command = [part.replace("{code}", str(code)) for part in plan.command]
    return command, {**variables, **plan.variables}, "".join(f"{line}\n" for line in lines)


def _asset(resources: Resources, kind: str, reference: object) -> dict[str, Any] | None:
    if not reference:
        return None
    if kind_at(str(reference)) == kind:
        shared = in_registry(resources, str(reference))
        if shared is None:
            raise UserError("INVALID_ARGUMENT", f"There is no asset {reference}.")
        return shared
    found = _ASSET.fullmatch(str(reference))
    if found is None or found["kind"].lower() != kind:
        raise Refused(
            "UNIMPLEMENTED",
            f"{reference!r} as one of {kind} is not emulated: only ids within a workspace or a registry",
        )
    known = resources.get(found["id"])
    if known is None:
        raise UserError("INVALID_ARGUMENT", f"There is no version {found['version']} of {found['name']} in {kind}.")
    return known


def _is_mlflow(model: Mapping[str, Any]) -> bool:
    return str(model["properties"]["modelType"]).lower() == _MLFLOW


def _route(inference: Mapping[str, Any] | None, name: str) -> str:
    return str(((inference or {}).get(name) or {}).get("path") or "")
