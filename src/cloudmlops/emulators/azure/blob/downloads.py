"""Blobs on their way out."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from cloudmlops.emulators.azure.blob.catalogue import Catalogue
from cloudmlops.emulators.azure.blob.conditions import conditions_of
from cloudmlops.emulators.azure.blob.errors import BlobError, not_emulated
from cloudmlops.emulators.azure.blob.headers import blob_headers, metadata_headers, version_headers
from cloudmlops.emulators.azure.blob.leases import check_read
from cloudmlops.emulators.azure.blob.records import Blob
from cloudmlops.emulators.azure.blob.targets import Request
from cloudmlops.emulators.core.streaming import StreamedAnswer

_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")
_LARGEST_SUMMED: Final = 4 << 20
"""Up to how many bytes of a range have their MD5 told."""


def get_blob(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Answer with a blob's bytes, or a range of them."""
    blob, file = catalogue.open(*request.at)
    answered = False
    try:
        _check(blob, request)
        told = {**blob_headers(blob, request.now), **(request.grant.overrides or {})}
        ranged = _wanted(request, blob.size)
        if ranged is None:
            if blob.md5:
                told["content-md5"] = blob.md5
            answered = True
            return StreamedAnswer(file=file, length=blob.size, headers=told)
        first, last = ranged
        told["content-range"] = f"bytes {first}-{last}/{blob.size}"
        if blob.md5:
            told["x-ms-blob-content-md5"] = blob.md5
        file.seek(first)
        length = last - first + 1
        if request.headers.get("x-ms-range-get-content-md5", "").lower() == "true":
            if length > _LARGEST_SUMMED:
                raise BlobError("OutOfRangeInput")
            digest = hashlib.md5(file.read(length), usedforsecurity=False).digest()
            told["content-md5"] = base64.b64encode(digest).decode()
            file.seek(first)
        answered = True
        return StreamedAnswer(status=206, file=file, length=length, headers=told)
    finally:
        if not answered:
            file.close()


def get_blob_properties(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Answer with what is known of a blob."""
    blob = catalogue.get(*request.at)
    _check(blob, request)
    told = blob_headers(blob, request.now)
    if blob.md5:
        told["content-md5"] = blob.md5
    if blob.kind == "BlockBlob":
        told |= {"x-ms-access-tier": "Hot", "x-ms-access-tier-inferred": "true"}
    return StreamedAnswer(headers={**told, "content-length": str(blob.size)})


def get_blob_metadata(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Answer with a blob's metadata."""
    blob = catalogue.get(*request.at)
    _check(blob, request)
    return StreamedAnswer(headers={**version_headers(blob), **metadata_headers(blob.metadata)})


def _check(blob: Blob, request: Request) -> None:
    check_read(blob.lease, request.headers.get("x-ms-lease-id"), request.now)
    conditions_of(request.headers).check_read(blob)


def _wanted(request: Request, size: int) -> tuple[int, int] | None:
    """Return the first and the last byte asked for; None is all."""
    text = (request.headers.get("x-ms-range") or request.headers.get("range") or "").strip()
    if not text:
        return None
    found = _RANGE.fullmatch(text)
    if found is None:
        raise not_emulated(f"the range {text!r} is")
    first, last = int(found[1]), min(int(found[2]) if found[2] else size - 1, size - 1)
    if first >= size or (found[2] and int(found[2]) < first):
        raise BlobError("InvalidRange", headers={"content-range": f"bytes */{size}"})
    return first, last
