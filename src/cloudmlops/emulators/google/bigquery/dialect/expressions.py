"""Every expression that is known, by its kind; what is not known is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.aggregates import AGGREGATES, WINDOWS
from cloudmlops.emulators.google.bigquery.dialect.building import call, conjunction, name_of, only
from cloudmlops.emulators.google.bigquery.dialect.comparing import compared_at_top
from cloudmlops.emulators.google.bigquery.dialect.documents import DOCUMENTS
from cloudmlops.emulators.google.bigquery.dialect.functions import FUNCTIONS
from cloudmlops.emulators.google.bigquery.dialect.moment_texts import MOMENT_TEXTS
from cloudmlops.emulators.google.bigquery.dialect.operators import OPERATORS, Handler
from cloudmlops.emulators.google.bigquery.dialect.safety import SAFETY
from cloudmlops.emulators.google.bigquery.dialect.supertypes import remember
from cloudmlops.emulators.google.bigquery.dialect.texts import TEXTS
from cloudmlops.emulators.google.bigquery.dialect.times import TIMES
from cloudmlops.emulators.google.bigquery.refusals import not_emulated

KNOWN: Final[dict[type[exp.Expression], Handler]] = {
    **OPERATORS,
    **FUNCTIONS,
    **TEXTS,
    **DOCUMENTS,
    **SAFETY,
    **TIMES,
    **MOMENT_TEXTS,
    **AGGREGATES,
    **WINDOWS,
}

_COMPARED: Final = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)


class Expressions:
    """Rewrites expressions of GoogleSQL for DuckDB."""

    def __init__(self, query: Callable[[exp.Expression], exp.Expression], *, now: datetime, user: str) -> None:
        self.query: Final = query
        """Rewrites a query inside an expression."""
        self.now: Final = now
        """The moment at which the statement began."""
        self.user: Final = user
        """Whose statement it is."""

    def of(self, node: exp.Expression) -> exp.Expression:
        """Rewrite an expression.

        Raises:
            Refused: A part of it is not emulated.
        """
        handler = KNOWN.get(type(node))
        if handler is None:
            raise not_emulated(name_of(node))
        made = handler(self, node)
        remember(made, node)
        return made

    def condition(self, node: exp.Expression) -> exp.Expression:
        """Rewrite what filters rows: what is not TRUE is out, so that a comparison may be one that a join can use."""
        if isinstance(node, exp.Paren):
            return exp.paren(self.condition(node.this), copy=False)
        if isinstance(node, exp.And):
            return conjunction([self.condition(node.this), self.condition(node.expression)])
        if isinstance(node, exp.Between):
            low = exp.GTE(this=node.this, expression=node.args["low"])
            high = exp.LTE(this=node.this.copy(), expression=node.args["high"])
            return conjunction([self.condition(low), self.condition(high)])
        if isinstance(node, _COMPARED):
            return compared_at_top(self, node)
        return self.truth(node)

    def truth(self, node: exp.Expression) -> exp.Expression:
        """Rewrite what is to be a BOOL."""
        made = self.of(node)
        return call("__bool", made) if isinstance(node, (exp.Column, exp.Dot, exp.Literal, exp.Anonymous)) else made

    def orders(self, nodes: Iterable[exp.Expression], *, plain: bool = False) -> list[exp.Expression]:
        """Rewrite ORDER BY: NaN comes before all numbers.

        Args:
            nodes: What it sorts by.
            plain: Whether only one key can be, so that NaN stays where DuckDB puts it.
        """
        result: list[exp.Expression] = []
        for node in nodes:
            if not isinstance(node, exp.Ordered):
                raise not_emulated("this ORDER BY")
            only(node, "this", "desc", "nulls_first")
            direction = {"desc": bool(node.args.get("desc")), "nulls_first": bool(node.args.get("nulls_first"))}
            key = self.of(node.this)
            if not plain and not isinstance(key, exp.Literal):
                result.append(exp.Ordered(this=call("__nan_order", key.copy()), **direction))
            result.append(exp.Ordered(this=key, **direction))
        return result
