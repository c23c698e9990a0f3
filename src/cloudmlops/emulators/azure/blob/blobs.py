"""What is done to blobs that there are: properties, metadata, leases, deletion."""

from __future__ import annotations

from dataclasses import replace

from cloudmlops.emulators.azure.blob.catalogue import Catalogue
from cloudmlops.emulators.azure.blob.conditions import conditions_of
from cloudmlops.emulators.azure.blob.errors import BlobError, not_emulated
from cloudmlops.emulators.azure.blob.headers import check_headers, md5_of, metadata_of, settings_of, version_headers
from cloudmlops.emulators.azure.blob.leases import after_write, check_write, moved
from cloudmlops.emulators.azure.blob.records import Blob
from cloudmlops.emulators.azure.blob.targets import Request
from cloudmlops.emulators.core.streaming import StreamedAnswer


def set_blob_properties(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Set all HTTP headers of a blob; those that are not given are cleared."""
    check_headers(request.headers)
    settings, md5 = settings_of(request.headers), md5_of(request.headers, "x-ms-blob-content-md5")
    with catalogue.transaction():
        known = _checked(catalogue, request)
        changed = replace(known, settings=settings, md5=md5)
        blob = _written(catalogue, request, changed, known)
    return StreamedAnswer(headers=version_headers(blob))


def set_blob_metadata(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Set all metadata of a blob."""
    check_headers(request.headers)
    metadata = metadata_of(request.headers)
    with catalogue.transaction():
        known = _checked(catalogue, request)
        blob = _written(catalogue, request, replace(known, metadata=metadata), known)
    return StreamedAnswer(headers={**version_headers(blob), "x-ms-request-server-encrypted": "true"})


def lease_blob(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Take, keep, change, give back or break a lease; the blob stays the same."""
    with catalogue.transaction():
        known = catalogue.get(*request.at)
        conditions_of(request.headers).check_write(known)
        lease, status, told = moved(known.lease, request.headers, request.now)
        catalogue.put(replace(known, lease=lease), known=known)
    return StreamedAnswer(status=status, headers={**version_headers(known), **told})


def delete_blob(catalogue: Catalogue, request: Request) -> StreamedAnswer:
    """Delete a blob."""
    which = request.headers.get("x-ms-delete-snapshots", "include").lower()
    if which == "only":
        raise not_emulated("snapshots are")
    if which != "include":
        raise BlobError("InvalidHeaderValue")
    with catalogue.transaction():
        catalogue.remove(_checked(catalogue, request))
    return StreamedAnswer(status=202, headers={"x-ms-delete-type-permanent": "true"})


def _checked(catalogue: Catalogue, request: Request) -> Blob:
    known = catalogue.get(*request.at)
    check_write(known.lease, request.headers.get("x-ms-lease-id"), request.now)
    conditions_of(request.headers).check_write(known)
    return known


def _written(catalogue: Catalogue, request: Request, changed: Blob, known: Blob) -> Blob:
    lease = after_write(known.lease, request.now)
    blob = replace(changed, etag=catalogue.etag(), modified=catalogue.now(), lease=lease)
    return catalogue.put(blob, known=known)
