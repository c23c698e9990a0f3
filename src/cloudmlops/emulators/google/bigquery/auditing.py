"""What audit logs say of BigQuery: `BigQueryAuditMetadata`, by the resource that was made, changed or removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.audit import Audit
from cloudmlops.emulators.google.bigquery.callers import PERMISSIONS, Caller, resource_of
from cloudmlops.emulators.google.bigquery.jobs import Job
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName

Subject = str | DatasetName | TableName
"""The id of a project, a dataset, or a table."""
_SERVICE: Final = "bigquery.googleapis.com"
_METADATA: Final = "type.googleapis.com/google.cloud.audit.BigQueryAuditMetadata"
_METHODS: Final[Mapping[str, tuple[str, str, str]]] = {
    "datasets.delete": ("DatasetService.DeleteDataset", "datasetDeletion", "DELETE"),
    "datasets.insert": ("DatasetService.InsertDataset", "datasetCreation", "CREATE"),
    "datasets.patch": ("DatasetService.PatchDataset", "datasetChange", "UPDATE"),
    "datasets.update": ("DatasetService.UpdateDataset", "datasetChange", "UPDATE"),
    "tables.delete": ("TableService.DeleteTable", "tableDeletion", "TABLE_DELETE_REQUEST"),
    "tables.insert": ("TableService.InsertTable", "tableCreation", "TABLE_INSERT_REQUEST"),
    "tables.patch": ("TableService.PatchTable", "tableChange", "TABLE_UPDATE_REQUEST"),
    "tables.update": ("TableService.UpdateTable", "tableChange", "TABLE_UPDATE_REQUEST"),
}
"""Method and event of what changes a resource; streamed rows are in no log, which Google documents so.

https://cloud.google.com/bigquery/docs/reference/auditlogs
"""
CHANGING: Final = _METHODS.keys()
_JOBS: Final = {"jobs.insert": "InsertJob", "jobs.query": "Query"}
_KINDS: Final = {"query": "QUERY", "load": "IMPORT", "copy": "COPY", "extract": "EXPORT"}
_CREATE: Final = "bigquery.jobs.create"
_EVENTS: Final = {
    "datasetCreation": "bigquery.datasets.create",
    "datasetDeletion": "bigquery.datasets.delete",
    "tableChange": "bigquery.tables.update",
    "tableCreation": "bigquery.tables.create",
    "tableDeletion": "bigquery.tables.delete",
}
"""Of administration; of others that a job brings about the data is the subject."""


class BigQueryAudit:
    """Writes the entries."""

    def __init__(self, audit: Audit | None) -> None:
        self._audit = audit

    @contextmanager
    def changing(self, operation: str, on: Subject, caller: Caller) -> Iterator[None]:
        """Write that a resource is changed by an operation of `CHANGING`, or that this was refused.

        Raises:
            Refused: What was raised within.
        """
        if self._audit is None:
            yield
            return
        method, event, reason = _METHODS[operation]
        told = _told(method, on, caller, PERMISSIONS[operation])
        with self._audit.trying(**told):
            yield
        kind = event.removesuffix("Creation").removesuffix("Change").removesuffix("Deletion")
        named = {} if event.endswith("Deletion") else {kind: {f"{kind}Name": resource_of(on)}}
        self._audit.mutated(response=None, **told, more=_metadata({event: {**named, "reason": reason}}))

    @contextmanager
    def asking(self, operation: str, project: str, caller: Caller) -> Iterator[None]:
        """Write it down when a job is refused before it is one.

        Raises:
            Refused: What was raised within.
        """
        if self._audit is None or operation not in _JOBS:
            yield
            return
        with self._audit.trying(**_told(f"JobService.{_JOBS[operation]}", project, caller, _CREATE), log="data_access"):
            yield

    def begun(self, job: Job) -> None:
        """Write that a job was started."""
        reason = "QUERY_REQUEST" if job.method == "jobs.query" else "JOB_INSERT_REQUEST"
        self._of_job(job, {"jobInsertion": {"job": _job(job, "RUNNING"), "reason": reason}}, (True, False))

    def ended(self, job: Job) -> None:
        """Write that a job has ended, and what it did to tables."""
        if self._audit is None:
            return
        if job.refused is None:
            reason = "QUERY" if "query" in job.configuration else "JOB"
            for event, on, more in job.changes:
                permission = _EVENTS.get(event, "bigquery.tables.updateData")
                self._audit.mutated(
                    response=None,
                    **_told(f"JobService.{_JOBS[job.method]}", on, job.caller, permission),
                    log="activity" if event in _EVENTS else "data_access",
                    more=_metadata({event: {**more, "reason": reason, "jobName": _name(job)}}),
                )
        self._of_job(
            job, {"jobChange": {"before": "RUNNING", "after": "DONE", "job": _job(job, "DONE")}}, (False, True)
        )

    def _of_job(self, job: Job, event: Mapping[str, Any], place: tuple[bool, bool]) -> None:
        if self._audit is None:
            return
        told = _told(f"JobService.{_JOBS[job.method]}", job.project, job.caller, _CREATE)
        refused = job.refused
        self._audit.mutated(
            response=None,
            status=refused.code if refused is not None else "OK",
            message=refused.message if refused is not None else "",
            operation=(f"{job.created}-{job.project}:{job.id}", *place),
            log="data_access",
            more=_metadata(event),
            **{**told, "resource_name": _name(job), "labels": {"location": job.location}},
        )


def _told(method: str, on: Subject, caller: Caller, permission: str) -> dict[str, Any]:
    """Return what an entry says in any case."""
    parent = on.parent if isinstance(on, TableName) else on
    of_dataset = isinstance(parent, DatasetName)
    return {
        "service_name": _SERVICE,
        "method_name": f"google.cloud.bigquery.v2.{method}",
        "resource_name": resource_of(on),
        "request": None,
        "principal": caller.principal,
        "permission": permission,
        "resource_type": "bigquery_dataset" if of_dataset else "bigquery_project",
        "labels": {"dataset_id": parent.dataset} if isinstance(parent, DatasetName) else {},
    }


def subject_of(operation: str, on: Subject, content: Mapping[str, Any]) -> Subject:
    """Return what a request changes: of what it makes, the name that its body gives it, where that is one."""
    try:
        if operation == "datasets.insert" and isinstance(on, str):
            return DatasetName.of(content.get("datasetReference", {}), project=on)
        if operation == "tables.insert" and isinstance(on, DatasetName):
            return TableName.of({**content.get("tableReference", {}), **on.reference()})
    except Refused:
        return on  # which the method itself refuses
    return on


def _metadata(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": {"@type": _METADATA, **event}}


def _name(job: Job) -> str:
    return f"projects/{job.project}/jobs/{job.id}"


def _job(job: Job, state: str) -> dict[str, Any]:
    shown = job.resource()
    configuration, statistics = shown["configuration"], shown["statistics"]
    kind = next(kind for kind in _KINDS if kind in configuration)
    of_kind = configuration[kind]
    settings = {
        "query": {
            "query": of_kind.get("query"),
            "destinationTable": _table(of_kind.get("destinationTable"), job),
            "priority": f"QUERY_{of_kind.get('priority') or 'INTERACTIVE'}",
            "statementType": statistics.get("query", {}).get("statementType"),
        },
        "load": {
            "sourceUris": of_kind.get("sourceUris"),
            "destinationTable": _table(of_kind.get("destinationTable"), job),
        },
        "copy": {
            "sourceTables": [
                _table(one, job) for one in of_kind.get("sourceTables") or [of_kind.get("sourceTable")] if one
            ],
            "destinationTable": _table(of_kind.get("destinationTable"), job),
        },
        "extract": {
            "destinationUris": of_kind.get("destinationUris"),
            "sourceTable": _table(of_kind.get("sourceTable"), job),
        },
    }[kind] | {name: of_kind.get(name) for name in ("createDisposition", "writeDisposition")}
    name = {"copy": "tableCopyConfig"}.get(kind, f"{kind}Config")
    told = {key: value for key, value in settings.items() if value}
    times = {
        to: _moment(statistics[of])
        for to, of in (("createTime", "creationTime"), ("startTime", "startTime"), ("endTime", "endTime"))
        if of in statistics
    }
    made: dict[str, Any] = {
        "jobName": _name(job),
        "jobConfig": {"type": _KINDS[kind], name: told},
        "jobStatus": {"jobState": state},
        "jobStats": times,
    }
    if labels := configuration.get("labels"):
        made["jobConfig"]["labels"] = labels
    if job.refused is not None:
        made["jobStatus"]["errorResult"] = {"message": job.refused.message}
    return made


def _table(reference: Mapping[str, Any] | None, job: Job) -> str | None:
    if not reference:
        return None
    project = reference.get("projectId") or job.project
    return f"projects/{project}/datasets/{reference.get('datasetId')}/tables/{reference.get('tableId')}"


def _moment(milliseconds: str) -> str:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
