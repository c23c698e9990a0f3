"""The rules of `domain.point_in_time` as BigQuery's SQL: one statement for a join, one for a reduction. Pure text.

Times are whole microseconds as INT64 throughout, so that no ttl leaves the years that a TIMESTAMP can have. Columns
have names by their place (`k0`, `f0`), so that none can clash; the names of users stand where a source is read only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cloudmlops.domain.feature_types import FeatureType, is_scalar, type_name
from cloudmlops.domain.features import FeatureView, microseconds
from cloudmlops.providers.vertex.mapping.served_rows import rows_sql

SQL_TYPES: Final = {
    "int": "INT64",
    "float": "FLOAT64",
    "bool": "BOOL",
    "str": "STRING",
    "bytes": "BYTES",
    "date": "DATE",
    "datetime": "TIMESTAMP",
}
ROW: Final = "row_number"
AT: Final = "moment"
_EARLIEST: Final = -62_135_596_800_000_000
LATEST: Final = 253_402_300_799_999_999
"""The times that a TIMESTAMP can be, in microseconds since 1970."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """A view and what its rows are read from."""

    view: FeatureView
    source: str
    """What stands after FROM: a quoted table, or a query in brackets."""


def sql_type(kind: FeatureType) -> str:
    """Return BigQuery's type for a declared one."""
    name = type_name(kind) or ""
    return f"ARRAY<{SQL_TYPES[name[5:-1]]}>" if name.startswith("list[") else SQL_TYPES[name]


def quoted(*parts: str) -> str:
    """Quote a name of one or several parts."""
    return f"`{'.'.join(parts)}`"


def is_list(kind: FeatureType) -> bool:
    """Say whether a feature is a list, which BigQuery has no null of."""
    return not is_scalar(kind)


def join_statement(relations: Sequence[Relation], entities: str, *, first: int, last: int) -> str:
    """Return the point-in-time join of all views to the entity rows: rules 2 to 5, without an order of rows.

    Source rows and entity rows are put on one line of time for each key and looked at once, so that the work grows
    with their number and not with the pairs that share a key.

    Args:
        relations: The views, v of them.
        entities: The table of `row_number`, `moment` and the join keys, whose columns are named by `entity_columns`.
        first: The earliest `moment`.
        last: The latest.

    Returns:
        A query for `row_number`, and for view i its feature j as `v{i}f{j}`; where a feature is a list, `v{i}n{j}`
        says whether it is null.
    """
    columns = entity_columns([relation.view for relation in relations])
    parts: list[str] = []
    outputs: list[str] = []
    joins: list[str] = []
    for number, relation in enumerate(relations):
        asked = [columns[name] for name in relation.view.join_keys]
        parts += _view_parts(relation, number, entities, asked, first=first, last=last)
        outputs += [f"known{number}.{name} AS v{number}{name}" for name in _known_names(relation.view)]
        joins.append(f"LEFT JOIN known{number} ON known{number}.asked = e.{ROW}")
    return (
        "WITH "
        + ",\n".join(parts)
        + f"\nSELECT e.{ROW}, {', '.join(outputs)}\nFROM {entities} AS e\n"
        + "\n".join(joins)
    )


def entity_columns(views: Sequence[FeatureView]) -> dict[str, str]:
    """Return the join keys of views and the columns that hold them in the table of entity rows."""
    names = dict.fromkeys(name for view in views for name in view.join_keys)
    return {name: f"e{place}" for place, name in enumerate(names)}


def kept_statement(relation: Relation, kept: Sequence[str], *, until: int) -> str:
    """Return what an online store must keep at a time: rule 6, over the source and what was kept before.

    Args:
        relation: The view and its source.
        kept: Tables of what was written before.
        until: The greatest time that counts.

    Returns:
        A query for `k0`…, `ts`, `created`, `f0`…, and `arrived`, which is true in one row of each key of the source.
    """
    view = relation.view
    plain = [*_keys(view), "ts", "created", *_features(view)]
    merged = f"SELECT {', '.join(plain)}, TRUE AS arrived FROM arriving"
    for table in kept:
        merged += f"\n  UNION ALL SELECT {', '.join(plain)}, FALSE FROM {table}"
    window = f"PARTITION BY {', '.join(_keys(view))} ORDER BY {', '.join(_order(view, 'DESC'))}"
    found = [
        f"ROW_NUMBER() OVER ({window}) AS place",
        f"LOGICAL_OR(arrived) OVER (PARTITION BY {', '.join(_keys(view))}) AS arrived_at_all",
    ]
    wanted = ["place = 1"]
    if view.nulls == "last_value":
        for name in _features(view):
            earlier = f"{window} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
            found.append(f"COUNTIF({name} IS NOT NULL) OVER ({earlier}) AS before_{name}")
            wanted.append(f"({name} IS NOT NULL AND before_{name} = 0)")
    return (
        f"WITH arriving AS (\n  {_source(relation, first=None, last=until)}\n), merged AS (\n  {merged}\n),\n"
        f"ranked AS (\n  SELECT {', '.join(plain)}, {', '.join(found)} FROM merged\n)\n"
        f"SELECT {', '.join(plain)}, arrived_at_all AND place = 1 AS arrived\nFROM ranked\nWHERE {' OR '.join(wanted)}"
    )


def replacing_statement(view: FeatureView, kept: str, statement: str) -> str:
    """Return what puts the answer of a `kept_statement` in the place of all rows of `kept`, in one step.

    A statement that changes rows sees what another has committed before it, so that two at a time lose nothing.
    """
    columns = ", ".join([*_keys(view), "ts", "created", *_features(view), "arrived"])
    return (
        f"MERGE {kept} AS kept USING (\n{statement}\n) AS latest ON FALSE\n"
        f"WHEN NOT MATCHED BY TARGET THEN INSERT ({columns}) VALUES ({columns})\n"
        "WHEN NOT MATCHED BY SOURCE THEN DELETE"
    )


def shadowed_statement(view: FeatureView, kept: str, pushed: str) -> str:
    """Return the kept rows of those keys of which a row was pushed that the service takes for no older.

    Returns:
        A query for `k0`…, `ts`, `created`, `f0`….
    """
    plain = [*_keys(view), "ts", "created", *_features(view)]
    keys = ", ".join(_keys(view))
    same = " AND ".join(f"kept.{key} = latest.{key}" for key in _keys(view))
    newest = f"SELECT {keys}, MAX(ts) AS ts FROM {pushed} GROUP BY {keys}"
    held = f"SELECT *, MAX(ts) OVER (PARTITION BY {keys}) AS newest FROM {kept}"
    return (
        f"SELECT {', '.join(f'kept.{name}' for name in plain)}\nFROM ({held}) AS kept\n"
        f"JOIN ({newest}) AS latest ON {same}\nWHERE latest.ts >= kept.newest"
    )


def newest_statement(view: FeatureView, kept: str) -> str:
    """Return one row a key out of what is kept: rules 3 and 4.

    Returns:
        A query for `k0`…, `ts`, `created`, `f0`…, and with `nulls="last_value"` the kept rows as a text, `kept`.
    """
    plain = [*_keys(view), "ts", "created"]
    if view.nulls == "row":
        return f"SELECT {', '.join([*plain, *_features(view)])} FROM {kept}"
    window = f"PARTITION BY {', '.join(_keys(view))} ORDER BY {', '.join(_order(view, 'DESC'))}"
    whole = f"{window} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
    found = [
        f"FIRST_VALUE(IF({name} IS NULL, NULL, STRUCT({name} AS value)) IGNORE NULLS) OVER ({whole}) AS found_{name}"
        for name in _features(view)
    ]
    found.append(f"{rows_sql(view, entity=', '.join(_keys(view)))} AS kept")
    told = [*(f"found_{name}.value AS {name}" for name in _features(view)), "kept"]
    return (
        f"SELECT {', '.join([*plain, *told])}\nFROM (\n"
        f"  SELECT {', '.join([*plain, f'ROW_NUMBER() OVER ({window}) AS place', *found])} FROM {kept}\n)\n"
        "WHERE place = 1"
    )


def _view_parts(
    relation: Relation, number: int, entities: str, asked: Sequence[str], *, first: int, last: int
) -> Iterator[str]:
    view = relation.view
    delay = microseconds(view.source_delay)
    oldest = None if view.ttl is None else first - microseconds(view.ttl)
    keys, features = _keys(view), _features(view)
    yield f"source{number} AS (\n  {_source(relation, first=oldest, last=last - delay)}\n)"
    nothing = ", ".join(f"CAST(NULL AS {sql_type(kind)})" for kind in view.features.values())
    named = ", ".join(f"{column} AS {key}" for key, column in zip(keys, asked, strict=True))
    complete = " AND ".join(f"{column} IS NOT NULL" for column in asked)
    yield (
        f"line{number} AS (\n"
        f"  SELECT {', '.join(keys)}, ts AS moment, CAST(NULL AS INT64) AS asked, ts, created, {', '.join(features)}"
        f" FROM source{number}\n"
        f"  UNION ALL SELECT {named}, {AT} - {delay}, {ROW}, NULL, NULL, {nothing} FROM {entities} WHERE {complete}\n)"
    )
    order = ["moment", "IF(asked IS NULL, 0, 1)", *list(_order(view, ""))[1:]]
    window = (
        f"PARTITION BY {', '.join(keys)} ORDER BY {', '.join(order)} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    )
    if view.nulls == "row":
        row = ", ".join(f"{name} AS {name}" for name in ("ts", *features))
        found = f"LAST_VALUE(IF(asked IS NULL, STRUCT({row}), NULL) IGNORE NULLS) OVER ({window}) AS found"
    else:
        found = ", ".join(
            f"LAST_VALUE(IF({name} IS NULL, NULL, STRUCT(ts AS ts, {name} AS {name})) IGNORE NULLS) OVER ({window})"
            f" AS found_{name}"
            for name in features
        )
    yield f"seen{number} AS (\n  SELECT asked, moment, {found} FROM line{number}\n)"
    told = []
    for place, (name, kind) in enumerate(zip(features, view.features.values(), strict=True)):
        holder = "found" if view.nulls == "row" else f"found_{name}"
        holds = f"{holder}.ts IS NOT NULL"
        if view.ttl is not None:
            holds = f"{holder}.ts >= moment + {delay - microseconds(view.ttl)}"
        told.append(f"IF({holds}, {holder}.{name}, NULL) AS {name}")
        if is_list(kind):
            told.append(f"IF({holds}, {holder}.{name} IS NULL, TRUE) AS n{place}")
    yield f"known{number} AS (\n  SELECT asked, {', '.join(told)} FROM seen{number} WHERE asked IS NOT NULL\n)"


def _known_names(view: FeatureView) -> Iterator[str]:
    for place, kind in enumerate(view.features.values()):
        yield f"f{place}"
        if is_list(kind):
            yield f"n{place}"


def _source(relation: Relation, *, first: int | None, last: int) -> str:
    view = relation.view
    keys = [
        f"CAST(s.{quoted(name)} AS {sql_type(kind)}) AS k{place}"
        for place, (name, kind) in enumerate(view.entity.keys.items())
    ]
    created = f"UNIX_MICROS(s.{quoted(view.created)})" if view.created else "CAST(NULL AS INT64)"
    features = [f"{_value(name, kind)} AS f{place}" for place, (name, kind) in enumerate(view.features.items())]
    ts = f"s.{quoted(view.timestamp)}"
    wanted = [f"s.{quoted(name)} IS NOT NULL" for name in view.entity.keys]
    # As TIMESTAMP, so that a partitioned table is read in part.
    wanted.append(f"{ts} <= TIMESTAMP_MICROS({_within(last)})")
    if last < _EARLIEST:
        wanted.append("FALSE")
    if first is not None and first > _EARLIEST:
        wanted.append(f"{ts} >= TIMESTAMP_MICROS({_within(first)})")
    columns = [*keys, f"UNIX_MICROS({ts}) AS ts", f"{created} AS created", *features]
    return f"SELECT {', '.join(columns)} FROM {relation.source} AS s WHERE {' AND '.join(wanted)}"


def _value(name: str, kind: FeatureType) -> str:
    column = f"s.{quoted(name)}"
    if is_list(kind) and type_name(kind) != "list[float]":
        return column
    if is_list(kind):
        return f"ARRAY(SELECT CAST(item AS FLOAT64) FROM UNNEST({column}) AS item WITH OFFSET AS place ORDER BY place)"
    return f"CAST({column} AS {sql_type(kind)})"


def _within(time: int) -> int:
    return max(_EARLIEST, min(time, LATEST))


def _keys(view: FeatureView) -> list[str]:
    return [f"k{place}" for place in range(len(view.entity.keys))]


def _features(view: FeatureView) -> list[str]:
    return [f"f{place}" for place in range(len(view.features))]


def _order(view: FeatureView, way: str) -> Iterator[str]:
    """Yield what rows are ordered by, the greatest first with `DESC`: rule 3.

    Null is least to BigQuery in both ways; NaN is too, which the rule has as greatest.
    """
    way = f" {way}".rstrip()
    yield f"ts{way}"
    yield f"created{way}"
    for place, kind in enumerate(view.features.values()):
        name = f"f{place}"
        if kind is float:
            yield f"IF({name} IS NULL, 0, IF(IS_NAN({name}), 2, 1)){way}"
            yield f"IF(IS_NAN({name}), NULL, {name}){way}"
        elif not is_list(kind):
            yield f"{name}{way}"
