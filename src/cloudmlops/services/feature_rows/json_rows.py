"""Entity rows that come as JSON, which knows neither bytes nor dates nor times."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from cloudmlops.domain.feature_types import FeatureType
from cloudmlops.errors import InvalidRequestError


def row_reader(kinds: Mapping[str, FeatureType]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that gives a row's columns their declared types where JSON has text for them.

    Bytes are base64, dates and times ISO 8601, times with a zone; what is no text stays as it is.

    Raises:
        InvalidRequestError: (the function) A text is none of its type; all faults are listed.
    """
    converters = {name: _FROM_TEXT[kind] for name, kind in kinds.items() if kind in _FROM_TEXT}

    def read(row: dict[str, Any]) -> dict[str, Any]:
        if not converters:
            return row
        typed = dict(row)
        faults = []
        for name, convert in converters.items():
            if isinstance(text := row.get(name), str):
                try:
                    typed[name] = convert(text)
                except ValueError as error:
                    faults.append(f"column {name!r} has {text!r}: {error}")
        if faults:
            raise InvalidRequestError("an entity row does not fit", faults=faults)
        return typed

    return read


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("it has no time zone; write 2013-07-01T00:00:00+00:00")
    return moment


_FROM_TEXT: Final[Mapping[object, Callable[[str], object]]] = {
    bytes: _bytes,
    date: date.fromisoformat,
    datetime: _aware,
}
