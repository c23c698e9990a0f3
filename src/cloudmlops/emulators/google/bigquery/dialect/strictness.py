"""What DuckDB lets pass and BigQuery does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import duckdb
from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.unnesting import Unnesting
from cloudmlops.emulators.google.bigquery.refusals import invalid_query

_NUMBERS: Final = frozenset({"BIGINT", "INTEGER", "HUGEINT", "DOUBLE", "DECIMAL(38,9)"})
_MOST: Final = 100
"""How many queries of one set operation are looked at."""


def check_common_types(made: exp.Expression, unnesting: Unnesting) -> None:
    """Refuse a set operation of queries whose columns have no common type.

    Raises:
        Refused: They have none.
    """
    first: list[str] = []
    for number, leaf in zip(range(_MOST), _leaves(made), strict=False):
        alias = exp.to_identifier("__row", quoted=True)
        source = exp.Subquery(this=leaf.copy(), alias=exp.TableAlias(this=alias))
        probe = exp.Select(expressions=[exp.column(alias.copy())]).from_(source, copy=False)
        try:
            kind = unnesting.type_of(unnesting.around(probe, 0).sql(dialect="duckdb", identify=True))
        except duckdb.Error:
            return  # It is not alone in sight, or wrong: the whole query tells.
        kinds = [str(inner) for _, inner in kind.children]
        first = first or kinds
        for place, (one, other) in enumerate(zip(first, kinds, strict=False)):
            if not _alike(one, other):
                raise invalid_query(
                    f"Column {place + 1} in set operation has incompatible types: {one}, {other} (query {number + 1})"
                )
        first = [other if one.strip('"') == "NULL" else one for one, other in zip(first, kinds, strict=False)]


def _leaves(made: exp.Expression) -> Iterator[exp.Expression]:
    if isinstance(made, exp.SetOperation):
        yield from _leaves(made.this)
        yield from _leaves(made.expression)
    elif isinstance(made, exp.Subquery) and isinstance(made.this, exp.SetOperation):
        yield from _leaves(made.this)
    else:
        yield made.this if isinstance(made, exp.Subquery) else made


def _alike(one: str, other: str) -> bool:
    if one == other or "NULL" in {one.strip('"'), other.strip('"')}:
        return True
    nested = [kind.startswith("STRUCT") or kind.endswith("[]") for kind in (one, other)]
    return all(nested) or (one in _NUMBERS and other in _NUMBERS)


def check_names(made: exp.Expression, written: exp.Select, unnesting: Unnesting, around: int) -> None:
    """Refuse a name that is only an alias of the same SELECT, where GoogleSQL does not know it yet.

    Raises:
        Refused: WHERE or another column of the SELECT uses such a name.
    """
    aliases = {
        part.alias.lower()
        for part in written.expressions
        if isinstance(part, exp.Alias) and part.alias.lower() != part.this.name.lower()
    }
    if not aliases or not isinstance(made, exp.Select):
        return
    where = made.args.get("where")
    parts = [*([where.this] if where is not None else []), *(part.unalias() for part in made.expressions)]
    for name in sorted({name for part in parts for name in _names(part)} & aliases):
        if not _is_known(name, made, unnesting, around):
            raise invalid_query(f"Unrecognized name: {name}")


def _names(node: exp.Expression) -> Iterator[str]:
    """The unqualified columns of an expression, not of queries in it."""
    if isinstance(node, exp.Query):
        return
    if isinstance(node, exp.Column):
        if not node.table and not isinstance(node.this, exp.Star):
            yield node.name.lower()
        return
    for child in node.iter_expressions():
        yield from _names(child)


def _is_known(name: str, made: exp.Select, unnesting: Unnesting, around: int) -> bool:
    """Whether the sources of a query have a column."""
    if made.args.get("from_") is None:
        return bool(around)
    probe = exp.Select(expressions=[exp.column(exp.to_identifier(name, quoted=True))])
    probe.set("from_", made.args["from_"].copy())
    if made.args.get("joins"):
        probe.set("joins", [join.copy() for join in made.args["joins"]])
    try:
        unnesting.type_of(unnesting.around(probe, around).sql(dialect="duckdb", identify=True))
    except duckdb.Error:
        return False
    return True
