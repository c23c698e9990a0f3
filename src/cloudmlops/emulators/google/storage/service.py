"""Google Cloud Storage: the JSON API, the XML API and the batch endpoint, over one catalogue."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from cloudmlops.emulators.core.calls import Dropped
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.audit import Audit
from cloudmlops.emulators.google.storage import batch, buckets, listing, objects, transfers, uploads, xml_api
from cloudmlops.emulators.google.storage.auditing import StorageAudit
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.partial import reduced
from cloudmlops.emulators.google.storage.refusals import json_refusal, xml_refusal
from cloudmlops.emulators.google.storage.wire import Answer, Asked, Operation, app

NAME: Final = "storage"
_log: Final = logging.getLogger("cloudmlops.emulators")
_HOST: Final = "storage.googleapis.com"
_API: Final = re.compile(r"/(?:(upload|download|resumable/upload|batch)/)?storage/v1(?:/|$)")
_JSON: Final[tuple[tuple[str, str, str, Callable[..., Answer]], ...]] = (
    ("GET", "b", "buckets.list", buckets.list_),
    ("POST", "b", "buckets.insert", buckets.insert),
    ("GET", "b/{bucket}", "buckets.get", buckets.get),
    ("GET", "b/{bucket}/storageLayout", "buckets.getStorageLayout", buckets.get_storage_layout),
    ("PATCH", "b/{bucket}", "buckets.patch", buckets.patch),
    ("PUT", "b/{bucket}", "buckets.update", buckets.update),
    ("DELETE", "b/{bucket}", "buckets.delete", buckets.delete),
    ("POST", "b/{bucket}/lockRetentionPolicy", "buckets.lockRetentionPolicy", buckets.lock_retention_policy),
    ("GET", "b/{bucket}/iam", "buckets.getIamPolicy", buckets.get_iam_policy),
    ("PUT", "b/{bucket}/iam", "buckets.setIamPolicy", buckets.set_iam_policy),
    ("GET", "b/{bucket}/iam/testPermissions", "buckets.testIamPermissions", buckets.test_iam_permissions),
    ("GET", "b/{bucket}/o", "objects.list", listing.list_),
    ("GET", "b/{bucket}/o/{name}", "objects.get", objects.get),
    ("PATCH", "b/{bucket}/o/{name}", "objects.patch", objects.patch),
    ("PUT", "b/{bucket}/o/{name}", "objects.update", objects.update),
    ("DELETE", "b/{bucket}/o/{name}", "objects.delete", objects.delete),
    ("POST", "b/{bucket}/o/{name}/compose", "objects.compose", transfers.compose),
    ("POST", "b/{bucket}/o/{name}/moveTo/o/{to_name}", "objects.move", transfers.move),
    ("POST", "b/{bucket}/o/{name}/copyTo/b/{to_bucket}/o/{to_name}", "objects.copy", transfers.copy),
    ("POST", "b/{bucket}/o/{name}/rewriteTo/b/{to_bucket}/o/{to_name}", "objects.rewrite", transfers.rewrite),
)
_UPLOAD: Final[tuple[tuple[str, str, str, Callable[..., Answer]], ...]] = (
    ("POST", "b/{bucket}/o", "objects.insert", uploads.insert),
    ("PUT", "b/{bucket}/o", "objects.insert", uploads.resume),
    ("DELETE", "b/{bucket}/o", "objects.cancelUpload", uploads.cancel),
)
_catalogues: WeakKeyDictionary[State, Catalogue] = WeakKeyDictionary()


def catalogue_of(surroundings: Surroundings) -> Catalogue:
    """Return the one catalogue of an emulator."""
    if (known := _catalogues.get(surroundings.state)) is None:
        known = _catalogues[surroundings.state] = Catalogue(surroundings)
        known.content.sweep(known.files() | uploads.files(known))
    return known


def service(surroundings: Surroundings, *, audit: Audit | None = None) -> Service:
    """Build the service; `audit` is where it is written what was changed, and what was refused."""
    cloud = _Cloud(surroundings, audit)
    return Service(
        name=NAME,
        hosts=(_HOST, f"*.{_HOST}"),
        paths=("/storage/v1", "/upload/storage/v1", "/download/storage/v1", "/resumable/upload/storage/v1",
               "/batch/storage/v1", "/"),
        http=app(surroundings, NAME, respond=cloud.respond),
    )  # fmt: skip


class _Cloud:
    def __init__(self, surroundings: Surroundings, audit: Audit | None) -> None:
        self._calls = surroundings.calls
        self._catalogue = catalogue_of(surroundings)
        self._written = StorageAudit(audit, self._catalogue)

    def respond(self, asked: Asked, drop: Callable[[], None]) -> Answer:
        """Answer any request."""
        if asked.path.startswith("/batch/storage/v1") and asked.method == "POST":
            return batch.answer(asked, partial(self.respond, drop=drop))
        answer: Answer | None = None
        try:
            operation, act, subject = self._find(asked)
            with self._calls.answering(
                NAME, operation, transport="rest", drop=drop, resource=unquote(asked.path), request=dict(asked.query)
            ):
                answer = self._written.answered(
                    asked, operation, subject, lambda: self._checked(asked, operation, subject, act)
                )
                return reduced(asked, answer)
        except Dropped:
            if answer is not None and answer.file is not None:
                answer.file.close()
            raise
        except Refused as refused:
            return _refusal(asked, refused)
        except Exception as error:  # noqa: BLE001 a mistake of ours, told to the client and the log
            _log.exception("%s: %s %s failed", NAME, asked.method, asked.path)
            return _refusal(asked, Refused("INTERNAL", f"the emulator itself failed: {type(error).__name__}: {error}"))

    def _checked(self, asked: Asked, operation: str, subject: dict[str, str], act: Operation) -> Answer:
        named = {part: value for part, value in subject.items() if part != "to_name"}
        self._catalogue.permissions.check(asked, operation, **named)
        return act(asked)

    def _find(self, asked: Asked) -> tuple[str, Operation, dict[str, str]]:
        if (api := _API.match(asked.path)) is not None:
            upload = "upload" in (api[1] or "")
            name, act, parts = _route(_ROUTES[upload], asked, asked.path[api.end() :])
            return name, lambda asked: act(self._catalogue, asked, **parts), parts
        bucket, name = _place(asked)
        operation, answer = xml_api.find_operation(asked, bucket, name)
        subject = {"bucket": bucket, "name": name}
        return operation, lambda asked: answer(self._catalogue, asked, bucket, name), subject


def _refusal(asked: Asked, refused: Refused) -> Answer:
    return json_refusal(refused) if _API.match(asked.path) else xml_refusal(refused)


def _place(asked: Asked) -> tuple[str, str]:
    """Return bucket and name of a request to the XML API, by its host or by its path."""
    host = asked.host.partition(":")[0]
    if host.endswith(f".{_HOST}"):
        return host.removesuffix(f".{_HOST}"), unquote(asked.path[1:])
    bucket, _, name = asked.path[1:].partition("/")
    return unquote(bucket), unquote(name)


def _route(
    routes: tuple[tuple[str, re.Pattern[str], str, Callable[..., Answer]], ...], asked: Asked, path: str
) -> tuple[str, Callable[..., Answer], dict[str, str]]:
    for method, pattern, operation, act in routes:
        if method == asked.method and (found := pattern.fullmatch(path)):
            return operation, act, {name: unquote(value) for name, value in found.groupdict().items()}
    raise Refused(
        "UNIMPLEMENTED", f"{asked.method} {asked.path} of the JSON API is not emulated", reason="notImplemented"
    )


def _compiled(
    table: tuple[tuple[str, str, str, Callable[..., Answer]], ...],
) -> tuple[tuple[str, re.Pattern[str], str, Callable[..., Answer]], ...]:
    return tuple(
        (method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "/?"), operation, act)
        for method, path, operation, act in table
    )


_ROUTES: Final = {False: _compiled(_JSON), True: _compiled(_UPLOAD)}
