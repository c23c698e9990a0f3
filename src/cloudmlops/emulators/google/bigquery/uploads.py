"""Uploads: a job and its file in one request, or in several."""

from __future__ import annotations

import email
import email.policy
import json
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigquery.callers import Caller
from cloudmlops.emulators.google.bigquery.job_resources import SHORT_SECONDS
from cloudmlops.emulators.google.bigquery.jobs import Job
from cloudmlops.emulators.google.bigquery.loading import Loading
from cloudmlops.emulators.google.bigquery.refusals import invalid, not_emulated


@dataclass(slots=True)
class _Upload:
    job: Mapping[str, Any]
    body: bytearray = field(default_factory=bytearray)
    started: str | None = None
    """Id of the job, once all is there: whoever asks again is answered it."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Uploads:
    """What arrives by upload."""

    def __init__(self, loading: Loading) -> None:
        self._loading = loading
        self._uploads: dict[str, _Upload] = {}
        self._lock = threading.Lock()

    def begin(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        kind = asked.query.get("uploadType")
        if kind == "multipart":
            job, body = _parts(asked)
            return _answered(self._started(path["project"], job, body, caller))
        if kind != "resumable":
            raise not_emulated(f"uploadType={kind}")
        key = uuid.uuid4().hex
        with self._lock:
            self._uploads[key] = _Upload(asked.json())
        scheme = "http" if asked.host.rpartition(":")[2].isdigit() else "https"
        place = f"{scheme}://{asked.host}{asked.path}?uploadType=resumable&upload_id={key}"
        return Answer(headers={"location": place, "x-guploader-uploadid": key})

    def go_on(self, asked: Asked, path: Mapping[str, str], caller: Caller) -> Answer:
        key = asked.query.get("upload_id", "")
        with self._lock:
            upload = self._uploads.get(key)
        if upload is None:
            raise Refused("NOT_FOUND", f"Not found: Upload {key}", reason="notFound")
        with upload.lock:
            if upload.started is None:
                stated = asked.headers.get("content-range")
                first, total = _range(stated, len(asked.body)) if stated else (0, len(asked.body))
                if first is not None:
                    if first > len(upload.body):
                        raise invalid(f"Content-Range {stated} leaves a gap after byte {len(upload.body)}")
                    upload.body[first:] = asked.body
                if total is None or len(upload.body) < total:
                    got = {"range": f"bytes=0-{len(upload.body) - 1}"} if upload.body else {}
                    return Answer(status=308, headers=got)
                upload.started = self._started(path["project"], upload.job, bytes(upload.body), caller).id
                upload.body.clear()
        return _answered(self._loading.jobs.get(path["project"], upload.started))

    def _started(self, project: str, job: Mapping[str, Any], body: bytes, caller: Caller) -> Job:
        configuration = dict(job.get("configuration", {}))
        if "load" not in configuration:
            raise invalid("an upload needs a load job")
        reference = job.get("jobReference") or {}
        made = self._loading.make(project, configuration, body, reference=reference, caller=caller)
        self._loading.jobs.start(made)
        return made


def _answered(job: Job) -> Answer:
    job.done.wait(SHORT_SECONDS)
    return answer_json(job.resource())


def _parts(asked: Asked) -> tuple[Mapping[str, Any], bytes]:
    """Take a multipart/related body apart."""
    head = f"content-type: {asked.headers.get('content-type', '')}\r\n\r\n".encode()
    parts = email.message_from_bytes(head, policy=email.policy.HTTP)
    boundary = parts.get_boundary()
    if boundary is None:
        raise invalid("a multipart upload needs a boundary in its content-type")
    pieces = re.split(rb"(?:^|\r?\n)--" + re.escape(boundary.encode()) + rb"(?:--)?[ \t]*(?:\r?\n|$)", asked.body)
    bodies = [
        re.split(rb"\r?\n\r?\n", piece, maxsplit=1)[1] for piece in pieces if b"\n\n" in piece or b"\r\n\r\n" in piece
    ]
    if len(bodies) != 2:
        raise invalid(f"a multipart upload has two parts, this one {len(bodies)}")
    try:
        return json.loads(bodies[0]), bodies[1]
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error


def _range(text: str, length: int) -> tuple[int | None, int | None]:
    """Return where the bytes begin, None when there are none, and how many there are in the end, None when unknown."""
    match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", text)
    if match is None or (match[1] and int(match[2]) - int(match[1]) + 1 != length):
        raise invalid(f"Content-Range {text} does not fit {length} bytes")
    return int(match[1]) if match[1] else None, None if match[3] == "*" else int(match[3])
