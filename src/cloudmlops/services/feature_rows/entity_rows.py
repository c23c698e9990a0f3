"""Checking what a caller asks features for: Arrow tables for training, dictionaries for online reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from cloudmlops.domain.feature_columns import EVENT_TIME
from cloudmlops.domain.feature_types import FeatureType, type_name
from cloudmlops.domain.features import FeatureService, FeatureView
from cloudmlops.errors import InvalidEntitiesError

_MAX_INT: Final = 2**63 - 1
_SHOWN: Final = 5


def arrow_table(rows: Any, columns: Mapping[str, FeatureType] | None = None) -> Any:
    """Return rows as an Arrow table: from a data frame, a `Dataset`, or a list of dictionaries.

    Args:
        rows: Dictionaries need not have the same columns; where one lacks a column it is null.
        columns: What a list without rows has none of.

    Raises:
        InvalidEntitiesError: They are something else, or a column's values are of several types or cannot be kept; all
            faults are listed.
    """
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return rows
    if hasattr(rows, "__arrow_c_stream__"):
        return pa.table(rows)
    if hasattr(rows, "to_arrow"):
        return rows.to_arrow()
    if isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        return _table_of_rows(rows, columns or {})
    raise InvalidEntitiesError(
        f"rows come as a {type(rows).__name__}",
        hint="Give an Arrow table, a polars or pandas data frame, a Dataset, or a list of dictionaries.",
    )


def _table_of_rows(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, FeatureType]) -> Any:
    import pyarrow as pa

    from cloudmlops.materializers.feature_columns import arrow_type

    if not rows:
        return pa.table({name: pa.array([], arrow_type(kind)) for name, kind in columns.items()})
    found: dict[str, Any] = {}
    faults: list[str] = []
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        naive = [number for number, value in enumerate(values) if isinstance(value, datetime) and value.tzinfo is None]
        if naive and any(isinstance(value, datetime) and value.tzinfo is not None for value in values):
            faults.append(f"column {name!r} has times with and without a zone, {_listed(naive)} without")
            continue
        try:
            found[name] = pa.array([_in_utc(value) for value in values])
        except (ValueError, TypeError, OverflowError) as error:
            faults.append(f"column {name!r} cannot be kept: {error}")
    if faults:
        raise InvalidEntitiesError("rows do not make a table", faults=faults)
    return pa.table(found)


def _in_utc(value: Any) -> Any:
    """Return an aware time in UTC: pyarrow has been seen to drop the offset of another zone (25.0.1, once in a run)."""
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else value


def checked_entities(service: FeatureService, entities: Any) -> tuple[Any, Any]:
    """Check the entity rows of a training table.

    Args:
        service: The features wanted.
        entities: An Arrow table.

    Returns:
        The join keys in their declared types with `event_time` in UTC microseconds, and the request columns in theirs.

    Raises:
        InvalidEntitiesError: A column is missing, has another type, or would be overwritten; a time is null or has no
            time zone. All faults are listed.
    """
    import pyarrow as pa

    from cloudmlops.materializers.feature_columns import Rounding, microsecond_times

    faults: list[str] = []
    keys = _typed_columns("key", service.join_keys, entities, faults)
    request = _typed_columns("request", service.request, entities, faults)
    if (times := _column(EVENT_TIME, "time", entities, faults)) is not None:
        try:
            keys[EVENT_TIME] = microsecond_times(times, Rounding.DOWN)
        except ValueError as error:
            faults.append(f"column {EVENT_TIME!r} {error}")
        if times.null_count:
            faults.append(f"column {EVENT_TIME!r} is null in {times.null_count} rows, {_where(times)}")
    faults += [
        f"column {name!r} would be overwritten by the feature"
        for name in service.columns
        if name in entities.column_names
    ]
    _refuse("entity rows do not fit", service.name, faults)
    return pa.table(keys), request


def checked_rows(view: FeatureView, rows: Any) -> Any:
    """Check rows that are to be written online; return them in their declared types, times in UTC microseconds.

    Raises:
        InvalidEntitiesError: A column is missing or has another type; a key or time is null. All faults are listed.
    """
    import pyarrow as pa

    from cloudmlops.materializers.feature_columns import Rounding, microsecond_times

    faults: list[str] = []
    columns = _typed_columns("key", view.entity.keys, rows, faults)
    columns |= _typed_columns("feature", view.features, rows, faults)
    for name in filter(None, (view.timestamp, view.created)):
        if (times := _column(name, "time", rows, faults)) is not None:
            try:
                columns[name] = microsecond_times(times, Rounding.UP)
            except ValueError as error:
                faults.append(f"column {name!r} {error}")
    faults += [
        f"column {name!r} is null in {nulls} rows, {_where(columns[name])}"
        for name in (*view.entity.keys, view.timestamp)
        if name in columns and (nulls := columns[name].null_count)
    ]
    _refuse("rows do not fit", view.name, faults)
    return pa.table(columns)


def key_reader(service: FeatureService) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, list[Any]]]:
    """Return a function that takes the key and request columns out of rows given as dictionaries, checking their types.

    It raises `InvalidEntitiesError` with all faults: a missing column, or a value of another type.
    """
    kinds = dict(service.join_keys) | dict(service.request)
    accepted = {name: frozenset({_EXACT[type_name(kind) or ""], type(None)}) for name, kind in kinds.items()}
    integers = [name for name, kind in kinds.items() if kind is int]
    moments = [name for name, kind in kinds.items() if kind is datetime]

    def read(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        try:
            columns = {name: [row[name] for row in rows] for name in accepted}
        except (KeyError, TypeError):
            _refuse("entity rows do not fit", service.name, list(_missing(kinds, rows)))
            raise
        for name, allowed in accepted.items():
            if not allowed.issuperset(map(type, columns[name])):
                columns[name] = [_converted(value, kinds[name]) for value in columns[name]]
                if not allowed.issuperset(map(type, columns[name])):
                    _refuse("entity rows do not fit", service.name, list(_mistyped(kinds, rows)))
        for name in integers:
            if any(value is not None and not -_MAX_INT - 1 <= value <= _MAX_INT for value in columns[name]):
                _refuse(
                    "entity rows do not fit", service.name, [f"column {name!r} has an integer of more than 64 bits"]
                )
        for name in moments:
            if naive := [number for number, at in enumerate(columns[name]) if at is not None and at.tzinfo is None]:
                _refuse(
                    "entity rows do not fit",
                    service.name,
                    [f"column {name!r} has times without a zone, {_listed(naive)}; such as datetime(…, tzinfo=UTC)"],
                )
        return columns

    return read


_EXACT: Final = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "bytes": bytes,
    "date": date,
    "datetime": datetime,
}


def _converted(value: Any, kind: FeatureType) -> Any:
    """Turn a value that means the declared type into it: a NumPy scalar, or a whole number for a float."""
    if hasattr(value, "dtype") and hasattr(value, "item"):
        value = value.item()
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return value  # too large for a float: told as an integer where a float is wanted
    return value


def _missing(kinds: Mapping[str, FeatureType], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for number, row in enumerate(rows[:1000]):
        if not isinstance(row, Mapping):
            yield f"row {number} is a {type(row).__name__}, not a dictionary"
        else:
            yield from (f"row {number} lacks column {name!r}" for name in kinds if name not in row)


def _mistyped(kinds: Mapping[str, FeatureType], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for name, kind in kinds.items():
        exact = _EXACT[type_name(kind) or ""]
        wrong = [
            (number, value)
            for number, row in enumerate(rows)
            if (value := _converted(row[name], kind)) is not None and type(value) is not exact
        ]
        if wrong:
            number, value = wrong[0]
            yield (
                f"column {name!r} must be {type_name(kind)}, but row {number} has {type(value).__name__} {value!r}"
                + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else "")
            )


def _typed_columns(what: str, kinds: Mapping[str, FeatureType], table: Any, faults: list[str]) -> dict[str, Any]:
    from cloudmlops.materializers.feature_columns import conformed

    found = {}
    for name, kind in kinds.items():
        if (column := _column(name, what, table, faults)) is not None:
            try:
                found[name] = conformed(column, kind)
            except ValueError as error:
                faults.append(f"{what} column {name!r} {error}")
    return found


def _column(name: str, what: str, table: Any, faults: list[str]) -> Any:
    if (count := table.column_names.count(name)) == 1:
        return table[name]
    state = "there twice" if count else "missing"
    faults.append(f"{what} column {name!r} is {state}; there are: {', '.join(table.column_names)}")
    return None


def _where(column: Any) -> str:
    from itertools import islice

    return _listed([place for place, null in islice(enumerate(column.is_null().to_pylist()), 10**6) if null])


def _listed(places: Sequence[int]) -> str:
    return "rows " + ", ".join(map(str, places[:_SHOWN])) + ("…" if len(places) > _SHOWN else "")


def _refuse(what: str, name: str, faults: Sequence[str]) -> None:
    if faults:
        shown = [*faults[:50], *([f"and {len(faults) - 50} more"] if len(faults) > 50 else [])]
        raise InvalidEntitiesError(f"{what} {name!r}", faults=shown)
