"""The model registry as MLflow's clients see it: it is the workspace's models.

What is asked here is done by the handlers of Azure Resource Manager's models, so that both see one registry and a
version that is made here is told of like any other. A version's source is where its files lie: artifacts of a run or of
an upload. Aliases are not emulated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.ml.default_datastores import ARTIFACT_STORE
from cloudmlops.emulators.azure.tracking.artifacts import RUNS
from cloudmlops.emulators.azure.tracking.calls import Call, absent, invalid, taken
from cloudmlops.emulators.azure.tracking.experiments import milliseconds
from cloudmlops.emulators.azure.tracking.paging import paged
from cloudmlops.emulators.azure.tracking.runs import TrackedRuns
from cloudmlops.emulators.azure.tracking.search import clauses_of
from cloudmlops.emulators.core.answering import Asked
from cloudmlops.emulators.core.faults import Refused

_API: Final = "2023-08-01-preview"
_RUN: Final = re.compile(r"azureml://.+/experiments/[^/]+/runs/(?P<run>[^/]+)/artifacts/(?P<path>.+)")
_SHORT_RUN: Final = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+)")
_UPLOAD: Final = re.compile(r"azureml://artifacts/(?P<path>.+)")
_STORED: Final = re.compile(rf".*/datastores/{ARTIFACT_STORE}/paths/(?P<path>.+)")
_OF_RUN: Final = re.compile(rf"{RUNS}/dcid\.(?P<run>[^/]+)/(?P<path>.+)")
_STAGES: Final = ("None", "Staging", "Production", "Archived")
_UNSTAGED: Final = "Development"
"""The stage of a version of which nobody has said any; MLflow's word for it is `None`."""


class Registry:
    """The handlers."""

    def __init__(self, world: World, runs: TrackedRuns) -> None:
        self._world = world
        self._runs = runs

    def create_model(self, call: Call) -> Mapping[str, Any]:
        """Make a model without versions."""
        name = call.needed("name")
        if self._found(call, f"/models/{name}") is not None:
            raise taken(f"Registered Model (name={name}) already exists.")
        tags = {str(one["key"]): str(one.get("value", "")) for one in call.listed("tags")}
        self._asked(call, "PUT", f"/models/{name}", {"description": call.text("description"), "tags": tags})
        return self.get_model(call)

    def get_model(self, call: Call) -> Mapping[str, Any]:
        """Show a model."""
        return {"registered_model": self._model(call, self._container(call, call.needed("name")))}

    def search_models(self, call: Call) -> Mapping[str, Any]:
        """List models that a filter fits, by name."""
        clauses = clauses_of(call.text("filter"))
        shown = [self._model(call, one) for one in self._all(call, "/models")]
        subjects = [(one, {"attributes": {"name": one["name"]}, "tags": _pairs(one["tags"])}) for one in shown]
        found = [one for one, subject in subjects if all(clause.fits(subject) for clause in clauses)]
        found.sort(key=lambda one: str(one["name"]))
        return paged(call, "registered_models", found, key="name")

    def update_model(self, call: Call) -> Mapping[str, Any]:
        """Change the description of a model."""
        self._put_container(call, description=call.text("description"))
        return self.get_model(call)

    def delete_model(self, call: Call) -> Mapping[str, Any]:
        """Remove a model with all its versions."""
        name = call.needed("name")
        self._container(call, name)
        self._asked(call, "DELETE", f"/models/{name}")
        return {}

    def set_model_tag(self, call: Call) -> Mapping[str, Any]:
        """Set a tag of a model."""
        known = self._container(call, call.needed("name"))["properties"]["tags"] or {}
        self._put_container(call, tags={**known, call.needed("key"): call.text("value")})
        return {}

    def delete_model_tag(self, call: Call) -> Mapping[str, Any]:
        """Remove a tag of a model."""
        known = self._container(call, call.needed("name"))["properties"]["tags"] or {}
        self._put_container(call, tags={key: one for key, one in known.items() if key != call.needed("key")})
        return {}

    def latest_versions(self, call: Call) -> Mapping[str, Any]:
        """List the latest version of each stage."""
        wanted = [str(one).lower() for one in call.listed("stages")]
        latest: dict[str, dict[str, Any]] = {}
        for one in self._versions(call, call.needed("name")):
            latest.setdefault(one["current_stage"].lower(), one)
        return {"model_versions": [one for stage, one in latest.items() if not wanted or stage in wanted]}

    def create_version(self, call: Call) -> Mapping[str, Any]:
        """Register a version of a model."""
        name = call.needed("name")
        container = self._container(call, name)
        source, run = self._source(call, call.needed("source")), call.text("run_id")
        if run and self._runs.needed(replace(call, given={"run_id": run})).hidden:
            raise invalid(f"The run {run} is deleted.")
        tags = {str(one["key"]): str(one.get("value", "")) for one in call.listed("tags")}
        made = self._asked(
            call,
            "PUT",
            f"/models/{name}/versions/{container['properties']['nextVersion']}",
            {
                "description": call.text("description") or None,
                "tags": tags,
                "properties": {},
                "modelType": "mlflow_model",
                "modelUri": source,
                **({"jobName": run} if run else {}),
            },
        )
        return {"model_version": self._version(call, made)}

    def get_version(self, call: Call) -> Mapping[str, Any]:
        """Show a version."""
        return {"model_version": self._version(call, self._needed_version(call))}

    def search_versions(self, call: Call) -> Mapping[str, Any]:
        """List versions that a filter fits, the latest first."""
        clauses = clauses_of(call.text("filter"))
        names = [
            value for clause in clauses if clause.key == "name" and clause.operator == "=" for value in clause.values
        ]
        if not names:
            names = [str(one["name"]) for one in self._all(call, "/models")]
        shown = [one for name in names if self._found(call, f"/models/{name}") for one in self._versions(call, name)]
        subjects = [
            (
                one,
                {
                    "attributes": {
                        "name": one["name"],
                        "run_id": one["run_id"],
                        "version_number": one["version"],
                        "source_path": one["source"],
                    },
                    "tags": _pairs(one["tags"]),
                },
            )
            for one in shown
        ]
        found = [one for one, subject in subjects if all(clause.fits(subject) for clause in clauses)]
        marked = [{**one, "mark": f"{one['name']}:{one['version']}"} for one in found]
        page = paged(call, "model_versions", marked, key="mark")
        bare = [{key: value for key, value in one.items() if key != "mark"} for one in page["model_versions"]]
        return {**page, "model_versions": bare}

    def update_version(self, call: Call) -> Mapping[str, Any]:
        """Change the description of a version."""
        return self._put_version(call, description=call.text("description"))

    def transition_stage(self, call: Call) -> Mapping[str, Any]:
        """Let a version have another stage."""
        wanted = call.needed("stage")
        stage = next((one for one in _STAGES if one.lower() == wanted.lower()), None)
        if stage is None:
            raise invalid(f"Invalid Model Version stage: {wanted}. Value must be one of {', '.join(_STAGES)}.")
        if call.text("archive_existing_versions").lower() == "true":
            raise Refused("UNIMPLEMENTED", "to archive the existing versions of a stage is not emulated")
        return self._put_version(call, stage=_UNSTAGED if stage == "None" else stage)

    def set_version_tag(self, call: Call) -> Mapping[str, Any]:
        """Set a tag of a version."""
        known = self._needed_version(call)["properties"]["tags"]
        self._put_version(call, tags={**known, call.needed("key"): call.text("value")})
        return {}

    def delete_version_tag(self, call: Call) -> Mapping[str, Any]:
        """Remove a tag of a version."""
        known = self._needed_version(call)["properties"]["tags"]
        self._put_version(call, tags={key: one for key, one in known.items() if key != call.needed("key")})
        return {}

    def delete_version(self, call: Call) -> Mapping[str, Any]:
        """Remove a version."""
        self._needed_version(call)
        self._asked(call, "DELETE", f"/models/{call.needed('name')}/versions/{call.needed('version')}")
        return {}

    def download_uri(self, call: Call) -> Mapping[str, Any]:
        """Say where the files of a version are."""
        return {"artifact_uri": self._shown_source(call, self._needed_version(call))}

    def _source(self, call: Call, source: str) -> str:
        """Return the address of data that a source stands for.

        Raises:
            Refused: It is none that is emulated.
        """
        if found := _RUN.fullmatch(source) or _SHORT_RUN.fullmatch(source):
            path = f"{RUNS}/dcid.{found['run']}/{found['path']}"
        elif found := _UPLOAD.fullmatch(source):
            path = found["path"]
        else:
            raise Refused("UNIMPLEMENTED", f"a version of a model from {source} is not emulated: only from artifacts")
        parts = call.workspace_id.split("/")
        scope = f"subscriptions/{parts[2]}/resourceGroups/{parts[4]}/workspaces/{parts[8]}"
        return f"azureml://{scope}/datastores/{ARTIFACT_STORE}/paths/{path}"

    def _shown_source(self, call: Call, version: Mapping[str, Any]) -> str:
        uri = str(version["properties"]["modelUri"])
        stored = _STORED.fullmatch(uri)
        if stored is None:
            return uri
        found = _OF_RUN.fullmatch(stored["path"])
        if found is None:
            return f"azureml://artifacts/{stored['path']}"
        run = self._runs.needed(replace(call, given={"run_id": found["run"]}))
        return f"{self._runs.artifact_uri(call, run)}/{found['path']}"

    def _model(self, call: Call, container: Mapping[str, Any]) -> dict[str, Any]:
        properties, made = container["properties"], container["systemData"]
        versions = self._versions(call, str(container["name"]))
        return {
            "name": container["name"],
            "creation_timestamp": milliseconds(made["createdAt"]),
            "last_updated_timestamp": milliseconds(made["lastModifiedAt"]),
            "description": properties["description"] or "",
            "latest_versions": versions[:1],
            "tags": [{"key": key, "value": value} for key, value in (properties["tags"] or {}).items()],
        }

    def _versions(self, call: Call, name: str) -> list[dict[str, Any]]:
        return [self._version(call, one) for one in self._all(call, f"/models/{name}/versions")]

    def _version(self, call: Call, version: Mapping[str, Any]) -> dict[str, Any]:
        properties, made = version["properties"], version["systemData"]
        stage = properties.get("stage") or _UNSTAGED
        return {
            "name": version["id"].split("/")[-3],
            "version": version["name"],
            "creation_timestamp": milliseconds(made["createdAt"]),
            "last_updated_timestamp": milliseconds(made["lastModifiedAt"]),
            "user_id": made["createdBy"],
            "current_stage": "None" if stage == _UNSTAGED else stage,
            "description": properties["description"] or "",
            "source": self._shown_source(call, version),
            "run_id": properties.get("jobName") or "",
            "status": "READY",
            "tags": [{"key": key, "value": value} for key, value in properties["tags"].items()],
        }

    def _container(self, call: Call, name: str) -> dict[str, Any]:
        found = self._found(call, f"/models/{name}")
        if found is None:
            raise absent(f"Registered Model with name={name} not found")
        return found

    def _needed_version(self, call: Call) -> dict[str, Any]:
        name, version = call.needed("name"), call.needed("version")
        found = self._found(call, f"/models/{name}/versions/{version}")
        if found is None:
            raise absent(f"Model Version (name={name}, version={version}) not found")
        return found

    def _put_container(self, call: Call, **changes: Any) -> None:
        name = call.needed("name")
        self._asked(call, "PUT", f"/models/{name}", {**self._container(call, name)["properties"], **changes})

    def _put_version(self, call: Call, **changes: Any) -> Mapping[str, Any]:
        known = self._needed_version(call)
        path = f"/models/{call.needed('name')}/versions/{call.needed('version')}"
        made = self._asked(call, "PUT", path, {**known["properties"], **changes})
        return {"model_version": self._version(call, made)}

    def _found(self, call: Call, path: str) -> dict[str, Any] | None:
        try:
            return self._asked(call, "GET", path)
        except Refused as refused:
            if refused.code == "NOT_FOUND":
                return None
            raise

    def _all(self, call: Call, path: str) -> Sequence[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        query = {"$orderBy": "createdtime desc"} if path.endswith("/versions") else {}
        while True:
            page = self._asked(call, "GET", path, query=query)
            found += page["value"]
            following = str(page.get("nextLink") or "")
            if not following:
                return found
            query = dict(parse_qsl(following.partition("?")[2]))

    def _asked(
        self,
        call: Call,
        method: str,
        path: str,
        properties: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Ask Azure Resource Manager's handlers, as the caller."""
        whole = f"{call.workspace_id}{path}"
        found = self._world.routes.find(method, whole)
        if found is None:
            raise Refused("UNIMPLEMENTED", f"{method} {whole} is not emulated")
        route, names = found
        asked = Asked(
            method=method,
            path=whole,
            raw_path=whole,
            query=query or {},
            headers={},
            body=b"" if properties is None else json.dumps({"properties": properties}).encode(),
            host=call.asked.host,
            raw_query=urlencode(query or {}),
        )
        request = ArmRequest(asked=asked, caller=call.caller, path=whole, names=names, version=_API)
        body = route.handler(request).body
        content: dict[str, Any] = json.loads(body) if body else {}
        return content


def _pairs(tags: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {one["key"]: one["value"] for one in tags}
