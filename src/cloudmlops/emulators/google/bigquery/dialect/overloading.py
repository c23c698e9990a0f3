"""Which form of a macro is meant where DuckDB does not tell: it knows no type of an aggregate when it chooses.

The types are asked for in a query of their own, which is planned and never run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import duckdb
from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.unnesting import Unnesting
from cloudmlops.emulators.google.bigquery.overloads import OVERLOADS, variant
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, signature

_AGGREGATES: Final = frozenset(
    {
        "any_value",
        "arg_max_null",
        "arg_min_null",
        "array_agg",
        "avg",
        "bit_and",
        "bit_or",
        "bit_xor",
        "bool_and",
        "bool_or",
        "corr",
        "count",
        "covar_pop",
        "covar_samp",
        "max",
        "min",
        "quantile_cont",
        "quantile_disc",
        "regr_count",
        "stddev_pop",
        "stddev_samp",
        "string_agg",
        "sum",
        "var_pop",
        "var_samp",
    }
)

_WIDER: Final = {"BIGINT": 0, "DECIMAL(38,9)": 1, "DOUBLE": 2}
_SMALL: Final = frozenset({"INTEGER", "SMALLINT", "TINYINT", "UINTEGER", "USMALLINT", "UTINYINT"})
_LONG: Final = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}


def choose_forms(made: exp.Expression, unnesting: Unnesting, around: int) -> None:
    """Name the form of each macro of several types whose arguments hold an aggregate or a window.

    Args:
        made: A rewritten query.
        unnesting: Knows what is in sight.
        around: How many sources are around the query.

    Raises:
        Refused: No form takes the types.
    """
    select = made
    while isinstance(select, exp.Select) and not _waiting(select) and isinstance(_only_source(select), exp.Select):
        select = _only_source(select)
    if not isinstance(select, exp.Select):
        return
    while levels := _waiting(select):
        ready = [node for node in levels if not any(inner is not node for inner in _calls(node))]
        _choose(ready, select, unnesting, around)


def _only_source(select: exp.Select) -> Any:
    from_ = select.args.get("from_")
    return from_.this.this if from_ is not None and isinstance(from_.this, exp.Subquery) else None


def _waiting(select: exp.Select) -> list[exp.Anonymous]:
    clauses = [select.args[name] for name in ("having", "qualify", "order") if select.args.get(name) is not None]
    parts = [*select.expressions, *clauses]
    return [call for part in parts for call in _calls(part)]


def _calls(node: exp.Expression) -> Iterator[exp.Anonymous]:
    """The macros of several types, here and below, whose arguments hold an aggregate."""
    for inner in nodes_of(node):
        if (
            isinstance(inner, exp.Anonymous)
            and str(inner.this) in OVERLOADS
            and any(map(has_aggregates, inner.expressions))
        ):
            yield inner


def nodes_of(node: exp.Expression) -> Iterator[exp.Expression]:
    """All nodes of a query, not of those in it."""
    if isinstance(node, exp.Query):
        return
    yield node
    for child in node.iter_expressions():
        yield from nodes_of(child)


def has_aggregates(node: exp.Expression) -> bool:
    """Whether there is an aggregate or a window in an expression."""
    return any(
        isinstance(inner, (exp.Window, exp.Filter))
        or (isinstance(inner, exp.Anonymous) and str(inner.this).lower() in _AGGREGATES)
        for inner in nodes_of(node)
    )


def _choose(nodes: Sequence[exp.Anonymous], select: exp.Select, unnesting: Unnesting, around: int) -> None:
    arguments = [argument for node in nodes for argument in node.expressions]
    kinds = iter(types_of(arguments, select, unnesting, around))
    for node in nodes:
        name = str(node.this)
        given = [next(kinds) for _ in node.expressions]
        node.set("this", variant(name, _form(name, given)))


def types_of(arguments: Sequence[exp.Expression], select: exp.Select, unnesting: Unnesting, around: int) -> list[str]:
    """The types in DuckDB of expressions of a query."""
    parts = [
        exp.PropertyEQ(this=exp.to_identifier(f"c{place}"), expression=argument.copy())
        for place, argument in enumerate(arguments)
    ]
    probe = exp.Select(expressions=[exp.Anonymous(this="struct_pack", expressions=parts)])
    if select.args.get("from_") is not None:
        probe.set("from_", select.args["from_"].copy())
    if select.args.get("joins"):
        probe.set("joins", [join.copy() for join in select.args["joins"]])
    group = select.args.get("group")
    attempts = [None] if group is None else [group.expressions, substituted(group.expressions, select.expressions)]
    failed: duckdb.Error | None = None
    for attempt in attempts:
        if attempt is not None:
            probe.set(
                "group",
                exp.Group(expressions=[one.copy() for one in substituted(attempt, select.expressions, ordinals=True)]),
            )
        whole = unnesting.around(probe.copy(), around)
        try:
            kind = unnesting.type_of(whole.sql(dialect="duckdb", identify=True))
        except duckdb.Error as error:
            failed = error
            continue
        return [str(inner) for _, inner in kind.children]
    raise failed if failed is not None else invalid_query("the types of aggregates are not known")


def substituted(
    group: Sequence[exp.Expression], projections: Sequence[exp.Expression], *, ordinals: bool = False
) -> list[exp.Expression]:
    """Groups or keys with what is selected in the places of ordinals or of aliases."""
    made = []
    named = {part.alias.lower(): part.this for part in projections if isinstance(part, exp.Alias)}
    for one in group:
        if isinstance(one, exp.Literal) and one.name.isdigit() and 0 < int(one.name) <= len(projections):
            made.append(projections[int(one.name) - 1].unalias())
        elif not ordinals and isinstance(one, exp.Column) and not one.table and one.name.lower() in named:
            made.append(named[one.name.lower()])
        else:
            made.append(one)
    return made


def _form(name: str, given: Sequence[str]) -> int:
    best: tuple[int, int] | None = None
    for number, wanted in enumerate(OVERLOADS[name]):
        if len(wanted) != len(given):
            continue
        costs = [_cost(one, other) for one, other in zip(given, wanted, strict=True)]
        if None not in costs:
            total = sum(cost for cost in costs if cost is not None)
            if best is None or total < best[0]:
                best = (total, number)
    if best is None:
        raise invalid_query(
            f"No matching signature for {signature(name.strip('_'))} for argument types: {', '.join(given)}"
        )
    return best[1]


def _cost(given: str, wanted: str) -> int | None:
    """How far a type is from one that is wanted; None when it is no such."""
    given = "BIGINT" if given in _SMALL else _LONG.get(given, given)
    if given == wanted or given.strip('"') == "NULL":
        return 0
    if not wanted:
        return 100
    if given in _WIDER and wanted in _WIDER and _WIDER[given] < _WIDER[wanted]:
        return _WIDER[wanted] - _WIDER[given]
    return None
