"""The hosts `*.api.azureml.ms`: discovery, run history, and where assets of runs lie.

Who may do what is decided by actions on the workspace: reading runs is `experiments/runs/read`, changing what describes
them `experiments/runs/write`, following assets `data/versions/read` and `models/versions/read`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import Detail, UserError, answer_error
from cloudmlops.emulators.azure.arm.queries import check_query
from cloudmlops.emulators.azure.arm.service import AUDIENCES
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.history.shapes import details_shown, outputs_shown, run_shown
from cloudmlops.emulators.azure.jobs.assets import Assets
from cloudmlops.emulators.azure.jobs.runner import Runner
from cloudmlops.emulators.azure.jobs.runs import Run, Runs
from cloudmlops.emulators.azure.jobs.surroundings import RUN_AUDIENCE
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.azure.ml.default_datastores import ARTIFACT_STORE
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service

NAME: Final = "history"
HOST: Final = "*.api.azureml.ms"
_LASTS: Final = timedelta(hours=1)
_ACTIONS: Final = f"{PROVIDER}/workspaces"
_WORKSPACE: Final = (
    r"(?P<workspace>/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.MachineLearningServices"
    r"/workspaces/[^/]+)"
)
_RUN: Final = r"(?:/experiment(?:s|ids)/[^/]+)?/runs/(?P<run>[^/]+)"
_LOGS: Final = ("user_logs/", "logs/azureml/", "azureml-logs/")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    asked: Asked
    workspace: Mapping[str, Any]
    run: str


class History:
    """The handlers."""

    def __init__(self, world: World, runs: Runs, runner: Runner) -> None:
        self._world = world
        self._runs = runs
        self._runner = runner
        self._assets = Assets(world.resources, runs)
        self._blobs = Blobs(world.surroundings)
        self._routes: list[tuple[str, str, re.Pattern[str], str, Callable[[_Call], Answer]]] = []
        read, write = f"{_ACTIONS}/experiments/runs/read", f"{_ACTIONS}/experiments/runs/write"
        base = f"/history/v1.0{_WORKSPACE}"
        self._add("GET", "runs.get", f"{base}{_RUN}", read, self._get)
        self._add("PATCH", "runs.change", f"{base}{_RUN}", write, self._change)
        self._add("GET", "runs.details", f"{base}{_RUN}/details", read, self._details)
        self._add("GET", "runs.children", f"{base}{_RUN}/children", read, self._children)
        self._add("POST", "rundata", f"{base}/rundata", read, self._data)
        self._add(
            "POST",
            "data.batchGetResolvedUris",
            f"/data/v1.0{_WORKSPACE}/dataversion/batchGetResolvedUris",
            f"{_ACTIONS}/data/versions/read",
            lambda call: self._resolved(call, "uri"),
        )
        self._add(
            "POST",
            "models.batchGetResolvedUris",
            f"/modelregistry/v1.0{_WORKSPACE}/models/batchGetResolvedUris",
            f"{_ACTIONS}/models/versions/read",
            lambda call: self._resolved(call, "path"),
        )

    @property
    def operations(self) -> list[str]:
        """What is answered, such as `runs.details`."""
        return sorted(["discovery", *(name for _, name, *_ in self._routes)])

    def service(self) -> Service:
        """Build the service; calls are named `history/OPERATION`, such as `history/runs.details`."""

        def find(asked: Asked) -> tuple[str, Operation]:
            path = asked.path.rstrip("/")
            if asked.method == "GET" and path == "/discovery":
                return "discovery", self._discovery
            for method, name, pattern, action, handler in self._routes:
                if method == asked.method and (found := pattern.fullmatch(path)) is not None:
                    answer = partial(self._answer, name=name, action=action, handler=handler)
                    return name, partial(answer, names=found.groupdict())
            raise Refused("UNIMPLEMENTED", f"{asked.method} {path} is not emulated")

        def refusal(refused: Refused) -> Answer:
            return answer_error(refused, now=self._world.surroundings.clock.now(), location=self._world.location)

        return Service(
            name=NAME,
            hosts=(HOST,),
            paths=("/discovery", "/history", "/data", "/modelregistry"),
            http=app(self._world.surroundings, NAME, find=find, refusal=refusal),
            resume=self._runs.interrupt,
            close=self._runner.close,
        )

    def _add(self, method: str, name: str, path: str, action: str, handler: Callable[[_Call], Answer]) -> None:
        self._routes.append((method, name, re.compile(path, re.IGNORECASE), action, handler))

    def _answer(
        self, asked: Asked, *, name: str, names: Mapping[str, str], action: str, handler: Callable[[_Call], Answer]
    ) -> Answer:
        audiences = (*AUDIENCES, "https://ml.azure.com", RUN_AUDIENCE)
        caller = self._world.tokens.caller(asked.headers.get("authorization"), audiences=audiences)
        self._world.access.check(caller, action, names["workspace"])
        if version := asked.query.get("api-version"):
            self._world.versions[f"{NAME} {name}"].add(version)
        check_query(f"{NAME} {name}", asked.query)
        workspace = self._world.resources.get(names["workspace"])
        if workspace is None:
            raise UserError("NOT_FOUND", f"Workspace not found: {names['workspace'].rpartition('/')[2]}")
        return handler(_Call(asked=asked, workspace=workspace, run=names.get("run") or ""))

    def _discovery(self, asked: Asked) -> Answer:
        base = f"https://{asked.host}"
        names = (
            "api",
            "catalog",
            "experimentation",
            "history",
            "hyperdrive",
            "labeling",
            "modelmanagement",
            "pipelines",
        )
        return answer_json({**dict.fromkeys(names, base), "studio": "https://ml.azure.com"})

    def _get(self, call: _Call) -> Answer:
        return answer_json(self._shown(call, self._run(call, call.run), outputs=True))

    def _change(self, call: _Call) -> Answer:
        given: Mapping[str, Any] = call.asked.json()
        unknown = [name for name, value in given.items() if value is not None and name not in _CHANGEABLE]
        if unknown:
            raise UserError("UNIMPLEMENTED", f"To change {unknown[0]} of a run is not emulated.")

        def change(run: Run) -> dict[str, Any]:
            changed = {_CHANGEABLE[name]: value for name, value in given.items() if value is not None}
            for name in ("tags", "properties"):
                if name in changed:
                    changed[name] = {**getattr(run, name), **changed[name]}
            return changed

        known = self._run(call, call.run)
        return answer_json(self._shown(call, self._runs.change(known.workspace, known.name, change)))

    def _details(self, call: _Call) -> Answer:
        run = self._run(call, call.run)
        return answer_json(details_shown(run, tenant=self._tenant, logs=self._logs(run)))

    def _children(self, call: _Call) -> Answer:
        run = self._run(call, call.run)
        found = [self._shown(call, one) for one in self._runs.children(run.workspace, run.name)]
        top = call.asked.query.get("$top", "")
        return answer_json({"value": found[: int(top)] if top.isdigit() else found})

    def _data(self, call: _Call) -> Answer:
        run = self._run(call, str(call.asked.json().get("runId", "")))
        return answer_json(
            {
                "runMetadata": {**self._shown(call, run), "outputs": outputs_shown(run)},
                "runDefinition": None,
                "jobSpecification": None,
            }
        )

    def _resolved(self, call: _Call, field: str) -> Answer:
        workspace = str(call.workspace["id"])
        wanted = [str(one) for one in call.asked.json().get("values") or []]
        kinds = {
            one["assetId"]: one["type"] for run in self._runs.of_workspace(workspace) for one in run.outputs.values()
        }
        parts = workspace.split("/")
        long = f"azureml://subscriptions/{parts[2]}/resourcegroups/{parts[4]}/workspaces/{parts[8]}/datastores/"
        values = {
            one: {
                field: self._assets.uri(workspace, one).replace("azureml://datastores/", long),
                "type": kinds.get(one, "uri_folder"),
            }
            for one in wanted
        }
        return answer_json({"values": values})

    def _logs(self, run: Run) -> dict[str, str]:
        place = self._assets.storage(run.workspace, f"azureml://datastores/{ARTIFACT_STORE}/paths/{run.artifacts}")
        prefix = f"{place.path}/"
        return {
            name.removeprefix(prefix): self._blobs.blob_url(
                place.account, place.container, name, permissions="r", lasts=_LASTS
            )
            for name in self._blobs.list(place.account, place.container, prefix)
            if name.removeprefix(prefix).startswith(_LOGS)
        }

    def _run(self, call: _Call, name: str) -> Run:
        found = self._runs.get(str(call.workspace["id"]), name)
        if found is None:
            detail = Detail(code="NotFound", message=f"Run {name} was not found.")
            raise UserError("NOT_FOUND", f"Run {name} was not found.", [detail])
        return found

    def _shown(self, call: _Call, run: Run, *, outputs: bool = False) -> dict[str, Any]:
        return run_shown(run, tenant=self._tenant, location=str(call.workspace["location"]), outputs=outputs)

    @property
    def _tenant(self) -> str:
        return self._world.tokens.directory.tenant


_CHANGEABLE: Final[Mapping[str, str]] = {
    "displayName": "display_name",
    "description": "description",
    "tags": "tags",
    "properties": "properties",
    "hidden": "hidden",
}
"""Fields of a run that may be changed, and what they are called here."""
