"""Runs as MLflow's clients see and change them. They are the runs of run history: a job's run is the run of its name.

Which status of a job is which of MLflow's follows learn.microsoft.com, "Query & compare experiments and runs with
MLflow". How a run of a job ends is decided by the job: a client that ends it changes nothing. What is archived in run
history is deleted for MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.resources import written
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.jobs.runs import TERMINAL, Run, Runs
from cloudmlops.emulators.azure.tracking.calls import Call, absent, invalid, number_shown
from cloudmlops.emulators.azure.tracking.experiments import DELETED, Experiments, milliseconds
from cloudmlops.emulators.azure.tracking.measures import Measures, Metric
from cloudmlops.emulators.azure.tracking.paging import paged
from cloudmlops.emulators.azure.tracking.search import clauses_of, ordered

_STATUS: Final = {"Running": "RUNNING", "Finalizing": "RUNNING", "CancelRequested": "RUNNING"} | {
    "Completed": "FINISHED",
    "Failed": "FAILED",
    "Canceled": "KILLED",
}
_SCHEDULED: Final = "SCHEDULED"
_KEPT: Final = {"RUNNING": "Running", "FINISHED": "Completed", "FAILED": "Failed", "KILLED": "Canceled"}
_MOST: Final = {"metrics": 1000, "params": 100, "tags": 100}
"""How many one call may log; together a thousand."""
_LONGEST: Final = {"key": 250, "param": 6000, "tag": 8000}
_NAME_TAG: Final = "mlflow.runName"
_OWN_TAGS: Final = ("mlflow.rootRunId", "mlflow.parentRunId", _NAME_TAG, "mlflow.user")
"""Tags that the service shows of every run."""


class TrackedRuns:
    """The handlers."""

    def __init__(self, world: World, runs: Runs, experiments: Experiments, measures: Measures) -> None:
        self._world = world
        self._runs = runs
        self._experiments = experiments
        self._measures = measures

    def create(self, call: Call) -> Mapping[str, Any]:
        """Make one."""
        experiment = self._experiments.needed(call, call.text("experiment_id", "0"))
        if experiment["lifecycle_stage"] == DELETED:
            raise invalid(f"The experiment {experiment['experiment_id']} must be in the 'active' state.")
        tags = {str(one["key"]): str(one.get("value", "")) for one in call.listed("tags")}
        name = str(uuid4())
        started = call.number("start_time", 0)
        now = self._runs.now()
        caller = call.caller
        run = Run(
            workspace=call.workspace_id,
            name=name,
            experiment=str(experiment["name"]),
            display_name=call.text("run_name") or tags.get(_NAME_TAG) or f"run_{name[:8]}",
            created=_moment(started) if started else now,
            by={key: getattr(caller, key) for key in ("object_id", "client_id", "name", "kind")},
            status="Running",
            job=None,
            number=self._runs.next_number(),
            run_type="",
            parent=tags.get("mlflow.parentRunId", ""),
            root=self._root(call, tags.get("mlflow.parentRunId", "")) or name,
            tags={key: value for key, value in tags.items() if key not in _OWN_TAGS or key == "mlflow.user"},
            started=_moment(started) if started else now,
        )
        self._runs.create(run)
        return {"run": self._shown(call, run)}

    def get(self, call: Call) -> Mapping[str, Any]:
        """Show one."""
        return {"run": self._shown(call, self.needed(call))}

    def update(self, call: Call) -> Mapping[str, Any]:
        """Change the name of one, or let one that no job is end."""
        run = self.needed(call)
        if name := call.text("run_name"):
            run = self._runs.change(run.workspace, run.name, lambda _: {"display_name": name})
        status = call.text("status")
        if status and not run.run_type:
            if status not in (*_KEPT, _SCHEDULED):
                raise invalid(f"Invalid status '{status}'.")
            ended = call.number("end_time", 0)
            self._move(run, _KEPT.get(status, "NotStarted"), ended)
        return {"run_info": self._info(call, self.needed(call))}

    def delete(self, call: Call) -> Mapping[str, Any]:
        """Let one be deleted; it can be restored."""
        return self._changed(call, lambda _: {"hidden": True})

    def restore(self, call: Call) -> Mapping[str, Any]:
        """Let a deleted one be as it was."""
        return self._changed(call, lambda _: {"hidden": False})

    def search(self, call: Call) -> Mapping[str, Any]:
        """List those of experiments that a filter fits, the latest first."""
        wanted = {self._experiments.needed(call, str(one))["experiment_id"] for one in call.listed("experiment_ids")}
        if not wanted:
            raise invalid("The search needs at least one experiment_id.")
        hidden = {one == DELETED for one in self._experiments.stages(call.text("run_view_type"))}
        clauses = clauses_of(call.text("filter"))
        subjects: list[Mapping[str, Any]] = [
            self._subject(call, run)
            for run in self._runs.of_workspace(call.workspace_id)
            if run.experiment_id in wanted and run.hidden in hidden
        ]
        found = [one for one in subjects if all(clause.fits(one) for clause in clauses)]
        shown = [self._shown(call, one["run"]) for one in ordered(found, call.listed("order_by"))]
        marked = [{**one, "run_id": one["info"]["run_id"]} for one in shown]
        page = paged(call, "runs", marked, key="run_id")
        return {**page, "runs": [{key: one[key] for key in ("info", "data", "inputs")} for one in page["runs"]]}

    def log_metric(self, call: Call) -> Mapping[str, Any]:
        """Log a value of a metric."""
        return self._log(call, metrics=[call.given])

    def log_parameter(self, call: Call) -> Mapping[str, Any]:
        """Log a parameter."""
        return self._log(call, params=[call.given])

    def set_tag(self, call: Call) -> Mapping[str, Any]:
        """Set a tag."""
        return self._log(call, tags=[call.given])

    def log_batch(self, call: Call) -> Mapping[str, Any]:
        """Log all that is given, or nothing of it."""
        return self._log(call, **{name: call.listed(name) for name in _MOST})

    def log_batch_async(self, call: Call) -> Mapping[str, Any]:
        """Log all that is given; it is there at once, whatever the name says."""
        self.log_batch(call)
        return {"batch_tracking_id": str(uuid4()) if call.listed("metrics") else ""}

    def batch_status(self, call: Call) -> Mapping[str, Any]:
        """Say whether what `log_batch_async` was given is there."""
        self.needed(call)
        return {"is_complete": True}

    def delete_tag(self, call: Call) -> Mapping[str, Any]:
        """Remove a tag."""
        key = call.needed("key")
        if key not in self.needed(call).tags:
            raise absent(f"No tag with name: {key} in run with id {call.text('run_id')}")
        return self._changed(call, lambda run: {"tags": {name: one for name, one in run.tags.items() if name != key}})

    def metric_history(self, call: Call) -> Mapping[str, Any]:
        """List all values of a metric."""
        run = self.needed(call)
        found = self._measures.history(run.workspace, run.name, call.needed("metric_key"))
        return paged(call, "metrics", [_metric_shown(one) for one in found])

    def needed(self, call: Call) -> Run:
        """Return the run that a call is about.

        Raises:
            Refused: There is none.
        """
        name = call.text("run_id") or call.needed("run_uuid")
        found = self._runs.get(call.workspace_id, name)
        if found is None:
            raise absent(f"Run with id={name} not found")
        return found

    def artifact_uri(self, call: Call, run: Run) -> str:
        """Return where the artifacts of a run are, in the form that Azure's plugin of MLflow reads."""
        host = f"{call.workspace['location']}.api.azureml.ms"
        scope = f"/mlflow/{call.version}{call.workspace_id}/experiments/{run.experiment_id}/runs/{run.name}"
        return f"azureml://{host}{scope}/artifacts"

    def _log(
        self,
        call: Call,
        *,
        metrics: Iterable[Mapping[str, Any]] = (),
        params: Iterable[Mapping[str, Any]] = (),
        tags: Iterable[Mapping[str, Any]] = (),
    ) -> Mapping[str, Any]:
        given = {"metrics": list(metrics), "params": list(params), "tags": list(tags)}
        for name, most in _MOST.items():
            if len(given[name]) > most:
                raise invalid(f"A batch logging request can contain at most {most} {name}. Got {len(given[name])}.")
        if sum(map(len, given.values())) > _MOST["metrics"]:
            raise invalid(f"A batch logging request can contain at most {_MOST['metrics']} metrics, params and tags.")
        read = [_metric(one) for one in given["metrics"]]
        new_params = {_named(one): _text(one, "param") for one in given["params"]}
        new_tags = {_named(one): _text(one, "tag") for one in given["tags"]}
        with self._world.surroundings.state.transaction():
            run = self.needed(call)
            try:
                self._measures.set_params(run.workspace, run.name, new_params)
            except ValueError as error:
                raise invalid(
                    "Changing param values is not allowed. Param with key="
                    f"'{error}' was already logged with another value for run ID='{run.name}'."
                ) from error
            self._measures.log(run.workspace, run.name, read)
            if new_tags:
                self._runs.change(run.workspace, run.name, lambda known: _tagged(known, new_tags))
        return {}

    def _changed(self, call: Call, change: Callable[[Run], Mapping[str, Any]]) -> Mapping[str, Any]:
        run = self.needed(call)
        self._runs.change(run.workspace, run.name, change)
        return {}

    def _move(self, run: Run, status: str, ended: int) -> None:
        if run.status in TERMINAL:  # a run may be taken up again
            self._runs.change(run.workspace, run.name, lambda _: {"status": "Running", "ended": "", "error": ""})
        more = {"ended": _moment(ended)} if ended and status in TERMINAL else {}
        self._runs.move(run, status, **more)

    def _root(self, call: Call, parent: str) -> str:
        found = self._runs.get(call.workspace_id, parent) if parent else None
        return (found.root or found.name) if found is not None else ""

    def _subject(self, call: Call, run: Run) -> dict[str, Any]:
        info = self._info(call, run)
        ended = info.get("end_time")
        attributes = {
            **{key: info[key] for key in ("run_id", "run_name", "status", "start_time", "artifact_uri", "user_id")},
            "end_time": ended,
            "duration": ended - info["start_time"] if ended else None,
        }
        metrics = {key: one.value for key, one in self._measures.last(run.workspace, run.name).items()}
        params = self._measures.params(run.workspace, run.name)
        return {"run": run, "attributes": attributes, "metrics": metrics, "params": params, "tags": _tags(run)}

    def _shown(self, call: Call, run: Run) -> dict[str, Any]:
        metrics = self._measures.last(run.workspace, run.name).values()
        params = self._measures.params(run.workspace, run.name)
        return {
            "info": self._info(call, run),
            "data": {
                "metrics": [_metric_shown(one) for one in metrics],
                "params": [{"key": key, "value": value} for key, value in params.items()],
                "tags": [{"key": key, "value": value} for key, value in _tags(run).items()],
            },
            "inputs": {},
        }

    def _info(self, call: Call, run: Run) -> dict[str, Any]:
        ended = {"end_time": milliseconds(run.ended)} if run.ended else {}
        return {
            "run_id": run.name,
            "run_uuid": run.name,
            "run_name": run.display_name or run.name,
            "experiment_id": run.experiment_id,
            "user_id": run.tags.get("mlflow.user") or run.by["name"],
            "status": _STATUS.get(run.status, _SCHEDULED),
            "start_time": milliseconds(run.started or run.created),
            **ended,
            "artifact_uri": self.artifact_uri(call, run),
            "lifecycle_stage": DELETED if run.hidden else "active",
        }


def _tags(run: Run) -> dict[str, str]:
    """Return the tags of a run with those that the service shows of every one."""
    own = {
        "mlflow.rootRunId": run.root or run.name,
        _NAME_TAG: run.display_name or run.name,
        "mlflow.user": run.by["name"],
    }
    parent = {"mlflow.parentRunId": run.parent} if run.parent else {}
    return {**own, **parent, **run.tags}


def _tagged(run: Run, tags: Mapping[str, str]) -> dict[str, Any]:
    changes: dict[str, Any] = {"tags": {**run.tags, **{key: one for key, one in tags.items() if key != _NAME_TAG}}}
    if _NAME_TAG in tags:
        changes["display_name"] = tags[_NAME_TAG]
    return changes


def _metric(given: Mapping[str, Any]) -> Metric:
    try:
        value = float(given.get("value", "none"))
        return Metric(
            key=_named(given), value=value, timestamp=int(given.get("timestamp") or 0), step=int(given.get("step") or 0)
        )
    except (TypeError, ValueError) as error:
        raise invalid(f"Got invalid value {given.get('value')!r} for metric '{given.get('key')}'.") from error


def _metric_shown(metric: Metric) -> dict[str, Any]:
    return {
        "key": metric.key,
        "value": number_shown(metric.value),
        "timestamp": metric.timestamp,
        "step": metric.step,
    }


def _named(given: Mapping[str, Any]) -> str:
    key = str(given.get("key") or "")
    if not key or len(key) > _LONGEST["key"] or "\0" in key:
        raise invalid(
            f"Missing value for required parameter 'key', or it is longer than {_LONGEST['key']}: {key[:50]!r}."
        )
    return key


def _text(given: Mapping[str, Any], kind: str) -> str:
    value = str(given.get("value", ""))
    if len(value) > _LONGEST[kind]:
        raise invalid(f"The value of the {kind} {given.get('key')!r} is longer than {_LONGEST[kind]} letters.")
    return value


def _moment(milliseconds_: int) -> str:
    return written(datetime.fromtimestamp(milliseconds_ / 1000, UTC))
