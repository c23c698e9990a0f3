"""Functions of texts and bytes that DuckDB has not, or has otherwise."""

from __future__ import annotations

import base64
import binascii
import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Final

_DELIMITERS: Final = frozenset(' \t\n\r\f\v[](){}/|<>!?@"^#$&~_,.:;*%+-\\')
_SOUNDS: Final = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "01230120022455012623010202", strict=True))
_FORMS: Final = ("NFC", "NFKC", "NFD", "NFKD")


def sha512(data: bytes) -> bytes:
    """SHA512."""
    return hashlib.sha512(data).digest()


def initcap(text: str, delimiters: str) -> str:
    """INITCAP: a capital after each delimiter, small letters elsewhere; no delimiters are the usual ones."""
    ends = frozenset(delimiters) or _DELIMITERS
    made, first = [], True
    for letter in text:
        made.append(letter.upper() if first else letter.lower())
        first = letter in ends
    return "".join(made)


def reversed_text(text: str) -> str:
    """REVERSE, by code points."""
    return text[::-1]


def normalize(text: str, form: str) -> str:
    """NORMALIZE."""
    if form not in _FORMS:
        raise ValueError(f"Invalid normalize mode: {form}")
    return unicodedata.normalize(form, text)  # type: ignore[arg-type] # one of the four


def contains_substr(text: str, part: str) -> bool:
    """CONTAINS_SUBSTR of a STRING: without regard to case and to how characters are composed."""
    return _folded(part) in _folded(text)


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    if any(unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f" for letter in text):
        raise ValueError("not emulated: CONTAINS_SUBSTR of characters that are not seen")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def character(point: int) -> str | None:
    """CHR."""
    return code_points_to_string([point]) if point else ""


def code_points(text: str) -> list[int]:
    """TO_CODE_POINTS of a STRING."""
    return [ord(letter) for letter in text]


def byte_points(data: bytes) -> list[int]:
    """TO_CODE_POINTS of BYTES."""
    return list(data)


def code_points_to_string(points: Sequence[int | None]) -> str | None:
    """CODE_POINTS_TO_STRING: NULL when one of them is."""
    made = []
    for point in points:
        if point is None:
            return None
        if not 0 <= point <= 0x10FFFF or 0xD800 <= point <= 0xDFFF:
            raise ValueError(f"Invalid codepoint {point}")
        made.append(chr(point))
    return "".join(made)


def code_points_to_bytes(points: Sequence[int | None]) -> bytes | None:
    """CODE_POINTS_TO_BYTES: NULL when one of them is."""
    made = []
    for point in points:
        if point is None:
            return None
        if not 0 <= point <= 255:
            raise ValueError(f"Invalid ASCII value {point}")
        made.append(point)
    return bytes(made)


def translate(text: str, source: str, target: str) -> str:
    """TRANSLATE: characters of `source` become those of `target` at the same place, or go."""
    for place, letter in enumerate(source):
        if letter in source[:place]:
            raise ValueError(f"Duplicate character {letter} in TRANSLATE source characters")
    changes = {letter: target[place] if place < len(target) else "" for place, letter in enumerate(source)}
    return "".join(changes.get(letter, letter) for letter in text)


def edit_distance(one: str | None, other: str | None, most: int | None) -> int | None:
    """EDIT_DISTANCE: Levenshtein's, at most `most`."""
    if one is None or other is None or most is None:
        return None
    if most < 0:
        raise ValueError("max_distance must be non-negative")
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        before, row[0] = row[0], place
        for column, against in enumerate(other, start=1):
            cost = min(row[column] + 1, row[column - 1] + 1, before + (letter != against))
            before, row[column] = row[column], cost
    return min(row[-1], most)


def soundex(text: str) -> str:
    """SOUNDEX: a letter and three digits; nothing of a text without letters."""
    made, previous = "", "0"
    for letter in text:
        code = _SOUNDS.get(letter.upper()) if letter.isascii() else None
        if code is None:
            continue
        if not made:
            made = letter
        elif code not in {"0", previous}:
            made += code
        else:
            continue
        previous = code
        if len(made) == 4:
            break
    return made.ljust(4, "0") if made else ""


def instr(text: str, part: str, position: int, occurrence: int) -> int:
    """INSTR: the place of an occurrence, which may overlap the one before; a `position` below 0 counts from the end."""
    if occurrence < 1:
        raise ValueError("Occurrence must be positive")
    if not position:
        raise ValueError("Position must be non-zero")
    if position > 0:
        place = position - 2
        for _ in range(occurrence):
            place = text.find(part, place + 1) if place + 1 <= len(text) else -1
            if place < 0:
                return 0
        return place + 1
    start = len(text) + position + (0 if part else 1)
    if start < 0:
        return 0
    place = start + 1
    for _ in range(occurrence):
        place = text.rfind(part, 0, place - 1 + len(part)) if place > 0 else -1
        if place < 0:
            return 0
    return place + 1


def joined(parts: Sequence[str | None], separator: str) -> str:
    """ARRAY_TO_STRING, without the NULLs."""
    return separator.join(part for part in parts if part is not None)


def to_base32(data: bytes) -> str:
    """TO_BASE32."""
    return base64.b32encode(data).decode("ascii")


def from_base32(text: str) -> bytes:
    """FROM_BASE32."""
    try:
        return base64.b32decode(text)
    except binascii.Error as error:
        raise ValueError("Failed to decode invalid base32 string") from error


def repaired(data: bytes) -> str:
    """SAFE_CONVERT_BYTES_TO_STRING: what is no UTF-8 becomes U+FFFD."""
    return data.decode("utf-8", errors="replace")
