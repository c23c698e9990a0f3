"""What the addresses of a job's inputs lead to: assets by their names and ids, outputs of jobs, data."""

from __future__ import annotations

import re
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.jobs.runs import Runs
from cloudmlops.emulators.azure.ml.data_addresses import Storage, storage_of
from cloudmlops.emulators.azure.ml.default_datastores import ARTIFACT_STORE
from cloudmlops.emulators.azure.ml.registry_addresses import in_registry, kind_at

_FIELDS: Final = {"data": "dataUri", "models": "modelUri", "codes": "codeUri"}
_ID: Final = re.compile(r"(?:azureml:)?(/subscriptions/.+/(data|models|codes)/[^/]+/versions/[^/]+)")
_LOCATED: Final = re.compile(r"azureml://locations/[^/]+/workspaces/[^/]+/(data|models)/([^/]+)/versions/([^/]+)")
_NAMED: Final = re.compile(r"azureml:(?!/)([^:/]+):([^:/]+)")
_JOB: Final = re.compile(r"azureml://jobs/([^/]+)/outputs/([^/]+)(?:/paths(?:/(.*))?)?")
_PORT: Final = re.compile(r"(https://[^/:]+):443/")


class Assets:
    """Follows addresses."""

    def __init__(self, resources: Resources, runs: Runs) -> None:
        self._resources = resources
        self._runs = runs

    def storage(self, workspace: str, address: str) -> Storage:
        """Return where an address leads.

        Args:
            workspace: The id of that which names are in.
            address: Of an asset, of a job's output, or of data.

        Raises:
            Refused: It leads nowhere.
        """
        return storage_of(self._resources, workspace, _PORT.sub(r"\1/", self.uri(workspace, address)))

    def uri(self, workspace: str, address: str) -> str:
        """Return the address of the data that an address leads to; one of data is that itself.

        Raises:
            Refused: There is no such asset or output.
        """
        if kind := kind_at(address):
            return self._of_registry(address, kind)
        if found := _ID.fullmatch(address):
            return self._of_asset(found[1], found[2], address)
        if found := _LOCATED.fullmatch(address):
            return self._of_asset(f"{workspace}/{found[1]}/{found[2]}/versions/{found[3]}", found[1], address)
        if found := _NAMED.fullmatch(address):
            kinds = [f"{workspace}/{kind}/{found[1]}/versions/{found[2]}" for kind in ("data", "models")]
            there = [one for one in kinds if self._resources.get(one) is not None]
            return self._of_asset(there[0] if there else kinds[0], "models" if there == kinds[1:] else "data", address)
        if found := _JOB.fullmatch(address):
            return self._of_job(workspace, found[1], found[2], found[3] or "")
        return address

    def _of_registry(self, address: str, kind: str) -> str:
        found = in_registry(self._resources, address)
        if found is None or kind not in _FIELDS:
            raise UserError("NOT_FOUND", f"There is no asset {address}.")
        return str(found["properties"][_FIELDS[kind]])

    def _of_asset(self, resource: str, kind: str, address: str) -> str:
        found: dict[str, Any] | None = self._resources.get(resource)
        if found is None:
            raise UserError("NOT_FOUND", f"There is no asset {address}.")
        return str(found["properties"][_FIELDS[kind]])

    def _of_job(self, workspace: str, job: str, output: str, path: str) -> str:
        run = self._runs.get(workspace, job)
        if run is None:
            raise UserError("NOT_FOUND", f"There is no job {job}.")
        if output == "artifacts":
            return f"azureml://datastores/{ARTIFACT_STORE}/paths/{run.artifacts}/{path}"
        if output not in run.outputs:
            raise UserError("NOT_FOUND", f"The job {job} has no output {output}.")
        return f"{self.uri(workspace, run.outputs[output]['assetId']).rstrip('/')}/{path}"
