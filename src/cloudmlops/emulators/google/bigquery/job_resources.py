"""Jobs over HTTP: starting them, waiting for them, reading their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigquery.callers import Caller
from cloudmlops.emulators.google.bigquery.cells import rows_json
from cloudmlops.emulators.google.bigquery.extracting import Extracting
from cloudmlops.emulators.google.bigquery.jobs import Job, Jobs, absent
from cloudmlops.emulators.google.bigquery.loading import Loading
from cloudmlops.emulators.google.bigquery.paging import flag, number, page
from cloudmlops.emulators.google.bigquery.queries import Queries, query_configuration
from cloudmlops.emulators.google.bigquery.refusals import invalid, not_emulated
from cloudmlops.emulators.google.bigquery.rows import with_rows

SHORT_SECONDS: Final = 0.5
"""How long `jobs.insert` waits for a job: a client that sees it done need not come back."""

_PATIENCE_MILLISECONDS: Final = 10_000
_MOST_PATIENCE_MILLISECONDS: Final = 200_000
_PAGE: Final = 100_000
"""Rows in a page when no size is asked for."""


class JobResources:
    """What `jobs.*` does."""

    def __init__(self, jobs: Jobs, queries: Queries, loading: Loading, extracting: Extracting) -> None:
        self._extracting = extracting
        self._jobs = jobs
        self._queries = queries
        self._loading = loading

    def insert(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        content = asked.json()
        configuration = content.get("configuration", {})
        reference = content.get("jobReference") or {}
        if "query" in configuration:
            job = self._queries.make(path["project"], configuration, reference=reference, caller=caller)
            if configuration.get("dryRun"):
                return answer_json(self._dry(job))
        elif "load" in configuration:
            job = self._loading.make(path["project"], configuration, None, reference=reference, caller=caller)
        elif "copy" in configuration:
            job = self._loading.make_copy(path["project"], configuration, reference=reference, caller=caller)
        elif "extract" in configuration:
            job = self._extracting.make(path["project"], configuration, reference=reference, caller=caller)
        else:
            raise invalid("Required parameter is missing: query, load, copy or extract")
        self._jobs.start(job)
        job.done.wait(SHORT_SECONDS)
        return answer_json(job.resource())

    def query(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        content = asked.json()
        configuration = {"jobType": "QUERY", **query_configuration(content)}
        reference = {"location": content.get("location")}
        job = self._queries.make(path["project"], configuration, reference=reference, caller=caller)
        head: dict[str, Any] = {"kind": "bigquery#queryResponse"}
        if content.get("dryRun"):
            self._dry(job)
            outcome = job.outcome
            if outcome is None:
                raise Refused("INTERNAL", "a dry run has no outcome", reason="internalError")
            counted = outcome.statistics["totalBytesProcessed"]
            dry = {"projectId": job.project, "location": job.location}
            schema = {"fields": list(outcome.fields)}
            return answer_json(
                {
                    **head,
                    "jobReference": dry,
                    "jobComplete": True,
                    "schema": schema,
                    "totalBytesProcessed": counted,
                    "cacheHit": False,
                }
            )
        job.method = "jobs.query"
        self._jobs.start(job)
        settings = {
            "timeoutMs": content.get("timeoutMs"),
            "maxResults": content.get("maxResults"),
            "formatOptions.useInt64Timestamp": (content.get("formatOptions") or {}).get("useInt64Timestamp"),
        }
        return self._answer(job, settings, head)

    def results(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        job = self._job(asked, path, caller, "bigquery.jobs.get")
        if "query" not in job.configuration:
            raise invalid(f"Job {job.id} is not a query.")
        return self._answer(job, asked.query, {"kind": "bigquery#getQueryResultsResponse", "etag": job.id})

    def get(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        return answer_json(self._job(asked, path, caller, "bigquery.jobs.get").resource())

    def list(self, asked: Asked, path: Mapping[str, str], _: Caller) -> Answer:
        jobs = self._jobs.list(path["project"])
        if parent := asked.query.get("parentJobId"):
            raise not_emulated(f"parentJobId {parent} of jobs.list")
        if low := number(asked.query, "minCreationTime", 0):
            jobs = [job for job in jobs if int(job.created) >= low]
        if high := number(asked.query, "maxCreationTime", 0):
            jobs = [job for job in jobs if int(job.created) <= high]
        if state := asked.query.get("stateFilter"):
            jobs = [job for job in jobs if job.resource()["status"]["state"] == state.upper()]
        shown, rest = page(jobs, asked.query)
        entries = []
        for job in shown:
            made = job.resource()
            failed = made["status"].get("errorResult")
            entries.append({**made, "state": made["status"]["state"], **({"errorResult": failed} if failed else {})})
        return answer_json({"kind": "bigquery#jobList", "etag": "list", "jobs": entries, **rest})

    def cancel(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        job = self._job(asked, path, caller, "bigquery.jobs.update")
        self._jobs.cancel(job)
        return answer_json({"kind": "bigquery#jobCancelResponse", "job": job.resource()})

    def delete(self, asked: Asked, path: Mapping[str, str], _: Caller) -> Answer:
        job = self._jobs.found(path["project"], path["job"], asked.query.get("location", ""))
        if not job.done.is_set():
            raise invalid(f"Job {job.id} is still running")
        if not self._jobs.delete(job):
            raise absent(job.project, job.id)
        return Answer(status=204)

    def _job(self, asked: Asked, path: Mapping[str, str], caller: Caller, permission: str) -> Job:
        job = self._jobs.found(path["project"], path["job"], asked.query.get("location", ""))
        caller.need_for_job(permission, job.project, f"{job.location}.{job.id}", job.caller.principal)
        return job

    def _dry(self, job: Job) -> dict[str, Any]:
        """Check a query without running it; nothing is remembered of it."""
        try:
            self._jobs.run(job)
        finally:
            self._jobs.delete(job)
        if job.refused is not None:
            raise job.refused
        made = job.resource()
        del made["jobReference"]["jobId"]
        return made

    def _answer(self, job: Job, settings: Mapping[str, Any], head: dict[str, Any]) -> Answer:
        patience = min(number(settings, "timeoutMs", _PATIENCE_MILLISECONDS), _MOST_PATIENCE_MILLISECONDS)
        head |= {"jobReference": job.reference, "location": job.location, "queryId": job.id}
        if not job.done.wait(patience / 1000):
            return answer_json({**head, "jobComplete": False})
        if job.refused is not None:
            raise job.refused
        outcome = job.outcome
        if outcome is None:
            raise Refused("INTERNAL", f"job {job.id} has no outcome", reason="internalError")
        head |= {
            "jobComplete": True,
            "cacheHit": False,
            "totalBytesProcessed": outcome.statistics.get("totalBytesProcessed", "0"),
            "creationTime": job.created,
            "startTime": job.started,
            "endTime": job.ended,
        }
        if outcome.changed_rows is not None:
            head["numDmlAffectedRows"] = str(outcome.changed_rows)
            head["dmlStats"] = outcome.statistics["query"].get("dmlStats", {})
        head["schema"] = {"fields": list(outcome.fields)}
        if not outcome.fields:
            return answer_json({**head, "totalRows": "0"})
        answered = self._jobs.rows_of(job)
        if answered is None:
            raise Refused("NOT_FOUND", f"the result of job {job.id} is no longer kept", reason="notFound")
        first = number(settings, "pageToken", number(settings, "startIndex", 0))
        most = number(settings, "maxResults", _PAGE)
        rows = answered.slice(first, most)
        head["totalRows"] = str(answered.num_rows)
        if not most:
            return answer_json(head)
        if first + rows.num_rows < answered.num_rows:
            head["pageToken"] = str(first + rows.num_rows)
        microseconds = flag(settings, "formatOptions.useInt64Timestamp")
        return with_rows(head, rows_json(rows, outcome.fields, as_microseconds=microseconds))
