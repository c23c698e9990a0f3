"""What is remembered of buckets and of each generation of an object."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """A bucket."""

    name: str
    project: str
    project_number: str
    metageneration: int
    created: str
    updated: str
    settings: Mapping[str, Any]
    """What its owner may set, as the JSON API has it."""
    policy: Mapping[str, Any] = field(default_factory=lambda: {"version": 1, "bindings": []})
    """Who may do what: recorded, not enforced."""

    @property
    def generation(self) -> int:
        """A bucket has one life only."""
        return 1

    @property
    def versioned(self) -> bool:
        """Whether what is overwritten or deleted is kept."""
        return bool(self.settings.get("versioning", {}).get("enabled"))

    @property
    def retention(self) -> timedelta | None:
        """How long each object must stay as it is."""
        seconds = int(self.settings.get("retentionPolicy", {}).get("retentionPeriod", 0))
        return timedelta(seconds=seconds) if seconds else None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls(**json.loads(data))


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One generation of an object."""

    bucket: str
    name: str
    generation: int
    metageneration: int = 1
    size: int
    crc32c: str
    md5: str | None
    """None for what was composed."""
    file: str
    created: str
    updated: str
    deleted: str | None = None
    """When another took its place, or it was deleted, in a bucket that keeps versions."""
    components: int | None = None
    hold_released: str | None = None
    """From when retention counts, for what was under an event-based hold."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What its owner may set, as the JSON API has it."""

    @property
    def etag(self) -> str:
        """As the JSON API has it."""
        return f"{self.generation:x}-{self.metageneration:x}"

    @property
    def xml_etag(self) -> str:
        """As the XML API has it: the MD5 sum of what was not composed."""
        if self.md5 is None:
            return f'"-{self.generation:x}"'
        return f'"{base64.b64decode(self.md5).hex()}"'

    @property
    def content_type(self) -> str:
        return str(self.settings.get("contentType") or "application/octet-stream")

    def to_json(self) -> bytes:
        # Not `asdict`, which copies deeply: this is the hot path of every write.
        return json.dumps({name: getattr(self, name) for name in self.__dataclass_fields__}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls(**json.loads(data))


def stamp(when: datetime) -> str:
    """Write a moment as the API does."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z"


def moment(text: str) -> datetime:
    """Read a moment."""
    return datetime.fromisoformat(text)


def held_until(bucket: Bucket, version: Version) -> datetime | None:
    """Return until when retention keeps a version as it is; None when it does not, or not yet."""
    if bucket.retention is None or version.settings.get("eventBasedHold"):
        return None
    return moment(version.hold_released or version.created) + bucket.retention
