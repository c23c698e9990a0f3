"""Labels, held to what the documentation of BigQuery asks of them."""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from cloudmlops.emulators.google.bigquery.refusals import invalid

_LONGEST: Final = 63
_MOST: Final = 64
_LETTERS: Final = frozenset({"Ll", "Lo", "Lm", "Mn", "Mc"})
"""Small ones, and those of scripts that have no small and large ones, with their marks."""
_RULE: Final = "only lowercase letters, digits, underscores and dashes, at most 63 of them"


def check_labels(labels: Any) -> None:
    """Refuse labels that BigQuery does not take; None stands for one that is taken away.

    Raises:
        Refused: There are too many, or one has a key or a value that cannot be.
    """
    if labels is None:
        return
    if not isinstance(labels, dict):
        raise invalid("Invalid value for labels: it is an object of strings")
    if len(labels) > _MOST:
        raise invalid(f"A resource has at most {_MOST} labels, not {len(labels)}")
    for key, value in labels.items():
        if not key or not _is_plain(key) or not (key[0].isalpha()):
            raise invalid(f"Invalid label key {key!r}: it begins with a letter and has {_RULE}")
        if value is not None and not (isinstance(value, str) and _is_plain(value)):
            raise invalid(f"Invalid value {value!r} of label {key!r}: it has {_RULE}")


def _is_plain(text: str) -> bool:
    return len(text) <= _LONGEST and all(
        letter in "_-" or unicodedata.category(letter) in _LETTERS or unicodedata.category(letter).startswith("N")
        for letter in text
    )
