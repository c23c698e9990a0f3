"""Runs: jobs and the steps of pipelines as they are known, from their submission on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.resources import written
from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.eventgrid.system_events import SystemEvents
from cloudmlops.emulators.core.service import Surroundings

TERMINAL: Final = ("Completed", "Failed", "Canceled")
STOPPED: Final = "The emulator was stopped while the job ran."


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run."""

    workspace: str
    """Its id."""
    name: str
    experiment: str
    display_name: str | None
    created: str
    by: Mapping[str, str]
    """Who submitted it: `object_id`, `client_id`, `name`, `kind`."""
    status: str
    job: Mapping[str, Any] | None
    """What was submitted, as it is shown; None of a pipeline's step, which no job stands for."""
    number: int
    uuid: str = field(default_factory=lambda: str(uuid4()))
    run_type: str = "azureml.scriptrun"
    """Empty of one that a client of MLflow made: no job stands for it, and the client ends it."""
    parent: str = ""
    root: str = ""
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    hidden: bool = False
    started: str = ""
    ended: str = ""
    error: str = ""
    revision: int = 1
    outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By name: `assetId`, `type` and `uri`."""
    component: str | None = None
    """Name of the component of a step."""
    compute: str = ""

    @property
    def experiment_id(self) -> str:
        """Of the experiment."""
        return derived_id("experiment", f"{self.workspace.lower()}/{self.experiment}")

    @property
    def artifacts(self) -> str:
        """Where its logs and what it left beside its outputs lie, below the workspace's artifact store."""
        return f"ExperimentRun/dcid.{self.name}"

    @property
    def caller(self) -> Caller:
        """Who submitted it."""
        return Caller(audience="", **self.by)


class Runs:
    """All runs. What changes of them is told to Event Grid in the same transaction."""

    def __init__(self, surroundings: Surroundings, events: SystemEvents) -> None:
        self._surroundings = surroundings
        self._events = events
        self._kept = surroundings.state.table("ml_runs")
        known = [_run(data) for _, data in self._kept.items("")]
        self._cut_short = [run for run in known if run.status not in TERMINAL and run.run_type]

    def now(self) -> str:
        """Return the time as it is written."""
        return written(self._surroundings.clock.now())

    def create(self, run: Run) -> bool:
        """Keep a new run; False when there is one of that name."""
        return self._kept.create(_key(run.workspace, run.name), _data(run))

    def get(self, workspace: str, name: str) -> Run | None:
        """Return a run."""
        data = self._kept.get(_key(workspace, name))
        return _run(data) if data is not None else None

    def of_workspace(self, workspace: str) -> list[Run]:
        """Return all runs of a workspace, the newest first."""
        found = [_run(data) for _, data in self._kept.items(f"{workspace.lower()}/jobs/")]
        return sorted(found, key=lambda run: (run.created, run.number), reverse=True)

    def children(self, workspace: str, name: str) -> list[Run]:
        """Return the runs whose parent a run is, the newest first."""
        return [run for run in self.of_workspace(workspace) if run.parent == name]

    def next_number(self) -> int:
        """Return the number of a new run: the seconds of its time, as the service counts."""
        return int(self._surroundings.clock.now().timestamp())

    def change(self, workspace: str, name: str, change: Callable[[Run], Mapping[str, Any]]) -> Run:
        """Change fields of a run.

        Args:
            workspace: Its id.
            name: Of the run.
            change: Returns new values of fields.
        """
        with self._surroundings.state.transaction():
            known = self.get(workspace, name)
            if known is None:
                raise LookupError(f"there is no run {name}")
            changed = _run(_data(known), {**change(known), "revision": known.revision + 1})
            self._kept.put(_key(workspace, name), _data(changed))
            return changed

    def move(self, run: Run, status: str, *, error: str = "", **more: Any) -> None:
        """Let a run have a status; one that has ended stays as it is, and all do when the emulator ends.

        Args:
            run: Of any age.
            status: Its new one.
            error: What went wrong.
            more: Further fields.
        """
        if not self._surroundings.clock.stopped:
            self._move(run, status, error, more)

    def interrupt(self) -> None:
        """Let runs that an emulator's end cut short be failed ones."""
        for run in self._cut_short:
            self._move(run, "Failed", STOPPED, {})

    def _move(self, run: Run, status: str, error: str, more: Mapping[str, Any]) -> None:
        with self._surroundings.state.transaction():
            known = self.get(run.workspace, run.name)
            if known is None or known.status in TERMINAL:
                return
            now = self.now()
            times = {"started": now} if status == "Running" else {"ended": now} if status in TERMINAL else {}
            changed = self.change(
                run.workspace, run.name, lambda _: {**times, **more, "status": status, "error": error or known.error}
            )
            about: dict[str, Any] = {
                "experiment_id": changed.experiment_id,
                "experiment": changed.experiment,
                "run": changed.name,
                "run_type": changed.run_type,
                "tags": changed.tags,
                "properties": changed.properties,
            }
            if status == "Completed":
                self._events.run_completed(changed.workspace, **about)
            elif status == "Failed":
                self._events.run_status_changed(changed.workspace, **about, status="failed")


def _key(workspace: str, name: str) -> str:
    return f"{workspace.lower()}/jobs/{name.lower()}"


def _data(run: Run) -> bytes:
    return json.dumps(asdict(run)).encode()


def _run(data: bytes, changes: Mapping[str, Any] | None = None) -> Run:
    return Run(**{**json.loads(data), **(changes or {})})
