"""The tracking store at the hosts `*.api.azureml.ms`: MLflow's REST API below `/mlflow`, and artifacts beside it.

Who may do what is decided by actions on the workspace: `experiments/runs/read` and `experiments/runs/write` for runs,
`experiments/read` and `experiments/write` for experiments, those of models for the registry. MLflow's API of logged
models is answered with 404 and no body, as the real service does (azure-sdk-for-python, issue 44896).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError, answer_error
from cloudmlops.emulators.azure.arm.queries import check_query
from cloudmlops.emulators.azure.arm.service import AUDIENCES
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.jobs.runs import Runs
from cloudmlops.emulators.azure.jobs.surroundings import RUN_AUDIENCE
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.azure.tracking.artifacts import RUNS, Artifacts
from cloudmlops.emulators.azure.tracking.calls import Call, refusal
from cloudmlops.emulators.azure.tracking.experiments import Experiments
from cloudmlops.emulators.azure.tracking.measures import Measures
from cloudmlops.emulators.azure.tracking.registry import Registry
from cloudmlops.emulators.azure.tracking.runs import TrackedRuns
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service

NAME: Final = "mlflow"
ARTIFACTS: Final = "artifacts"
HOSTS: Final = ("*.api.azureml.ms",)
_WORKSPACE: Final = (
    r"(?P<workspace>/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.MachineLearningServices"
    r"/workspaces/[^/]+)"
)
_MLFLOW: Final = re.compile(
    rf"/mlflow/(?P<version>v[12]\.0){_WORKSPACE}/api/[23]\.0/(?:preview/)?mlflow/(?P<operation>[\w/.-]+)", re.IGNORECASE
)
_RUN_ARTIFACTS: Final = re.compile(
    rf"/history/v1\.0{_WORKSPACE}/experiment(?:s|ids)/[^/]+/runs/(?P<container>[^/]+)/artifacts(?P<what>/[\w/]+)?",
    re.IGNORECASE,
)
_UPLOADS: Final = re.compile(
    rf"/artifact/v2\.0{_WORKSPACE}/artifacts/(?P<origin>[^/]+)/(?P<container>[^/]+)(?P<what>/[\w/]+)?", re.IGNORECASE
)
_ACTIONS: Final = f"{PROVIDER}/workspaces"
_READ: Final = f"{_ACTIONS}/experiments/runs/read"
_WRITE: Final = f"{_ACTIONS}/experiments/runs/write"
_AUDIENCES: Final = (*AUDIENCES, "https://ml.azure.com", RUN_AUDIENCE)
_ABSENT: Final = ("logged-models",)
"""What the real service is known not to have: 404 and no body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Route:
    method: str
    operation: str
    action: str
    handler: Callable[[Call], Mapping[str, Any]]


class Tracking:
    """The tracking store of all workspaces."""

    def __init__(self, world: World, runs: Runs) -> None:
        self._world = world
        self.measures = Measures(world.surroundings.state)
        """Metrics and parameters of runs."""
        self._artifacts = Artifacts(world)
        experiments = Experiments(world, runs)
        self._tracked = TrackedRuns(world, runs, experiments, self.measures)
        self._routes = (
            *_experiment_routes(experiments),
            *_run_routes(self._tracked, self._files),
            *_registry_routes(Registry(world, self._tracked)),
        )

    @property
    def operations(self) -> list[str]:
        """What of MLflow's REST API is answered, such as `runs/create`."""
        return sorted({route.operation for route in self._routes})

    def services(self) -> tuple[Service, Service]:
        """Build the services; calls are named `mlflow/POST runs/create`, and `artifacts/…`."""
        surroundings = self._world.surroundings
        runs = "/history/v1.0/subscriptions/*/*/*/providers/*/workspaces/*/*/*/runs/*/artifacts"
        return (
            Service(
                name=NAME,
                hosts=HOSTS,
                paths=("/mlflow",),
                http=app(surroundings, NAME, find=self._find, refusal=refusal, recorded=_recorded),
            ),
            Service(
                name=ARTIFACTS,
                hosts=HOSTS,
                paths=("/artifact", runs),
                http=app(surroundings, ARTIFACTS, find=self._find_artifacts, refusal=self._refusal),
            ),
        )

    def _find(self, asked: Asked) -> tuple[str, Operation]:
        found = _MLFLOW.fullmatch(asked.path.rstrip("/"))
        if found is None:
            raise Refused("UNIMPLEMENTED", f"{asked.method} {asked.path} is not emulated")
        operation = found["operation"].lower()
        if operation.partition("/")[0] in _ABSENT:
            return f"{asked.method} {operation}", lambda _: Answer(status=404)
        for route in self._routes:
            if (route.method, route.operation) == (asked.method, operation):
                return f"{route.method} {operation}", partial(self._answer, found=found, route=route)
        raise Refused("UNIMPLEMENTED", f"{asked.method} mlflow/{operation} is not emulated")

    def _answer(self, asked: Asked, *, found: re.Match[str], route: _Route) -> Answer:
        version = found["version"].lower()
        self._world.versions[f"mlflow {route.method} {route.operation}"].add(version)
        workspace, caller = self._let_in(asked, found["workspace"], route.action)
        check_query(f"{NAME} {route.method} {route.operation}", asked.query)
        given = asked.json() if asked.method != "GET" else {}
        given = {**asked.query, **given} if isinstance(given, dict) else {}
        call = Call(asked=asked, caller=caller, workspace=workspace, version=version, given=given)
        return answer_json(route.handler(call))

    def _let_in(self, asked: Asked, workspace: str, action: str) -> tuple[Mapping[str, Any], Caller]:
        caller = self._world.tokens.caller(asked.headers.get("authorization"), audiences=_AUDIENCES)
        self._world.access.check(caller, action, workspace)
        found = self._world.resources.get(workspace)
        if found is None:
            raise Refused("NOT_FOUND", f"Workspace not found: {workspace.rpartition('/')[2]}")
        return found, caller

    def _files(self, call: Call) -> Mapping[str, Any]:
        """List the artifacts of a run in a folder."""
        run = self._tracked.needed(call)
        files = self._artifacts.folder(call.workspace_id, RUNS, f"dcid.{run.name}", call.text("path"))
        return {"root_uri": self._tracked.artifact_uri(call, run), "files": files}

    def _find_artifacts(self, asked: Asked) -> tuple[str, Operation]:
        path = asked.path.rstrip("/")
        found = _RUN_ARTIFACTS.fullmatch(path) or _UPLOADS.fullmatch(path)
        what = (found["what"] or "").strip("/").lower() if found is not None else ""
        if found is not None and (asked.method, what) in _ARTIFACT_ACTIONS:
            origin = found.groupdict().get("origin") or ""
            return f"{asked.method} {what or 'list'}", partial(self._artifact, found=found, origin=origin, what=what)
        raise Refused("UNIMPLEMENTED", f"{asked.method} {asked.path} is not emulated")

    def _artifact(self, asked: Asked, *, found: re.Match[str], origin: str, what: str) -> Answer:
        action = _ARTIFACT_ACTIONS[asked.method, what]
        if origin:
            action = f"{_ACTIONS}/metadata/artifacts/{'write' if asked.method == 'POST' else 'read'}"
        workspace, _ = self._let_in(asked, found["workspace"], action)
        identity, container = str(workspace["id"]), found["container"]
        if not origin:
            origin, container = RUNS, f"dcid.{container}"
        path = asked.query.get("path", "")
        if what == "batch/metadata":
            paths = [str(one["path"]) for one in asked.json().get("paths") or []]
            return answer_json(self._artifacts.made(identity, origin, container, paths))
        if what == "contentinfo":
            content = self._artifacts.content(identity, origin, container, path)
            if content is None:
                raise UserError("NOT_FOUND", f"There is no artifact {path} in {origin}/{container}.")
            return answer_json(content)
        return answer_json(self._artifacts.listed(identity, origin, container, below=path))

    def _refusal(self, refused: Refused) -> Answer:
        return answer_error(refused, now=self._world.surroundings.clock.now(), location=self._world.location)


_ARTIFACT_ACTIONS: Final = {
    ("GET", ""): _READ,
    ("GET", "path"): _READ,
    ("GET", "contentinfo"): _READ,
    ("POST", "batch/metadata"): _WRITE,
}


def _experiment_routes(experiments: Experiments) -> tuple[_Route, ...]:
    read, write = f"{_ACTIONS}/experiments/read", f"{_ACTIONS}/experiments/write"
    return (
        _Route(method="POST", operation="experiments/create", action=write, handler=experiments.create),
        _Route(method="GET", operation="experiments/get", action=read, handler=experiments.get),
        _Route(method="GET", operation="experiments/get-by-name", action=read, handler=experiments.get_by_name),
        _Route(method="GET", operation="experiments/search", action=read, handler=experiments.search),
        _Route(method="POST", operation="experiments/search", action=read, handler=experiments.search),
        _Route(method="GET", operation="experiments/list", action=read, handler=experiments.search),
        _Route(method="POST", operation="experiments/delete", action=write, handler=experiments.delete),
        _Route(method="POST", operation="experiments/restore", action=write, handler=experiments.restore),
        _Route(method="POST", operation="experiments/set-experiment-tag", action=write, handler=experiments.set_tag),
    )


def _run_routes(runs: TrackedRuns, files: Callable[[Call], Mapping[str, Any]]) -> tuple[_Route, ...]:
    return (
        _Route(method="POST", operation="runs/create", action=_WRITE, handler=runs.create),
        _Route(method="GET", operation="runs/get", action=_READ, handler=runs.get),
        _Route(method="POST", operation="runs/update", action=_WRITE, handler=runs.update),
        _Route(method="POST", operation="runs/delete", action=_WRITE, handler=runs.delete),
        _Route(method="POST", operation="runs/restore", action=_WRITE, handler=runs.restore),
        _Route(method="POST", operation="runs/search", action=_READ, handler=runs.search),
        _Route(method="POST", operation="runs/log-metric", action=_WRITE, handler=runs.log_metric),
        _Route(method="POST", operation="runs/log-parameter", action=_WRITE, handler=runs.log_parameter),
        _Route(method="POST", operation="runs/log-batch", action=_WRITE, handler=runs.log_batch),
        _Route(method="POST", operation="runs/log-batch-async", action=_WRITE, handler=runs.log_batch_async),
        _Route(method="GET", operation="runs/get-run-data-status", action=_READ, handler=runs.batch_status),
        _Route(method="POST", operation="runs/set-tag", action=_WRITE, handler=runs.set_tag),
        _Route(method="POST", operation="runs/delete-tag", action=_WRITE, handler=runs.delete_tag),
        _Route(method="GET", operation="metrics/get-history", action=_READ, handler=runs.metric_history),
        _Route(method="GET", operation="artifacts/list", action=_READ, handler=files),
    )


def _registry_routes(registry: Registry) -> tuple[_Route, ...]:
    read, write = f"{_ACTIONS}/models/read", f"{_ACTIONS}/models/write"
    handlers: Mapping[tuple[str, str], Callable[[Call], Mapping[str, Any]]] = {
        ("POST", "registered-models/create"): registry.create_model,
        ("GET", "registered-models/get"): registry.get_model,
        ("GET", "registered-models/search"): registry.search_models,
        ("PATCH", "registered-models/update"): registry.update_model,
        ("DELETE", "registered-models/delete"): registry.delete_model,
        ("POST", "registered-models/set-tag"): registry.set_model_tag,
        ("DELETE", "registered-models/delete-tag"): registry.delete_model_tag,
        ("GET", "registered-models/get-latest-versions"): registry.latest_versions,
        ("POST", "registered-models/get-latest-versions"): registry.latest_versions,
        ("POST", "model-versions/create"): registry.create_version,
        ("GET", "model-versions/get"): registry.get_version,
        ("GET", "model-versions/search"): registry.search_versions,
        ("PATCH", "model-versions/update"): registry.update_version,
        ("POST", "model-versions/transition-stage"): registry.transition_stage,
        ("POST", "model-versions/set-tag"): registry.set_version_tag,
        ("DELETE", "model-versions/delete-tag"): registry.delete_version_tag,
        ("DELETE", "model-versions/delete"): registry.delete_version,
        ("GET", "model-versions/get-download-uri"): registry.download_uri,
    }
    reading = ("get", "search", "get-latest-versions", "get-download-uri")
    removing = {"registered-models/delete": f"{_ACTIONS}/models/delete"} | {
        "model-versions/delete": f"{_ACTIONS}/models/versions/delete"
    }
    return tuple(
        _Route(
            method=method,
            operation=operation,
            action=removing.get(operation) or (read if operation.partition("/")[2] in reading else write),
            handler=handler,
        )
        for (method, operation), handler in handlers.items()
    )


def _recorded(asked: Asked) -> Mapping[str, Any]:
    recorded: dict[str, Any] = {"query": dict(asked.query)}
    if asked.body:
        recorded["body"] = asked.json()
    return recorded
