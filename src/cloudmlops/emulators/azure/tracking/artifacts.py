"""Artifacts of runs and of uploads: their list, and addresses with a signature to read and to write them.

The answers' fields are those that Azure's plugin of MLflow reads (azureml-mlflow 1.62, its clients of the run history's
and the artifact service's REST). An artifact of a run lies where its job keeps logs and outputs. What is there already
is not overwritten: it is an error of that artifact alone.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.ml.data_addresses import Storage, storage_of
from cloudmlops.emulators.azure.ml.default_datastores import ARTIFACT_STORE

RUNS: Final = "ExperimentRun"
"""The origin of artifacts of runs; their containers are `dcid.RUN`."""
_LASTS: Final = timedelta(hours=1)


class Artifacts:
    """What lies in the artifact store of a workspace, by origin and container."""

    def __init__(self, world: World) -> None:
        self._resources: Resources = world.resources
        self._blobs = Blobs(world.surroundings)

    def paths(self, workspace: str, origin: str, container: str) -> list[str]:
        """Return the paths of all artifacts of a container, sorted."""
        place = self._place(workspace, origin, container)
        prefix = f"{place.path}/"
        return [name.removeprefix(prefix) for name in self._blobs.list(place.account, place.container, prefix)]

    def listed(self, workspace: str, origin: str, container: str, *, below: str = "") -> dict[str, Any]:
        """Return the list of a container, of those whose path is or begins with one, and a slash."""
        found = self.paths(workspace, origin, container)
        kept = [path for path in found if not below or path == below or path.startswith(f"{below.rstrip('/')}/")]
        return {"value": [_artifact(origin, container, path) for path in kept], "continuationToken": None}

    def folder(self, workspace: str, origin: str, container: str, path: str) -> list[dict[str, Any]]:
        """Return what lies directly in a folder, as MLflow's clients read it."""
        place = self._place(workspace, origin, container)
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        found: dict[str, dict[str, Any]] = {}
        for one in self.paths(workspace, origin, container):
            if one.startswith(prefix):
                name, slash, _ = one[len(prefix) :].partition("/")
                whole = f"{prefix}{name}"
                size = None if slash else self._blobs.size(place.account, place.container, f"{place.path}/{one}")
                found.setdefault(
                    whole, {"path": whole, "is_dir": bool(slash), **({} if slash else {"file_size": size})}
                )
        return list(found.values())

    def content(self, workspace: str, origin: str, container: str, path: str) -> dict[str, Any] | None:
        """Return where an artifact can be read; None when there is none."""
        place = self._place(workspace, origin, container)
        if not path or not self._blobs.exists(place.account, place.container, f"{place.path}/{path}"):
            return None
        return self._content(place, origin, container, path, permissions="r")

    def made(self, workspace: str, origin: str, container: str, paths: list[str]) -> dict[str, Any]:
        """Return where artifacts can be written."""
        place = self._place(workspace, origin, container)
        there = {path for path in paths if self._blobs.exists(place.account, place.container, f"{place.path}/{path}")}
        new = [path for path in paths if path not in there]
        return {
            "artifacts": {path: _artifact(origin, container, path) for path in new},
            "artifactContentInformation": {
                path: self._content(place, origin, container, path, permissions="rcw") for path in new
            },
            "errors": {path: _conflict(origin, container, path) for path in there},
        }

    def _content(self, place: Storage, origin: str, container: str, path: str, *, permissions: str) -> dict[str, Any]:
        uri = self._blobs.blob_url(
            place.account, place.container, f"{place.path}/{path}", permissions=permissions, lasts=_LASTS
        )
        return {"contentUri": uri, "origin": origin, "container": container, "path": path, "tags": None}

    def _place(self, workspace: str, origin: str, container: str) -> Storage:
        return storage_of(
            self._resources, workspace, f"azureml://datastores/{ARTIFACT_STORE}/paths/{origin}/{container}"
        )


def _artifact(origin: str, container: str, path: str) -> dict[str, Any]:
    return {
        "artifactId": f"{origin}/{container}/{path}",
        "origin": origin,
        "container": container,
        "path": path,
        "etag": None,
        "createdTime": None,
        "dataPath": {
            "dataStoreName": ARTIFACT_STORE,
            "relativePath": f"{origin}/{container}/{path}",
            "sqlDataPath": None,
        },
        "contentType": mimetypes.guess_type(path)[0],
        "tags": {},
    }


def _conflict(origin: str, container: str, path: str) -> Mapping[str, Any]:
    message = f"Resource Conflict: ArtifactId {origin}/{container}/{path} already exists."
    return {"error": {"code": "UserError", "message": message}}
