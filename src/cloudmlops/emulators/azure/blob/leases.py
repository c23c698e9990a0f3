"""Leases on blobs: a lock that lasts 15 to 60 seconds of the clock, or until it is given back.

The moves follow learn.microsoft.com, "Lease Blob": outcomes by state of the lease. What is kept of one: its `id`, its
`seconds` (-1 for ever), `until` when it is held, and `broken` from when it no longer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from cloudmlops.emulators.azure.blob.errors import BlobError

Lease = Mapping[str, Any]
NO_LEASE: Final[Lease] = {}
FOR_EVER: Final = -1
_SHORTEST_SECONDS, _LONGEST_SECONDS = 15, 60


def state_of(lease: Lease, now: datetime) -> str:
    """Return `available`, `leased`, `expired`, `breaking` or `broken`."""
    if not lease:
        return "available"
    if lease.get("broken"):
        return "breaking" if now < datetime.fromisoformat(lease["broken"]) else "broken"
    if lease.get("until") and now >= datetime.fromisoformat(lease["until"]):
        return "expired"
    return "leased"


def lease_headers(lease: Lease, now: datetime) -> dict[str, str]:
    """Return what is told of a lease."""
    state = state_of(lease, now)
    told = {"x-ms-lease-state": state, "x-ms-lease-status": "locked" if state in ("leased", "breaking") else "unlocked"}
    if state == "leased":
        told["x-ms-lease-duration"] = "infinite" if lease["seconds"] == FOR_EVER else "fixed"
    return told


def check_write(lease: Lease, given: str | None, now: datetime) -> bool:
    """Refuse a write that a lease forbids; say whether it holds the lease."""
    state = state_of(lease, now)
    if state in ("leased", "breaking"):
        if given is None:
            raise BlobError("LeaseIdMissing")
        if given.lower() != lease["id"]:
            raise BlobError("LeaseIdMismatchWithBlobOperation")
        return True
    if given is not None:
        raise BlobError("LeaseNotPresentWithBlobOperation" if state == "available" else "LeaseLost")
    return False


def check_read(lease: Lease, given: str | None, now: datetime) -> None:
    """Refuse a reader who names a lease that is not held."""
    if given is not None:
        check_write(lease, given, now)


def after_write(lease: Lease, now: datetime) -> Lease:
    """Return what is left of a lease when its blob was written: one that is over cannot be renewed any more."""
    return lease if state_of(lease, now) in ("leased", "breaking") else NO_LEASE


def moved(lease: Lease, headers: Mapping[str, str], now: datetime) -> tuple[Lease, int, dict[str, str]]:
    """Do what a Lease Blob request asks for; return the lease, the answer's status and its headers."""
    action = headers.get("x-ms-lease-action", "").lower()
    if action == "acquire":
        made = _acquired(lease, headers, now)
        return made, 201, {"x-ms-lease-id": made["id"]}
    if action == "break":
        return _broken(lease, headers, now)
    if action not in ("renew", "change", "release"):
        raise BlobError("InvalidHeaderValue" if action else "MissingRequiredHeader")
    given = _id(headers, "x-ms-lease-id", required=True)
    if action == "renew":
        made = _renewed(lease, given, now)
        return made, 200, {"x-ms-lease-id": given}
    if action == "release":
        if not lease or lease["id"] != given:
            raise BlobError("LeaseIdMismatchWithLeaseOperation")
        return NO_LEASE, 200, {}
    made = _changed(lease, given, _id(headers, "x-ms-proposed-lease-id", required=True), now)
    return made, 200, {"x-ms-lease-id": made["id"]}


def _acquired(lease: Lease, headers: Mapping[str, str], now: datetime) -> Lease:
    seconds = _seconds(headers, "x-ms-lease-duration")
    if seconds is None or (seconds != FOR_EVER and not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS):
        raise BlobError("MissingRequiredHeader" if seconds is None else "InvalidHeaderValue")
    proposed = _id(headers, "x-ms-proposed-lease-id")
    state = state_of(lease, now)
    if state == "breaking":
        same = proposed == lease["id"]
        raise BlobError("LeaseIsBreakingAndCannotBeAcquired" if same else "LeaseAlreadyPresent")
    if state == "leased" and proposed != lease["id"]:
        raise BlobError("LeaseAlreadyPresent")
    return _held(proposed or str(uuid4()), seconds, now)


def _renewed(lease: Lease, given: str, now: datetime) -> Lease:
    if not lease or lease["id"] != given:
        raise BlobError("LeaseIdMismatchWithLeaseOperation")
    if state_of(lease, now) in ("breaking", "broken"):
        raise BlobError("LeaseIsBrokenAndCannotBeRenewed")
    return _held(given, lease["seconds"], now)


def _changed(lease: Lease, given: str, proposed: str, now: datetime) -> Lease:
    state = state_of(lease, now)
    if state not in ("leased", "breaking"):
        raise BlobError("LeaseNotPresentWithLeaseOperation")
    if lease["id"] not in (given, proposed):
        raise BlobError("LeaseIdMismatchWithLeaseOperation")
    if state == "breaking":
        raise BlobError("LeaseIsBreakingAndCannotBeChanged")
    return {**lease, "id": proposed}


def _broken(lease: Lease, headers: Mapping[str, str], now: datetime) -> tuple[Lease, int, dict[str, str]]:
    period = _seconds(headers, "x-ms-lease-break-period")
    if period is not None and not 0 <= period <= _LONGEST_SECONDS:
        raise BlobError("InvalidHeaderValue")
    state = state_of(lease, now)
    if state == "available":
        raise BlobError("LeaseNotPresentWithLeaseOperation")
    if state in ("broken", "expired"):
        return {**lease, "broken": lease.get("broken") or now.isoformat()}, 202, {"x-ms-lease-time": "0"}
    ends = lease.get("broken") or lease.get("until")
    left = datetime.fromisoformat(ends) - now if ends else timedelta(0) if period is None else None
    wanted = timedelta(seconds=period) if period is not None else None
    lasts = min(one for one in (left, wanted) if one is not None)
    told = {"x-ms-lease-time": str(round(lasts.total_seconds()))}
    return {**lease, "broken": (now + lasts).isoformat()}, 202, told


def _held(lease_id: str, seconds: int, now: datetime) -> Lease:
    until = None if seconds == FOR_EVER else (now + timedelta(seconds=seconds)).isoformat()
    return {"id": lease_id, "seconds": seconds, "until": until}


def _id(headers: Mapping[str, str], name: str, *, required: bool = False) -> str:
    text = headers.get(name, "")
    if not text and not required:
        return ""
    try:
        return str(UUID(text))
    except ValueError:
        raise BlobError("InvalidHeaderValue" if text else "MissingRequiredHeader") from None


def _seconds(headers: Mapping[str, str], name: str) -> int | None:
    try:
        return int(headers[name]) if name in headers else None
    except ValueError:
        raise BlobError("InvalidHeaderValue") from None
