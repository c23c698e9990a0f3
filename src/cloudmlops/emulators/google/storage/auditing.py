"""What audit logs say of Cloud Storage: buckets always, objects where the project wants that."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.audit import Audit
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.permissions import PERMISSIONS
from cloudmlops.emulators.google.storage.records import Bucket
from cloudmlops.emulators.google.storage.wire import Answer, Asked

_SERVICE: Final = "storage.googleapis.com"
_METHODS: Final[Mapping[str, str]] = {
    "buckets.delete": "storage.buckets.delete",
    "buckets.insert": "storage.buckets.create",
    "buckets.lockRetentionPolicy": "storage.buckets.update",
    "buckets.patch": "storage.buckets.update",
    "buckets.setIamPolicy": "storage.setIamPermissions",
    "buckets.update": "storage.buckets.update",
    "objects.compose": "storage.objects.create",
    "objects.copy": "storage.objects.create",
    "objects.delete": "storage.objects.delete",
    "objects.insert": "storage.objects.create",
    "objects.move": "storage.objects.move",
    "objects.patch": "storage.objects.update",
    "objects.rewrite": "storage.objects.create",
    "objects.update": "storage.objects.update",
    "xml.multipart.complete": "storage.objects.create",
}
"""The names of methods in the logs, which are those of permissions: cloud.google.com/storage/docs/audit-logging."""


class StorageAudit:
    """Writes the entries."""

    def __init__(self, audit: Audit | None, catalogue: Catalogue) -> None:
        self._audit = audit
        self._catalogue = catalogue

    def answered(self, asked: Asked, operation: str, subject: Mapping[str, str], act: Callable[[], Answer]) -> Answer:
        """Do what is asked, and write that it was done, or refused; of what only reads, nothing.

        Args:
            asked: The request.
            operation: Such as `objects.insert`.
            subject: What its path names: `bucket`, `name`, `to_bucket`, `to_name`.
            act: Does it.

        Raises:
            Refused: What was raised by `act`.
        """
        audit, method = self._audit, _METHODS.get(operation)
        if audit is None or method is None:
            return act()
        before = self._bucket(subject.get("to_bucket") or subject.get("bucket", ""))
        try:
            answer = act()
        except Refused as refused:
            if told := self._told(asked, operation, subject, before, {}):
                audit.refused(refused, **told)
            raise
        made = _content(answer)
        if answer.status < HTTPStatus.MULTIPLE_CHOICES and not _unfinished(asked, made):
            told = self._told(asked, operation, subject, before, made)
            audit.mutated(response=None, **told)
        return answer

    def _told(
        self,
        asked: Asked,
        operation: str,
        subject: Mapping[str, str],
        before: Bucket | None,
        made: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return what an entry says; nothing where no project is concerned, for a bucket is not there."""
        bucket, name = _subject(asked, operation, subject, made)
        known = before or self._bucket(bucket)
        project = known.project if known is not None else asked.query.get("project", "")
        if not project:
            return {}
        location = str(known.settings["location"]).lower() if known is not None else ""
        return {
            "service_name": _SERVICE,
            "method_name": _METHODS[operation],
            "resource_name": f"projects/_/buckets/{bucket}" + (f"/objects/{name}" if name else ""),
            "request": None,
            "principal": self._catalogue.permissions.principal(asked),
            "permission": PERMISSIONS[operation],
            "resource_type": "gcs_bucket",
            "log": "activity" if operation.startswith("buckets.") else "data_access",
            "project": project,
            "labels": {"bucket_name": bucket, "location": location},
            "more": {"resourceLocation": {"currentLocations": [location]}} if location else {},
        }

    def _bucket(self, name: str) -> Bucket | None:
        try:
            return self._catalogue.bucket(name)
        except Refused:
            return None


def _subject(asked: Asked, operation: str, subject: Mapping[str, str], made: Mapping[str, Any]) -> tuple[str, str]:
    """Return bucket and object that a request concerns; what its path does not name is in its answer or elsewhere."""
    if operation == "buckets.insert":
        return str(asked.json().get("name", "")), ""
    bucket = subject.get("to_bucket") or subject.get("bucket", "")
    return bucket, subject.get("to_name") or subject.get("name") or str(made.get("name") or asked.query.get("name", ""))


def _content(answer: Answer) -> Mapping[str, Any]:
    """Return an answer's JSON; nothing of one in XML."""
    if not answer.body or not answer.headers.get("content-type", "").startswith("application/json"):
        return {}
    content: dict[str, Any] = json.loads(answer.body)
    return content


def _unfinished(asked: Asked, made: Mapping[str, Any]) -> bool:
    """Say whether something was only begun: a resumable upload, or a part of a long rewrite."""
    if asked.query.get("uploadType") == "resumable" or "upload_id" in asked.query:
        return not made
    return made.get("done") is False
