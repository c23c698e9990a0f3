"""Queries: SELECT and what it is made of, set operations, WITH."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import call, only
from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions
from cloudmlops.emulators.google.bigquery.dialect.nested_arithmetic import settle
from cloudmlops.emulators.google.bigquery.dialect.overloading import choose_forms, substituted, types_of
from cloudmlops.emulators.google.bigquery.dialect.pivoting import pivoted
from cloudmlops.emulators.google.bigquery.dialect.recursion import bounded, check_recursion, reads_itself, with_of
from cloudmlops.emulators.google.bigquery.dialect.strictness import check_common_types, check_names
from cloudmlops.emulators.google.bigquery.dialect.supertypes import check_alternatives, check_orderable
from cloudmlops.emulators.google.bigquery.dialect.unnesting import Unnesting
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

_SELECT: Final = (
    "with_",
    "kind",
    "expressions",
    "distinct",
    "from_",
    "joins",
    "where",
    "group",
    "having",
    "qualify",
    "windows",
    "order",
    "limit",
    "offset",
)

TypeOf = Callable[[str], Any]
"""Returns the type in DuckDB of the only column of a query in DuckDB's SQL."""


class Queries:
    """Rewrites queries whose tables are resolved."""

    def __init__(self, *, now: datetime, user: str, type_of: TypeOf) -> None:
        self.expressions: Final = Expressions(self.query, now=now, user=user)
        self._unnesting = Unnesting(self.expressions, type_of)

    def query(self, node: exp.Expression) -> exp.Expression:
        """Rewrite a query.

        Raises:
            Refused: A part of it is not emulated.
        """
        with_ = node.args.get("with_")
        if with_ is None:
            return self._query(node)
        only(with_, "expressions", "recursive")
        made = []
        with self._unnesting.nested():
            for cte in with_.expressions:
                only(cte, "this", "alias")
                if cte.args["alias"].columns:
                    raise not_emulated("a list of columns in WITH")
                for named in self._named_query(cte, recursive=bool(with_.args.get("recursive"))):
                    made.append(named)
                    self._unnesting.add_cte(named)
            result = self._query(node)
            if isinstance(result, exp.Subquery):
                result = exp.Select(expressions=[exp.Star()]).from_(result, copy=False)
            result.set("with_", with_of(made))
        return result

    def _named_query(self, cte: exp.Expression, *, recursive: bool) -> list[exp.CTE]:
        """A query of a WITH; the recursive term of one that reads itself sees its base."""
        if not recursive or not reads_itself(cte):
            return [exp.CTE(this=self.query(cte.this), alias=cte.args["alias"].copy())]
        check_recursion(cte)
        with self._unnesting.nested():
            base = self.query(cte.this.this)
            self._unnesting.add_cte(exp.CTE(this=base.copy(), alias=cte.args["alias"].copy()))
            step = self.query(cte.this.expression)
        check_common_types(exp.Union(this=base.copy(), expression=step.copy()), self._unnesting)
        return bounded(base, step, cte.args["alias"])

    def _query(self, node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Select):
            with self._unnesting.nested() as around:
                made = self._select(node)
                if isinstance(made, exp.Select):
                    settle(made, self._unnesting, around)
                choose_forms(made, self._unnesting, around)
                check_names(made, node, self._unnesting, around)
                self._check_types(made, node, around)
                return made
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node)
        if isinstance(node, exp.Subquery):
            only(node, "this", "order", "limit", "offset", "with_")
            inner: exp.Expression = exp.Subquery(this=self.query(node.this))
            if any(node.args.get(part) is not None for part in ("order", "limit", "offset")):
                inner.set("alias", exp.TableAlias(this=exp.to_identifier("__inner", quoted=True)))
                return self._ordered(exp.Select(expressions=[exp.Star()]).from_(inner, copy=False), node, ())
            return inner
        raise not_emulated(f"a query of the kind {type(node).__name__.upper()}")

    def _check_types(self, made: exp.Expression, node: exp.Select, around: int) -> None:
        if not isinstance(made, exp.Select):
            return
        known = partial(types_of, select=made, unnesting=self._unnesting, around=around)
        check_alternatives(made, known)
        group, order = made.args.get("group"), made.args.get("order")
        if group is not None:
            check_orderable("GROUP BY", substituted(group.expressions, made.expressions), known)
        if node.args.get("distinct") is not None:
            check_orderable("DISTINCT", [part.unalias() for part in made.expressions], known)
        if order is not None:
            keys = [key.this for key in order.expressions if key.this.name != "__nan_order"]
            check_orderable("ORDER BY", substituted(keys, made.expressions), known)

    def _set_operation(self, node: exp.Expression) -> exp.Expression:
        only(node, "with_", "this", "expression", "distinct", "order", "limit", "offset")
        if isinstance(node, (exp.Except, exp.Intersect)) and not node.args.get("distinct"):
            raise invalid_query(f"{type(node).__name__.upper()} ALL is not supported")
        made = type(node)(
            this=self.query(node.this), expression=self.query(node.expression), distinct=node.args.get("distinct")
        )
        if not isinstance(node.parent, exp.SetOperation):
            check_common_types(made, self._unnesting)
        if not any(node.args.get(part) is not None for part in ("order", "limit", "offset")):
            return made
        alias = exp.TableAlias(this=exp.to_identifier("__rows", quoted=True))
        outer = exp.Select(expressions=[exp.Star()]).from_(exp.Subquery(this=made, alias=alias), copy=False)
        return self._ordered(outer, node, ())

    def _select(self, node: exp.Select) -> exp.Expression:
        only(node, *_SELECT)
        made = exp.Select()
        if node.args.get("from_") is not None:
            made.set("from_", exp.From(this=self._source(node.args["from_"].this)))
            made.set("joins", [self._join(join) for join in node.args.get("joins") or ()])
        shared = [name for join in node.args.get("joins") or () for name in join.args.get("using") or ()]
        projections = self._projections(node.expressions, list(dict.fromkeys(part.name for part in shared)))
        if node.args.get("kind") == "STRUCT":
            made.set("expressions", [_packed(projections)])
        elif node.args.get("kind"):
            if len(projections) != 1 or not isinstance(projections[0], exp.Alias):
                raise invalid_query("SELECT AS VALUE query must have exactly one column")
            if not _is_value(node):
                raise not_emulated("SELECT AS VALUE that is no value itself")
            made.set("expressions", projections)
        else:
            made.set("expressions", projections)
        for part, kind in (("where", exp.Where), ("having", exp.Having), ("qualify", exp.Qualify)):
            if node.args.get(part) is not None:
                made.set(part, kind(this=self.expressions.condition(node.args[part].this)))
        if node.args.get("group") is not None:
            made.set("group", self._group(node.args["group"], node.expressions))
        if node.args.get("distinct") is None:
            return self._ordered(made, node, projections, written=node.expressions)
        only(node.args["distinct"])
        made.set("distinct", exp.Distinct())
        if node.args.get("order") is None:
            return self._ordered(made, node, projections)
        alias = exp.TableAlias(this=exp.to_identifier("__rows", quoted=True))
        outer = exp.Select(expressions=[exp.Star()]).from_(exp.Subquery(this=made, alias=alias), copy=False)
        return self._ordered(outer, node, projections, written=node.expressions, outside=True)

    def _ordered(
        self,
        made: exp.Expression,
        node: exp.Expression,
        projections: Sequence[exp.Expression],
        *,
        written: Sequence[exp.Expression] = (),
        outside: bool = False,
    ) -> exp.Expression:
        """Add ORDER BY, LIMIT and OFFSET."""
        order = node.args.get("order")
        if order is not None:
            only(order, "expressions")
            keys: list[exp.Expression] = []
            for key in order.expressions:
                keys += self._order_key(key, projections, written, outside=outside)
            made.set("order", exp.Order(expressions=keys))
        for part, kind in (("limit", exp.Limit), ("offset", exp.Offset)):
            given = node.args.get(part)
            if given is not None:
                if not isinstance(given, kind):
                    raise not_emulated(part.upper())
                only(given, "expression")
                _check_count(given.expression)
                made.set(part, kind(expression=_number_or(self.expressions, given.expression)))
        return made

    def _order_key(
        self,
        key: exp.Expression,
        projections: Sequence[exp.Expression],
        written: Sequence[exp.Expression],
        *,
        outside: bool,
    ) -> list[exp.Expression]:
        """One key of ORDER BY: an ordinal or an alias is the column of the result that it names."""
        value = key.this
        place = None
        if isinstance(value, exp.Literal) and not value.is_string and value.name.isdigit():
            place = int(value.name) - 1
            if any(isinstance(part, exp.Star) or part.is_star for part in projections[: place + 1]) or not projections:
                return [
                    exp.Ordered(this=value.copy(), desc=key.args.get("desc"), nulls_first=key.args.get("nulls_first"))
                ]
            if not 0 <= place < len(projections):
                raise invalid_query(
                    f"ORDER BY column number item is out of range. Column numbers must be between 1 and "
                    f"{len(projections)}"
                )
        elif isinstance(value, exp.Column) and not value.table:
            names = [part.alias.lower() if isinstance(part, exp.Alias) else "" for part in projections]
            if value.name.lower() in names:
                place = names.index(value.name.lower())
        elif outside:
            same = [at for at, part in enumerate(written) if part.unalias() == value]
            if not same:
                raise not_emulated("ORDER BY of what SELECT DISTINCT does not select")
            place = same[0]
        if place is None:
            return self.expressions.orders([key])
        made = projections[place]
        column = exp.column(exp.to_identifier(made.alias, quoted=True))
        direction = {"desc": bool(key.args.get("desc")), "nulls_first": bool(key.args.get("nulls_first"))}
        inner = column.copy() if outside else made.unalias().copy()
        return [
            exp.Ordered(this=call("__nan_order", inner), **direction),
            exp.Ordered(this=column, **direction),
        ]

    def _group(self, node: exp.Expression, selected: Sequence[exp.Expression]) -> exp.Expression:
        only(node, "expressions", "all", "rollup", "cube", "grouping_sets")
        if node.args.get("all"):
            if any(part.is_star for part in selected):
                raise not_emulated("GROUP BY ALL with *")
            return exp.Group(
                expressions=[
                    exp.Literal.number(place)
                    for place, part in enumerate(selected, start=1)
                    if part.find(exp.AggFunc, exp.Window, exp.Query) is None and part.find(exp.Column) is not None
                ]
            )
        made = exp.Group(expressions=[self._group_part(part) for part in node.expressions])
        for part in ("rollup", "cube", "grouping_sets"):
            if node.args.get(part):
                made.set(part, [self._group_part(one) for one in node.args[part]])
        return made

    def _group_part(self, node: exp.Expression) -> exp.Expression:
        if isinstance(node, (exp.Rollup, exp.Cube, exp.GroupingSets, exp.Tuple)):
            only(node, "expressions")
            return type(node)(expressions=[self._group_part(part) for part in node.expressions])
        if isinstance(node, exp.Paren):
            return exp.paren(self._group_part(node.this), copy=False)
        return _number_or(self.expressions, node)

    def _projections(self, nodes: Sequence[exp.Expression], shared: Sequence[str]) -> list[exp.Expression]:
        """Rewrite what is selected; of `*` the columns that USING shares come first."""
        counter = itertools.count()
        made: list[exp.Expression] = []
        for node in nodes:
            if isinstance(node, exp.Star):
                made += self._shared_first(node, shared)
            elif isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
                copy = node.copy()
                copy.set("this", self._star(node.this))
                made.append(copy)
            elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star):
                raise not_emulated("* of a STRUCT")
            elif isinstance(node, exp.Alias):
                made.append(_named(self.expressions.of(node.this), node.alias))
            elif isinstance(node, (exp.Column, exp.Dot)):
                made.append(_named(self.expressions.of(node), node.output_name))
            else:
                made.append(_named(self.expressions.of(node), f"f{next(counter)}_"))
        return made

    def _shared_first(self, node: exp.Expression, shared: Sequence[str]) -> list[exp.Expression]:
        star = self._star(node)
        if not shared:
            return [star]
        left_out = {part.name.lower() for part in node.args.get("except_") or ()}
        if {part.alias.lower() for part in node.args.get("replace") or ()} & {name.lower() for name in shared}:
            raise not_emulated("REPLACE of a column that USING shares")
        kept = [exp.to_identifier(name, quoted=True) for name in shared]
        rest = [
            *(star.args.get("except_") or ()),
            *(exp.column(name.copy()) for name in kept if name.name.lower() not in left_out),
        ]
        star.set("except_", rest)
        first = [_named(exp.column(name), name.name) for name in kept if name.name.lower() not in left_out]
        return [*first, star]

    def _star(self, node: exp.Expression) -> exp.Expression:
        only(node, "except_", "replace")
        made = exp.Star()
        if node.args.get("except_"):
            made.set(
                "except_", [exp.column(exp.to_identifier(part.name, quoted=True)) for part in node.args["except_"]]
            )
        if node.args.get("replace"):
            made.set("replace", [_named(self.expressions.of(part.this), part.alias) for part in node.args["replace"]])
        return made

    def _join(self, node: exp.Expression) -> exp.Expression:
        only(node, "this", "side", "kind", "on", "using")
        source = self._source(node.this)
        side, kind = str(node.args.get("side") or ""), str(node.args.get("kind") or "")
        if kind not in {"", "INNER", "CROSS", "OUTER"} or side not in {"", "LEFT", "RIGHT", "FULL"}:
            raise not_emulated(f"{side} {kind} JOIN".strip())
        made = exp.Join(this=_keyed(source, node.args.get("using") or (), side))
        if node.args.get("using"):
            made.set("using", [part.copy() for part in node.args["using"]])
        elif node.args.get("on") is not None:
            made.set("on", self.expressions.condition(node.args["on"]))
        elif side and isinstance(node.this, exp.Unnest):
            made.set("on", exp.true())
        elif side:
            raise invalid_query(f"{side} JOIN must have an immediately following ON or USING clause")
        if side:
            made.set("side", side)
        elif made.args.get("on") is None and not made.args.get("using"):
            made.set("kind", "CROSS")
        return made

    def _source(self, node: exp.Expression) -> exp.Expression:
        """Rewrite what rows come from, and let what follows see it."""
        if isinstance(node, exp.Table):
            only(node, "this", "db", "catalog", "alias")
            made = node.copy()
            _check_alias(node)
            if not node.alias:
                made.set("alias", exp.TableAlias(this=exp.to_identifier(node.name, quoted=True)))
        elif isinstance(node, exp.Subquery):
            if node.args.get("pivots"):
                return self._source(self._without_pivot(node))
            only(node, "this", "alias")
            _check_alias(node)
            if isinstance(node.this, exp.Table):
                raise not_emulated("a JOIN in parentheses")
            made = exp.Subquery(this=self.query(node.this))
            name = node.alias or f"__query{next(self._unnesting.numbers)}"
            made.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))
        elif isinstance(node, exp.Unnest):
            made = self._unnesting.source(node)
        else:
            raise not_emulated(f"{type(node).__name__.upper()} in FROM")
        self._unnesting.add_source(made)
        return made

    def _without_pivot(self, node: exp.Subquery) -> exp.Subquery:
        """The query that a subquery with one PIVOT or UNPIVOT stands for."""
        if len(node.args["pivots"]) != 1:
            raise not_emulated("several PIVOTs")
        plain = exp.Subquery(this=node.this.copy(), alias=node.args.get("alias"))
        row = exp.to_identifier("__row", quoted=True)
        source = exp.Subquery(this=self.query(node.this.copy()), alias=exp.TableAlias(this=row))
        probe = exp.Select(expressions=[exp.column(row.copy())]).from_(source, copy=False)
        kind = self._unnesting.type_of(self._unnesting.around(probe, 0).sql(dialect="duckdb", identify=True))
        return pivoted(plain, node.args["pivots"][0], [name for name, _ in kind.children])


def _keyed(source: exp.Expression, keys: Sequence[exp.Expression], side: str) -> exp.Expression:
    """What is joined on shared columns, where NaN meets nothing; a row that stays for itself keeps it."""
    if not keys:
        return source
    macro = "__only_number" if side in {"RIGHT", "FULL"} else "__key"
    names = [exp.to_identifier(key.name, quoted=True) for key in keys]
    replaced = [_named(call(macro, exp.column(name.copy())), name.name) for name in names]
    select = exp.Select(expressions=[exp.Star(replace=replaced)]).from_(source, copy=False)
    alias = exp.to_identifier(source.alias_or_name, quoted=True)
    return exp.Subquery(this=select, alias=exp.TableAlias(this=alias))


def _is_value(node: exp.Expression) -> bool:
    """Whether a query is an ARRAY's or an expression, and not what rows come from."""
    parent = node.parent
    if isinstance(parent, exp.Subquery):
        parent = parent.parent
        return parent is not None and not isinstance(parent, (exp.From, exp.Join, exp.SetOperation, exp.CTE))
    return isinstance(parent, (exp.Array, exp.In))


def _check_alias(node: exp.Expression) -> None:
    alias = node.args.get("alias")
    if alias is not None and alias.columns:
        raise not_emulated("a list of columns after an alias")


def _named(node: exp.Expression, name: str) -> exp.Expression:
    return exp.Alias(this=node, alias=exp.to_identifier(name, quoted=True))


def _number_or(made: Expressions, node: exp.Expression) -> exp.Expression:
    """A written whole number stays what it is: an ordinal or a count."""
    if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
        return node.copy()
    return made.of(node)


def _check_count(node: exp.Expression) -> None:
    if isinstance(node, exp.Literal) and not (node.name.isdigit() and not node.is_string):
        kind = "string" if node.is_string else "floating point"
        raise invalid_query(f"Syntax error: Unexpected {kind} literal {node.name}")


def _packed(projections: Sequence[exp.Expression]) -> exp.Expression:
    parts = []
    for part in projections:
        if not isinstance(part, exp.Alias):
            raise not_emulated("* in SELECT AS STRUCT")
        parts.append(exp.PropertyEQ(this=exp.to_identifier(part.alias, quoted=True), expression=part.this))
    return _named(exp.Anonymous(this="struct_pack", expressions=parts), "f0_")
