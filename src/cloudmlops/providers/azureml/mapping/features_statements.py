"""The rules of `domain.point_in_time` as SQL, for DuckDB and for Spark: a join, and a reduction. Pure text.

Both engines get the same statements, whose few words that differ are a `Dialect`. Sources come prepared: `k0`… in the
key's order, `ts` and `created` in whole microseconds, `f0`… in the features' order, and `place`, which decides between
rows that are equal in all that rule 3 compares. Columns have names by their place, so that none can clash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cloudmlops.domain.feature_types import FeatureType, is_scalar, type_name
from cloudmlops.domain.features import FeatureView, microseconds

ROW: Final = "row_number"
AT: Final = "moment"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What an engine writes in its own way."""

    types: Mapping[str, str]
    """By the name of a declared scalar type."""
    array: str
    """A list's type, `{}` standing for its items'."""
    struct: str
    """A value of several fields, `{}` standing for all of them."""
    field: str
    """One of them, of a `name` and a `value`."""
    newest: str
    """The last `value` that is not null of a window."""
    quote: str
    """Before and after a name, and written twice within one."""

    def type_of(self, kind: FeatureType) -> str:
        """Return the type that values of a declared one have."""
        name = type_name(kind) or ""
        return self.array.format(self.types[name[5:-1]]) if name.startswith("list[") else self.types[name]

    def record(self, *names: str) -> str:
        """Return a value whose fields are columns, called like them."""
        return self.struct.format(", ".join(self.field.format(name=name, value=name) for name in names))

    def quoted(self, name: str) -> str:
        """Return a name of a user's as it stands in a statement."""
        return f"{self.quote}{name.replace(self.quote, self.quote * 2)}{self.quote}"


_SCALARS: Final = {"int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "date": "DATE"}
DUCKDB: Final = Dialect(
    types={**_SCALARS, "str": "VARCHAR", "bytes": "BLOB", "datetime": "TIMESTAMPTZ"},
    array="{}[]",
    struct="struct_pack({})",
    field="{name} := {value}",
    newest="last_value({value} IGNORE NULLS)",
    quote='"',
)
SPARK: Final = Dialect(
    types={**_SCALARS, "str": "STRING", "bytes": "BINARY", "datetime": "TIMESTAMP"},
    array="ARRAY<{}>",
    struct="named_struct({})",
    field="'{name}', {value}",
    newest="last_value({value}, true)",
    quote="`",
)


def join_statement(views: Sequence[FeatureView], sources: Sequence[str], entities: str, dialect: Dialect) -> str:
    """Return the point-in-time join of all views to the entity rows: rules 2 to 5, without an order of rows.

    Source rows and entity rows are put on one line of time for each key and looked at once, so that the work grows
    with their number and not with the pairs that share a key.

    Args:
        views: The views.
        sources: For each, the relation of its prepared rows.
        entities: The relation of `row_number`, `moment` and the join keys, whose columns are named by
            `entity_columns`.
        dialect: The engine's.

    Returns:
        A query for `row_number`, and for view i its feature j as `v{i}f{j}`.
    """
    columns = entity_columns(views)
    parts: list[str] = []
    outputs: list[str] = []
    joins: list[str] = []
    for number, (view, source) in enumerate(zip(views, sources, strict=True)):
        asked = [columns[name] for name in view.join_keys]
        parts += _view_parts(view, number, source, entities, asked, dialect)
        outputs += [f"known{number}.{name} AS v{number}{name}" for name in _features(view)]
        joins.append(f"LEFT JOIN known{number} ON known{number}.asked = e.{ROW}")
    return (
        "WITH "
        + ",\n".join(parts)
        + f"\nSELECT e.{ROW}, {', '.join(outputs)}\nFROM {entities} AS e\n"
        + "\n".join(joins)
    )


def kept_statement(view: FeatureView, source: str, *, until: int) -> str:
    """Return what an online store must keep of a source at a time: rule 6. It is the same in both dialects.

    Args:
        view: The view.
        source: The relation of its prepared rows.
        until: The greatest time that counts, in microseconds.

    Returns:
        A query for `k0`…, `ts`, `created`, `f0`…, and `newest`, which is true in one row of each key.
    """
    plain = ", ".join([*_keys(view), "ts", "created", *_features(view)])
    window = f"PARTITION BY {', '.join(_keys(view))} ORDER BY {', '.join(_order(view, greatest_first=True))}"
    found = [f"ROW_NUMBER() OVER ({window}) AS rank"]
    wanted = ["rank = 1"]
    if view.nulls == "last_value":
        for name in _features(view):
            earlier = f"{window} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
            found.append(f"COUNT({name}) OVER ({earlier}) AS before_{name}")
            wanted.append(f"({name} IS NOT NULL AND before_{name} = 0)")
    return (
        f"WITH ranked AS (\n  SELECT {plain}, {', '.join(found)}\n  FROM {source} WHERE {_known(view, until)}\n)\n"
        f"SELECT {plain}, rank = 1 AS newest\nFROM ranked\nWHERE {' OR '.join(wanted)}"
    )


def prepared_statement(view: FeatureView, source: str, *, nanoseconds: frozenset[str] = frozenset()) -> str:
    """Return a source's own columns as prepared rows, in Spark's SQL.

    Files have no order there: of rows that are equal in all that rule 3 compares the contents decide.

    Args:
        view: The view.
        source: The relation of its source.
        nanoseconds: Those of its columns that hold times as whole nanoseconds since 1970: times of rows are rounded
            up, for nothing is known before its time; values are rounded down.
    """

    def time(name: str) -> str:
        column = f"s.{SPARK.quoted(name)}"
        return _whole_micros(column, "ceil") if name in nanoseconds else f"unix_micros({column})"

    def value(name: str, kind: FeatureType) -> str:
        column = f"s.{SPARK.quoted(name)}"
        if name not in nanoseconds:
            return f"CAST({column} AS {SPARK.type_of(kind)})"
        if is_scalar(kind):
            return f"timestamp_micros({_whole_micros(column, 'floor')})"
        return f"transform({column}, item -> timestamp_micros({_whole_micros('item', 'floor')}))"

    columns = [f"{value(name, kind)} AS k{place}" for place, (name, kind) in enumerate(view.entity.keys.items())]
    columns.append(f"{time(view.timestamp)} AS ts")
    columns.append(f"{time(view.created) if view.created else 'CAST(NULL AS BIGINT)'} AS created")
    columns += [f"{value(name, kind)} AS f{place}" for place, (name, kind) in enumerate(view.features.items())]
    told_apart = [
        f"s.{SPARK.quoted(name)}" for name, kind in view.features.items() if kind is float or not is_scalar(kind)
    ]
    if told_apart:
        fields = ", ".join(f"'f{place}', {column}" for place, column in enumerate(told_apart))
        columns.append(f"xxhash64(to_json(named_struct({fields}))) AS place")
    else:
        columns.append("CAST(0 AS BIGINT) AS place")
    return f"SELECT {', '.join(columns)} FROM {source} AS s"


def entity_columns(views: Sequence[FeatureView]) -> dict[str, str]:
    """Return the join keys of views and the columns that hold them in the relation of entity rows."""
    names = dict.fromkeys(name for view in views for name in view.join_keys)
    return {name: f"e{place}" for place, name in enumerate(names)}


def _whole_micros(column: str, rounding: str) -> str:
    return f"CAST({rounding}({column} / CAST(1000 AS DECIMAL(4, 0))) AS BIGINT)"


def _view_parts(
    view: FeatureView, number: int, source: str, entities: str, asked: Sequence[str], dialect: Dialect
) -> Iterator[str]:
    delay = microseconds(view.source_delay)
    keys, features = _keys(view), _features(view)
    nothing = ", ".join(f"CAST(NULL AS {dialect.type_of(kind)})" for kind in view.features.values())
    named = ", ".join(f"{column} AS {key}" for key, column in zip(keys, asked, strict=True))
    complete = " AND ".join(f"{column} IS NOT NULL" for column in asked)
    yield (
        f"line{number} AS (\n"
        f"  SELECT {', '.join(keys)}, ts AS {AT}, CAST(NULL AS BIGINT) AS asked, ts, created, "
        f"{', '.join(features)}, place FROM {source} WHERE {_known(view, None)}\n"
        f"  UNION ALL SELECT {named}, {AT} - {delay}, {ROW}, NULL, NULL, {nothing}, NULL FROM {entities} "
        f"WHERE {complete}\n)"
    )
    order = [AT, "CASE WHEN asked IS NULL THEN 0 ELSE 1 END", *list(_order(view, greatest_first=False))[1:]]
    window = (
        f"PARTITION BY {', '.join(keys)} ORDER BY {', '.join(order)} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    )

    def last(condition: str, *names: str) -> str:
        value = f"CASE WHEN {condition} THEN {dialect.record(*names)} END"
        return f"{dialect.newest.format(value=value)} OVER ({window})"

    if view.nulls == "row":
        found = f"{last('asked IS NULL', 'ts', *features)} AS found"
    else:
        found = ", ".join(f"{last(f'{name} IS NOT NULL', 'ts', name)} AS found_{name}" for name in features)
    yield f"seen{number} AS (\n  SELECT asked, {AT}, {found} FROM line{number}\n)"
    told = []
    for name in features:
        holder = "found" if view.nulls == "row" else f"found_{name}"
        if view.ttl is None:
            told.append(f"{holder}.{name} AS {name}")
        else:
            oldest = f"{AT} + {delay - microseconds(view.ttl)}"
            told.append(f"CASE WHEN {holder}.ts >= {oldest} THEN {holder}.{name} END AS {name}")
    yield f"known{number} AS (\n  SELECT asked, {', '.join(told)} FROM seen{number} WHERE asked IS NOT NULL\n)"


def _known(view: FeatureView, until: int | None) -> str:
    """Return which rows of a source belong to somebody."""
    wanted = [f"{name} IS NOT NULL" for name in (*_keys(view), "ts")]
    return " AND ".join(wanted if until is None else [*wanted, f"ts <= {until}"])


def _keys(view: FeatureView) -> list[str]:
    return [f"k{place}" for place in range(len(view.entity.keys))]


def _features(view: FeatureView) -> list[str]:
    return [f"f{place}" for place in range(len(view.features))]


def _order(view: FeatureView, *, greatest_first: bool) -> Iterator[str]:
    """Yield what rows are ordered by: rule 3. To both engines NaN is above infinity.

    Of rows that are equal in it, the one with the least `place` is the greatest.
    """
    way, back = ("DESC NULLS LAST", "ASC") if greatest_first else ("ASC NULLS FIRST", "DESC")
    yield f"ts {way}"
    yield f"created {way}"
    for place, kind in enumerate(view.features.values()):
        if kind is float:
            yield f"CASE WHEN f{place} = 0 THEN CAST(0 AS DOUBLE) ELSE f{place} END {way}"  # -0.0 is 0.0
        elif is_scalar(kind):
            yield f"f{place} {way}"
    yield f"place {back}"
