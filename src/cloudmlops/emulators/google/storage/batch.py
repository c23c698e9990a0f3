"""The batch endpoint: up to a hundred JSON requests in one."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Callable
from http.client import responses
from typing import Final
from urllib.parse import parse_qsl

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage.refusals import json_refusal
from cloudmlops.emulators.google.storage.wire import Answer, Asked

_MOST: Final = 100
_BREAK: Final = re.compile(rb"\r?\n")


def answer(asked: Asked, respond: Callable[[Asked], Answer]) -> Answer:
    """Do each request by itself; one that is refused does not hinder the others."""
    found = re.search(r'boundary=["\']?([^"\';]+)["\']?', asked.headers.get("content-type", ""))
    if found is None:
        return json_refusal(Refused("INVALID_ARGUMENT", "Missing multipart boundary.", reason="badRequest"))
    boundary = b"--" + found[1].encode()
    parts = [part for part in asked.read().split(boundary)[1:] if not part.startswith(b"--")]
    if len(parts) > _MOST:
        return json_refusal(
            Refused(
                "INVALID_ARGUMENT", f"The batch has {len(parts)} requests; {_MOST} are allowed.", reason="badRequest"
            )
        )
    mark = f"batch_{secrets.token_hex(12)}"
    body = b"".join(b"--" + mark.encode() + b"\r\n" + _answered(part, asked, respond) for part in parts)
    headers = {"content-type": f"multipart/mixed; boundary={mark}"}
    return Answer(body=body + b"--" + mark.encode() + b"--\r\n", headers=headers)


def _answered(part: bytes, outer: Asked, respond: Callable[[Asked], Answer]) -> bytes:
    headers, rest = _headers(part.lstrip(b"\r\n"))
    line, _, rest = rest.lstrip(b"\r\n").partition(b"\n")
    method, target = line.decode().split()[:2]
    inner, body = _headers(rest)
    path, _, query = target.partition("?")
    parameters = tuple(parse_qsl(query, keep_blank_values=True))
    length = inner.get("content-length")
    content = body[: int(length)] if length else body.rstrip(b"\r\n")
    reply = respond(
        Asked(
            method=method,
            path=re.sub(r"^https?://[^/]+", "", path),
            query=dict(parameters),
            parameters=parameters,
            headers=inner,
            body=io.BytesIO(content),
            host=outer.host,
            scheme=outer.scheme,
        )
    )
    if reply.file is not None:
        reply.file.close()
        reply = json_refusal(Refused("INVALID_ARGUMENT", "Media cannot be read in a batch.", reason="badRequest"))
    known = headers.get("content-id", "").strip("<>")
    lines = [
        "Content-Type: application/http",
        f"Content-ID: <response-{known}>",
        "",
        f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}",
        *(f"{name}: {value}" for name, value in reply.headers.items()),
        f"Content-Length: {len(reply.body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + reply.body + b"\r\n"


def _headers(part: bytes) -> tuple[dict[str, str], bytes]:
    """Split headers from what follows them."""
    headers = {}
    while part:
        found = _BREAK.search(part)
        line, part = (part[: found.start()], part[found.end() :]) if found else (part, b"")
        if not line:
            break
        name, _, value = line.decode("utf-8", "replace").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, part
