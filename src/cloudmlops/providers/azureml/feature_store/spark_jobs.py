"""Joins and reductions that are too large for this machine, as Spark jobs of the workspace."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cloudmlops.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    ServiceError,
    UnavailableError,
    WaitTimeoutError,
)
from cloudmlops.providers.awaited_jobs import seen
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping.features_spark import (
    SparkPlan,
    cost_fault,
    cost_note,
    machines_of,
    plan_text,
)
from cloudmlops.providers.azureml.pipeline_runs.jobs import WorkspaceJobs
from cloudmlops.providers.azureml.sdk import ml, quiet
from cloudmlops.providers.passing_files import PassingFiles

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.backends import AzureMLBackends
    from cloudmlops.providers.azureml.feature_store.lake import Lake

ENTRY: Final = Path(__file__).with_name("spark_entry.py")
_FOLDER: Final = "features/jobs"
_EXPERIMENT: Final = "cloudmlops-features"
_DONE: Final = "Completed"
_ENDED: Final = (_DONE, "Failed", "Canceled", "NotResponding")
_LONGEST: Final = timedelta(hours=12)
_FIRST_LOOK_SECONDS: Final = 0.2
_SELDOMEST_LOOK_SECONDS: Final = 15.0
_SLOWER: Final = 1.5
_log: Final = logging.getLogger("cloudmlops.features")


class SparkJobs:
    """The Spark jobs of one platform."""

    def __init__(self, backends: AzureMLBackends, lake: Lake) -> None:
        self._backends = backends
        self._wire = backends.wire
        self._settings = backends.settings
        self._lake = lake
        self._jobs = WorkspaceJobs(backends.wire)

    @contextmanager
    def answer(
        self, plan: SparkPlan, entities: pa.Table | None, *, stored_bytes: int, operation: str, resource: str
    ) -> Iterator[Iterator[pa.Table]]:
        """Run a plan as a job, wait for its end, and give what it answers, file by file; then remove it.

        Args:
            plan: What it does.
            entities: The entity rows of a join, as the statement wants them.
            stored_bytes: What the sources hold.
            operation: The verb that it is done for.
            resource: What is concerned.

        Raises:
            ConfigurationError: Its machines would cost more than `spark_hourly_cost`.
            ServiceError: The job failed, or Azure's answer, as ours.
            WaitTimeoutError: It has not ended in half a day, and was cancelled.
        """
        if fault := cost_fault(self._settings):
            raise ConfigurationError(f"{operation} of {resource!r} needs a Spark job: {fault[0]}", hint=fault[1])
        _log.warning("%s of %r: %s", operation, resource, cost_note(self._settings, stored_bytes))
        passing = PassingFiles(self._backends.objects, _FOLDER, now=self._backends.clock.now)
        with passing.folder() as passed:
            folder = f"{_FOLDER}/{passed}"
            self._write(folder, plan, entities)
            self._run(f"cloudmlops-features-{passed.replace('-', '')}", folder, plan, operation, resource)
            yield self._answered(folder)

    def _write(self, folder: str, plan: SparkPlan, entities: pa.Table | None) -> None:
        if entities is not None:
            file = BytesIO()
            pq.write_table(entities, file)
            self._backends.objects.put(f"{folder}/asked/asked.parquet", file.getvalue())
        self._backends.objects.put(f"{folder}/asked/plan.json", plan_text(plan).encode())

    def _run(self, name: str, folder: str, plan: SparkPlan, operation: str, resource: str) -> None:
        with quiet(), tempfile.TemporaryDirectory(prefix="cloudmlops-spark-") as code:
            shutil.copy(ENTRY, code)
            self._begin(self._job(name, folder, plan, code), operation, resource)
        try:
            ended, state = self._ended(name, operation, resource)
        except BaseException:
            self._cancel(name, operation, resource)  # what it would answer is removed
            raise
        if state != _DONE:
            raise ServiceError(
                f"{operation} of {resource!r} failed: the Spark job {name} ended as {state}",
                hint=f"Read its log: {ended.studio_url}",
                provider=PROVIDER,
                operation=operation,
                resource=resource,
            )

    def _begin(self, job: Any, operation: str, resource: str) -> None:
        name = str(job.name)
        try:
            self._wire.ask(lambda: self._wire.client.jobs.create_or_update(job), operation=operation, resource=resource)
        except (ConflictError, UnavailableError):  # it may have been begun all the same: nobody else has its name
            if not self._is_there(name, operation, resource):
                raise
        except ServiceError:  # it was refused
            raise
        except BaseException:
            self._cancel(name, operation, resource)
            raise

    def _is_there(self, name: str, operation: str, resource: str) -> bool:
        try:
            self._wire.ask(lambda: self._wire.client.jobs.get(name), operation=operation, resource=resource)
        except NotFoundError:
            return False
        except BaseException:
            self._cancel(name, operation, resource)
            raise
        return True

    def _job(self, name: str, folder: str, plan: SparkPlan, code: str) -> Any:
        sdk, machines = ml(), machines_of(self._settings.spark_instance)
        inputs = {"asked": sdk.Input(type="uri_folder", path=self._uri(f"{folder}/asked"), mode="direct")}
        for number, source in enumerate(plan.folders):
            inputs[f"source{number}"] = sdk.Input(type="uri_folder", path=self._native(source), mode="direct")
        given = " ".join(f"${{{{inputs.source{number}}}}}" for number in range(len(plan.folders)))
        return sdk.spark(
            name=name,
            experiment_name=_EXPERIMENT,
            display_name=f"features of {self._settings.prefix}",
            code=code,
            entry={"file": ENTRY.name},
            args=f"${{{{inputs.asked}}}} ${{{{outputs.result}}}} {given}",
            inputs=inputs,
            outputs={"result": sdk.Output(type="uri_folder", path=self._uri(f"{folder}/result"), mode="direct")},
            driver_cores=machines.cores,
            driver_memory=f"{machines.memory_gib}g",
            executor_cores=machines.cores,
            executor_memory=f"{machines.memory_gib}g",
            executor_instances=self._settings.spark_executors,
            resources={"instance_type": machines.instance, "runtime_version": self._settings.spark_runtime},
            # Data are read and written as whoever asks.
            identity=sdk.entities.UserIdentityConfiguration(),
        )

    def _ended(self, name: str, operation: str, resource: str) -> tuple[Any, str]:
        """Wait for a job; return it, and what it ended as. That Azure cannot answer for a while is no end of it."""
        job = f"the Spark job {name}"
        deadline = time.monotonic() + _LONGEST.total_seconds()
        pause = _FIRST_LOOK_SECONDS

        def look() -> Any:
            return self._wire.ask(lambda: self._wire.client.jobs.get(name), operation=operation, resource=resource)

        while True:
            with quiet():
                found = seen(look, job=job, log=_log)
            if found is not None and (state := next((one for one in _ENDED if one == found.status), None)) is not None:
                return found, state
            if time.monotonic() > deadline:
                raise WaitTimeoutError(
                    f"{job} for {resource!r} has not ended after {_LONGEST}",
                    hint="It is cancelled. Give it more machines: spark_executors, spark_instance.",
                )
            time.sleep(pause)
            pause = min(pause * _SLOWER, _SELDOMEST_LOOK_SECONDS)

    def _cancel(self, name: str, operation: str, resource: str) -> None:
        try:
            self._jobs.cancel(name, operation=operation, resource=resource)
        except NotFoundError:
            return
        except ServiceError as error:
            _log.warning("the Spark job %s, which is not needed any more, may go on: %s", name, error)

    def _answered(self, folder: str) -> Iterator[pa.Table]:
        for file in self._lake.files(self._abfss(f"{folder}/result")):
            if file.name.endswith(".parquet"):
                yield pq.ParquetFile(file.open()).read()

    def _abfss(self, path: str) -> str:
        return f"{self._backends.place.store(self._settings.prefix)}/{path}"

    def _uri(self, path: str) -> str:
        return self._native(self._abfss(path))

    def _native(self, uri: str) -> str:
        """Return Azure ML's own address of something in the platform's datastore; any other one stays as it is."""
        place = self._backends.place
        return place.native_uri(self._settings, uri) if uri.startswith(f"{place.store('')}/") else uri
