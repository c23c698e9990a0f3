"""Keys that every object store can hold, and that cannot leave the store's root."""

from __future__ import annotations

import re
from typing import Final

from cloudmlops.errors import InvalidRequestError

_LONGEST_KEY_BYTES: Final = 1000
_LONGEST_PART_BYTES: Final = 255
_LOWEST_PRINTABLE: Final = " "
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
"""Keys that need no closer look, when they are short."""


def key_faults(key: str) -> list[str]:
    """List what is wrong with `key`, in words; empty when every store can hold it."""
    if len(key) <= _LONGEST_PART_BYTES and _PLAIN.fullmatch(key):
        return []
    faults = []
    parts = key.split("/")
    if "" in parts:
        faults.append("it has an empty part: no leading, trailing or double '/'")
    if "." in parts or ".." in parts:
        faults.append("a part is '.' or '..'")
    if "\\" in key or any(letter < _LOWEST_PRINTABLE or letter == "\x7f" for letter in key):
        faults.append("it holds a backslash or a control character")
    if key != key.encode("utf-8", "replace").decode("utf-8"):
        return [*faults, "it is not valid Unicode"]
    if len(key.encode()) > _LONGEST_KEY_BYTES or any(len(part.encode()) > _LONGEST_PART_BYTES for part in parts):
        faults.append(f"it is longer than {_LONGEST_KEY_BYTES} bytes, or a part than {_LONGEST_PART_BYTES}")
    return faults


def checked_key(key: str) -> str:
    """Return `key`; raise `InvalidRequestError` with all faults unless every store can hold it."""
    if faults := key_faults(key):
        raise InvalidRequestError(
            f"{key!r} cannot be the key of an object", faults=faults, hint="Write a relative path such as folder/name."
        )
    return key
