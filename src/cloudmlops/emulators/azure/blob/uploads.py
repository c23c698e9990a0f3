"""Blobs on their way in: whole, block by block, and appended to."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from xml.etree import ElementTree as ET

from cloudmlops.emulators.azure.blob.catalogue import Catalogue, check_name
from cloudmlops.emulators.azure.blob.conditions import conditions_of
from cloudmlops.emulators.azure.blob.content import Part, Stored
from cloudmlops.emulators.azure.blob.errors import BlobError
from cloudmlops.emulators.azure.blob.headers import (
    check_headers,
    check_md5,
    md5_of,
    metadata_of,
    settings_of,
    version_headers,
)
from cloudmlops.emulators.azure.blob.leases import after_write, check_read, check_write
from cloudmlops.emulators.azure.blob.records import Blob, Block
from cloudmlops.emulators.azure.blob.targets import Request
from cloudmlops.emulators.azure.blob.xml_documents import answer_xml
from cloudmlops.emulators.core.streaming import StreamedAnswer, pieces_of

MOST_BLOCKS: Final = 50_000
_LONGEST_ID_BYTES: Final = 64
_ENCRYPTED: Final = {"x-ms-request-server-encrypted": "true"}


def put_blob(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Put a block blob as a whole."""
    check_headers(request.headers)
    property_md5, sent_md5 = md5_of(request.headers, "x-ms-blob-content-md5"), md5_of(request.headers, "content-md5")
    settings, metadata = settings_of(request.headers, whole=True), metadata_of(request.headers)
    stored = catalogue.content.store(pieces_of(request.asked.body))
    try:
        check_md5(property_md5 or sent_md5, stored.md5)
        blob = _created(catalogue, request, stored, "BlockBlob", settings, metadata, md5=stored.md5)
    except BaseException:
        catalogue.content.drop([stored.file])
        raise
    return StreamedAnswer(status=201, headers={**version_headers(blob), **_ENCRYPTED, "content-md5": stored.md5})


def put_append_blob(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Make an empty append blob."""
    check_headers(request.headers)
    if request.asked.body.read(1):
        raise BlobError("InvalidHeaderValue", details={"HeaderName": "Content-Length"})
    settings, metadata = settings_of(request.headers, whole=True), metadata_of(request.headers)
    stored = catalogue.content.store(())
    try:
        blob = _created(
            catalogue,
            request,
            stored,
            "AppendBlob",
            settings,
            metadata,
            md5=md5_of(request.headers, "x-ms-blob-content-md5"),
        )
    except BaseException:
        catalogue.content.drop([stored.file])
        raise
    return StreamedAnswer(status=201, headers={**version_headers(blob), **_ENCRYPTED})


def append_block(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Append to an append blob, if it has the length that the client expects."""
    check_headers(request.headers)
    sent_md5 = md5_of(request.headers, "content-md5")
    stored = catalogue.content.store(pieces_of(request.asked.body))
    try:
        _check_content(stored, sent_md5)
        with catalogue.transaction():
            known = catalogue.get(*request.at)
            if known.kind != "AppendBlob":
                raise BlobError("InvalidBlobType")
            check_write(known.lease, request.headers.get("x-ms-lease-id"), request.now)
            conditions_of(request.headers).check_write(known)
            _check_position(known, stored.size, request.headers)
            size = catalogue.content.append(known.file, known.size, catalogue.content.pieces(_whole(stored)))
            changed = replace(
                known,
                size=size,
                appended=known.appended + 1,
                etag=catalogue.etag(),
                modified=catalogue.now(),
                lease=after_write(known.lease, request.now),
            )
            blob = catalogue.put(changed, known=known)
    finally:
        catalogue.content.drop([stored.file])
    told = {"x-ms-blob-append-offset": str(known.size), "x-ms-blob-committed-block-count": str(blob.appended)}
    return StreamedAnswer(
        status=201, headers={**version_headers(blob), **_ENCRYPTED, **told, "content-md5": stored.md5}
    )


def put_block(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Put a block that a list may commit later."""
    check_headers(request.headers)
    check_name(request.target.blob)
    block_id = _checked_id(request.query.get("blockid", ""))
    sent_md5 = md5_of(request.headers, "content-md5")
    stored = catalogue.content.store(pieces_of(request.asked.body))
    try:
        _check_content(stored, sent_md5)
        with catalogue.transaction():
            known = catalogue.find(*request.at)
            if known is not None and known.kind != "BlockBlob":
                raise BlobError("InvalidBlobType")
            check_write(known.lease if known else {}, request.headers.get("x-ms-lease-id"), request.now)
            blob = known or _uncommitted(catalogue, request)
            if blob.id_length not in (0, len(block_id)):
                raise BlobError("InvalidBlobOrBlock")
            if not blob.id_length:
                catalogue.put(replace(blob, id_length=len(block_id)), known=known)
            catalogue.put_block(blob, Block(id=block_id, file=stored.file, size=stored.size))
    except BaseException:
        catalogue.content.drop([stored.file])
        raise
    return StreamedAnswer(status=201, headers={**_ENCRYPTED, "content-md5": stored.md5})


def put_block_list(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Make a blob of blocks, uncommitted ones and such as it has already."""
    check_headers(request.headers)
    check_name(request.target.blob)
    wanted = _wanted(request.asked.read())
    md5 = md5_of(request.headers, "x-ms-blob-content-md5")
    settings, metadata = settings_of(request.headers), metadata_of(request.headers)
    with catalogue.transaction():
        known = checked_place(catalogue, request)
        if known is not None and known.kind != "BlockBlob":
            raise BlobError("InvalidBlobType")
        parts, blocks = _chosen(catalogue, request, known, wanted)
        file, size = catalogue.content.joined(parts), sum(part.size for part in parts)
        try:
            blob = _placed(
                catalogue, request, known, file, size, settings=settings, metadata=metadata, md5=md5, blocks=blocks
            )
        except BaseException:
            catalogue.content.drop([file])
            raise
    return StreamedAnswer(status=201, headers={**version_headers(blob), **_ENCRYPTED})


def get_block_list(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Tell which blocks a blob has, and which wait."""
    kind = request.query.get("blocklisttype", "committed").lower()
    if kind not in ("committed", "uncommitted", "all"):
        raise BlobError("InvalidQueryParameterValue")
    with catalogue.transaction():
        blob = catalogue.find(*request.at)
        waiting = catalogue.blocks(*request.at)
    if blob is None or (not blob.committed and kind == "committed"):
        raise BlobError("BlobNotFound")
    if blob.kind != "BlockBlob":
        raise BlobError("InvalidBlobType")
    check_read(blob.lease, request.headers.get("x-ms-lease-id"), request.now)
    lists: list[tuple[str, object]] = []
    if kind != "uncommitted":
        lists.append(("CommittedBlocks", [_block(one, size) for one, size in blob.blocks]))
    if kind != "committed":
        lists.append(("UncommittedBlocks", [_block(one.id, one.size) for one in waiting]))
    told = {**version_headers(blob), "x-ms-blob-content-length": str(blob.size)} if blob.committed else {}
    return answer_xml("BlockList", lists, headers=told)


def _created(
    catalogue: Catalogue,
    request: Request,
    stored: Stored,
    kind: str,
    settings: Mapping[str, str],
    metadata: Mapping[str, str],
    *,
    md5: str | None,
) -> Blob:
    check_name(request.target.blob)
    with catalogue.transaction():
        known = checked_place(catalogue, request)
        file, size = stored.file, stored.size
        return _placed(catalogue, request, known, file, size, settings=settings, metadata=metadata, md5=md5, kind=kind)


def checked_place(catalogue: Catalogue, request: Request) -> Blob | None:
    """Return what is in a new blob's place, or refuse to put another there.

    Whoever holds the lease of a blob may overwrite it though it says `If-None-Match: *`: recorded traffic of
    azure-sdk-for-python, test_lease_blob_with_duration.
    """
    found = catalogue.find(*request.at)
    known = found if found is not None and found.committed else None
    lease_id = request.headers.get("x-ms-lease-id")
    held = check_write(known.lease if known else {}, lease_id, request.now)
    conditions = conditions_of(request.headers)
    if not (held and conditions.none_match == "*"):
        conditions.check_create(known)
    if known is not None and not request.grant.overwrite:
        raise BlobError("AuthorizationPermissionMismatch" if request.grant.object_id else "UnauthorizedBlobOverwrite")
    return known


def _placed(
    catalogue: Catalogue,
    request: Request,
    known: Blob | None,
    file: str,
    size: int,
    *,
    settings: Mapping[str, str],
    metadata: Mapping[str, str],
    md5: str | None,
    kind: str = "BlockBlob",
    blocks: tuple[tuple[str, int], ...] = (),
) -> Blob:
    now = catalogue.now()
    account, container, name = request.at
    blob = Blob(
        account=account,
        container=container,
        name=name,
        kind=kind,
        etag=catalogue.etag(),
        created=known.created if known else now,
        modified=now,
        file=file,
        size=size,
        md5=md5,
        settings=settings,
        metadata=metadata,
        blocks=blocks,
        id_length=len(blocks[0][0]) if blocks else 0,
        lease=after_write(known.lease, request.now) if known else {},
    )
    catalogue.drop_blocks(blob)
    return catalogue.put(blob, known=known)


def _uncommitted(catalogue: Catalogue, request: Request) -> Blob:
    """Return a blob that has no content yet."""
    account, container, name = request.at
    now = catalogue.now()
    return Blob(account=account, container=container, name=name, etag=catalogue.etag(), created=now, modified=now)


def _chosen(
    catalogue: Catalogue, request: Request, known: Blob | None, wanted: list[tuple[str, str]]
) -> tuple[list[Part], tuple[tuple[str, int], ...]]:
    """Return where the blocks of a list lie, and their ids with sizes."""
    waiting = {one.id: Part(file=one.file, offset=0, size=one.size) for one in catalogue.blocks(*request.at)}
    committed: dict[str, Part] = {}
    offset = 0
    for one, size in known.blocks if known else ():
        committed[one] = Part(file=known.file if known else "", offset=offset, size=size)
        offset += size
    places = {"Committed": (committed,), "Uncommitted": (waiting,), "Latest": (waiting, committed)}
    parts = []
    for kind, one in wanted:
        part = next((place[one] for place in places[kind] if one in place), None)
        if part is None:
            raise BlobError("InvalidBlockList")
        parts.append(part)
    return parts, tuple((one, part.size) for (_, one), part in zip(wanted, parts, strict=True))


def _wanted(body: bytes) -> list[tuple[str, str]]:
    """Read a block list: where each block is to be looked for, and its id."""
    try:
        root = ET.fromstring(body)  # noqa: S314 what a client sends to its own emulator
    except ET.ParseError:
        raise BlobError("InvalidXmlDocument") from None
    if root.tag != "BlockList" or any(child.tag not in ("Committed", "Uncommitted", "Latest") for child in root):
        raise BlobError("InvalidXmlDocument")
    if len(root) > MOST_BLOCKS:
        raise BlobError("BlockListTooLong")
    return [(child.tag, (child.text or "").strip()) for child in root]


def _checked_id(block_id: str) -> str:
    if not block_id:
        raise BlobError("MissingRequiredQueryParameter")
    try:
        if len(base64.b64decode(block_id, validate=True)) <= _LONGEST_ID_BYTES:
            return block_id
    except binascii.Error:
        raise BlobError(
            "InvalidQueryParameterValue", details=_wrong_id(block_id, "Not a valid base64 string.")
        ) from None
    raise BlobError("OutOfRangeQueryParameterValue", details=_wrong_id(block_id, "Block ID is too long."))


def _wrong_id(value: str, reason: str) -> dict[str, str]:
    return {"QueryParameterName": "blockid", "QueryParameterValue": value, "Reason": reason}


def _check_content(stored: Stored, md5: str | None) -> None:
    """Refuse a block of nothing, and one that is not what its sender says."""
    if not stored.size:
        raise BlobError("InvalidHeaderValue", details={"HeaderName": "Content-Length", "HeaderValue": "0"})
    check_md5(md5, stored.md5)


def _check_position(blob: Blob, size: int, headers: Mapping[str, str]) -> None:
    try:
        position = int(headers.get("x-ms-blob-condition-appendpos", blob.size))
        largest = int(headers.get("x-ms-blob-condition-maxsize", blob.size + size))
    except ValueError:
        raise BlobError("InvalidHeaderValue") from None
    if blob.appended >= MOST_BLOCKS:
        raise BlobError("BlockCountExceedsLimit")
    if position != blob.size:
        raise BlobError("AppendPositionConditionNotMet")
    if blob.size + size > largest:
        raise BlobError("MaxBlobSizeConditionNotMet")


def _whole(stored: Stored) -> Part:
    return Part(file=stored.file, offset=0, size=stored.size)


def _block(block_id: str, size: int) -> tuple[str, object]:
    return ("Block", [("Name", block_id), ("Size", size)])
