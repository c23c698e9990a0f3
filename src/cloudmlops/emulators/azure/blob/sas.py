"""Shared access signatures: of an account, of a container or blob, and by a user delegation key.

The strings that are signed follow learn.microsoft.com, "Create an account SAS", "Create a service SAS" and "Create a
user delegation SAS"; which lines there are depends on the signed version, whose dates compare as text.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from cloudmlops.emulators.azure.blob.errors import BlobError, not_authenticated, not_emulated
from cloudmlops.emulators.azure.blob.records import Account
from cloudmlops.emulators.azure.blob.shared_key import signature
from cloudmlops.emulators.azure.blob.targets import Target

VERSION: Final = "2021-08-06"
"""Of those that the emulator itself signs."""
_OLDEST: Final = "2015-04-05"
_LEVELS: Final = {"service": "s", "container": "c", "object": "o"}
_OVERRIDES: Final = {
    "rscc": "cache-control",
    "rscd": "content-disposition",
    "rsce": "content-encoding",
    "rscl": "content-language",
    "rsct": "content-type",
}
_DELEGATED: Final = ("skoid", "sktid", "skt", "ske", "sks", "skv")


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """What a signature that holds says."""

    permissions: str
    """Letters, such as `rl`."""
    account_wide: bool
    object_id: str
    """Whose user delegation key signed it; empty for an account's key."""
    overrides: Mapping[str, str]
    """Headers that the answer of a download is to have."""


def check_sas(
    account: Account,
    target: Target,
    query: Mapping[str, str],
    *,
    now: datetime,
    https: bool,
    headers: Mapping[str, str],
) -> Signed:
    """Refuse a SAS that was not signed by this account, is for something else, or not for this time.

    Args:
        account: Whose keys count.
        target: What is asked for.
        query: With the SAS's fields, percent-decoded.
        now: The moment.
        https: Whether the request came by TLS.
        headers: Of the request; a user delegation SAS may be bound to some.
    """
    version = query.get("sv", "")
    if not version:
        raise not_authenticated("sv is mandatory. Cannot be empty")
    if version < _OLDEST:
        raise not_emulated(f"SAS of version {version} are")
    if query.get("si"):
        raise not_emulated("stored access policies are")
    account_wide = "srt" in query
    if account_wide:
        text, keys = _account_text(account, query), account.keys
    else:
        text = _resource_text(account, target, query, headers)
        delegated = "skoid" in query
        keys = (delegation_key(account, [query.get(name, "") for name in _DELEGATED]),) if delegated else account.keys
    if not any(hmac.compare_digest(signature(key, text).encode(), query["sig"].encode()) for key in keys):
        raise not_authenticated(f"Signature did not match. String to sign used was {text}")
    _check_time(query, now)
    if query.get("spr", "https,http") == "https" and not https:
        raise BlobError("AuthorizationProtocolMismatch")
    if account_wide:
        if "b" not in query.get("ss", ""):
            raise BlobError("AuthorizationServiceMismatch")
        if _LEVELS[target.level] not in query["srt"]:
            raise BlobError("AuthorizationResourceTypeMismatch")
    return Signed(
        permissions=query.get("sp", ""),
        account_wide=account_wide,
        object_id=query.get("skoid", ""),
        overrides={header: query[name] for name, header in _OVERRIDES.items() if query.get(name)},
    )


def delegation_key(account: Account, fields: list[str]) -> str:
    """Return the user delegation key that its fields name: owner, tenant, start, expiry, service and version."""
    return signature(account.keys[0], "\n".join(["user delegation key", *fields]))


def account_sas(account: Account, *, permissions: str, until: datetime) -> str:
    """Return a SAS for an account's containers and blobs, as Azure Machine Learning hands it out: `?sv=…`."""
    fields = {"sv": VERSION, "se": f"{until:%Y-%m-%dT%H:%M:%SZ}", "srt": "co", "ss": "bf", "sp": permissions}
    fields["sig"] = signature(account.keys[0], _account_text(account, fields))
    return "?" + "&".join(f"{name}={quote(fields[name], safe='')}" for name in ("sv", "sig", "se", "srt", "ss", "sp"))


def container_sas(account: Account, container: str, *, permissions: str, until: datetime) -> str:
    """Return a SAS for a container and the blobs in it, without `?`."""
    fields = {"sv": VERSION, "sr": "c", "se": f"{until:%Y-%m-%dT%H:%M:%SZ}", "sp": permissions}
    target = Target(account=account.name, container=container, blob="")
    fields["sig"] = signature(account.keys[0], _resource_text(account, target, fields, {}))
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())


def blob_sas(account: Account, container: str, blob: str, *, permissions: str, until: datetime) -> str:
    """Return a SAS for one blob, without `?`."""
    fields = {"sv": VERSION, "sr": "b", "se": f"{until:%Y-%m-%dT%H:%M:%SZ}", "sp": permissions}
    target = Target(account=account.name, container=container, blob=blob)
    fields["sig"] = signature(account.keys[0], _resource_text(account, target, fields, {}))
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())


def _account_text(account: Account, query: Mapping[str, str]) -> str:
    names = ["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"]
    if query["sv"] >= "2020-12-06":
        names.append("ses")
    return "".join(f"{line}\n" for line in (account.name, *(query.get(name, "") for name in names)))


def _resource_text(account: Account, target: Target, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    kind = query.get("sr", "")
    if kind not in ("b", "c"):
        if kind in ("bs", "bv", "d"):
            raise not_emulated(f"SAS for {kind} are")
        raise not_authenticated("sr is mandatory. Cannot be empty")
    version = query["sv"]
    path = f"/blob/{account.name}/{target.container}" + (f"/{target.blob}" if kind == "b" else "")
    lines = [query.get("sp", ""), query.get("st", ""), query.get("se", ""), path]
    if "skoid" in query:
        lines += [query.get(name, "") for name in _DELEGATED]
        lines += [query.get(name, "") for name in ("saoid", "suoid", "scid")] if version >= "2020-02-10" else []
        lines += [query.get(name, "") for name in ("skdutid", "sduoid")] if version >= "2025-07-05" else []
    else:
        lines.append("")  # the stored access policy
    lines += [query.get(name, "") for name in ("sip", "spr", "sv")]
    lines += [kind, ""] if version >= "2018-11-09" else []
    lines += [query.get("ses", "")] if version >= "2020-12-06" else []
    if "skoid" in query and version >= "2026-04-06":
        lines += [_bound(query.get("srh", ""), headers, after="\n"), _bound(query.get("srq", ""), query, before="\n")]
    return "\n".join([*lines, *(query.get(name, "") for name in _OVERRIDES)])


def _bound(names: str, given: Mapping[str, str], *, before: str = "", after: str = "") -> str:
    """Return the headers or parameters that a SAS is bound to, with what the request has in them."""
    if not names:
        return ""
    return (
        before
        + "\n".join(f"{name}:{given.get(name.lower(), given.get(name, ''))}" for name in names.split(","))
        + after
    )


def _check_time(query: Mapping[str, str], now: datetime) -> None:
    end = _moment(query.get("se", ""))
    start = _moment(query["st"]) if query.get("st") else None
    if "ske" in query:
        end = min(end, _moment(query["ske"]))
        start = max(start or _moment(query["skt"]), _moment(query["skt"]))
    if now >= end + timedelta(seconds=1) or (start is not None and now < start):
        first = f"Start [{start:%a, %d %b %Y %H:%M:%S} GMT] - " if start is not None else ""
        raise not_authenticated(
            f"Signature not valid in the specified time frame: {first}Expiry [{end:%a, %d %b %Y %H:%M:%S} GMT] - "
            f"Current [{now:%a, %d %b %Y %H:%M:%S} GMT]"
        )


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise not_authenticated("Signature fields not well formed.") from None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
