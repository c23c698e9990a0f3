"""Jobs: what was asked, how far it is, and what came of it. Each runs in a worker and can be cancelled."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import duckdb
import pyarrow as pa

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.bigquery.callers import Caller, resource_of
from cloudmlops.emulators.google.bigquery.catalog import LOCATION, Catalog
from cloudmlops.emulators.google.bigquery.fields import Field
from cloudmlops.emulators.google.bigquery.kept_jobs import KeptJob, KeptJobs, read_refusal, refusal_json
from cloudmlops.emulators.google.bigquery.labels import check_labels
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName
from cloudmlops.emulators.google.bigquery.refusals import error_proto, invalid, of_duckdb

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_log: Final = logging.getLogger("cloudmlops.emulators")

KEPT: Final = 10_000
"""How many jobs are remembered."""

_KEPT: Final = ("project", "id", "location", "method", "configuration", "created", "started", "ended")
_ANYWHERE: Final = frozenset({"us", "eu"})
"""Locations in which a job is looked for when none is named, as is documented."""
_INTERRUPTIONS: Final = 40
_INTERRUPTION_SECONDS: Final = 0.05

KEPT_RESULT_BYTES: Final = 256 * 1024 * 1024
"""How much memory their results may take; the oldest are forgotten first, the newest stays."""


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What a job has done."""

    fields: Sequence[Field] = ()
    rows: pa.Table | None = None
    """None for what answers with no rows, or no longer has them."""
    statistics: Mapping[str, Any] = field(default_factory=dict)
    """The part of `JobStatistics` that belongs to its kind."""
    statement: str = "SELECT"
    changed_rows: int | None = None
    destination: Mapping[str, str] | None = None


@dataclass(kw_only=True, slots=True)
class Job:
    """One job."""

    project: str
    id: str
    configuration: dict[str, Any]
    created: str
    work: Callable[[Job], Outcome]
    cursor: duckdb.DuckDBPyConnection
    caller: Caller
    """Who asked for it."""
    method: str = "jobs.insert"
    """That it was started by."""
    changes: list[tuple[str, DatasetName | TableName, dict[str, Any]]] = field(default_factory=list)
    """What it did to tables, as events of `BigQueryAuditMetadata`, such as `tableDataChange`."""
    started: str | None = None
    ended: str | None = None
    outcome: Outcome | None = None
    refused: Refused | None = None
    cancelled: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    location: str = LOCATION
    named_location: str = LOCATION
    """Where it was said to be when it was made; a query's tables tell where it is."""

    @property
    def reference(self) -> dict[str, str]:
        return {"projectId": self.project, "jobId": self.id, "location": self.location}

    def content(self) -> dict[str, Any]:
        """What is kept of it, beside the rows of its answer."""
        outcome = self.outcome
        return {
            **{name: getattr(self, name) for name in _KEPT},
            "principal": self.caller.principal,
            "refused": refusal_json(self.refused),
            "outcome": None
            if outcome is None
            else {
                "fields": list(outcome.fields),
                "statistics": dict(outcome.statistics),
                "statement": outcome.statement,
                "changed_rows": outcome.changed_rows,
                "destination": outcome.destination,
            },
        }

    def resource(self) -> dict[str, Any]:
        """As JSON."""
        statistics: dict[str, Any] = {"creationTime": self.created}
        if self.started:
            statistics["startTime"] = self.started
        if self.ended:
            statistics["endTime"] = self.ended
        status: dict[str, Any] = {"state": "DONE" if self.done.is_set() else "RUNNING" if self.started else "PENDING"}
        if self.done.is_set() and self.refused is not None:
            proto = error_proto(self.refused)
            status |= {"errorResult": proto, "errors": [proto]}
        configuration = self.configuration
        if self.outcome is not None:
            statistics |= self.outcome.statistics
            if self.outcome.destination and "query" in configuration:
                configuration = {
                    **configuration,
                    "query": {**configuration["query"], "destinationTable": self.outcome.destination},
                }
        return {
            "kind": "bigquery#job",
            "id": f"{self.project}:{self.location}.{self.id}",
            "etag": f"{self.id}.{status['state']}",
            "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{self.project}/jobs/{self.id}",
            "user_email": self.caller.principal,
            "jobReference": self.reference,
            "configuration": configuration,
            "statistics": statistics,
            "status": status,
        }


def table_event(event: str, name: TableName) -> tuple[str, TableName, dict[str, Any]]:
    """Return what `Job.changes` has of a table that was made or changed."""
    return event, name, {"table": {"tableName": resource_of(name)}}


class Jobs:
    """All jobs that are remembered."""

    def __init__(
        self,
        catalog: Catalog,
        kept: KeptJobs,
        access: Access,
        *,
        begun: Callable[[Job], None] = lambda _: None,
        ended: Callable[[Job], None] = lambda _: None,
    ) -> None:
        self._catalog = catalog
        self._kept = kept
        self._begun = begun
        self._ended = ended
        self._jobs: OrderedDict[tuple[str, str], Job] = OrderedDict()
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(max_workers=16, thread_name_prefix="bigquery-job")
        self._with_rows: deque[tuple[Job, int]] = deque()
        self._row_bytes = 0
        for one in kept.all():
            self._remember(one, access)

    def make(
        self,
        project: str,
        configuration: dict[str, Any],
        work: Callable[[Job], Outcome],
        *,
        reference: Mapping[str, Any],
        caller: Caller,
        beside: DatasetName | None = None,
    ) -> Job:
        """Remember a new job, which does not run yet.

        Args:
            project: Of the job.
            configuration: A `JobConfiguration`.
            work: What it does.
            reference: Its name and location, each if it was given.
            caller: Who asks for it.
            beside: Where it runs, unless its location is given.

        Raises:
            Refused: A job of that name is there, or none can have it.
        """
        check_labels(configuration.get("labels"))
        identity = str(reference.get("jobId") or f"job_{uuid.uuid4().hex}")
        if not _ID.fullmatch(identity):
            raise invalid(
                f'Invalid job ID "{identity}". Job IDs must be alphanumeric (plus underscores and dashes) and must be '
                "at most 1024 characters long."
            )
        location = reference.get("location") or (self._catalog.location_of(beside) if beside is not None else LOCATION)
        job = Job(
            project=project,
            id=identity,
            location=location,
            named_location=location,
            configuration=configuration,
            created=self._catalog.milliseconds(),
            work=work,
            cursor=self._catalog.warehouse.cursor(),
            caller=caller,
        )
        with self._lock:
            if (project, job.id) in self._jobs:
                job.cursor.close()
                raise Refused(
                    "ALREADY_EXISTS", f"Already Exists: Job {project}:{location}.{job.id}", reason="duplicate"
                )
            self._jobs[project, job.id] = job
            while len(self._jobs) > KEPT and next(iter(self._jobs.values())).done.is_set():
                (of, oldest), _ = self._jobs.popitem(last=False)
                self._kept.delete(of, oldest)
        return job

    def start(self, job: Job) -> None:
        """Let a job run in a worker."""
        self._begun(job)
        self._kept.put(job.project, job.id, job.content())
        self._workers.submit(self._run, job)

    def run(self, job: Job) -> None:
        """Run a job here; what it meets is kept in it."""
        try:
            self._work(job)
        finally:
            job.done.set()

    def _run(self, job: Job) -> None:
        try:
            self._work(job)
            self._kept.put(job.project, job.id, job.content(), job.outcome.rows if job.outcome is not None else None)
            # Before whoever waits for it goes on.
            self._ended(job)
        finally:
            job.done.set()

    def _work(self, job: Job) -> None:
        job.started = self._catalog.milliseconds()
        try:
            if job.cancelled:
                raise Refused("CANCELLED", "Job execution was cancelled: User requested cancellation", reason="stopped")
            job.outcome = job.work(job)
        except Refused as refused:
            job.refused = refused
        except duckdb.Error as error:
            job.refused = of_duckdb(error)
        except Exception as error:  # noqa: BLE001 a job that fails is told, whatever it is
            _log.exception("job %s failed", job.id)
            # Not an internal error of the service, which clients would try again for minutes.
            told = f"this job is not emulated: a mistake of the emulator, {type(error).__name__}: {error}"
            job.refused = Refused("UNIMPLEMENTED", told, reason="notImplemented")
        finally:
            job.cursor.close()
            job.ended = self._catalog.milliseconds()
            self._forget_results(job)

    def found(self, project: str, job_id: str, location: str) -> Job:
        """Return a job; outside of the US and the EU it is found by its location only.

        Raises:
            Refused: There is none.
        """
        job = self.get(project, job_id)
        there = job.location.lower()
        known = location.lower() in {there, job.named_location.lower()} if location else there in _ANYWHERE
        if not known:
            where = f"{location}." if location else ""
            raise Refused("NOT_FOUND", f"Not found: Job {project}:{where}{job_id}", reason="notFound")
        return job

    def get(self, project: str, job_id: str) -> Job:
        """Return a job, wherever it is.

        Raises:
            Refused: There is none.
        """
        with self._lock:
            found = self._jobs.get((project, job_id))
        if found is None:
            raise absent(project, job_id)
        return found

    def list(self, project: str) -> list[Job]:
        """Return a project's jobs, the newest first."""
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if job.project == project]

    def cancel(self, job: Job) -> None:
        """Stop a job as soon as can be; one that is done stays as it is."""
        job.cancelled = True
        for _ in range(_INTERRUPTIONS):
            # More than once: an interruption between two of its queries is not felt.
            if not job.started or job.done.is_set():
                return
            with contextlib.suppress(duckdb.Error):
                job.cursor.interrupt()
            job.done.wait(_INTERRUPTION_SECONDS)

    def delete(self, job: Job) -> bool:
        """Forget a job; False when that was done meanwhile."""
        with self._lock:
            self._kept.delete(job.project, job.id)
            return self._jobs.pop((job.project, job.id), None) is not None

    def rows_of(self, job: Job) -> pa.Table | None:
        """Return the rows of a job's answer; None of one that has none, or no longer has them."""
        if job.outcome is not None and job.outcome.rows is not None:
            return job.outcome.rows
        return self._kept.rows(job.project, job.id)

    def close(self) -> None:
        """Stop all."""
        with self._lock:
            running = [job for job in self._jobs.values() if not job.done.is_set()]
        for job in running:
            self.cancel(job)
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _forget_results(self, newest: Job) -> None:
        if newest.outcome is None or newest.outcome.rows is None:
            return
        with self._lock:
            size = newest.outcome.rows.nbytes
            self._with_rows.append((newest, size))
            self._row_bytes += size
            while len(self._with_rows) > KEPT or (self._row_bytes > KEPT_RESULT_BYTES and len(self._with_rows) > 1):
                oldest, size = self._with_rows.popleft()
                self._row_bytes -= size
                if oldest.outcome is not None:
                    oldest.outcome.rows = None
                self._kept.forget_rows(oldest.project, oldest.id)

    def _remember(self, kept: KeptJob, access: Access) -> None:
        """Take up a job of before a restart; one that had not ended was stopped."""
        content = kept.content
        cursor = self._catalog.warehouse.cursor()
        cursor.close()
        job = Job(
            **{name: content[name] for name in _KEPT},
            named_location=content["location"],
            caller=Caller(principal=content["principal"], access=access),
            work=_done_before,
            cursor=cursor,
            refused=read_refusal(content["refused"]),
            outcome=Outcome(**content["outcome"]) if content["outcome"] is not None else None,
        )
        if job.ended is None:
            told = "Job execution was cancelled: the service was stopped while it ran"
            job.refused, job.ended = Refused("CANCELLED", told, reason="stopped"), self._catalog.milliseconds()
            self._kept.put(job.project, job.id, job.content())
        job.done.set()
        self._jobs[job.project, job.id] = job
        if kept.row_bytes is not None:
            self._with_rows.append((job, kept.row_bytes))
            self._row_bytes += kept.row_bytes


def _done_before(job: Job) -> Outcome:
    raise RuntimeError(f"job {job.id} has ended before")


def absent(project: str, job_id: str) -> Refused:
    """Return what is answered where there is no such job."""
    return Refused("NOT_FOUND", f"Not found: Job {project}:{LOCATION}.{job_id}", reason="notFound")
