"""WITH RECURSIVE: `base UNION ALL step`, where the step reads the rows of the iteration before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import call, case, cast
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

MOST_ITERATIONS: Final = 500
"""Documented: an iteration more is an error."""

_COUNTED: Final = "__iteration"


def reads_itself(cte: exp.Expression) -> bool:
    """Whether a query of a WITH names itself."""
    return bool(_itself(cte.this, cte.alias))


def _itself(query: exp.Expression, name: str) -> list[exp.Table]:
    return [table for table in query.find_all(exp.Table) if not table.db and table.name.lower() == name.lower()]


def check_recursion(cte: exp.Expression) -> None:
    """Refuse a recursion that is not of the documented form.

    Raises:
        Refused: It is no UNION ALL, its base reads itself, or its step is not emulated.
    """
    query = cte.this
    if not isinstance(query, exp.Union):
        raise invalid_query(f"Recursive query {cte.alias} must be a UNION of a base and a recursive term")
    if query.args.get("distinct"):
        raise not_emulated("WITH RECURSIVE with UNION DISTINCT")
    if any(query.args.get(part) is not None for part in ("order", "limit", "offset", "with_")):
        raise not_emulated("ORDER BY, LIMIT or WITH of a recursive query")
    if _itself(query.this, cte.alias):
        raise invalid_query(f"A recursive reference from the base term of {cte.alias} is not allowed")
    if not isinstance(query.expression, exp.Select) or len(_itself(query.expression, cte.alias)) != 1:
        raise not_emulated("a recursive term that is no SELECT, or reads itself more than once")
    step = query.expression
    if any(step.args.get(part) is not None for part in ("group", "having", "qualify", "distinct", "order", "limit")):
        raise not_emulated("GROUP BY, DISTINCT, QUALIFY, ORDER BY or LIMIT in a recursive term")
    sources = [step.args["from_"].this, *(join.this for join in step.args.get("joins") or ())]
    if not any(source in sources for source in _itself(step, cte.alias)):
        raise not_emulated("a recursive term that reads itself in a subquery")
    if any(part.is_star for part in step.expressions):
        raise not_emulated("* in a recursive term")
    if any(join.args.get("side") for join in step.args.get("joins") or ()):
        raise not_emulated("an outer join in a recursive term")


def bounded(base: exp.Expression, step: exp.Expression, alias: exp.TableAlias) -> list[exp.CTE]:
    """Put both terms together, with a count of iterations that ends what would go on for ever."""
    hidden = exp.to_identifier(f"__recursive_{alias.name}", quoted=True)
    counted = exp.to_identifier(_COUNTED, quoted=True)
    source = exp.Subquery(this=base, alias=exp.TableAlias(this=exp.to_identifier("__base", quoted=True)))
    first = exp.Select(expressions=[exp.Star(), _counted(exp.Literal.number(0))]).from_(source, copy=False)
    itself = _itself(step, alias.name)[0]
    before = exp.column(counted.copy(), table=exp.to_identifier(itself.alias, quoted=True))
    itself.set("this", hidden.copy())
    message = f"A recursive CTE has reached the maximum number of iterations: {MOST_ITERATIONS}"
    over = exp.GTE(this=before.copy(), expression=exp.Literal.number(MOST_ITERATIONS))
    number = exp.Add(this=before, expression=exp.Literal.number(1))
    count = case((over, cast(call("error", exp.Literal.string(message)), "INTEGER")), otherwise=number)
    step.set("expressions", [*step.expressions, _counted(count)])
    both = exp.CTE(this=exp.Union(this=first, expression=step, distinct=False), alias=exp.TableAlias(this=hidden))
    both.meta["recursive"] = True
    rows = exp.Select(expressions=[exp.Star(except_=[exp.column(counted)])]).from_(exp.Table(this=hidden.copy()))
    return [both, exp.CTE(this=rows, alias=alias.copy())]


def with_of(ctes: Sequence[exp.Expression]) -> exp.With:
    """A WITH of rewritten queries."""
    return exp.With(expressions=list(ctes), recursive=any(cte.meta.get("recursive") for cte in ctes))


def _counted(node: exp.Expression) -> exp.Expression:
    return exp.Alias(this=node, alias=exp.to_identifier(_COUNTED, quoted=True))
