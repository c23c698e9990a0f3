"""Lists of containers and of blobs, flat or by folders, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloudmlops.emulators.azure.blob.catalogue import Catalogue
from cloudmlops.emulators.azure.blob.errors import BlobError
from cloudmlops.emulators.azure.blob.leases import lease_headers
from cloudmlops.emulators.azure.blob.records import Blob, Container, http_date
from cloudmlops.emulators.azure.blob.targets import Request
from cloudmlops.emulators.azure.blob.xml_documents import Child, Raw, answer_xml, named
from cloudmlops.emulators.core.streaming import StreamedAnswer

_MOST: Final = 5000
_LAST: Final = "\U0010ffff"
_INCLUDED: Final = frozenset(
    {
        "copy",
        "deleted",
        "deletedwithversions",
        "immutabilitypolicy",
        "legalhold",
        "metadata",
        "permissions",
        "snapshots",
        "tags",
        "uncommittedblobs",
        "versions",
    }
)
"""Of these, what the emulator never has, such as snapshots, adds nothing to a list."""
_COPY: Final = {
    "x-ms-copy-id": "CopyId",
    "x-ms-copy-source": "CopySource",
    "x-ms-copy-status": "CopyStatus",
    "x-ms-copy-progress": "CopyProgress",
    "x-ms-copy-completion-time": "CopyCompletionTime",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """Which part of a list is asked for."""

    prefix: str
    after: str
    """The last name of the page before; of a folder one that comes after all that is in it."""
    most: int
    included: frozenset[str]


def list_containers(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """List the containers of an account."""
    page = _page(request.query)
    found = catalogue.containers(request.target.account, page.prefix, after=page.after)
    shown = found[: page.most]
    children: list[Child] = [
        *_asked(request.query),
        ("Containers", [("Container", _container(one, page.included)) for one in shown]),
        ("NextMarker", _marker(shown[-1].name) if len(found) > len(shown) else ""),
    ]
    return answer_xml("EnumerationResults", children, attributes={"ServiceEndpoint": request.endpoint})


def list_blobs(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """List the blobs of a container; with a delimiter, those of one folder and the folders in it."""
    page, delimiter = _page(request.query), request.query.get("delimiter", "")
    account, container, _ = request.at
    catalogue.container(account, container)
    start = request.query.get("startfrom", request.query.get("startFrom", ""))
    shown: list[Child] = []
    last, more, folder = "", False, ""
    for blob in catalogue.blobs(account, container, page.prefix, after=page.after):
        if blob.name < start or not (blob.committed or "uncommittedblobs" in page.included):
            continue
        if folder and blob.name.startswith(folder):
            continue
        if len(shown) == page.most:
            more = True
            break
        end = blob.name.find(delimiter, len(page.prefix)) if delimiter else -1
        folder = blob.name[: end + len(delimiter)] if end >= 0 else ""
        last = folder + _LAST if folder else blob.name
        shown.append(("BlobPrefix", [("Name", Raw(named(folder)))]) if folder else _blob(blob, page, request.now))
    children: list[Child] = [
        *_asked(request.query),
        ("Blobs", shown),
        ("NextMarker", _marker(last) if more else ""),
    ]
    attributes = {"ServiceEndpoint": request.endpoint, "ContainerName": container}
    return answer_xml("EnumerationResults", children, attributes=attributes)


def _container(container: Container, included: frozenset[str]) -> list[Child]:
    properties: list[Child] = [
        ("Last-Modified", http_date(container.modified)),
        ("Etag", f'"{container.etag}"'),
        ("LeaseStatus", "unlocked"),
        ("LeaseState", "available"),
        ("DefaultEncryptionScope", "$account-encryption-key"),
        ("DenyEncryptionScopeOverride", "false"),
        ("HasImmutabilityPolicy", "false"),
        ("HasLegalHold", "false"),
        ("ImmutableStorageWithVersioningEnabled", "false"),
    ]
    shown: list[Child] = [("Name", container.name), ("Properties", properties)]
    if "metadata" in included:
        shown.append(("Metadata", list(container.metadata.items())))
    return shown


def _blob(blob: Blob, page: _Page, now: datetime) -> Child:
    lease = lease_headers(blob.lease, now)
    properties: list[Child] = [
        ("Creation-Time", http_date(blob.created)),
        ("Last-Modified", http_date(blob.modified)),
        ("Etag", blob.etag),
        ("Content-Length", blob.size),
        ("Content-Type", blob.content_type if blob.committed else ""),
        ("Content-Encoding", blob.settings.get("content-encoding", "")),
        ("Content-Language", blob.settings.get("content-language", "")),
        ("Content-CRC64", ""),
        ("Content-MD5", blob.md5),
        ("Cache-Control", blob.settings.get("cache-control", "")),
        ("Content-Disposition", blob.settings.get("content-disposition", "")),
        ("BlobType", blob.kind),
    ]
    if blob.kind == "BlockBlob":
        properties += [("AccessTier", "Hot"), ("AccessTierInferred", "true")]
    properties += [("LeaseStatus", lease["x-ms-lease-status"]), ("LeaseState", lease["x-ms-lease-state"])]
    if "x-ms-lease-duration" in lease:
        properties.append(("LeaseDuration", lease["x-ms-lease-duration"]))
    if "copy" in page.included:
        properties += [(element, blob.copy[name]) for name, element in _COPY.items() if name in blob.copy]
    properties.append(("ServerEncrypted", "true"))
    shown: list[Child] = [("Name", Raw(named(blob.name))), ("Properties", properties)]
    if "metadata" in page.included:
        shown.append(("Metadata", list(blob.metadata.items())))
    return ("Blob", [*shown, ("OrMetadata", "")])


def _page(query: Mapping[str, str]) -> _Page:
    included = frozenset(one for one in query.get("include", "").lower().split(",") if one)
    if included - _INCLUDED:
        raise _invalid("include", query["include"])
    most = query.get("maxresults", str(_MOST))
    if not most.lstrip("-").isdigit():
        raise _invalid("maxresults", most)
    if int(most) < 1:
        raise BlobError("OutOfRangeQueryParameterValue", details=_parameter("maxresults", most))
    return _Page(
        prefix=query.get("prefix", ""),
        after=_place(query.get("marker", "")),
        most=min(int(most), _MOST),
        included=included,
    )


def _asked(query: Mapping[str, str]) -> list[Child]:
    names = {"prefix": "Prefix", "marker": "Marker", "maxresults": "MaxResults", "delimiter": "Delimiter"}
    return [(element, query[name]) for name, element in names.items() if query.get(name)]


def _marker(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _place(marker: str) -> str:
    try:
        return base64.b64decode(marker, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _invalid("marker", marker) from None


def _invalid(name: str, value: str) -> BlobError:
    return BlobError("InvalidQueryParameterValue", details=_parameter(name, value))


def _parameter(name: str, value: str) -> dict[str, str]:
    return {"QueryParameterName": name, "QueryParameterValue": value}
