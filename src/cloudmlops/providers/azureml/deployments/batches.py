"""Scoring a file by a batch endpoint: the file goes to the datastore, a job scores it there with our own server's code.

There is one batch endpoint in a workspace, made at first use; each call has a deployment of its own there, which is
removed at its end, or by a later call when its process was killed. Neither costs anything by itself: the job's machines
are the cluster's.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    QuotaExceededError,
    ServiceError,
    UnavailableError,
    UnexpectedReplyError,
)
from cloudmlops.providers.azureml.deployments.resources import check_ours
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import endpoints as mapping
from cloudmlops.providers.azureml.pipeline_runs.jobs import WorkspaceJobs
from cloudmlops.providers.azureml.sdk import ml, quiet
from cloudmlops.providers.passing_files import PassingFiles
from cloudmlops.providers.scored_files import FOLDER, LEFT_AFTER, ended, fetched, put, suffix
from cloudmlops.storage.opening import open_store

if TYPE_CHECKING:
    from cloudmlops.ports.objects import ObjectStore
    from cloudmlops.providers.azureml.backends import AzureMLBackends

_OPERATION: Final = "endpoints.predict_batch"
_VERSION: Final = "2024-10-01"
_SCRIPT: Final = "from cloudmlops.serving.mini_batches import init, run\n\n__all__ = ['init', 'run']\n"
_SCRIPT_NAME: Final = "score.py"
_PINNED: Final = "azureml-model-deployment"
_NAMED: Final = "azureml.deploymentname"
"""Tag of a job with the deployment that began it: each has one job."""
_LONGEST_S: Final = 10 * 60 * 60
"""So long one file may take."""
_ENDED: Final = frozenset({"Completed", "Failed", "Canceled", "NotResponding"})
_PREFIX: Final = "b-"
_LONGEST_NAME: Final = 32
"""So long a deployment's name may be."""
_log: Final = logging.getLogger("cloudmlops.azureml")


class Batches:
    """Batch scoring in one workspace."""

    def __init__(self, backends: AzureMLBackends) -> None:
        self._backends = backends
        self._settings = backends.settings
        self._wire = backends.wire
        self._objects = backends.objects

    def score(self, native_model: str, environment: str, input_uri: str, output_uri: str) -> None:
        """Score a file and write its rows with their predictions to another.

        Args:
            native_model: Azure's id of the version.
            environment: Azure's id of what it is scored in.
            input_uri: A `.parquet` or `.jsonl` file.
            output_uri: Likewise.

        Raises:
            InvalidRequestError: A file is of another kind, or rows do not fit the model; rows are counted from 0.
            ConfigurationError: No cluster is named, or it costs though nothing runs and nobody has agreed to that.
            WaitTimeoutError: The job has not ended after `batch_timeout`, and was cancelled.
        """
        ending, given = suffix(output_uri), suffix(input_uri)
        self._check_compute()
        self._backends.computes.ready(_OPERATION)
        passing = PassingFiles(self._objects, FOLDER, now=self._backends.clock.now, left_after=LEFT_AFTER)
        with tempfile.TemporaryDirectory(prefix="cloudmlops-batch-") as place, passing.folder() as passed:
            folder, name = f"{FOLDER}/{passed}", f"{_PREFIX}{passed}"[:_LONGEST_NAME]
            endpoint, url = self._endpoint()
            try:
                self._objects.upload(f"{folder}/input/input{given}", fetched(input_uri, Path(place), self._store))
                self._deploy(endpoint, name, native_model, environment, ending, Path(place))
                job = self._ended(self._begun(url, name, folder, input_uri), input_uri)
                written = Path(place) / f"scored{ending}"
                self._objects.download(self._written(folder, ending, job, input_uri), written)
                put(written, output_uri, self._store)
            finally:
                self._clear(endpoint, name, passing)

    def _check_compute(self) -> None:
        if not self._settings.compute:
            raise ConfigurationError(
                "nothing says which cluster scores files",
                hint="Set compute to the name of one; `az ml compute create --type amlcompute --name scoring "
                "--min-instances 0 --max-instances 2` makes one that costs nothing while it is idle.",
            )

    def _endpoint(self) -> tuple[str, str]:
        """Return the workspace's batch endpoint, which is made when there is none, and where it is asked."""
        name = f"{mapping.OURS}-{hashlib.sha256(self._settings.workspace_id.lower().encode()).hexdigest()[:16]}"
        operations = self._wire.client.batch_endpoints
        try:
            found = self._wire.ask(lambda: operations.get(name), operation=_OPERATION, resource=name)
        except NotFoundError:
            made = ml().entities.BatchEndpoint(name=name, tags={mapping.OURS: "batch"})
            try:
                found = self._wire.finish(
                    lambda: operations.begin_create_or_update(made), operation=_OPERATION, resource=name
                )
            except ConflictError:  # another process makes it just now
                found = self._wire.ask(lambda: operations.get(name), operation=_OPERATION, resource=name)
        check_ours(name, dict(found.tags or {}), operation=_OPERATION)
        return name, str(found.scoring_uri)

    def _deploy(self, endpoint: str, name: str, native_model: str, environment: str, ending: str, place: Path) -> None:
        entities = ml().entities
        code = place / "code"
        code.mkdir()
        (code / _SCRIPT_NAME).write_text(_SCRIPT, encoding="utf-8")
        deployment = entities.ModelBatchDeployment(
            name=name,
            endpoint_name=endpoint,
            model=native_model,
            environment=environment,
            code_configuration=entities.CodeConfiguration(code=str(code), scoring_script=_SCRIPT_NAME),
            compute=self._settings.compute,
            tags={mapping.OURS: "batch"},
            settings=entities.ModelBatchDeploymentSettings(
                mini_batch_size=1,
                instance_count=1,
                max_concurrency_per_instance=1,
                output_action="summary_only",
                error_threshold=0,
                retry_settings=entities.BatchRetrySettings(max_retries=1, timeout=_LONGEST_S),
                environment_variables={
                    "CLOUDMLOPS_BATCH_OUTPUT": ending,
                    "CLOUDMLOPS_TARGET": self._settings.target,
                },
            ),
        )
        with quiet():
            self._wire.finish(
                lambda: self._wire.client.batch_deployments.begin_create_or_update(deployment),
                operation=_OPERATION,
                resource=f"{endpoint}/{name}",
            )

    def _begun(self, url: str, name: str, folder: str, input_uri: str) -> str:
        """Begin the job, and return its name."""
        place, settings = self._backends.place, self._settings
        at = {part: place.native_uri(settings, f"{self._objects.uri}/{folder}/{part}/") for part in ("input", "output")}
        body = {
            "properties": {
                "inputData": {"data": {"jobInputType": "UriFolder", "uri": at["input"]}},
                "outputData": {"score": {"jobOutputType": "UriFolder", "uri": at["output"]}},
            }
        }
        try:
            answer = self._wire.score(url, body, headers={_PINNED: name}, operation=_OPERATION, resource=input_uri)
        except QuotaExceededError:
            raise
        except UnavailableError:  # it may have been begun all the same
            listed = self._wire.list(lambda: self._wire.client.jobs.list(), operation=_OPERATION, resource=input_uri)
            found = next((job for job in listed if job is not None and (job.tags or {}).get(_NAMED) == name), None)
            if found is None:
                raise
            return str(found.name)
        told: Any = answer.json()
        try:
            return str(told["name"])
        except (KeyError, TypeError) as error:
            raise UnexpectedReplyError(
                f"the batch endpoint names no job: {told!r}",
                provider=PROVIDER,
                operation=_OPERATION,
                resource=input_uri,
            ) from error

    def _ended(self, name: str, input_uri: str) -> str:
        """Wait for a job's end, and return its name.

        Raises:
            InvalidRequestError: It did not end well.
            WaitTimeoutError: It has not ended in time, and was cancelled.
        """
        jobs = self._wire.client.jobs

        def look() -> tuple[Any, str] | None:
            found = self._wire.ask(lambda: jobs.get(name), operation=_OPERATION, resource=input_uri)
            status = str(getattr(found.status, "value", found.status))
            return (found, status) if status in _ENDED else None

        def cancel() -> None:
            WorkspaceJobs(self._wire).cancel(name, operation=_OPERATION, resource=input_uri)

        job, status = ended(look, cancel=cancel, job=f"job {name}", uri=input_uri, longest=self._settings.batch_timeout)
        if status != "Completed":
            raise InvalidRequestError(
                f"{input_uri} could not be scored: job {name} ended as {status}",
                hint=f"Its logs say why: {job.studio_url or f'az ml job stream --name {name}'}.",
            )
        return name

    def _written(self, folder: str, ending: str, job: str, input_uri: str) -> str:
        """Return the key of what a job has written.

        Raises:
            InvalidRequestError: It says that the file or its rows do not fit the model.
        """
        keys = list(self._objects.list(f"{folder}/output/"))
        for key in keys:
            if key.endswith("/refused.json"):
                told = json.loads(self._objects.get(key))
                raise InvalidRequestError(
                    f"{input_uri} could not be scored: {told['message']}", faults=told["faults"], hint=told["hint"]
                )
        for key in keys:
            if key.endswith(f"/scored{ending}"):
                return key
        raise UnexpectedReplyError(
            f"job {job} has written no predictions for {input_uri}",
            hint=f"Its logs say why: az ml job stream --name {job}.",
            provider=PROVIDER,
            operation=_OPERATION,
            resource=input_uri,
        )

    def _clear(self, endpoint: str, name: str, passing: PassingFiles) -> None:
        """Remove a call's deployment, and those of killed processes; what cannot be removed, a later call removes."""
        try:
            self._remove(endpoint, name)
            found = self._wire.list(
                lambda: self._wire.client.batch_deployments.list(endpoint), operation=_OPERATION, resource=endpoint
            )
            for one in [str(one.name) for one in found]:
                if one.startswith(_PREFIX) and passing.is_left(one.removeprefix(_PREFIX)):
                    self._remove(endpoint, one)
        except ServiceError as error:
            _log.warning("deployments of batch endpoint %s that are not needed may be left: %s", endpoint, error)

    def _remove(self, endpoint: str, name: str) -> None:
        """Begin to remove a deployment; one that was never made is no error."""
        path = f"{self._settings.workspace_id}/batchEndpoints/{endpoint}/deployments/{name}?api-version={_VERSION}"
        try:
            self._wire.send("DELETE", path, operation=_OPERATION, resource=f"{endpoint}/{name}")
        except NotFoundError:
            return

    def _store(self, uri: str) -> ObjectStore:
        tokens = self._wire.storage_token if uri.startswith("abfss://") else None
        return open_store(uri, tokens=tokens, timeout=self._settings.timeout)
