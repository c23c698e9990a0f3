"""Signatures with an account's key (learn.microsoft.com, "Authorize with Shared Key", the scheme of 2015 and later)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qsl

from cloudmlops.emulators.azure.blob.errors import BlobError, not_authenticated, not_emulated
from cloudmlops.emulators.azure.blob.records import Account
from cloudmlops.emulators.core.streaming import StreamedRequest

_SIGNED: Final = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
_TOLERANCE_SECONDS: Final = 15 * 60


def signature(key: str, text: str) -> str:
    """Sign a text with a key in Base64."""
    return base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)).decode()


def check_shared_key(account: Account, asked: StreamedRequest) -> None:
    """Refuse a request whose `Authorization` is not signed with a key of the account, or not of these minutes.

    What `x-ms-date` says is the client's own time, so that it is compared with the machine's and not with the clock.
    """
    scheme, _, credential = asked.headers["authorization"].partition(" ")
    if scheme.lower() != "sharedkey":
        raise not_emulated(f"authorization by {scheme} is")
    name, _, given = credential.partition(":")
    if not given or name != account.name:
        raise not_authenticated("The account in the Authorization header is not that of the request.")
    _check_date(asked)
    for order in (_dashes_last, str):
        text = string_to_sign(account.name, asked, order=order)
        if any(hmac.compare_digest(signature(key, text).encode(), given.encode()) for key in account.keys):
            return
    raise not_authenticated(
        f"The MAC signature found in the HTTP request '{given}' is not the same as any computed signature. "
        f"Server used following string to sign: '{string_to_sign(account.name, asked)}'."
    )


def string_to_sign(account: str, asked: StreamedRequest, *, order: Callable[[str], object] = str) -> str:
    """Return what a client signs of a request; `order` sorts the names of `x-ms-` headers."""
    headers = {name: value.strip() for name, value in asked.headers.items()}
    if headers.get("content-length") == "0":
        headers["content-length"] = ""
    if "x-ms-date" in headers:
        headers["date"] = ""
    fixed = [asked.method, *(headers.get(name, "") for name in _SIGNED)]
    own = sorted((name for name in headers if name.startswith("x-ms-")), key=order)  # type: ignore[arg-type]
    named = [f"{name}:{headers[name]}" for name in own]
    return "\n".join([*fixed, *named, f"/{account}{asked.path}", *_parameters(asked.raw_query)])


def _parameters(query: str) -> list[str]:
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        values.setdefault(name.lower(), []).append(value)
    return [f"{name}:{','.join(sorted(values[name]))}" for name in sorted(values)]


def _dashes_last(name: str) -> tuple[str, int]:
    """Sort as the service does, by words: a dash counts only between names that are the same without, `_` is first."""
    return name.replace("-", "").replace("_", " "), name.count("-")


def _check_date(asked: StreamedRequest) -> None:
    text = asked.headers.get("x-ms-date") or asked.headers.get("date", "")
    try:
        given = parsedate_to_datetime(text).timestamp()
    except ValueError:
        raise BlobError("InvalidHeaderValue") from None
    if abs(time.time() - given) > _TOLERANCE_SECONDS:
        raise not_authenticated(f"Request date header too old: '{text}'")
