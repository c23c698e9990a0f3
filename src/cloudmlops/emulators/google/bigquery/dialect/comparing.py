"""Comparisons: NaN is like nothing, not even itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import bound, call, conjunction, disjunction, only
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

if TYPE_CHECKING:
    from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions

_ORDER: Final = {
    exp.EQ: ("__eq", False),
    exp.NEQ: ("__ne", False),
    exp.LT: ("__lt", False),
    exp.LTE: ("__le", False),
    exp.GT: ("__lt", True),
    exp.GTE: ("__le", True),
}


def compared(made: Expressions, node: exp.Expression) -> exp.Expression:
    """A comparison, anywhere."""
    only(node, "this", "expression")
    left, right = node.this, node.expression
    rows = (members_of_struct(left), members_of_struct(right))
    if rows[0] is not None or rows[1] is not None:
        return _compared_rows(made, node, *rows)
    macro, swapped = _ORDER[type(node)]
    pair = [made.of(left), made.of(right)]
    pair = pair[::-1] if swapped else pair
    # A macro would write a query many times.
    queries = [place for place, side in enumerate(pair) if side.find(exp.Query) is not None]

    def between_values(values: list[exp.Expression]) -> exp.Expression:
        known = dict(zip(queries, values, strict=True))
        return exp.Anonymous(this=macro, expressions=[known.get(place, side) for place, side in enumerate(pair)])

    return bound([pair[place] for place in queries], between_values) if queries else between_values([])


def compared_at_top(made: Expressions, node: exp.Expression) -> exp.Expression:
    """A comparison where NULL is as good as FALSE: one that a join can use."""
    if (
        isinstance(node, exp.NEQ)
        or members_of_struct(node.this) is not None
        or members_of_struct(node.expression) is not None
    ):
        return compared(made, node)
    left, right = made.of(node.this), made.of(node.expression)
    if isinstance(node, (exp.GT, exp.GTE)):
        left = _key(left)
    else:
        right = _key(right)
    return type(node)(this=left, expression=right)


def _key(node: exp.Expression) -> exp.Expression:
    """NULL for NaN, which is like nothing."""
    if isinstance(node, exp.Literal):
        return node
    if node.find(exp.Query) is not None:
        return bound([node], lambda values: call("__key", *values))
    return call("__key", node)


def members_of_struct(node: exp.Expression) -> list[exp.Expression] | None:
    """The fields of a STRUCT that is written out."""
    if isinstance(node, exp.Paren):
        return members_of_struct(node.this)
    if isinstance(node, exp.Tuple):
        return list(node.expressions)
    if isinstance(node, exp.Struct):
        return [part.expression if isinstance(part, exp.PropertyEQ) else part.unalias() for part in node.expressions]
    return None


def _compared_rows(
    made: Expressions, node: exp.Expression, left: list[exp.Expression] | None, right: list[exp.Expression] | None
) -> exp.Expression:
    if not isinstance(node, (exp.EQ, exp.NEQ)):
        raise invalid_query("Less than and greater than are not defined for arguments of type STRUCT")
    if left is None or right is None:
        raise not_emulated("comparing a STRUCT that is not written out")
    if len(left) != len(right):
        raise invalid_query("No matching signature for operator = for STRUCTs with different numbers of fields")
    pairs = [compared(made, exp.EQ(this=a, expression=b)) for a, b in zip(left, right, strict=True)]
    same = conjunction(pairs)
    return (
        exp.not_(exp.paren(same, copy=False), copy=False) if isinstance(node, exp.NEQ) else exp.paren(same, copy=False)
    )


def contained(made: Expressions, node: exp.Expression) -> exp.Expression:
    """IN, where NaN is in nothing; like any value that is not found, it is NULL in what has a NULL."""
    only(node, "this", "expressions", "query", "unnest")
    left = node.this
    if members_of_struct(left) is not None:
        if node.args.get("query") is not None:
            raise not_emulated("a STRUCT IN a subquery")
        if node.args.get("unnest") is None:
            same = [compared(made, exp.EQ(this=left.copy(), expression=value)) for value in node.expressions]
            return exp.paren(disjunction(same), copy=False)
    subject = made.of(left)
    if (select := _selected(made, node)) is not None:
        inner = select if isinstance(subject, exp.Literal) else _without_nan(select)
        return exp.paren(exp.In(this=subject, query=exp.Subquery(this=inner)), copy=False)
    values = [made.of(value) for value in node.expressions]
    if isinstance(subject, exp.Literal):
        return exp.paren(exp.In(this=subject, expressions=values), copy=False)
    source = None
    if subject.find(exp.Query) is not None:
        name = exp.to_identifier("__subject", quoted=True)
        row = exp.Select(expressions=[exp.Alias(this=subject, alias=name)])
        source = exp.Subquery(this=row, alias=exp.TableAlias(this=exp.to_identifier("__subjects", quoted=True)))
        subject = exp.column(name.copy())
    found = _among(subject, values)
    if source is None:
        return exp.paren(found, copy=False)
    return exp.Subquery(this=exp.Select(expressions=[found]).from_(source, copy=False))


def _selected(made: Expressions, node: exp.Expression) -> exp.Query | None:
    """The query that a value is sought in, if it is one."""
    query, unnest = node.args.get("query"), node.args.get("unnest")
    if unnest is not None:
        return exp.Select(expressions=[call("unnest", made.of(unnest.expressions[0]))])
    if query is None and len(node.expressions) == 1 and isinstance(node.expressions[0], exp.Query):
        query = node.expressions[0]
    return None if query is None else made.query(query.this if isinstance(query, exp.Subquery) else query)


def _without_nan(query: exp.Query) -> exp.Query:
    """The same rows without NaN, which DuckDB takes for equal to NaN."""
    member = exp.to_identifier("__member", quoted=True)
    alias = exp.TableAlias(this=exp.to_identifier("__members", quoted=True), columns=[member])
    nan = call("coalesce", call("__is_nan", exp.column(member.copy())), exp.false())
    rows = exp.Select(expressions=[exp.Star()]).from_(exp.Subquery(this=query, alias=alias), copy=False)
    return rows.where(exp.not_(nan, copy=False), copy=False)


def _among(subject: exp.Expression, values: list[exp.Expression]) -> exp.Expression:
    nan = call("coalesce", call("__is_nan", subject.copy()), exp.false())
    nulls = [exp.Is(this=value.copy(), expression=exp.Null()) for value in values if not isinstance(value, exp.Literal)]
    # Of two BOOLs: NULL stays NULL, and TRUE becomes FALSE.
    found = exp.GT(this=exp.paren(exp.In(this=subject, expressions=values), copy=False), expression=nan)
    if not nulls:
        return found
    unknown = exp.and_(nan.copy(), disjunction(nulls), copy=False)
    return exp.Case(ifs=[exp.If(this=unknown, true=exp.Null())], default=found)


def between(made: Expressions, node: exp.Expression) -> exp.Expression:
    """BETWEEN."""
    only(node, "this", "low", "high")
    low = exp.GTE(this=node.this, expression=node.args["low"])
    high = exp.LTE(this=node.this.copy(), expression=node.args["high"])
    return conjunction([compared(made, low), compared(made, high)])


def distinct_from(made: Expressions, node: exp.Expression) -> exp.Expression:
    """IS [NOT] DISTINCT FROM: NaN and NULL are like themselves."""
    only(node, "this", "expression")
    return exp.paren(type(node)(this=made.of(node.this), expression=made.of(node.expression)), copy=False)


COMPARISONS: Final[dict[type[exp.Expression], Callable[[Expressions, exp.Expression], exp.Expression]]] = {
    **dict.fromkeys(_ORDER, compared),
    exp.In: contained,
    exp.Between: between,
    exp.NullSafeEQ: distinct_from,
    exp.NullSafeNEQ: distinct_from,
}
