"""What is remembered of accounts, containers, blobs and blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

_BEGIN: Final = datetime(1, 1, 1, tzinfo=UTC)
_TICKS_A_SECOND: Final = 10_000_000


class _Record:
    """Something kept as JSON."""

    __slots__ = ()
    __dataclass_fields__: Mapping[str, Any]

    def to_json(self) -> bytes:
        # Not `asdict`, which copies deeply: this is the hot path of every write.
        return json.dumps({name: getattr(self, name) for name in self.__dataclass_fields__}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls(**json.loads(data))


@dataclass(frozen=True, kw_only=True, slots=True)
class Account(_Record):
    """A storage account."""

    name: str
    resource: str
    """Its id in Azure Resource Manager: where roles on it are assigned."""
    keys: tuple[str, ...]
    """Base64; any of them signs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Container(_Record):
    """A container."""

    account: str
    name: str
    etag: str
    modified: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob(_Record):
    """A blob as it is now, or one that has uncommitted blocks only."""

    account: str
    container: str
    name: str
    kind: str = "BlockBlob"
    """`BlockBlob` or `AppendBlob`."""
    etag: str
    created: str
    modified: str
    file: str = ""
    """Empty when nothing was committed."""
    size: int = 0
    md5: str | None = None
    """Base64, the property `Content-MD5`; None when the service was not told and did not compute it."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """HTTP headers that its owner sets, such as `content-type`, by name."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    blocks: tuple[tuple[str, int], ...] = ()
    """Ids and sizes of committed blocks, in order; empty for what was put whole."""
    id_length: int = 0
    """Of all ids of its blocks, waiting ones too; 0 while it has none."""
    appended: int = 0
    """How many blocks were appended."""
    lease: Mapping[str, Any] = field(default_factory=dict)
    """See `leases`."""
    copy: Mapping[str, str] = field(default_factory=dict)
    """Of what it was copied: headers by name."""

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        kept = json.loads(data)
        return cls(**{**kept, "blocks": tuple((str(one), int(size)) for one, size in kept["blocks"])})

    @property
    def committed(self) -> bool:
        """Whether it can be read."""
        return bool(self.file)

    @property
    def content_type(self) -> str:
        return self.settings.get("content-type") or "application/octet-stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class Block(_Record):
    """An uncommitted block."""

    id: str
    file: str
    size: int


def ticks(moment: datetime) -> int:
    """Return the tenths of microseconds since the year 1, of which ETags are made."""
    since = moment - _BEGIN
    return (since.days * 86_400 + since.seconds) * _TICKS_A_SECOND + since.microseconds * 10


def quoted(etag: str) -> str:
    """Write an ETag as headers have it."""
    return f'"{etag}"'


def http_date(stamp: str) -> str:
    """Write a kept moment as headers and listings have it: to the second."""
    return f"{datetime.fromisoformat(stamp):%a, %d %b %Y %H:%M:%S} GMT"
