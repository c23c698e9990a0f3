"""Which feature values were known at a time: the reference join, as plain as it can be said.

Every engine is tested against it. The rules, by the numbers that other modules call them:

1. Times are aware and become whole microseconds since 1970 in UTC: a source's finer times are rounded up, an entity
   row's down, so that nothing is known before its time.
2. For an entity row (key, t) the candidates are rows with the same typed key tuple, `ts <= t - source_delay` and, with
   a ttl, `ts >= t - ttl`; both inclusive.
3. Of them the greatest counts: by `ts`, then `created` (null last), then the scalar features in order (null last, NaN
   above infinity, -0.0 as 0.0). Lists never decide. `created` breaks ties and nothing else.
4. `nulls="row"` takes that row as it is; `nulls="last_value"` takes per feature the first value that is not null, in
   the order of rule 3.
5. A training table has one row per entity row, in order; null where there is no candidate or the key has a null part.
6. An online store holds what is known at a time, reduced by rules 3 and 4; whatever is written, the greater row stays.
7. What is read online is what rules 2 to 4 say of the rows written; each value says how it stands, and since when.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from cloudmlops.domain.feature_types import is_scalar
from cloudmlops.domain.features import FeatureView, microseconds

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class FeatureStatus(StrEnum):
    """What an online value, or the lack of one, means."""

    PRESENT = "present"
    NULL = "null"
    """The entity is known, and the value is null."""
    MISSING = "missing"
    """Nothing is known of the entity."""
    EXPIRED = "expired"
    """What is known is older than the ttl; the value is None."""


@dataclass(frozen=True, slots=True)
class FeatureValue:
    """One feature of one entity, as read online."""

    value: Any
    status: FeatureStatus
    event_time: datetime | None
    """From when on the value was known, or null was; None when nothing is known."""


class FeatureRow(NamedTuple):
    """One row of a source: what became known of a key at a time."""

    ts: int
    """Microseconds since 1970, UTC."""
    created: int | None
    """Likewise; breaks ties and nothing else."""
    values: tuple[Any, ...]
    """One a feature of the view, in its order."""


def to_microseconds(at: datetime) -> int:
    """Return an aware time as microseconds since 1970, UTC."""
    return microseconds(at - _EPOCH)


def to_datetime(at: int) -> datetime:
    """Return microseconds since 1970 as a time in UTC."""
    return _EPOCH + timedelta(microseconds=at)


def rank(view: FeatureView, row: FeatureRow) -> tuple[Any, ...]:
    """Return what rows are compared by, the greatest first: rule 3.

    Time, then the created time (null last), then the scalar features in order (null last, NaN above infinity).
    """
    scalars = [_order(value) for value, kind in zip(row.values, view.features.values(), strict=True) if is_scalar(kind)]
    return (row.ts, _order(row.created), *scalars)


def known_at(view: FeatureView, rows: Iterable[FeatureRow], at: int) -> list[FeatureRow]:
    """Return the rows of one key that are known at a time, whatever their age, greatest first.

    Of rows that are equal in all that is compared, the one that the source has first comes first.
    """
    newest = at - microseconds(view.source_delay)
    return sorted((row for row in rows if row.ts <= newest), key=lambda row: rank(view, row), reverse=True)


def candidates(view: FeatureView, rows: Iterable[FeatureRow], at: int) -> list[FeatureRow]:
    """Return the rows of one key that hold at a time, greatest first: rules 2 and 3."""
    oldest = None if view.ttl is None else at - microseconds(view.ttl)
    return [row for row in known_at(view, rows, at) if oldest is None or row.ts >= oldest]


def as_of(view: FeatureView, rows: Iterable[FeatureRow], at: int) -> tuple[Any, ...]:
    """Return the feature values of one key at a time; None where nothing holds: rule 4."""
    held = candidates(view, rows, at)
    if not held:
        return (None,) * len(view.features)
    if view.nulls == "row":
        return held[0].values
    return tuple(_first_known(held, place) for place in range(len(view.features)))


def served(view: FeatureView, rows: Iterable[FeatureRow], at: int) -> tuple[FeatureValue, ...]:
    """Return the feature values of one key at a time with their status and event time: rule 7."""
    known = known_at(view, rows, at)
    if not known:
        return (FeatureValue(None, FeatureStatus.MISSING, None),) * len(view.features)
    return tuple(_served_one(view, known, place, at) for place in range(len(view.features)))


def reduced(view: FeatureView, rows: Iterable[FeatureRow]) -> list[FeatureRow]:
    """Return those of one key's rows that an online store must keep, greatest first: rule 6.

    The greatest row, and with `nulls="last_value"` the greatest one that has a value, for each feature. Whoever merges
    two such lists and reduces them again has the same as from all rows at once, in any order.
    """
    known = sorted(rows, key=lambda row: rank(view, row), reverse=True)
    if view.nulls == "row":
        return known[:1]
    kept: list[FeatureRow] = []
    missing = set(range(len(view.features)))
    for row in known:
        supplied = {place for place in missing if row.values[place] is not None}
        if supplied or not kept:
            kept.append(row)
        missing -= supplied
    return kept


def training_rows(
    view: FeatureView,
    source: Iterable[tuple[tuple[Any, ...], FeatureRow]],
    entities: Sequence[tuple[tuple[Any, ...], int]],
) -> list[tuple[Any, ...]]:
    """Return the feature values of each entity row, in order: rules 2 to 5.

    Args:
        view: The features.
        source: Key and row; a row whose key has a null part belongs to nobody.
        entities: Key and time of each entity row; with a null part in its key it gets nulls.
    """
    of: dict[tuple[Any, ...], list[FeatureRow]] = {}
    for key, row in source:
        of.setdefault(_typed(key), []).append(row)
    return [as_of(view, () if None in key else of.get(_typed(key), ()), at) for key, at in entities]


def _typed(key: tuple[Any, ...]) -> tuple[Any, ...]:
    # True == 1 in Python, and would be one key.
    return tuple((type(part), part) for part in key)


def _first_known(held: Iterable[FeatureRow], place: int) -> Any:
    return next((row.values[place] for row in held if row.values[place] is not None), None)


def _served_one(view: FeatureView, known: Sequence[FeatureRow], place: int, at: int) -> FeatureValue:
    row = known[0]
    if view.nulls == "last_value":
        row = next((row for row in known if row.values[place] is not None), row)
    when = to_datetime(row.ts)
    if view.ttl is not None and row.ts < at - microseconds(view.ttl):
        return FeatureValue(None, FeatureStatus.EXPIRED, when)
    value = row.values[place]
    return FeatureValue(value, FeatureStatus.NULL if value is None else FeatureStatus.PRESENT, when)


def _order(value: Any) -> tuple[Any, ...]:
    if value is None:
        return (0,)
    if isinstance(value, float) and math.isnan(value):
        return (2,)
    return (1, value)
