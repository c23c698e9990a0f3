"""Objects on their way in through the JSON API: at once, with their metadata, or piece by piece."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from email.parser import BytesParser
from email.policy import HTTP
from typing import IO, Any, Final, Self
from urllib.parse import quote

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.content import Stored, pieces_of
from cloudmlops.emulators.google.storage.objects import answer_object
from cloudmlops.emulators.google.storage.preconditions import Conditions, of_query
from cloudmlops.emulators.google.storage.records import Version, moment
from cloudmlops.emulators.google.storage.resources import object_settings
from cloudmlops.emulators.google.storage.wire import Answer, Asked

QUANTUM: Final = 1 << 18
"""Chunks but the last one are kept in multiples of this."""
_LIFETIME: Final = timedelta(days=7)
_RANGE: Final = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_LONGEST_NAME_BYTES: Final = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A resumable upload."""

    bucket: str
    name: str
    settings: Mapping[str, Any]
    checks: Mapping[str, str]
    """The sums that the client announced."""
    conditions: Mapping[str, int | None]
    started: str
    file: str
    received: int = 0
    """Bytes that are kept; more may lie in the file after a crash."""
    total: int | None = None
    generation: int | None = None
    """Set when it is done."""

    def to_json(self) -> bytes:
        return json.dumps({item.name: getattr(self, item.name) for item in fields(self)}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls(**json.loads(data))


def insert(catalogue: Catalogue, asked: Asked, *, bucket: str) -> Answer:
    """Write an object, or begin to."""
    if "upload_id" in asked.query:
        return resume(catalogue, asked)  # gcsfs sends chunks by POST
    kind = asked.query.get("uploadType")
    if asked.query.get("predefinedAcl"):
        raise Refused("UNIMPLEMENTED", "objects.insert with predefinedAcl is not emulated", reason="notImplemented")
    if kind == "resumable":
        return _begin(catalogue, asked, bucket)
    if kind == "multipart":
        metadata, content_type, pieces = split_related(asked)
    elif kind == "media":
        metadata, content_type, pieces = {}, asked.headers.get("content-type"), pieces_of(asked.body)
    else:
        raise Refused("INVALID_ARGUMENT", f"Invalid value for uploadType: {kind!r}", reason="invalid")
    name, settings = _described(asked, metadata, content_type)
    conditions = of_query(asked.query)
    catalogue.check(asked, bucket, name, conditions)
    stored = catalogue.content.store(pieces)
    try:
        check_sums(stored, {**_announced(asked.headers), **_sums(metadata)})
    except Refused:
        catalogue.content.drop([stored.file])
        raise
    version = catalogue.add(bucket, name, stored, settings=settings, conditions=conditions)
    return answer_object(catalogue, asked, version)


def resume(catalogue: Catalogue, asked: Asked, **_: str) -> Answer:
    """Take a chunk of a resumable upload, or say how far it is."""
    key = _key(asked)
    with catalogue.transaction():
        session = _session(catalogue, key)
        if session.generation is None:
            session = _grown(catalogue, asked, key, session)
            if session.total is None or session.received < session.total:
                return _unfinished(session)
    try:
        with catalogue.transaction():
            version = _finished(catalogue, asked, key)
    except Refused:
        catalogue.sessions.delete(key)
        catalogue.content.drop([session.file])
        raise
    return answer_object(catalogue, asked, version)


def cancel(catalogue: Catalogue, asked: Asked, **_: str) -> Answer:
    """Forget a resumable upload."""
    key = _key(asked)
    with catalogue.transaction():
        session = _session(catalogue, key)
        catalogue.sessions.delete(key)
    if session.generation is None:
        catalogue.content.drop([session.file])
    return Answer(status=499)


def files(catalogue: Catalogue) -> set[str]:
    """All files that an upload under way refers to."""
    kept = [*catalogue.sessions.items("resumable/"), *catalogue.sessions.items("part/")]
    return {json.loads(data)["file"] for _, data in kept}


def split_related(asked: Asked) -> tuple[dict[str, Any], str | None, Iterator[bytes]]:
    """Split a `multipart/related` body into its metadata, and the type and bytes of its media."""
    found = re.search(r'boundary=["\']?([^"\';]+)["\']?', asked.headers.get("content-type", ""))
    if found is None:
        raise Refused("INVALID_ARGUMENT", "Missing multipart boundary.", reason="badRequest")
    body = asked.body
    boundary = b"--" + found[1].encode()
    size = body.seek(0, 2)
    body.seek(0)
    # A client may end its lines with a line feed alone: then a carriage return belongs to the media.
    newline = b"\r\n" if _to_boundary(body, boundary)[1].endswith(b"\r\n") else b"\n"
    _headers(body)
    metadata, _ = _to_boundary(body, boundary)
    headers = _headers(body)
    start = body.tell()
    end = _last_boundary(body, newline + boundary + b"--", size)
    body.seek(start)
    try:
        content = json.loads(metadata or b"{}")
    except ValueError as error:
        raise Refused("INVALID_ARGUMENT", f"Parse Error: {error}", reason="parseError") from error
    return content, headers.get("content-type"), pieces_of(body, max(0, end - start))


def check_sums(stored: Stored, announced: Mapping[str, str]) -> None:
    """Refuse bytes that are not those the client summed."""
    for name, known in (("crc32c", stored.crc32c), ("md5", stored.md5)):
        given = announced.get(name)
        if given is not None and given.rstrip("=") != known.rstrip("="):
            raise Refused(
                "INVALID_ARGUMENT",
                f'Provided {"MD5 hash" if name == "md5" else "CRC32C"} "{given}" doesn\'t match calculated '
                f'{"MD5 hash" if name == "md5" else "CRC32C"} "{known}".',
                reason="invalid",
            )


def checked_name(name: str) -> str:
    """Refuse a name that no object can have."""
    if not name:
        raise Refused("INVALID_ARGUMENT", "Required", reason="required")
    if (
        len(name.encode("utf-8", "replace")) > _LONGEST_NAME_BYTES
        or "\r" in name
        or "\n" in name
        or name in (".", "..")
        or name.startswith(".well-known/acme-challenge/")
    ):
        raise Refused("INVALID_ARGUMENT", f"Invalid object name: {name[:100]!r}", reason="invalid")
    return name


def goog_hash(headers: Mapping[str, str]) -> dict[str, str]:
    """Read `x-goog-hash`: sums by their names."""
    given = [part.strip().partition("=") for part in headers.get("x-goog-hash", "").split(",")]
    return {name: value for name, found, value in given if found}


def _begin(catalogue: Catalogue, asked: Asked, bucket: str) -> Answer:
    metadata = asked.json()
    name, settings = _described(asked, metadata, asked.headers.get("x-upload-content-type"))
    conditions = of_query(asked.query)
    catalogue.check(asked, bucket, name, conditions)
    length = asked.headers.get("x-upload-content-length")
    session = Session(
        bucket=bucket,
        name=name,
        settings=settings,
        checks=_sums(metadata),
        conditions={item.name: getattr(conditions, item.name) for item in fields(conditions)},
        started=catalogue.now(),
        file=catalogue.content.new(),
        total=int(length) if length else None,
    )
    key = secrets.token_urlsafe(32)
    catalogue.sessions.put(f"resumable/{key}", session.to_json())
    path = f"/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name={quote(name, safe='')}&upload_id={key}"
    return Answer(headers={"location": asked.base + path, "x-guploader-uploadid": key})


def _key(asked: Asked) -> str:
    return f"resumable/{asked.query.get('upload_id', '')}"


def _session(catalogue: Catalogue, key: str) -> Session:
    found = catalogue.sessions.get(key)
    session = Session.from_json(found) if found is not None else None
    if session is None or moment(session.started) + _LIFETIME < catalogue.clock.now():
        raise Refused("NOT_FOUND", "Upload session not found or expired.", reason="sessionGone")
    return session


def _grown(catalogue: Catalogue, asked: Asked, key: str, session: Session) -> Session:
    """Keep what of a chunk is new."""
    size = asked.body.seek(0, 2)
    first, total = _position(asked, size)
    if total is not None and session.total is not None and total != session.total:
        raise _bad_range(f"the upload's size is {session.total} bytes, not {total}")
    total = total if total is not None else session.total
    if first is None:
        grown = _replaced(session, total=total)
    else:
        if first > session.received:
            raise _bad_range(
                f"the upload offset is {first} byte(s), which exceeds already uploaded size of "
                f"{session.received} byte(s)"
            )
        if total is not None and first + size > total:
            raise _bad_range(f"the chunk ends behind the upload's size of {total} bytes")
        end = max(first + size, session.received)
        if end != total:
            # What does not fill a quantum is to be sent again, as the answer says.
            end = max(session.received, first + size // QUANTUM * QUANTUM)
        asked.body.seek(session.received - first)
        catalogue.content.append(session.file, session.received, pieces_of(asked.body, end - session.received))
        grown = _replaced(session, total=total, received=end)
    catalogue.sessions.put(key, grown.to_json())
    return grown


def _position(asked: Asked, size: int) -> tuple[int | None, int | None]:
    """Return where a chunk begins, None for a query, and the whole size, None while it is not known."""
    given = asked.headers.get("content-range")
    if given is None:
        return 0, size
    found = _RANGE.fullmatch(given.strip())
    if found is None:
        raise Refused("INVALID_ARGUMENT", f"Failed to parse Content-Range header: {given!r}", reason="badRequest")
    total = None if found[3] == "*" else int(found[3])
    if found[1] is None:
        return None, total
    if int(found[2]) - int(found[1]) + 1 != size:
        raise _bad_range(f"the chunk {found[1]}-{found[2]} does not have the {size} bytes of the body")
    return int(found[1]), total


def _finished(catalogue: Catalogue, asked: Asked, key: str) -> Version:
    """Make the object, or find it when that was done before: the answer may have been lost."""
    session = _session(catalogue, key)
    if session.generation is not None:
        return catalogue.get(session.bucket, session.name, session.generation)
    stored = catalogue.content.settled(session.file, session.received)
    check_sums(stored, {**session.checks, **goog_hash(asked.headers)})
    version = catalogue.add(
        session.bucket,
        session.name,
        stored,
        settings=session.settings,
        conditions=Conditions(**session.conditions),
    )
    catalogue.sessions.put(key, _replaced(session, generation=version.generation).to_json())
    return version


def _unfinished(session: Session) -> Answer:
    headers = {"range": f"bytes=0-{session.received - 1}"} if session.received else {}
    return Answer(status=308, headers=headers)


def _replaced(session: Session, **changes: Any) -> Session:
    return Session(**{**{item.name: getattr(session, item.name) for item in fields(session)}, **changes})


def _described(asked: Asked, metadata: Mapping[str, Any], content_type: str | None) -> tuple[str, dict[str, Any]]:
    name = checked_name(str(metadata.get("name") or asked.query.get("name", "")))
    settings = object_settings(metadata)
    if content_type and "contentType" not in settings:
        settings["contentType"] = content_type
    if encoding := asked.query.get("contentEncoding"):
        settings["contentEncoding"] = encoding
    return name, settings


def _sums(metadata: Mapping[str, Any]) -> dict[str, str]:
    given = {"crc32c": metadata.get("crc32c"), "md5": metadata.get("md5Hash")}
    return {name: str(value) for name, value in given.items() if value}


def _announced(headers: Mapping[str, str]) -> dict[str, str]:
    md5 = headers.get("content-md5")
    return {**goog_hash(headers), **({"md5": md5} if md5 else {})}


def _bad_range(why: str) -> Refused:
    return Refused(
        "INVALID_ARGUMENT", f"Invalid request. According to the Content-Range header, {why}.", reason="badRequest"
    )


def _headers(body: IO[bytes]) -> dict[str, str]:
    """Read a part's headers, and stand at its content."""
    lines = []
    while (line := body.readline()).strip():
        lines.append(line)
    parsed = BytesParser(policy=HTTP).parsebytes(b"".join(lines) + b"\r\n", headersonly=True)
    return {name.lower(): str(value) for name, value in parsed.items()}


def _to_boundary(body: IO[bytes], boundary: bytes) -> tuple[bytes, bytes]:
    """Read up to a boundary; return what lay before it, and its line."""
    content = b""
    while (line := body.readline()).strip() != boundary:
        if not line:
            raise Refused("INVALID_ARGUMENT", "Malformed multipart body.", reason="badRequest")
        content += line
    return content, line


def _last_boundary(body: IO[bytes], mark: bytes, size: int) -> int:
    """Return where the media ends: before the line break of the last boundary."""
    tail = min(size, len(mark) + 64)
    body.seek(size - tail)
    at = body.read().rfind(mark)
    if at < 0:
        raise Refused("INVALID_ARGUMENT", "Malformed multipart body.", reason="badRequest")
    return size - tail + at
