"""UNNEST: an array's members as rows, a STRUCT's fields as columns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import duckdb
from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import call, only
from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions
from cloudmlops.emulators.google.bigquery.dialect.recursion import with_of
from cloudmlops.emulators.google.bigquery.refusals import not_emulated


class Unnesting:
    """Knows what an array may be taken from: the sources and named queries in sight."""

    def __init__(self, expressions: Expressions, type_of: Callable[[str], Any]) -> None:
        self._expressions = expressions
        self.type_of: Final = type_of
        self._sources: list[exp.Expression] = []
        self._ctes: list[exp.Expression] = []
        self.numbers: Final = itertools.count(1)
        """For names that nobody wrote."""

    @contextmanager
    def nested(self) -> Iterator[int]:
        """Forget afterwards what was added within; gives how many sources are around."""
        sources, ctes = len(self._sources), len(self._ctes)
        try:
            yield sources
        finally:
            del self._sources[sources:], self._ctes[ctes:]

    def add_source(self, source: exp.Expression) -> None:
        """Let what follows see a source."""
        self._sources.append(source)

    def add_cte(self, cte: exp.Expression) -> None:
        """Let what follows see a named query."""
        self._ctes.append(cte)

    def around(self, select: exp.Select, count: int) -> exp.Select:
        """Put a query of one value where it sees what is around: `count` sources and all named queries."""
        if count:
            outer = exp.Select(expressions=[exp.Subquery(this=select)])
            for source in self._sources[:count]:
                if outer.args.get("from_") is None:
                    outer = outer.from_(source.copy(), copy=False)
                else:
                    outer = outer.join(source.copy(), join_type="cross", copy=False)
            select = outer
        if self._ctes:
            select.set("with_", with_of([cte.copy() for cte in self._ctes]))
        return select

    def source(self, node: exp.Unnest) -> exp.Expression:
        """Rewrite `UNNEST(array) [AS alias] [WITH OFFSET [AS name]]`; offsets begin at 0.

        Raises:
            Refused: The array is not emulated, or there are several.
        """
        only(node, "expressions", "alias", "offset", "explode_array")
        if len(node.expressions) != 1:
            raise not_emulated("UNNEST of several arrays")
        array = self._expressions.of(node.expressions[0])
        alias = node.args.get("alias")
        name = ""
        if alias is not None:
            name = alias.columns[0].name if alias.columns else alias.name
        offset = node.args.get("offset")
        columns = [self._members(node.expressions[0], array, name)]
        if offset:
            place = exp.Sub(this=call("generate_subscripts", array.copy(), 1), expression=exp.Literal.number(1))
            written = offset.name if isinstance(offset, exp.Expression) else "offset"
            columns.append(_named(place, written))
        table = name or f"__unnest{next(self.numbers)}"
        return exp.Subquery(
            this=exp.Select(expressions=columns),
            alias=exp.TableAlias(this=exp.to_identifier(table, quoted=True)),
        )

    def _members(self, written: exp.Expression, array: exp.Expression, name: str) -> exp.Expression:
        if self._of_structs(written, array):
            depth = exp.PropertyEQ(this=exp.to_identifier("max_depth"), expression=exp.Literal.number(2))
            return exp.Anonymous(this="unnest", expressions=[array, depth])
        return _named(call("unnest", array), name or "f0_")

    def _of_structs(self, written: exp.Expression, array: exp.Expression) -> bool:
        """Whether an array's members are STRUCTs."""
        if isinstance(written, exp.Cast) and written.to.this is exp.DataType.Type.ARRAY:
            return bool(written.to.expressions[0].this is exp.DataType.Type.STRUCT)
        if isinstance(written, (exp.GenerateSeries, exp.GenerateDateArray, exp.Split)):
            return False
        if isinstance(written, exp.Array) and any(isinstance(one, exp.Literal) for one in written.expressions):
            return False
        select = exp.Select(expressions=[array.copy()])
        for source in self._sources:
            if select.args.get("from_") is None:
                select = select.from_(source.copy(), copy=False)
            else:
                select = select.join(source.copy(), join_type="cross", copy=False)
        if self._ctes:
            select.set("with_", with_of([cte.copy() for cte in self._ctes]))
        try:
            kind = self.type_of(select.sql(dialect="duckdb", identify=True))
        except duckdb.Error:
            return False  # What is wrong with it is said when the whole query is planned.
        return bool(kind.id == "list" and kind.child.id == "struct")


def _named(node: exp.Expression, name: str) -> exp.Expression:
    return exp.Alias(this=node, alias=exp.to_identifier(name, quoted=True))
