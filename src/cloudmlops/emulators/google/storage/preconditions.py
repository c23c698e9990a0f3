"""What must hold of an object or bucket for a request to be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from cloudmlops.emulators.core.faults import Refused


class Numbered(Protocol):
    """What conditions are about."""

    @property
    def generation(self) -> int: ...
    @property
    def metageneration(self) -> int: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """Asked numbers; None is no condition. Generation 0 stands for no live object."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    def check(self, current: Numbered | None, *, reading: bool = False) -> None:
        """Refuse unless all hold; a reader is told that nothing has changed by 304."""
        generation = current.generation if current is not None else 0
        metageneration = current.metageneration if current is not None else None
        if self.generation_match is not None and self.generation_match != generation:
            raise not_met()
        if self.metageneration_match is not None and self.metageneration_match != metageneration:
            raise not_met()
        unchanged = (
            self.generation_not_match is not None and self.generation_not_match == generation,
            self.metageneration_not_match is not None and self.metageneration_not_match == metageneration,
        )
        if any(unchanged):
            raise Refused("FAILED_PRECONDITION", "Not Modified", reason="notModified") if reading else not_met()


NONE: Final = Conditions()
_MISWRITTEN: Final = {"ifMetaGenerationNotMatch": "ifMetagenerationNotMatch"}
"""Google's own Python client writes it so when it uploads."""


def of_query(query: Mapping[str, str], start: str = "if") -> Conditions:
    """Read the conditions of a JSON request; `start` is `ifSource` for those on a copy's source."""
    query = {_MISWRITTEN.get(name, name): value for name, value in query.items()}
    return Conditions(
        generation_match=_number(query, f"{start}GenerationMatch"),
        generation_not_match=_number(query, f"{start}GenerationNotMatch"),
        metageneration_match=_number(query, f"{start}MetagenerationMatch"),
        metageneration_not_match=_number(query, f"{start}MetagenerationNotMatch"),
    )


def of_headers(headers: Mapping[str, str], start: str = "x-goog-if") -> Conditions:
    """Read the conditions of an XML request; `start` is `x-goog-copy-source-if` for those on a copy's source."""
    return Conditions(
        generation_match=_number(headers, f"{start}-generation-match"),
        metageneration_match=_number(headers, f"{start}-metageneration-match"),
    )


def check_tags(headers: Mapping[str, str], etag: str) -> None:
    """Refuse what `If-Match` and `If-None-Match` of a reader exclude."""
    if (wanted := headers.get("if-match")) is not None and not _names(wanted, etag):
        raise not_met()
    if (known := headers.get("if-none-match")) is not None and _names(known, etag):
        raise Refused("FAILED_PRECONDITION", "Not Modified", reason="notModified")


def not_met() -> Refused:
    """What is answered where a condition does not hold."""
    return Refused(
        "FAILED_PRECONDITION",
        "At least one of the pre-conditions you specified did not hold.",
        reason="conditionNotMet",
    )


def _names(wanted: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in wanted.split(",")}
    return "*" in tags or etag.strip('"') in tags


def _number(given: Mapping[str, str], name: str) -> int | None:
    if (text := given.get(name)) is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise Refused("INVALID_ARGUMENT", f"Invalid value for {name}: {text!r}", reason="invalid") from None
