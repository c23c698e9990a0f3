"""Many deletions in one request: `multipart/mixed` of requests and of answers."""

from __future__ import annotations

import io
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl
from uuid import uuid4

from cloudmlops.emulators.azure.blob.errors import BlobError, not_emulated
from cloudmlops.emulators.core.streaming import StreamedAnswer, StreamedRequest

MOST: Final = 256
_LINE: Final = "\r\n"


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
    kind = asked.headers.get("content-type", "")
    if not kind.startswith("multipart/mixed"):
        raise BlobError("InvalidHeaderValue")
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + asked.read())
    if not message.is_multipart():
        raise BlobError("InvalidInput")
    found = []
    for at, part in enumerate(message.iter_parts()):
        payload = part.get_payload(decode=True)
        found.append((str(part.get("Content-ID", at)), _request(asked, payload if isinstance(payload, bytes) else b"")))
    return found


def _request(asked: StreamedRequest, payload: bytes) -> StreamedRequest:
    line, _, rest = payload.lstrip().partition(b"\n")
    words = line.decode("latin-1").split()
    if len(words) < 2:
        raise BlobError("InvalidInput")
    method, url = words[0], words[1]
    if method != "DELETE":
        raise not_emulated(f"{method} within a batch is")
    path, _, query = url.partition("?")
    headers = BytesParser(policy=HTTP).parsebytes(rest, headersonly=True)
    named = {name.lower(): str(value) for name, value in headers.items()}
    return StreamedRequest(
        method=method,
        path=path,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        raw_query=query,
        headers=named,
        body=io.BytesIO(),
        host=asked.host,
    )
