"""What must hold of a blob or container for a request to be done: conditional headers.

learn.microsoft.com, "Specifying conditional headers for Blob service operations"; statuses and codes as recorded:
a create that finds a blob is 409 `BlobAlreadyExists` for `If-None-Match: *`, and 412 `ConditionNotMet` for an ETag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from cloudmlops.emulators.azure.blob.errors import BlobError, NotModified, not_emulated


class Dated(Protocol):
    """What conditions are about."""

    @property
    def etag(self) -> str: ...
    @property
    def modified(self) -> str: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What a request's headers ask for; None is no condition."""

    match: str | None = None
    none_match: str | None = None
    modified_since: datetime | None = None
    unmodified_since: datetime | None = None
    failure: str = "ConditionNotMet"
    """The code of one that does not hold."""

    def check_read(self, current: Dated) -> None:
        """Refuse unless they hold; a reader who has it already is told so by 304."""
        if self.none_match == "*":
            raise BlobError("UnsatisfiableCondition")
        if self.match not in (None, "*", current.etag) or self._changed_too_late(current):
            raise BlobError(self.failure)
        known = [
            self.none_match == current.etag if self.none_match is not None else None,
            not self._changed_since(current) if self.modified_since is not None else None,
        ]
        given = [one for one in known if one is not None]
        if given and all(given):
            raise NotModified

    def check_write(self, current: Dated | None) -> None:
        """Refuse a write unless they hold of what is there; `If-None-Match: *` is for those that create."""
        self._check_combination()
        if current is None:
            if self.match is not None:
                raise BlobError(self.failure)
            return
        if self.none_match is not None:
            failed = self.none_match == current.etag
        elif self.match is not None:
            failed = self.match not in ("*", current.etag)
        else:
            failed = self.modified_since is not None and not self._changed_since(current)
            failed = failed or self._changed_too_late(current)
        if failed:
            raise BlobError(self.failure)

    def check_create(self, current: Dated | None) -> None:
        """Refuse a write that may create, unless they hold."""
        if current is not None and self.none_match == "*":
            raise BlobError("BlobAlreadyExists")
        self.check_write(current)

    def _changed_since(self, current: Dated) -> bool:
        return self.modified_since is None or _second(current) > self.modified_since

    def _changed_too_late(self, current: Dated) -> bool:
        return self.unmodified_since is not None and _second(current) > self.unmodified_since

    def _check_combination(self) -> None:
        """Refuse more than one, but for those pairs of which the first decides."""
        given = {
            name
            for name in ("match", "none_match", "modified_since", "unmodified_since")
            if getattr(self, name) is not None
        }
        if len(given) > 1 and given not in ({"match", "unmodified_since"}, {"none_match", "modified_since"}):
            raise BlobError("MultipleConditionHeadersNotSupported")


def conditions_of(headers: Mapping[str, str], *, start: str = "", failure: str = "ConditionNotMet") -> Conditions:
    """Read conditions from headers; `start` is `x-ms-source-` for those on a copy's source."""
    if headers.get(f"{start or 'x-ms-'}if-tags"):
        raise not_emulated("conditions on tags are")
    return Conditions(
        match=_etag(headers.get(f"{start}if-match")),
        none_match=_etag(headers.get(f"{start}if-none-match")),
        modified_since=_date(headers.get(f"{start}if-modified-since")),
        unmodified_since=_date(headers.get(f"{start}if-unmodified-since")),
        failure=failure,
    )


def _etag(text: str | None) -> str | None:
    if text is not None and "," in text:
        raise BlobError("MultipleConditionHeadersNotSupported")
    return text.strip().removeprefix("W/").strip('"') if text else None


def _date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        raise BlobError("InvalidHeaderValue") from None


def _second(current: Dated) -> datetime:
    return datetime.fromisoformat(current.modified).replace(microsecond=0)
