"""Which objects there are: by prefix, folded at a delimiter, in pages that stay right while objects come and go."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.storage.catalogue import Catalogue
from cloudmlops.emulators.google.storage.records import Version
from cloudmlops.emulators.google.storage.resources import object_resource
from cloudmlops.emulators.google.storage.wire import Answer, Asked, answer_json

_LARGEST_PAGE: Final = 1000
_LAST: Final = "\U0010fffe"
_REFUSED: Final = ("softDeleted", "filter")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be listed."""

    prefix: str = ""
    delimiter: str = ""
    first: str = ""
    """From this name on."""
    end: str = ""
    """Before this name; empty is no end."""
    after: str = ""
    """Behind this name or folder."""
    versions: bool = False
    trailing: bool = False
    """Whether what ends with the delimiter is told as an object, too."""
    pattern: re.Pattern[str] | None = None
    count: int = _LARGEST_PAGE


@dataclass(kw_only=True, slots=True)
class Page:
    """What was found."""

    objects: list[Version] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    next: str | None = None
    """The last name or folder, when there is more behind it."""


def find(catalogue: Catalogue, bucket: str, wanted: Wanted) -> Page:
    """Collect a page; a name's versions are never torn apart."""
    catalogue.bucket(bucket)
    page = Page()
    last = ""
    for version in _candidates(catalogue, bucket, wanted):
        folder = _folder(version.name, wanted)
        place = folder or version.name
        if folder is not None and folder in page.folders[-1:]:
            if wanted.trailing and version.name == folder:
                page.objects.append(version)
            continue
        if place != last and len(page.objects) + len(page.folders) >= wanted.count:
            page.next = last
            return page
        if folder is not None:
            page.folders.append(folder)
        if folder is None or (wanted.trailing and version.name == folder):
            page.objects.append(version)
        last = place
    return page


def list_(catalogue: Catalogue, asked: Asked, *, bucket: str) -> Answer:
    """Answer `objects.list`."""
    query = asked.query
    for name in _REFUSED:
        if query.get(name, "false").lower() not in ("", "false"):
            raise Refused("UNIMPLEMENTED", f"objects.list with {name} is not emulated", reason="notImplemented")
    found = find(
        catalogue,
        bucket,
        Wanted(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            first=query.get("startOffset", ""),
            end=query.get("endOffset", ""),
            after=read_token(query.get("pageToken", "")),
            versions=asked.flag("versions"),
            trailing=asked.flag("includeTrailingDelimiter"),
            pattern=glob(query["matchGlob"]) if query.get("matchGlob") else None,
            count=page_size(query.get("maxResults")),
        ),
    )
    of = catalogue.bucket(bucket)
    page: dict[str, Any] = {"kind": "storage#objects"}
    if found.objects:
        page["items"] = [object_resource(version, of, asked.base) for version in found.objects]
    if found.folders:
        page["prefixes"] = found.folders
    if found.next is not None:
        page["nextPageToken"] = token(found.next)
    return answer_json(page)


def page_size(text: str | None) -> int:
    """Read how many are wanted."""
    if text is None:
        return _LARGEST_PAGE
    if not text.isdecimal() or not int(text):
        raise Refused("INVALID_ARGUMENT", f"Invalid value for maxResults: {text!r}", reason="invalid")
    return min(int(text), _LARGEST_PAGE)


def token(place: str) -> str:
    """Write where a page ended."""
    return base64.urlsafe_b64encode(place.encode()).decode()


def read_token(text: str) -> str:
    """Read where a page ended."""
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise Refused("INVALID_ARGUMENT", f"Invalid page token: {text!r}", reason="invalid") from None


def glob(pattern: str) -> re.Pattern[str]:
    """Translate `matchGlob`: `*` within a folder, `**` across folders, `?`, `[a-z]`, `{one,two}`."""
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|\{|\}|,|\\.|.", pattern, re.DOTALL)
    out, depth = [], 0
    plain = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    for item in tokens:
        if item in plain:
            out.append(plain[item])
        elif item == "{":
            depth += 1
            out.append("(?:")
        elif item == "}" and depth:
            depth -= 1
            out.append(")")
        elif item == "," and depth:
            out.append("|")
        elif item.startswith("[") and item.endswith("]"):
            out.append(
                "[" + ("^" if item[1] == "!" else "") + re.escape(item[1:-1].lstrip("!")).replace(r"\-", "-") + "]"
            )
        else:
            out.append(re.escape(item.removeprefix("\\") or item))
    if depth:
        raise Refused("INVALID_ARGUMENT", f"Invalid matchGlob: {pattern!r}", reason="invalid")
    return re.compile("".join(out), re.DOTALL)


def _candidates(catalogue: Catalogue, bucket: str, wanted: Wanted) -> Iterator[Version]:
    after = wanted.after
    if wanted.delimiter and after.endswith(wanted.delimiter) and len(after) > len(wanted.prefix):
        after += _LAST  # a folder was told: what lies in it is behind us
    if wanted.versions:
        found: Iterator[Version] = iter(catalogue.versions(bucket, wanted.prefix))
    else:
        found = catalogue.live(bucket, wanted.prefix, after=after, first=wanted.first)
    for version in found:
        name = version.name
        if name <= after or name < wanted.first:
            continue
        if wanted.end and name >= wanted.end:
            return
        if wanted.pattern is None or wanted.pattern.fullmatch(name):
            yield version


def _folder(name: str, wanted: Wanted) -> str | None:
    if not wanted.delimiter:
        return None
    before, found, _ = name[len(wanted.prefix) :].partition(wanted.delimiter)
    return f"{wanted.prefix}{before}{found}" if found else None
