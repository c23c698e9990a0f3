"""Names of runs, steps and pipelines as Vertex AI's: no underscores there, and back without loss."""

from __future__ import annotations

import re
from typing import Final

_SEPARATORS: Final = re.compile(r"[-_]+")
_WRITTEN: Final = re.compile(r"---([du]+)-|--|-")
_ATTEMPT: Final = re.compile(r"(.*)-r---([0-9]+)")
_LETTERS: Final = {"-": "d", "_": "u"}
_CHARACTERS: Final = {letter: character for character, letter in _LETTERS.items()}


def encoded(name: str) -> str:
    """Write a name of ours in lower-case letters, digits and hyphens: `two_places` is `two--places`.

    Several separators in a row, which are rare, are spelt: `a-_b` is `a---du-b`.
    """

    def write(found: re.Match[str]) -> str:
        text = found[0]
        if len(text) == 1:
            return "-" if text == "-" else "--"
        return f"---{''.join(_LETTERS[character] for character in text)}-"

    return _SEPARATORS.sub(write, name)


def decoded(name: str) -> str:
    """Read what `encoded` wrote."""

    def read(found: re.Match[str]) -> str:
        if found[1]:
            return "".join(_CHARACTERS[letter] for letter in found[1])
        return "_" if found[0] == "--" else "-"

    return _WRITTEN.sub(read, name)


def job_of(run: str, attempt: int = 1) -> str:
    """Return the id of the pipeline job of a run; each resume is a job of its own."""
    return encoded(run) if attempt == 1 else f"{encoded(run)}-r---{attempt}"


def run_of(job: str) -> str:
    """Return the run that a job belongs to."""
    found = _ATTEMPT.fullmatch(job)
    return decoded(found[1] if found else job)


def attempt_of(job: str) -> int:
    """Return which of a run's jobs one is, counted from 1."""
    found = _ATTEMPT.fullmatch(job)
    return int(found[2]) if found else 1
