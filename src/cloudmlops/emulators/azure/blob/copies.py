"""Copies between blobs of emulated accounts: done when they are asked for, be it as `Copy Blob` or from a URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from cloudmlops.emulators.azure.blob.authorization import READ, Authorization
from cloudmlops.emulators.azure.blob.catalogue import Catalogue, check_name
from cloudmlops.emulators.azure.blob.conditions import conditions_of
from cloudmlops.emulators.azure.blob.content import Part
from cloudmlops.emulators.azure.blob.errors import BlobError, not_emulated
from cloudmlops.emulators.azure.blob.headers import check_headers, metadata_of, version_headers
from cloudmlops.emulators.azure.blob.leases import after_write, check_read
from cloudmlops.emulators.azure.blob.records import Blob, http_date
from cloudmlops.emulators.azure.blob.targets import SUFFIX, Request, Target, target_of
from cloudmlops.emulators.azure.blob.uploads import checked_place
from cloudmlops.emulators.core.routing import LOOPBACK_NAMES
from cloudmlops.emulators.core.streaming import StreamedAnswer

_SOURCE: Final = "x-ms-source-"


def copy_blob(catalogue: Catalogue, request: Request, authorization: Authorization) -> StreamedAnswer:
    """Make a blob of the content of another."""
    check_headers(request.headers)
    check_name(request.target.blob)
    metadata = metadata_of(request.headers)
    source = request.headers["x-ms-copy-source"]
    place = _allowed_source(catalogue, request, authorization, source)
    with catalogue.transaction():
        known = checked_place(catalogue, request)
        copied = _source(catalogue, place, request.headers, request)
        file = catalogue.content.joined([Part(file=copied.file, offset=0, size=copied.size)])
        now, copy_id = catalogue.now(), str(uuid4())
        account, container, name = request.at
        blob = replace(
            copied,
            account=account,
            container=container,
            name=name,
            etag=catalogue.etag(),
            created=known.created if known else now,
            modified=now,
            file=file,
            metadata=metadata or copied.metadata,
            lease=after_write(known.lease, request.now) if known else {},
            copy={
                "x-ms-copy-id": copy_id,
                "x-ms-copy-source": source.partition("?")[0],
                "x-ms-copy-status": "success",
                "x-ms-copy-progress": f"{copied.size}/{copied.size}",
                "x-ms-copy-completion-time": http_date(now),
            },
        )
        try:
            catalogue.drop_blocks(blob)
            catalogue.put(blob, known=known)
        except BaseException:
            catalogue.content.drop([file])
            raise
    told = {"x-ms-copy-id": copy_id, "x-ms-copy-status": "success"}
    return StreamedAnswer(status=202, headers={**version_headers(blob), **told})


def _allowed_source(catalogue: Catalogue, request: Request, authorization: Authorization, source: str) -> Target:
    """Return what is copied, if the request may read it.

    A URL with a SAS speaks for itself; `x-ms-copy-source-authorization` is a token for it; within one account whoever
    may write by key or token may read likewise, except that a token's owner needs the role.
    """
    url = urlsplit(source)
    if not url.netloc.partition(":")[0].endswith(SUFFIX) and (url.hostname or "") not in LOOPBACK_NAMES:
        raise not_emulated(f"copies from {url.netloc} are")
    place = target_of(url.netloc, url.path)
    account = catalogue.account(place.account)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    if query.get("snapshot") or query.get("versionid"):
        raise not_emulated("snapshots and versions are")
    headers = request.headers
    if "sig" in query:
        https = url.scheme == "https"
        authorization.check_sas(account, place, query, READ, now=request.now, https=https, headers=headers)
    elif given := headers.get("x-ms-copy-source-authorization"):
        authorization.check_bearer(account, given, place, READ)
    elif place.account != request.target.account or "authorization" not in headers:
        raise BlobError("CannotVerifyCopySource", status=401)
    elif request.grant.object_id:
        authorization.check_bearer(account, headers["authorization"], place, READ)
    return place


def _source(catalogue: Catalogue, place: Target, headers: Mapping[str, str], request: Request) -> Blob:
    try:
        found = catalogue.get(place.account, place.container, place.blob)
    except BlobError as error:
        raise BlobError("CannotVerifyCopySource", status=404) from error
    check_read(found.lease, headers.get("x-ms-source-lease-id"), request.now)
    conditions_of(headers, start=_SOURCE, failure="SourceConditionNotMet").check_write(found)
    return found
