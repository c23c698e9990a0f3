"""What headers say of a blob, on the way in and out."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cloudmlops.emulators.azure.blob.errors import BlobError, not_emulated
from cloudmlops.emulators.azure.blob.leases import lease_headers
from cloudmlops.emulators.azure.blob.records import Blob, Container, http_date, quoted

SETTINGS: Final = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type")
_METADATA: Final = "x-ms-meta-"
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MD5_BYTES: Final = 16
_REFUSED: Final = {
    "x-ms-access-tier": "access tiers are",
    "x-ms-content-crc64": "checks by CRC64 are",
    "x-ms-encryption-key": "keys of the customer's own are",
    "x-ms-encryption-scope": "encryption scopes are",
    "x-ms-immutability-policy-until-date": "immutability policies are",
    "x-ms-legal-hold": "legal holds are",
    "x-ms-structured-body": "structured bodies are",
    "x-ms-tags": "blob index tags are",
}


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse what is asked for by headers that mean nothing here."""
    for name, what in _REFUSED.items():
        if headers.get(name):
            raise not_emulated(what)


def settings_of(headers: Mapping[str, str], *, whole: bool = False) -> dict[str, str]:
    """Read the headers that a blob is to have; in a request that is the blob as a `whole` its own count too."""
    found = {name: headers.get(f"x-ms-blob-{name}") or (headers.get(name) if whole else None) for name in SETTINGS}
    return {name: value for name, value in found.items() if value}


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Read metadata; names come in lower case, however they were written: HTTP servers do not keep it."""
    found = {name.removeprefix(_METADATA): value for name, value in headers.items() if name.startswith(_METADATA)}
    for name in found:
        if not name:
            raise BlobError("EmptyMetadataKey")
        if not _IDENTIFIER.fullmatch(name):
            raise BlobError("InvalidMetadata")
    return found


def md5_of(headers: Mapping[str, str], name: str) -> str | None:
    """Read an MD5 in Base64, if there is one."""
    text = headers.get(name)
    if not text:
        return None
    try:
        if len(base64.b64decode(text, validate=True)) == _MD5_BYTES:
            return text
    except binascii.Error:
        pass
    raise BlobError("InvalidMd5")


def check_md5(given: str | None, computed: str) -> None:
    """Refuse content that is not what its sender says."""
    if given is not None and given != computed:
        raise BlobError("Md5Mismatch", details={"UserSpecifiedMd5": given, "ServerCalculatedMd5": computed})


def version_headers(record: Blob | Container) -> dict[str, str]:
    """Return the headers that tell one state of a blob or container from another."""
    return {"etag": quoted(record.etag), "last-modified": http_date(record.modified)}


def metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that tell metadata."""
    return {f"{_METADATA}{name}": value for name, value in metadata.items()}


def blob_headers(blob: Blob, now: datetime) -> dict[str, str]:
    """Return the headers that tell of a blob what its properties are."""
    told = {
        **{name: value for name, value in blob.settings.items() if value},
        **version_headers(blob),
        **metadata_headers(blob.metadata),
        **lease_headers(blob.lease, now),
        **blob.copy,
        "content-type": blob.content_type,
        "accept-ranges": "bytes",
        "x-ms-blob-type": blob.kind,
        "x-ms-creation-time": http_date(blob.created),
        "x-ms-server-encrypted": "true",
    }
    if blob.kind == "AppendBlob":
        told["x-ms-blob-committed-block-count"] = str(blob.appended)
    return told
