"""Batch scoring: the job that a request to a batch endpoint begins.

It is a pipeline job with one step, `batchscoring`, whose output `score` holds the predictions. Tags, properties and
what is null of the job follow recorded traffic of the real service (azure-sdk-for-python, azure-ai-ml 1.5,
`batch_services`). The step is a program, `batch_runner`, that hands the files to the scoring script in mini batches.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.jobs import batch_runner
from cloudmlops.emulators.azure.jobs.assets import Assets
from cloudmlops.emulators.azure.jobs.execution import Executor
from cloudmlops.emulators.azure.jobs.pipelines import LOG_NAME, PIPELINE, STEP
from cloudmlops.emulators.azure.jobs.runner import Runner
from cloudmlops.emulators.azure.jobs.runs import TERMINAL, Run, Runs
from cloudmlops.emulators.azure.jobs.stopping import Stop
from cloudmlops.emulators.azure.jobs.tasks import Output, Task, Value
from cloudmlops.emulators.azure.ml.batch_deployments import APPEND
from cloudmlops.emulators.azure.ml.durations import duration
from cloudmlops.emulators.azure.ml.job_shapes import definition

CHILD: Final = "batchscoring"
SCORE: Final = "score"
"""The output of the step."""
_KINDS: Final = {"urifolder": "uri_folder", "urifile": "uri_file"}
_SERVER: Final = (sys.executable, "-P", "-m", "cloudmlops.serving")
"""What predicts for models of MLflow without a scoring script."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """What a request to a batch endpoint wants, with what its deployment says where it says nothing."""

    endpoint: Mapping[str, Any]
    deployment: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]]
    """By name, with `jobInputType`, `uri` or `value`."""
    outputs: Mapping[str, Mapping[str, Any]]
    """By name, with `jobOutputType` and `uri`."""
    settings: Mapping[str, Any]
    """`miniBatchSize`, `errorThreshold`, `retrySettings`, `outputFileName`, `compute`."""
    display_name: str
    experiment: str


class BatchScoring:
    """Begins the jobs of deployments of models."""

    def __init__(self, world: World, runs: Runs, runner: Runner, executor: Executor) -> None:
        self._world = world
        self._runs = runs
        self._runner = runner
        self._executor = executor
        self._assets = Assets(world.resources, runs)
        self._blobs = Blobs(world.surroundings)

    def begin(self, workspace: Mapping[str, Any], invocation: Invocation, caller: Caller) -> Run:
        """Begin a job; return it as it is before anything of it has happened.

        Raises:
            Refused: The input is none that a model can score.
        """
        task = self._task(workspace, invocation)
        name = str(uuid4())
        job = definition({"jobType": "Pipeline"}, name)
        run = Run(
            workspace=str(workspace["id"]),
            name=name,
            experiment=invocation.experiment,
            display_name=invocation.display_name,
            description=(
                f"Pipeline submission for endpoint: {invocation.endpoint['name']}, "
                f"deployment: {invocation.deployment['name']}."
            ),
            created=self._runs.now(),
            by={key: getattr(caller, key) for key in ("object_id", "client_id", "name", "kind")},
            status="Preparing",
            job={**job, **dict.fromkeys(("settings", "jobs", "inputs", "outputs"))},
            number=self._runs.next_number(),
            run_type=PIPELINE,
            root=name,
            tags={"azureml.batchrun": "true", "azureml.deploymentname": str(invocation.deployment["name"])},
            properties=_properties(invocation.settings),
            compute=str(invocation.settings["compute"]).rpartition("/")[2],
        )
        self._runs.create(run)
        self._runner.start(run, lambda stop: self._carry_out(run, task, stop))
        return run

    def _carry_out(self, run: Run, task: Task, stop: Stop) -> None:
        self._runs.move(run, "Running")
        child = self._child(run)
        self._runs.create(child)
        self._executor.say(run, LOG_NAME, f"Submitting 1 runs, first five are: {CHILD}:{child.name}")
        self._executor.execute(child, task, stop.below())
        self._executor.say(run, LOG_NAME, f"Completing processing run id {child.name}.")
        ended = self._runs.get(child.workspace, child.name) or child
        if ended.status in TERMINAL:
            error = "" if ended.status != "Failed" else f"The step {CHILD} failed: {ended.error}"
            self._runs.move(run, ended.status, error=error, outputs=ended.outputs)

    def _child(self, run: Run) -> Run:
        name = str(uuid4())
        return replace(
            run,
            name=name,
            uuid=str(uuid4()),
            display_name=CHILD,
            description=None,
            created=self._runs.now(),
            status="NotStarted",
            job=None,
            run_type=STEP,
            parent=run.name,
            root=run.name,
            tags={},
            properties={
                "azureml.runsource": STEP,
                "azureml.moduleName": CHILD,
                "azureml.pipelinerunid": run.name,
                "azureml.rootpipelinerunid": run.name,
                "azureml.pipelineComponent": "masterescloud",
                "StepType": "PythonScriptStep",
                "_azureml.ComputeTargetType": "amlctrain",
                "_azureml.ClusterName": run.compute,
            },
            component=CHILD,
        )

    def _task(self, workspace: Mapping[str, Any], invocation: Invocation) -> Task:
        deployment, settings = invocation.deployment["properties"], invocation.settings
        if len(invocation.inputs) != 1:
            raise UserError(
                "INVALID_ARGUMENT", f"A deployment of a model takes one input, and {len(invocation.inputs)} are given."
            )
        ((_, given),) = invocation.inputs.items()
        kind = _KINDS.get(str(given.get("jobInputType")).lower())
        if kind is None or not given.get("uri"):
            raise UserError("INVALID_ARGUMENT", "The input of a deployment of a model is a UriFolder or a UriFile.")
        inputs: dict[str, Value | None] = {"data": Value(kind=kind, text=str(given["uri"]))}
        told = {
            "mini_batch_size": settings["miniBatchSize"],
            "error_threshold": settings["errorThreshold"],
            "retries": settings["retrySettings"]["maxRetries"],
            "timeout_seconds": duration(settings["retrySettings"]["timeout"]).total_seconds(),
            "file": settings["outputFileName"] if deployment["outputAction"] == APPEND else "",
            "script": (deployment["codeConfiguration"] or {}).get("scoringScript") or "",
            "server": list(_SERVER),
            "batch_error_threshold": -1,
            "failed_percent": 100,
            "workers": 1,
            "parallel": False,
        }
        parts = ["--data", "${{inputs.data}}", "--output", f"${{{{outputs.{SCORE}}}}}"]
        if model := deployment["model"]:
            inputs["model"] = Value(kind="custom_model", text=str(model["assetId"]))
            parts += ["--model", "${{inputs.model}}"]
            told |= self._model(workspace, str(model["assetId"]))
        program = ["python", "-u", str(Path(batch_runner.__file__)), json.dumps(told)]
        return Task(
            command=" ".join([*map(shlex.quote, program), *(f'"{part}"' for part in parts)]),
            code=(deployment["codeConfiguration"] or {}).get("codeId"),
            environment=str(deployment["environmentId"] or ""),
            variables={name: str(value) for name, value in deployment["environmentVariables"].items()},
            inputs=inputs,
            outputs={SCORE: _output(invocation.outputs)},
        )

    def _model(self, workspace: Mapping[str, Any], asset: str) -> dict[str, str]:
        """Return where a model lies below `azureml-models`: name and version, and its folder if it has one."""
        place = self._assets.storage(str(workspace["id"]), asset)
        single = self._blobs.exists(place.account, place.container, place.path)
        parts = asset.split("/")
        base = "" if single else place.path.rstrip("/").rpartition("/")[2]
        return {"model_path": f"{parts[-3]}/{parts[-1]}", "model_base": base}


def _output(given: Mapping[str, Mapping[str, Any]]) -> Output:
    if not given:
        return Output(kind="uri_folder")
    one, *others = given.values()
    if others or str(one.get("jobOutputType")).lower() not in ("urifolder", "urifile"):
        raise UserError(
            "INVALID_ARGUMENT", f"A deployment of a model has one output, {SCORE}: a UriFolder or a UriFile."
        )
    uri = str(one.get("uri") or "") or None
    if uri is not None and str(one["jobOutputType"]).lower() == "urifile":
        uri = uri.rpartition("/")[0]
    return Output(kind="uri_folder", uri=uri)


def _properties(settings: Mapping[str, Any]) -> dict[str, str]:
    retries = settings["retrySettings"]
    told = {
        "run_max_try": str(retries["maxRetries"]),
        "run_invocation_timeout": str(round(duration(retries["timeout"]).total_seconds())),
        "mini_batch_size": str(settings["miniBatchSize"]),
        "logging_level": str(settings["loggingLevel"]).upper(),
        "NodeCount": str(settings["resources"]["instanceCount"]),
        "append_row_file_name": str(settings["outputFileName"]),
    }
    return {
        "azureml.runsource": "azureml.PipelineRun",
        "runSource": "Unavailable",
        "runType": "HTTP",
        "azureml.parameters": json.dumps(told, separators=(",", ":")),
        "azureml.continue_on_step_failure": "False",
        "azureml.continue_on_failed_optional_input": "False",
        "azureml.pipelineid": str(uuid4()),
        "azureml.pipelineComponent": "pipelinerun",
    }
