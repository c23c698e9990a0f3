"""Many deletions in one request: `multipart/mixed` of requests and of answers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl
from uuid import uuid4

from cloudmlops.emulators.azure.blob.errors import BlobError, not_emulated
from cloudmlops.emulators.core.streaming import StreamedAnswer, StreamedRequest

MOST: Final = 256
_LINE: Final = "\r\n"
_BOUNDARY: Final = re.compile(r'multipart/mixed;\s*boundary="?([^";]+)"?')


def submit_batch(asked: StreamedRequest, answer: Callable[[StreamedRequest], StreamedAnswer]) -> StreamedAnswer:
    """Do all that a batch asks for, each with its own authorization and its own answer."""
    parts = _parts(asked)
    if not 0 < len(parts) <= MOST:
        raise BlobError("InvalidInput")
    boundary = f"batchresponse_{uuid4()}"
    written = []
    for content_id, one in parts:
        done = answer(one)
        head = [f"HTTP/1.1 {done.status} {HTTPStatus(done.status).phrase}"]
        head += [f"{name}: {value}" for name, value in {**done.headers, "content-length": str(len(done.body))}.items()]
        lines = [f"--{boundary}", "Content-Type: application/http", f"Content-ID: {content_id}", "", *head, "", ""]
        written.append(_LINE.join(lines).encode() + done.body + _LINE.encode())
    written.append(f"--{boundary}--{_LINE}".encode())
    return StreamedAnswer(
        status=202, body=b"".join(written), headers={"content-type": f"multipart/mixed; boundary={boundary}"}
    )


def _parts(asked: StreamedRequest) -> list[tuple[str, StreamedRequest]]:
    """Read the requests of a batch with their ids.

    Not by `email`, which writes dates anew and so breaks signatures over them.
    """
    found = _BOUNDARY.fullmatch(asked.headers.get("content-type", ""))
    if found is None:
        raise BlobError("InvalidHeaderValue", details={"HeaderName": "Content-Type"})
    pieces = asked.read().split(f"--{found[1]}".encode())
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise BlobError("InvalidInput")
    parts = []
    for at, piece in enumerate(pieces[1:-1]):
        headers, payload = _headed(piece.lstrip(b"\r\n"))
        parts.append((headers.get("content-id", str(at)), _request(asked, payload)))
    return parts


def _request(asked: StreamedRequest, payload: bytes) -> StreamedRequest:
    line, _, rest = payload.lstrip(b"\r\n").partition(b"\n")
    words = line.decode("latin-1").split()
    if len(words) < 2:
        raise BlobError("InvalidInput")
    method, url = words[0], words[1]
    if method != "DELETE":
        raise not_emulated(f"{method} within a batch is")
    path, _, query = url.partition("?")
    return StreamedRequest(
        method=method,
        path=path,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        raw_query=query,
        headers=_headed(rest)[0],
        body=io.BytesIO(),
        host=asked.host,
    )


def _headed(data: bytes) -> tuple[dict[str, str], bytes]:
    """Read headers, whose names come in lower case, and what follows them."""
    headers: dict[str, str] = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, colon, value = line.decode("utf-8", "replace").strip().partition(":")
        if not colon:
            break
        headers[name.strip().lower()] = value.strip()
    return headers, data
