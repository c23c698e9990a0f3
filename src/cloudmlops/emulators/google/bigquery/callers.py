"""Who asks, and what he may do: permissions by method, and the service's own words where one is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName

PERMISSIONS: Final[Mapping[str, str]] = {
    "datasets.delete": "bigquery.datasets.delete",
    "datasets.get": "bigquery.datasets.get",
    "datasets.insert": "bigquery.datasets.create",
    "datasets.patch": "bigquery.datasets.update",
    "datasets.update": "bigquery.datasets.update",
    "jobs.delete": "bigquery.jobs.delete",
    "jobs.insert": "bigquery.jobs.create",
    "jobs.list": "bigquery.jobs.list",
    "jobs.query": "bigquery.jobs.create",
    "tabledata.insertAll": "bigquery.tables.updateData",
    "tabledata.list": "bigquery.tables.getData",
    "tables.delete": "bigquery.tables.delete",
    "tables.get": "bigquery.tables.get",
    "tables.insert": "bigquery.tables.create",
    "tables.list": "bigquery.tables.list",
    "tables.patch": "bigquery.tables.update",
    "tables.update": "bigquery.tables.update",
}
"""https://cloud.google.com/bigquery/docs/access-control; what statements and jobs need beside, they ask themselves.

Whoever started a job may look at it and cancel it; `datasets.list` shows what may be looked at.
"""
OF_JOBS: Final = frozenset(
    {"bigquery.jobs.get", "bigquery.jobs.update", "bigquery.tables.export"} | set(PERMISSIONS.values())
)
"""All permissions that are asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Whoever asks."""

    principal: str
    access: Access

    def need(self, permission: str, on: str | DatasetName | TableName) -> None:
        """Let him do something.

        Args:
            permission: Such as `bigquery.tables.create`.
            on: A table, a dataset, or the id of a project.

        Raises:
            Refused: He may not.
        """
        if isinstance(on, TableName):
            denied = f"Table {on}: Permission {permission} denied on table {on} (or it may not exist)."
        elif isinstance(on, DatasetName):
            denied = f"Dataset {on}: Permission {permission} denied on dataset {on} (or it may not exist)."
        else:
            denied = f"Project {on}: User does not have {permission} permission in project {on}."
        self._need(permission, resource_of(on), denied)

    def need_for_job(self, permission: str, project: str, job: str, owner: str) -> None:
        """Let him look at a job or change it: whoever started it may.

        Raises:
            Refused: It is another's, and he may not.
        """
        if self.principal != owner:
            name = f"{project}:{job}"
            denied = f"Job {name}: Permission {permission} denied on job {name} (or it may not exist)."
            self._need(permission, f"projects/{project}/jobs/{job}", denied)

    def need_to_query(self, table: TableName) -> None:
        """Let him read a table by a query.

        Raises:
            Refused: He may not.
        """
        denied = f"User does not have permission to query table {table}, or perhaps it does not exist."
        self._need("bigquery.tables.getData", resource_of(table), f"Table {table}: {denied}")

    def need_object(self, permission: str, bucket: str, name: str) -> None:
        """Let him read or write an object of Cloud Storage.

        Raises:
            Refused: He may not.
        """
        denied = (
            "BigQuery BigQuery: Permission denied while opening file. "
            f"{self.principal} does not have {permission} access to the Google Cloud Storage object. Permission "
            f"'{permission}' denied on resource (or it may not exist). Please make sure gs://{bucket}/{name} is "
            "accessible via appropriate IAM roles, e.g. Storage Object Viewer or Storage Object Creator."
        )
        self._need(permission, f"projects/_/buckets/{bucket}/objects/{name}", denied)

    def may(self, permission: str, on: str | DatasetName | TableName) -> bool:
        """Say whether he may do something."""
        return self.access.granted(self.principal, permission, resource_of(on))

    def _need(self, permission: str, resource: str, denied: str) -> None:
        if not self.access.granted(self.principal, permission, resource):
            raise Refused("PERMISSION_DENIED", f"Access Denied: {denied}", reason="accessDenied")


def resource_of(on: str | DatasetName | TableName) -> str:
    """Return the resource's whole name, such as `projects/p/datasets/d/tables/t`."""
    if isinstance(on, TableName):
        return f"{resource_of(on.parent)}/tables/{on.table}"
    return f"projects/{on.project}/datasets/{on.dataset}" if isinstance(on, DatasetName) else f"projects/{on}"
