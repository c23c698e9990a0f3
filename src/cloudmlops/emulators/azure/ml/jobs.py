"""Jobs in Azure Resource Manager: submitted, shown, listed, changed, canceled.

A job that is put again is one whose name is taken, unless nothing changes but what describes it. How many fields are
shown follows recorded traffic, see `job_shapes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import Detail, UserError, not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.jobs.execution import Executor
from cloudmlops.emulators.azure.jobs.pipelines import Pipelines
from cloudmlops.emulators.azure.jobs.runner import Runner
from cloudmlops.emulators.azure.jobs.runs import TERMINAL, Run, Runs
from cloudmlops.emulators.azure.jobs.spark import spark_task
from cloudmlops.emulators.azure.jobs.stopping import Stop
from cloudmlops.emulators.azure.jobs.sweeps import RUN_TYPE as SWEEP_RUN
from cloudmlops.emulators.azure.jobs.sweeps import Sweeps, read_sweep
from cloudmlops.emulators.azure.jobs.tasks import Task, command_task
from cloudmlops.emulators.azure.ml import PROVIDER, WORKSPACE
from cloudmlops.emulators.azure.ml.asset_references import check_code, check_environment
from cloudmlops.emulators.azure.ml.assets import properties_of
from cloudmlops.emulators.azure.ml.job_shapes import NEWER, definition, shown
from cloudmlops.emulators.azure.ml.registries import TYPE as REGISTRY_TYPE
from cloudmlops.emulators.azure.ml.registry_addresses import registries_in
from cloudmlops.emulators.azure.ml.views import in_view, tagged
from cloudmlops.emulators.azure.ml.workspaces import TYPE as WORKSPACE_TYPE
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer, answer_json

JOB: Final = f"{WORKSPACE}/jobs/{{name}}"
SUBMIT: Final = f"{PROVIDER}/workspaces/experiments/runs/submit/action"
_CANCEL: Final = "jc"
"""Begins the names of the operations that are the cancelling of a job."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
_COMPUTE: Final = re.compile(r"/subscriptions/.+/computes/(?!serverless$)[^/]+", re.IGNORECASE)
_RUN_TYPES: Final[Mapping[str, str]] = {
    "Command": "azureml.scriptrun",
    "Pipeline": "azureml.PipelineRun",
    "Spark": "azureml.scriptrun",
    "Sweep": SWEEP_RUN,
}
_FIRST: Final[Mapping[str, str]] = {
    "Command": "Starting",
    "Pipeline": "NotStarted",
    "Spark": "Starting",
    "Sweep": "NotStarted",
}
"""The status that a job is answered with when it is submitted."""


class Jobs:
    """The handlers, and what lets other parts of the service submit jobs."""

    def __init__(
        self, world: World, runs: Runs, runner: Runner, executor: Executor, pipelines: Pipelines, sweeps: Sweeps
    ) -> None:
        self._world = world
        self._runs = runs
        self._runner = runner
        self._executor = executor
        self._pipelines = pipelines
        self._sweeps = sweeps
        add = world.routes.add
        add("GET", f"{WORKSPACE}/jobs", self.list)
        add("GET", JOB, self.get)
        add("PUT", JOB, self.put)
        add("POST", f"{JOB}/cancel", self.cancel)
        world.operations.looks[_CANCEL] = self._canceled

    def list(self, request: ArmRequest) -> Answer:
        """List jobs, the newest first; steps of pipelines are none."""
        workspace = workspace_of(self._world, request)
        found = [run for run in self._runs.of_workspace(str(workspace["id"])) if _listed(run, request)]
        return paged(request, [shown(run, workspace, request.version) for run in found])

    def get(self, request: ArmRequest) -> Answer:
        """Show a job."""
        workspace = workspace_of(self._world, request)
        return answer_json(shown(self._run(workspace, request), workspace, request.version))

    def put(self, request: ArmRequest) -> Answer:
        """Submit a job, or change what describes one."""
        workspace = workspace_of(self._world, request)
        given = properties_of(request)
        if request.version == NEWER:
            _check_outputs(given)
        known = self._runs.get(str(workspace["id"]), request.names["name"])
        if known is not None:
            return answer_json(shown(self._changed(known, given), workspace, request.version))
        self._world.access.check(request.caller, SUBMIT, str(workspace["id"]))
        run = self.submit(workspace, request.names["name"], given, request.caller)
        location = f"https://management.azure.com{request.path}?api-version={request.version}"
        return answer_json(shown(run, workspace, request.version), status=201, headers={"location": location})

    def cancel(self, request: ArmRequest) -> Answer:
        """Ask a job to end; whoever follows that is told when it has (azure-sdk-assets, azure-ai-ml 1.12, 2023-10)."""
        workspace = workspace_of(self._world, request)
        run = self._run(workspace, request)
        self._runner.cancel(run)
        name = f"{_CANCEL}:{workspace['properties']['workspaceId']}:{run.name}"
        followed = self._world.operations.followed(
            name, request.names["subscription"], str(workspace["location"]), version=request.version
        )
        told = {key: value for key, value in followed.items() if key != "azure-asyncoperation"}
        return answer_json(None, status=202, headers=told)

    def _canceled(self, which: str) -> bool:
        """Say whether a job has ended, by the workspace's own id and its name."""
        workspace, _, name = which.partition(":")
        for found in self._world.resources.of_type(WORKSPACE_TYPE):
            if found["properties"]["workspaceId"] == workspace:
                run = self._runs.get(str(found["id"]), name)
                return run is None or run.status in TERMINAL
        return True

    def start(self, workspace: str, name: str, definition: Mapping[str, Any], caller: Caller) -> None:
        """Submit a job for another part of the service, such as a schedule.

        Args:
            workspace: The id of it.
            name: Of the job.
            definition: Its properties.
            caller: For whom: they must be allowed to.

        Raises:
            Refused: As `submit`, or the caller may not.
        """
        found = self._world.resources.get(workspace)
        if found is None:
            raise UserError("NOT_FOUND", f"There is no workspace {workspace}.")
        self._world.access.check(caller, SUBMIT, workspace)
        self.submit(found, name, definition, caller)

    def submit(
        self,
        workspace: Mapping[str, Any],
        name: str,
        given: Mapping[str, Any],
        caller: Caller,
        does: Callable[[Run, Stop], None] | None = None,
    ) -> Run:
        """Submit a job; return it as it is before anything of it has happened.

        Args:
            workspace: As it is shown.
            name: Of the job.
            given: Its properties.
            caller: For whom.
            does: What it does, to its end; None is what its properties say.

        Raises:
            Refused: It is malformed, wants what is not emulated, or its name is taken.
        """
        if not _NAME.fullmatch(name):
            raise UserError("INVALID_ARGUMENT", f"The name {name!r} is invalid: letters, digits, '_' and '-'.")
        kind = str(given.get("jobType"))
        if kind not in _RUN_TYPES:
            raise UserError("UNIMPLEMENTED", f"A job of type {kind!r} is not emulated.")
        kept = definition(given, name)
        compute = kept["computeId"] or (given.get("settings") or {}).get("default_compute")
        self._check_compute(compute)
        for registry in registries_in(self._world.resources, given):
            self._world.access.check(caller, f"{REGISTRY_TYPE}/assets/read", str(registry["id"]))
        cluster = str(compute).rpartition("/")[2] if compute else None
        run = Run(
            workspace=str(workspace["id"]),
            name=name,
            experiment=str(given.get("experimentName") or "Default"),
            display_name=given.get("displayName") or name,
            description=given.get("description"),
            created=self._runs.now(),
            by={key: getattr(caller, key) for key in ("object_id", "client_id", "name", "kind")},
            status=_FIRST[kind],
            job=kept,
            number=self._runs.next_number(),
            run_type=_RUN_TYPES[kind],
            root=name,
            tags={str(key): str(value) for key, value in (given.get("tags") or {}).items()},
            properties={
                **(given.get("properties") or {}),
                **_of_compute(kind, cluster),
            },
            hidden=bool(given.get("isArchived", False)),
            compute=cluster or "serverless",
        )
        work = self._work(run, given) if does is None else partial(does, run)
        if not self._runs.create(run):
            raise UserError("INVALID_ARGUMENT", f"A job with the name {name} exists: choose another one.")
        self._runner.start(run, work)
        return run

    def _check_compute(self, compute: str | None) -> None:
        if compute and _COMPUTE.fullmatch(compute) and self._world.resources.get(compute) is None:
            raise UserError("INVALID_ARGUMENT", f"Unable to find compute target {compute.rpartition('/')[2]}.")

    def _work(self, run: Run, given: Mapping[str, Any]) -> Any:
        if run.run_type == "azureml.PipelineRun":
            graph = self._pipelines.read(run.workspace, given)
            self._check_assets(run.workspace, *graph.tasks)

            def work(stop: Stop) -> None:
                self._pipelines.carry_out(run, graph, stop)

        elif given["jobType"] == "Sweep":
            sweep = read_sweep(given)
            self._check_assets(run.workspace, sweep.task)

            def work(stop: Stop) -> None:
                self._sweeps.carry_out(run, sweep, stop)

        else:
            task = spark_task(given, self._executor.images) if given["jobType"] == "Spark" else command_task(given)
            self._check_assets(run.workspace, task)

            def work(stop: Stop) -> None:
                self._executor.execute(run, task, stop)

        return work

    def _check_assets(self, workspace: str, *tasks: Task) -> None:
        """Refuse tasks whose environment or code is not registered."""
        for task in tasks:
            check_environment(self._world.resources, workspace, task.environment)
            check_code(self._world.resources, task.code or "")

    def _changed(self, known: Run, given: Mapping[str, Any]) -> Run:
        wanted = definition({"jobType": None, **given}, known.name)
        if known.job != wanted:
            raise UserError(
                "INVALID_ARGUMENT",
                f"A job with the name {known.name} exists, and what it does cannot be changed. To submit another one, "
                "use another name; of this one description, displayName, tags and isArchived may change.",
            )
        return self._runs.change(
            known.workspace,
            known.name,
            lambda run: {
                "tags": given.get("tags") or {},
                "description": given.get("description"),
                "display_name": given.get("displayName") or run.display_name,
                "hidden": bool(given.get("isArchived", False)),
            },
        )

    def _run(self, workspace: Mapping[str, Any], request: ArmRequest) -> Run:
        name = request.names["name"]
        found = self._runs.get(str(workspace["id"]), name)
        if found is None:
            raise not_found("JobNotFound", f"Job {name} not found.")
        return found


def _listed(run: Run, request: ArmRequest) -> bool:
    """Say whether a list shows a run: it stands for a job below no other, and is what the query asks for."""
    if run.job is None or run.parent or not in_view(run.hidden, request):
        return False
    kind, tag, properties = (request.query(name) for name in ("jobType", "tag", "properties"))
    return (
        (not kind or run.job["jobType"].lower() == kind.lower())
        and (not tag or tagged(run.tags, tag))
        and (not properties or tagged(run.properties, properties))
    )


def _of_compute(kind: str, cluster: str | None) -> dict[str, Any]:
    if kind == "Pipeline":
        return {}
    if kind == "Spark":
        return {"JobType": kind, "azureml.CloudSystem": "AmlSparkCloud", "_azureml.ComputeTargetType": "amlspark"}
    return {"_azureml.ComputeTargetType": "amlctrain", "_azureml.ClusterName": cluster}


def _check_outputs(given: Mapping[str, Any]) -> None:
    """Refuse an output's version: the newer api-version does not have it, whatever SDKs send (recorded 2026-03)."""
    wrong = [name for name, one in (given.get("outputs") or {}).items() if one and "assetVersion" in one]
    if wrong:
        raise UserError(
            "INVALID_ARGUMENT",
            "Request is invalid and/or missing fields.",
            [
                Detail(
                    code="RequestInvalid",
                    message="Could not find member 'assetVersion' on object of type 'UriFolderJobOutput'. "
                    f"Path 'properties.outputs.{name}.assetVersion'.",
                )
                for name in wrong
            ],
        )
