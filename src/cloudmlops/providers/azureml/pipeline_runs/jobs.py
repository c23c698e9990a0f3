"""Pipeline jobs, asked through Azure's SDK."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from cloudmlops.errors import InvalidPipelineError, NotFoundError, ServiceError
from cloudmlops.providers.azureml.mapping.given_jobs import told_faults
from cloudmlops.providers.azureml.mapping.pipelines import PIPELINE_TAG
from cloudmlops.providers.azureml.sdk import ml, quiet
from cloudmlops.providers.azureml.wire import Wire

if TYPE_CHECKING:
    from azure.ai.ml.entities import Job


class WorkspaceJobs:
    """The jobs of one workspace."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def submit(self, definition: Mapping[str, Any], *, run: str, folder: str = "") -> None:
        """Make a job unless there is one of that name; what it needs is made first.

        Args:
            definition: In the words of the YAML schema, with its name.
            run: Whose it is, in our names.
            folder: That its relative paths start at; without it, it was written here and needs no checking.
        """
        name = str(definition["name"])
        job = loaded(definition, folder)
        try:
            with quiet():
                self._wire.ask(
                    lambda: self._wire.client.jobs.create_or_update(job, skip_validation=not folder),
                    operation="pipelines.run",
                    resource=run,
                )
        except ServiceError as error:
            # Another call has made it, or this one whose answer was lost.
            if error.retryable or self.find(name, run=run) is None:
                raise

    def get(self, name: str, *, run: str) -> Job:
        """Return a job; `NotFoundError` when there is none."""
        found: Job = self._wire.ask(lambda: self._wire.client.jobs.get(name), operation="pipelines.get", resource=run)
        return found

    def find(self, name: str, *, run: str) -> Job | None:
        """Return a job; None when there is none."""
        try:
            return self.get(name, run=run)
        except NotFoundError:
            return None

    def children(self, name: str, *, run: str) -> Mapping[str, Job]:
        """Return the jobs of a job's steps, by what they are called in it; those that have begun."""
        listed = self._wire.list(
            lambda: self._wire.client.jobs.list(parent_job_name=name), operation="pipelines.get", resource=run
        )
        return {str(child.display_name): child for child in listed if child is not None}

    def of_ours(self) -> Iterator[Job]:
        """Yield the pipeline jobs that this library made, the newest first."""
        view = ml().constants.ListViewType.ACTIVE_ONLY
        for job in self._wire.list(
            lambda: self._wire.client.jobs.list(list_view_type=view, tag=PIPELINE_TAG),
            operation="pipelines.list",
            resource="",
        ):
            if job is not None and PIPELINE_TAG in (job.tags or {}):
                yield job

    def cancel(self, name: str, *, operation: str, resource: str) -> None:
        """Ask a job to end.

        Args:
            name: Of the job.
            operation: The verb that it is done for.
            resource: What is concerned, in our names.
        """
        jobs = self._wire.client.jobs
        # Nobody waits for its end here: a thread of the SDK would.
        self._wire.ask(lambda: jobs.begin_cancel(name, polling=False), operation=operation, resource=resource)


def loaded(definition: Mapping[str, Any], folder: str = "") -> Job:
    """Return a job from its definition in the words of the YAML schema.

    Args:
        definition: As it is in the YAML.
        folder: That its relative paths start at.

    Raises:
        InvalidPipelineError: It is not understood; all faults are listed.
    """
    # A file of that folder, whose name counts for nothing.
    origin = {"relative_origin": f"{folder}/pipeline.yml"} if folder else {}
    try:
        with quiet():
            job: Job = ml().load_job(io.StringIO(yaml.safe_dump(dict(definition))), **origin)
    except Exception as error:
        # Of marshmallow's classes, or of the SDK's own, and not all are public.
        raise InvalidPipelineError(
            "the definition of the pipeline job is not understood by azure-ai-ml", faults=told_faults(str(error))
        ) from error
    return job
