"""PIVOT and UNPIVOT, as queries of GoogleSQL without them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import name_of, only
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

_WITHOUT_NULLS: Final = (exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Count, exp.AnyValue)
_PARTS: Final = (
    "expressions",
    "fields",
    "unpivot",
    "include_nulls",
    "default_on_null",
    "columns",
    "alias",
    "identify_pivot_strings",
    "prefixed_pivot_columns",
    "pivot_column_naming",
    "value_columns_first",
)


def pivots_apart(tree: exp.Expression) -> exp.Expression:
    """Make a subquery of each table with a PIVOT, so that only subqueries have one."""
    for table in list(tree.find_all(exp.Table)):
        pivots = table.args.get("pivots")
        if pivots:
            plain = table.copy()
            plain.set("pivots", None)
            inner = exp.Select(expressions=[exp.Star()]).from_(plain, copy=False)
            table.replace(exp.Subquery(this=inner, pivots=[pivot.copy() for pivot in pivots]))
    return tree


def pivoted(source: exp.Subquery, pivot: exp.Expression, columns: Sequence[str]) -> exp.Subquery:
    """Return the query that a subquery with a PIVOT or UNPIVOT stands for.

    Args:
        source: The subquery without it.
        pivot: What is done with its rows.
        columns: The names of its columns.

    Raises:
        Refused: It is not emulated.
    """
    only(pivot, *_PARTS)
    fields = list(pivot.args.get("fields") or ())
    if len(fields) != 1 or not isinstance(fields[0], exp.In):
        raise not_emulated("PIVOT and UNPIVOT by several columns")
    made = (_unpivot if pivot.args.get("unpivot") else _pivot)(source, pivot, fields[0], columns)
    alias = pivot.args.get("alias")
    return exp.Subquery(this=made, alias=alias.copy() if alias is not None else None)


def _column(name: str) -> exp.Expression:
    return exp.column(exp.to_identifier(name, quoted=True))


def _pivot(source: exp.Subquery, pivot: exp.Expression, by: exp.In, columns: Sequence[str]) -> exp.Select:
    used = {column.name.lower() for part in pivot.expressions for column in part.find_all(exp.Column)}
    used |= {column.name.lower() for column in by.this.find_all(exp.Column)}
    kept = [_column(name) for name in columns if name.lower() not in used]
    made = [column.copy() for column in kept]
    for value in by.expressions:
        for aggregate in pivot.expressions:
            name = _name(aggregate, value)
            only_here = exp.NullSafeEQ(this=by.this.copy(), expression=_value(value).copy())
            made.append(exp.alias_(_where(aggregate.unalias(), only_here), name, quoted=True))
    select = exp.Select(expressions=made).from_(source, copy=False)
    if kept:
        select.set("group", exp.Group(expressions=kept))
    return select


def _value(node: exp.Expression) -> exp.Expression:
    value = node.this if isinstance(node, exp.PivotAlias) else node
    if not isinstance(value, exp.Literal):
        raise not_emulated("PIVOT by values that are no written numbers or texts")
    return value


def _name(aggregate: exp.Expression, value: exp.Expression) -> str:
    if isinstance(value, exp.PivotAlias):
        name = value.args["alias"].name
    else:
        name = _value(value).name
        fits = r"\d+" if not value.is_string else r"[A-Za-z_]\w*"
        if not re.fullmatch(fits, name, re.ASCII):
            raise not_emulated(f"PIVOT by {value.sql(dialect='bigquery')} without an alias")
    before = aggregate.alias if isinstance(aggregate, exp.Alias) else ""
    if before:
        return f"{before}_{name}"
    return f"_{name}" if name[0].isdigit() else str(name)


def _where(aggregate: exp.Expression, condition: exp.Expression) -> exp.Expression:
    """An aggregate of the rows that fit; those that do not count as NULL, which it leaves out."""
    if not isinstance(aggregate, _WITHOUT_NULLS) or isinstance(aggregate.this, (exp.Distinct, exp.HavingMax)):
        raise not_emulated(f"{name_of(aggregate)} in PIVOT")
    made = aggregate.copy()
    given = exp.Literal.number(1) if isinstance(made.this, exp.Star) else made.this.copy()
    made.set("this", exp.If(this=condition, true=given, false=exp.null()))
    return made


def _unpivot(source: exp.Subquery, pivot: exp.Expression, by: exp.In, columns: Sequence[str]) -> exp.Select:
    if len(pivot.expressions) != 1 or not isinstance(pivot.expressions[0], exp.Identifier):
        raise not_emulated("UNPIVOT into several columns")
    value, name = pivot.expressions[0].name, by.this.name
    taken: dict[str, exp.Expression] = {}
    for part in by.expressions:
        column = part.this if isinstance(part, exp.PivotAlias) else part
        if not isinstance(column, exp.Column):
            raise not_emulated("UNPIVOT of several columns as one")
        label = part.args["alias"] if isinstance(part, exp.PivotAlias) else exp.Literal.string(column.name)
        if not isinstance(label, exp.Literal):
            raise not_emulated("UNPIVOT with names that are not written out")
        taken[column.name.lower()] = label
    missing = sorted(set(taken) - {column.lower() for column in columns})
    if missing:
        raise invalid_query(f"Unrecognized name: {missing[0]}")
    parts: list[exp.Expression] = []
    for column, label in taken.items():
        rest = [_column(one) for one in columns if one.lower() not in taken]
        select = exp.Select(
            expressions=[
                *rest,
                exp.alias_(_column(column), value, quoted=True),
                exp.alias_(label.copy(), name, quoted=True),
            ]
        ).from_(source.copy(), copy=False)
        if not pivot.args.get("include_nulls"):
            known = exp.Not(this=exp.paren(exp.Is(this=_column(column), expression=exp.null()), copy=False))
            select = select.where(known, copy=False)
        parts.append(select)
    whole = parts[0]
    for part in parts[1:]:
        whole = exp.Union(this=whole, expression=part, distinct=False)
    return exp.Select(expressions=[exp.Star()]).from_(exp.Subquery(this=whole), copy=False)
