"""Bytes of an object on their way out, for the JSON and the XML API alike."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.preconditions import Conditions, check_tags
from cloudmlops.emulators.google.storage.records import Version, moment
from cloudmlops.emulators.google.storage.wire import Answer, Asked

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_HEADERS: Final = {
    "cacheControl": "cache-control",
    "contentDisposition": "content-disposition",
    "contentLanguage": "content-language",
}


class UnsatisfiableRange(Refused):
    """No byte of the range is there; the answer tells how many there are."""

    def __init__(self, size: int) -> None:
        super().__init__("OUT_OF_RANGE", "Request range not satisfiable", reason="requestedRangeNotSatisfiable")
        self.size = size


def media(
    catalogue: Catalogue, asked: Asked, *, bucket: str, name: str, generation: int | None, conditions: Conditions
) -> Answer:
    """Answer with an object's bytes, or a range of them."""
    xml = not asked.path.startswith(("/storage/", "/download/"))
    version, file = catalogue.open(bucket, name, generation)
    answered = False
    try:
        conditions.check(version, reading=True)
        etag = version.xml_etag if xml else version.etag
        check_tags(asked.headers, etag)
        headers = {**object_headers(version), "etag": etag}
        if _unzipped(version, asked.headers):
            return Answer(
                body=gzip.decompress(file.read()), headers={**headers, "warning": "214 UploadServer gunzipped"}
            )
        if version.settings.get("contentEncoding"):
            headers["content-encoding"] = str(version.settings["contentEncoding"])
        first, last = wanted_range(asked.headers.get("range"), version.size)
        partial = (first, last) != (0, version.size - 1)
        if partial or (asked.headers.get("range", "").startswith("bytes=") and version.size):
            headers["content-range"] = f"bytes {first}-{last}/{version.size}"
        file.seek(first)
        answered = asked.method != "HEAD"
        answer = Answer(
            status=206 if "content-range" in headers else 200,
            file=file,
            length=last - first + 1,
            headers=headers,
        )
        return (
            answer
            if answered
            else replace(answer, file=None, headers={**headers, "content-length": str(answer.length)})
        )
    finally:
        if not answered:
            file.close()


def object_headers(version: Version) -> dict[str, str]:
    """The headers that tell of an object what its resource tells."""
    hashes = f"crc32c={version.crc32c}" + (f",md5={version.md5}" if version.md5 is not None else "")
    told = {name: str(version.settings[of]) for of, name in _HEADERS.items() if version.settings.get(of)}
    metadata: Mapping[str, str] = version.settings.get("metadata") or {}
    return {
        "content-type": version.content_type,
        "accept-ranges": "bytes",
        "last-modified": moment(version.updated).strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "x-goog-generation": str(version.generation),
        "x-goog-metageneration": str(version.metageneration),
        "x-goog-hash": hashes,
        "x-goog-storage-class": str(version.settings["storageClass"]),
        "x-goog-stored-content-encoding": str(version.settings.get("contentEncoding") or "identity"),
        "x-goog-stored-content-length": str(version.size),
        **told,
        **{f"x-goog-meta-{name}": value for name, value in metadata.items()},
    }


def wanted_range(header: str | None, size: int) -> tuple[int, int]:
    """Return the first and the last byte asked for; what is no range asks for all."""
    if header is None or not header.startswith("bytes="):
        return 0, size - 1
    if "," in header:
        raise Refused("UNIMPLEMENTED", "several ranges in one request are not emulated", reason="notImplemented")
    found = _RANGE.fullmatch(header.strip())
    if found is None or found[0] == "bytes=-":
        return 0, size - 1
    if found[1]:
        first, last = int(found[1]), min(int(found[2]) if found[2] else size - 1, size - 1)
    else:
        first, last = max(0, size - int(found[2])), size - 1
    if first >= size or last < first:
        raise UnsatisfiableRange(size)
    return first, last


def _unzipped(version: Version, headers: Mapping[str, str]) -> bool:
    """Whether the service unpacks (decompressive transcoding) for a client that cannot."""
    return (
        version.settings.get("contentEncoding") == "gzip"
        and "gzip" not in headers.get("accept-encoding", "")
        and "no-transform" not in str(version.settings.get("cacheControl", ""))
    )
