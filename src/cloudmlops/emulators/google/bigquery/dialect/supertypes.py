"""Values of which one is chosen have a common supertype, and what is grouped or ordered can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import duckdb
from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.written import WRITTEN
from cloudmlops.emulators.google.bigquery.refusals import invalid_query

ALTERNATIVES: Final = "alternatives"
"""Where a rewritten node keeps what it was, when it takes one of several values."""

TypesOf = Callable[[Sequence[exp.Expression]], list[str]]
"""Returns the types in DuckDB of expressions of one query."""

_NAMES: Final = {
    "INTEGER": "INT64",
    "BIGINT": "INT64",
    "HUGEINT": "INT64",
    "DOUBLE": "FLOAT64",
    "DECIMAL(38,9)": "NUMERIC",
    "VARCHAR": "STRING",
    "BOOLEAN": "BOOL",
    "BLOB": "BYTES",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "DATETIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "JSON": "JSON",
}
_ALIKE: Final = (frozenset({"INT64", "FLOAT64", "NUMERIC"}), frozenset({"DATE", "DATETIME"}))
_FROM_TEXT: Final = frozenset({"DATE", "TIME", "DATETIME", "TIMESTAMP"})


def remember(made: exp.Expression, written: exp.Expression) -> None:
    """Keep with a rewritten node what it was, when it takes one of several values."""
    if isinstance(written, (exp.Case, exp.If, exp.Coalesce, exp.Array)):
        kind = {exp.Case: "operator CASE", exp.If: "function IF", exp.Array: ""}.get(type(written), "function COALESCE")
        name, place = written.meta.get(WRITTEN, ("", ""))
        if isinstance(written, exp.Coalesce) and name:
            kind = f"function {name.upper()}"
        made.meta[ALTERNATIVES] = (kind, f" at {place}" if place else "")


def check_alternatives(made: exp.Select, types_of: TypesOf) -> None:
    """Refuse CASE, IF, COALESCE and arrays whose values have no common supertype.

    Raises:
        Refused: There is one.
    """
    clauses = [made.args[name] for name in ("where", "having", "qualify", "order") if made.args.get(name) is not None]
    nodes = [node for part in [*made.expressions, *clauses] for node in _walk(part) if ALTERNATIVES in node.meta]
    groups = [(node, values) for node in nodes if len(values := _values(node)) > 1]
    if not groups:
        return
    try:
        kinds = iter(types_of([value for _, values in groups for value in values]))
    except duckdb.Error:
        return  # It is not alone in sight, or wrong: the whole query tells.
    for node, values in groups:
        given = [(_NAMES.get(next(kinds), ""), value) for value in values]
        if not all(_fit(one, other) for one in given for other in given):
            _refuse(node, [name or "NULL" for name, _ in given])


def check_orderable(verb: str, keys: Sequence[exp.Expression], types_of: TypesOf) -> None:
    """Refuse JSON where rows are grouped or ordered.

    Raises:
        Refused: A key is JSON.
    """
    keys = [key for key in keys if not isinstance(key, exp.Literal)]
    if not keys:
        return
    try:
        kinds = types_of(keys)
    except duckdb.Error:
        return  # As above.
    if "JSON" in kinds:
        raise invalid_query(
            "ORDER BY does not support expressions of type JSON"
            if verb == "ORDER BY"
            else "Grouping by expressions of type JSON is not allowed"
        )


def _walk(node: exp.Expression) -> Iterator[exp.Expression]:
    """All nodes of a query, not of those in it."""
    if isinstance(node, exp.Query):
        return
    yield node
    for child in node.iter_expressions():
        yield from _walk(child)


def _values(node: exp.Expression) -> list[exp.Expression]:
    if isinstance(node, exp.Case):
        default = node.args.get("default")
        return [*(one.args["true"] for one in node.args["ifs"]), *([default] if default is not None else [])]
    if isinstance(node, exp.Coalesce):
        return [node.this, *node.expressions]
    return list(node.expressions) if isinstance(node, exp.Anonymous) and node.this == "list_value" else []


def _fit(one: tuple[str, exp.Expression], other: tuple[str, exp.Expression]) -> bool:
    names = {one[0], other[0]}
    if len(names) == 1 or "" in names or any(names <= alike for alike in _ALIKE):
        return True
    texts = [value for name, value in (one, other) if name == "STRING"]
    return bool(texts) and bool(names & _FROM_TEXT) and texts[0].find(exp.Column, exp.Query) is None


def _refuse(node: exp.Expression, names: Sequence[str]) -> None:
    kind, place = node.meta[ALTERNATIVES]
    several = ", ".join(sorted(set(names) - {"NULL"}))
    if not kind:
        raise invalid_query(f"Array elements of types {{{several}}} do not have a common supertype{place}")
    raise invalid_query(
        f"No matching signature for {kind}\n  Argument types: {', '.join(names)}\n"
        f"  Unable to find common supertype for templated argument <T1>\n    Input types for <T1>: {{{several}}}{place}"
    )
