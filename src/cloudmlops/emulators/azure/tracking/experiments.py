"""Experiments: those that clients made, and those that jobs ran in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.jobs.runs import Runs
from cloudmlops.emulators.azure.tracking.calls import Call, absent, invalid, taken
from cloudmlops.emulators.azure.tracking.paging import paged
from cloudmlops.emulators.azure.tracking.search import clauses_of, ordered

DEFAULT: Final = "Default"
_DEFAULT_ID: Final = "0"
"""What MLflow's clients call the experiment that nobody has named; the service's is named `Default`."""
ACTIVE: Final = "active"
DELETED: Final = "deleted"
_VIEWS: Final = {"ACTIVE_ONLY": (ACTIVE,), "DELETED_ONLY": (DELETED,), "ALL": (ACTIVE, DELETED)}


class Experiments:
    """The handlers, and what runs need to know of experiments."""

    def __init__(self, world: World, runs: Runs) -> None:
        self._world = world
        self._runs = runs
        self._kept = world.surroundings.state.table("mlflow_experiments")

    def create(self, call: Call) -> Mapping[str, Any]:
        """Make one."""
        name = call.needed("name")
        if call.text("artifact_location"):
            raise invalid("The artifact_location of an experiment is the workspace's and cannot be chosen.")
        if self._known(call, self.id_of(call.workspace_id, name)) is not None:
            raise taken(f"Experiment(name={name}) already exists.")
        tags = {str(one["key"]): str(one.get("value", "")) for one in call.listed("tags")}
        return {"experiment_id": self._make(call, name, tags)["experiment_id"]}

    def get(self, call: Call) -> Mapping[str, Any]:
        """Show the one of an id."""
        return {"experiment": self._shown(self.needed(call, call.needed("experiment_id")))}

    def get_by_name(self, call: Call) -> Mapping[str, Any]:
        """Show the one of a name."""
        name = call.needed("experiment_name")
        found = self._known(call, self.id_of(call.workspace_id, name))
        if found is None:
            raise absent(f"Could not find experiment with name '{name}'")
        return {"experiment": self._shown(found)}

    def search(self, call: Call) -> Mapping[str, Any]:
        """List those that a filter fits, the latest first."""
        view = self.stages(call.text("view_type"))
        clauses = clauses_of(call.text("filter"))
        subjects = [_subject(self._shown(one)) for one in self._all(call) if one["lifecycle_stage"] in view]
        found = [one for one in subjects if all(clause.fits(one) for clause in clauses)]
        found.sort(key=lambda one: one["attributes"]["creation_time"], reverse=True)
        shown = [one["shown"] for one in ordered(found, call.listed("order_by"))]
        return paged(call, "experiments", shown, key="experiment_id")

    def delete(self, call: Call) -> Mapping[str, Any]:
        """Let one be deleted; it can be restored."""
        return self._put(call, lifecycle_stage=DELETED)

    def restore(self, call: Call) -> Mapping[str, Any]:
        """Let a deleted one be as it was."""
        return self._put(call, lifecycle_stage=ACTIVE)

    def set_tag(self, call: Call) -> Mapping[str, Any]:
        """Set a tag of one."""
        found = self.needed(call, call.needed("experiment_id"))
        return self._put(call, tags={**found["tags"], call.needed("key"): call.text("value")})

    def needed(self, call: Call, experiment: str) -> dict[str, Any]:
        """Return the one of an id.

        Raises:
            Refused: There is none.
        """
        if experiment == _DEFAULT_ID:
            identity = self.id_of(call.workspace_id, DEFAULT)
            return self._known(call, identity) or self._make(call, DEFAULT, {})
        found = self._known(call, experiment)
        if found is None:
            raise absent(f"No Experiment with id={experiment} exists")
        return found

    @staticmethod
    def id_of(workspace: str, name: str) -> str:
        """Return the id of the experiment of a name."""
        return derived_id("experiment", f"{workspace.lower()}/{name}")

    @staticmethod
    def stages(view: str) -> tuple[str, ...]:
        """Return the stages that a view shows."""
        if view and view not in _VIEWS:
            raise invalid(f"Invalid view_type '{view}'.")
        return _VIEWS[view or "ACTIVE_ONLY"]

    def _make(self, call: Call, name: str, tags: Mapping[str, str]) -> dict[str, Any]:
        now = round(self._world.surroundings.clock.now().timestamp() * 1000)
        made = {
            "experiment_id": self.id_of(call.workspace_id, name),
            "name": name,
            "lifecycle_stage": ACTIVE,
            "creation_time": now,
            "tags": dict(tags),
        }
        self._keep(call, made)
        return made

    def _put(self, call: Call, **changes: Any) -> Mapping[str, Any]:
        with self._world.surroundings.state.transaction():
            self._keep(call, {**self.needed(call, call.needed("experiment_id")), **changes})
        return {}

    def _keep(self, call: Call, experiment: Mapping[str, Any]) -> None:
        key = f"{call.workspace_id.lower()}/{experiment['experiment_id']}"
        self._kept.put(key, json.dumps(experiment).encode())

    def _known(self, call: Call, experiment: str) -> dict[str, Any] | None:
        kept = self._kept.get(f"{call.workspace_id.lower()}/{experiment}")
        if kept is not None:
            found: dict[str, Any] = json.loads(kept)
            return found
        return next((one for one in self._of_jobs(call) if one["experiment_id"] == experiment), None)

    def _all(self, call: Call) -> list[dict[str, Any]]:
        kept = [json.loads(data) for _, data in self._kept.items(f"{call.workspace_id.lower()}/")]
        known = {one["experiment_id"] for one in kept}
        return [*kept, *(one for one in self._of_jobs(call) if one["experiment_id"] not in known)]

    def _of_jobs(self, call: Call) -> list[dict[str, Any]]:
        first = {run.experiment: run for run in self._runs.of_workspace(call.workspace_id)}
        return [
            {
                "experiment_id": run.experiment_id,
                "name": run.experiment,
                "lifecycle_stage": ACTIVE,
                "creation_time": milliseconds(run.created),
                "tags": {},
            }
            for run in first.values()
        ]

    @staticmethod
    def _shown(experiment: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **experiment,
            "artifact_location": "",
            "last_update_time": experiment["creation_time"],
            "tags": [{"key": key, "value": value} for key, value in experiment["tags"].items()],
        }


def milliseconds(written: str) -> int:
    """Return a time that is written with seven digits of a second as milliseconds since 1970."""
    return round(datetime.fromisoformat(written[:26] + written[27:]).timestamp() * 1000)


def _subject(shown: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {key: shown[key] for key in ("name", "experiment_id", "creation_time", "last_update_time")}
    return {"shown": shown, "attributes": attributes, "tags": {one["key"]: one["value"] for one in shown["tags"]}}
