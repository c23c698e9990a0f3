r"""RE2's regular expressions on single bytes, as full matches.

A pattern is read by RE2's grammar (https://github.com/google/re2/wiki/Syntax) in its mode Latin1 and written for
Python's engine, which has another one: there `$` matches before a last newline, `\s` has a vertical tab, `{,2}`
repeats and `a*+` does not give back. What RE2 refuses, such as references back and looks around, is refused; what does
not change whether a whole text matches, such as the name of a group and greed, is left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

MAX_REPEAT: Final = 1000
MAX_DEPTH: Final = 100
"""Of groups in groups; RE2 itself goes down to 1000."""
_ALL: Final = frozenset(range(256))
_NEWLINE: Final = frozenset({10})
_WORD: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
_PERL: Final = {
    "d": frozenset(b"0123456789"),
    "s": frozenset(b"\t\n\f\r "),
    "w": _WORD,
}
_POSIX: Final = {
    "alnum": _WORD - {95},
    "alpha": frozenset(byte for byte in _WORD if chr(byte).isalpha()),
    "ascii": frozenset(range(128)),
    "blank": frozenset(b"\t "),
    "cntrl": frozenset({*range(32), 127}),
    "digit": _PERL["d"],
    "graph": frozenset(range(33, 127)),
    "lower": frozenset(range(97, 123)),
    "print": frozenset(range(32, 127)),
    "punct": frozenset(byte for byte in range(33, 127) if not chr(byte).isalnum()),
    "space": frozenset(b"\t\n\v\f\r "),
    "upper": frozenset(range(65, 91)),
    "word": _WORD,
    "xdigit": frozenset(b"0123456789ABCDEFabcdef"),
}
_CONTROL: Final = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_REPEAT: Final = re.compile(r"\{(\d+)(,(\d*))?\}")
_FLAGS: Final = re.compile(r"\(\?([imsU]*)(-[imsU]+)?([:)])")
_NAMED: Final = re.compile(r"\(\?P?<(\w+)>", re.ASCII)


class SyntaxRefused(Exception):  # noqa: N818 an answer
    """RE2 does not take the pattern."""


@lru_cache(maxsize=1024)
def full_match(pattern: bytes) -> Callable[[bytes], bool]:
    """Return the test whether a whole text matches.

    Raises:
        SyntaxRefused: RE2 would not take it, for the reason that the message gives in its words.
    """
    matcher = re.compile(_Reader(pattern.decode("latin-1")).read().encode("ascii")).fullmatch
    return lambda text: matcher(text) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mode:
    """Flags in force."""

    fold: bool = False
    lines: bool = False
    dot_all: bool = False


class _Reader:
    """Reads a pattern from its beginning to its end."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._names: set[str] = set()

    def read(self) -> str:
        written = self._alternatives(_Mode(), depth=0)
        if self._at < len(self._pattern):
            raise SyntaxRefused(f"unexpected ): {self._pattern}")
        return written

    def _alternatives(self, mode: _Mode, depth: int) -> str:
        """Read up to the end of a group, or of the pattern; a flag set alone holds as far."""
        if depth > MAX_DEPTH:
            raise SyntaxRefused("expression nests too deeply")
        written: list[str] = []
        while self._at < len(self._pattern) and self._pattern[self._at] != ")":
            rest = self._pattern[self._at :]
            if rest[0] in "*+?" or (rest[0] == "{" and _REPEAT.match(rest)):
                operator = self._repetition()
                if not written or written[-1] == "|":
                    raise SyntaxRefused(f"missing argument to repetition operator: {operator}")
                if (after := self._pattern[self._at :]) and (after[0] in "*+?" or _REPEAT.match(after)):
                    raise SyntaxRefused(f"bad repetition operator: {operator}{after[0]}")
                written[-1] = f"(?:{written[-1]}{operator})"
                continue
            if rest[0] == "|":
                self._at += 1
                written.append("|")
            elif rest.startswith("\\Q"):
                end = self._pattern.find("\\E", self._at + 2)
                literal = self._pattern[self._at + 2 : end if end >= 0 else None]
                self._at = end + 2 if end >= 0 else len(self._pattern)
                written += [_one_of(frozenset({ord(character)}), mode) for character in literal]
            elif (flags := _FLAGS.match(rest)) and flags[3] == ")":
                self._at += flags.end()
                mode = _with_flags(mode, flags)
            elif rest[0] == "(":
                written.append(self._group(mode, depth))
            else:
                written.append(self._atom(mode))
        return "".join(written)

    def _group(self, mode: _Mode, depth: int) -> str:
        start, rest = self._at, self._pattern[self._at :]
        if flags := _FLAGS.match(rest):
            self._at += flags.end()
            mode = _with_flags(mode, flags)
        elif named := _NAMED.match(rest):
            if named[1] in self._names:
                raise SyntaxRefused(f"duplicate capture group name: {named[1]}")
            self._names.add(named[1])
            self._at += named.end()
        elif rest.startswith("(?"):
            raise SyntaxRefused(f"invalid perl operator: {rest[:3]}")
        else:
            self._at += 1
        written = self._alternatives(mode, depth + 1)
        if self._at >= len(self._pattern):
            raise SyntaxRefused(f"missing ): {self._pattern[start:]}")
        self._at += 1
        return f"(?:{written})"

    def _repetition(self) -> str:
        """Read an operator; greed does not matter to full matches."""
        rest = self._pattern[self._at :]
        if counted := _REPEAT.match(rest):
            self._at += counted.end()
            least, most = int(counted[1]), int(counted[3]) if counted[3] else None
            if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
                raise SyntaxRefused(f"invalid repetition size: {counted[0]}")
            operator = counted[0]
        else:
            self._at += 1
            operator = rest[0]
        if self._pattern[self._at : self._at + 1] == "?":
            self._at += 1
        return operator

    def _atom(self, mode: _Mode) -> str:
        character = self._pattern[self._at]
        if character == "[":
            return _one_of(self._class(mode), mode)
        self._at += 1
        match character:
            case ".":
                return _written(_ALL if mode.dot_all else _ALL - _NEWLINE)
            case "^":
                return r"(?:(?m:^))" if mode.lines else r"(?:\A)"
            case "$":
                return r"(?:(?m:$))" if mode.lines else r"(?:\Z)"
            case "\\":
                return self._escape(mode)
            case _:
                return _one_of(frozenset({ord(character)}), mode)

    def _escape(self, mode: _Mode) -> str:
        """Read what follows a backslash outside of a class."""
        match self._pattern[self._at : self._at + 1]:
            case "A":
                written = r"(?:\A)"
            case "z":
                written = r"(?:\Z)"
            case "b":
                written = r"(?:\b)"
            case "B":
                written = r"(?:(?!\b))"
            case "C":
                written = _written(_ALL)
            case _:
                return _one_of(self._escaped(), mode)
        self._at += 1
        return written

    def _escaped(self) -> frozenset[int]:
        """Read what follows a backslash, and stands for bytes."""
        rest = self._pattern[self._at :]
        if not rest:
            raise SyntaxRefused("trailing \\ at end of regexp")
        character = rest[0]
        if (members := _PERL.get(character.lower())) is not None:
            self._at += 1
            return members if character.islower() else _ALL - members
        if character in _CONTROL:
            self._at += 1
            return frozenset({_CONTROL[character]})
        if character in "pP":
            return self._category()
        if found := re.match(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})", rest):
            self._at += found.end()
            code = int(found[1] or found[2], 16)
            if code > 0x10FFFF:
                raise SyntaxRefused(f"invalid escape sequence: \\{found[0]}")
            return frozenset({code}) & _ALL
        if found := re.match(r"0[0-7]{0,2}|[1-7][0-7]{1,2}", rest):
            self._at += found.end()
            return frozenset({int(found[0], 8)}) & _ALL
        if ord(character) < 128 and not character.isalnum():
            self._at += 1
            return frozenset({ord(character)})
        raise SyntaxRefused(f"invalid escape sequence: \\{character}")

    def _category(self) -> frozenset[int]:
        """Read a category of Unicode, of which the first 256 characters matter."""
        found = re.match(r"([pP])(?:\{(\^?)(\w+)\}|(\w))", self._pattern[self._at :])
        name = (found[3] or found[4]) if found else ""
        if not found or not (name == "Any" or re.fullmatch("[LMNPSZC][a-z]?", name)):
            raise SyntaxRefused(f"invalid character class range: \\{found[0] if found else 'p'}")
        self._at += found.end()
        members = frozenset(code for code in _ALL if name == "Any" or unicodedata.category(chr(code)).startswith(name))
        return members if (found[1] == "p") != (found[2] == "^") else _ALL - members

    def _class(self, mode: _Mode) -> frozenset[int]:
        """Read a class in brackets."""
        start = self._at
        self._at += 1
        negated = self._pattern.startswith("^", self._at)
        self._at += negated
        members: set[int] = set()
        first = True
        while first or not self._pattern.startswith("]", self._at):
            first = False
            if self._at >= len(self._pattern):
                raise SyntaxRefused(f"missing ]: {self._pattern[start:]}")
            if found := re.compile(r"\[:(\^?)(\w+):\]").match(self._pattern, self._at):
                if found[2] not in _POSIX:
                    raise SyntaxRefused(f"invalid character class range: {found[0]}")
                self._at = found.end()
                members |= _ALL - _POSIX[found[2]] if found[1] else _POSIX[found[2]]
                continue
            members |= self._range(start)
        self._at += 1
        chosen = _folded(frozenset(members)) if mode.fold else frozenset(members)
        return _ALL - chosen if negated else chosen

    def _range(self, start: int) -> frozenset[int]:
        """Read one member of a class, or a range of them."""
        begun = self._at
        low = self._member(start)
        rest = self._pattern[self._at :]
        if len(low) != 1 or not rest.startswith("-") or rest.startswith("-]") or len(rest) < 2:
            return low
        self._at += 1
        high = self._member(start)
        if len(high) != 1 or min(high) < min(low):
            raise SyntaxRefused(f"invalid character class range: {self._pattern[begun : self._at]}")
        return frozenset(range(min(low), min(high) + 1))

    def _member(self, start: int) -> frozenset[int]:
        if self._at >= len(self._pattern):
            raise SyntaxRefused(f"missing ]: {self._pattern[start:]}")
        character = self._pattern[self._at]
        self._at += 1
        return self._escaped() if character == "\\" else frozenset({ord(character)})


def _with_flags(mode: _Mode, flags: re.Match[str]) -> _Mode:
    for letters, on in ((flags[1], True), (flags[2] or "", False)):
        for letter in letters:
            match letter:
                case "i":
                    mode = replace(mode, fold=on)
                case "m":
                    mode = replace(mode, lines=on)
                case "s":
                    mode = replace(mode, dot_all=on)
    return mode


def _folded(members: frozenset[int]) -> frozenset[int]:
    """Add the other case of letters of ASCII."""
    return members | {byte ^ 32 for byte in members if byte in _POSIX["alpha"]}


def _one_of(members: frozenset[int], mode: _Mode) -> str:
    return _written(_folded(members) if mode.fold else members)


def _written(members: frozenset[int]) -> str:
    if not members:
        return r"(?:(?!))"
    ranges: list[list[int]] = []
    for byte in sorted(members):
        if ranges and byte == ranges[-1][1] + 1:
            ranges[-1][1] = byte
        else:
            ranges.append([byte, byte])
    return "[" + "".join(f"\\x{low:02x}-\\x{high:02x}" for low, high in ranges) + "]"
