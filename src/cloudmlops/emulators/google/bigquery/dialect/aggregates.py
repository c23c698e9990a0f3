"""Functions of many rows: aggregates, and windows over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.arithmetic import naught
from cloudmlops.emulators.google.bigquery.dialect.building import call, case, cast, name_of, only
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

if TYPE_CHECKING:
    from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions
    from cloudmlops.emulators.google.bigquery.dialect.operators import Handler

Over = Callable[[exp.Expression], exp.Expression]
"""Puts a function of DuckDB over the window, if there is one."""

_PAIRS: Final[dict[type[exp.Expression], str]] = {
    exp.Corr: "corr",
    exp.CovarPop: "covar_pop",
    exp.CovarSamp: "covar_samp",
}
_NUMBERING: Final = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist)
_PLAIN: Final[dict[type[exp.Expression], tuple[str, bool]]] = {
    exp.AnyValue: ("any_value", False),
    exp.LogicalAnd: ("bool_and", False),
    exp.LogicalOr: ("bool_or", False),
    exp.Avg: ("avg", True),
    exp.Stddev: ("stddev_samp", True),
    exp.StddevSamp: ("stddev_samp", True),
    exp.StddevPop: ("stddev_pop", True),
    exp.Variance: ("var_samp", True),
    exp.VariancePop: ("var_pop", True),
    exp.BitwiseAndAgg: ("bit_and", False),
    exp.BitwiseOrAgg: ("bit_or", False),
    exp.BitwiseXorAgg: ("bit_xor", False),
}


def aggregated(made: Expressions, node: exp.Expression) -> exp.Expression:
    """An aggregate of a group."""
    return _aggregate(made, node, lambda raw: raw)


def _aggregate(made: Expressions, node: exp.Expression, over: Over) -> exp.Expression:
    if isinstance(node, exp.IgnoreNulls) and isinstance(node.this, exp.ArrayAgg):
        return _array(made, node.this, over, ignore_nulls=True)
    if isinstance(node, exp.RespectNulls) and isinstance(node.this, exp.ArrayAgg):
        return _array(made, node.this, over, ignore_nulls=False)
    if isinstance(node, exp.ArrayAgg):
        return _array(made, node, over, ignore_nulls=False)
    if isinstance(node, exp.GroupConcat):
        return _texts(made, node, over)
    if isinstance(node, exp.Count):
        only(node, "this", "big_int")
        return over(exp.Anonymous(this="count", expressions=[_argument(made, node.this)]))
    if isinstance(node, exp.CountIf):
        only(node, "this")
        if isinstance(node.this, exp.Distinct):
            raise not_emulated("COUNTIF(DISTINCT …)")
        return over(call("count", case((made.truth(node.this), exp.Literal.number(1)))))
    if isinstance(node, exp.Sum):
        only(node, "this")
        argument = _argument(made, node.this, macro="__number")
        return call("__total", over(exp.Anonymous(this="sum", expressions=[argument])), _known_finite(argument, over))
    if isinstance(node, (exp.Min, exp.Max)):
        return _extreme(made, node, over)
    if type(node) in _PAIRS:
        return _pairs(made, node, over)
    if isinstance(node, (exp.ArgMax, exp.ArgMin)):
        only(node, "this", "expression")
        return _chosen(made, node.this, node.expression, over, most=isinstance(node, exp.ArgMax))
    if isinstance(node, exp.AnyValue) and isinstance(node.this, exp.HavingMax):
        only(node.this, "this", "expression", "max")
        return _chosen(made, node.this.this, node.this.expression, over, most=bool(node.this.args.get("max")))
    function, of_floats = _PLAIN[type(node)]
    only(node, "this")
    of_bits = function.startswith("bit_")
    argument = _argument(made, node.this, macro="__float" if of_floats else "__whole" if of_bits else "")
    result = over(exp.Anonymous(this=function, expressions=[argument]))
    return call("__in_range", result, _known_finite(argument, over)) if of_floats else result


def _known_finite(argument: exp.Expression, over: Over) -> exp.Expression:
    """What is 0 if all values of an aggregate are finite, and NaN or NULL if not: a sum, since that is cheapest."""
    value = argument.expressions[0] if isinstance(argument, exp.Distinct) else argument
    return over(exp.Anonymous(this="sum", expressions=[naught(value)]))


def _pairs(made: Expressions, node: exp.Expression, over: Over) -> exp.Expression:
    """CORR and COVAR_…, of the rows where neither is NULL."""
    only(node, "this", "expression")
    values = [call("__float", made.of(part)) for part in (node.this, node.expression)]
    left, right = map(naught, values)
    both = exp.Add(this=left, expression=right)
    raw = over(call(_PAIRS[type(node)], *values))
    result = call("__in_range", raw, over(exp.Anonymous(this="sum", expressions=[both])))
    if not isinstance(node, exp.Corr):
        return result
    known = over(call("regr_count", *(value.copy() for value in values)))
    return case((exp.GT(this=known, expression=exp.Literal.number(1)), result))


def _chosen(made: Expressions, value: exp.Expression, by: exp.Expression, over: Over, *, most: bool) -> exp.Expression:
    """A value of the row where another is greatest or least."""
    return over(call("arg_max_null" if most else "arg_min_null", made.of(value), call("__ordered", made.of(by))))


def quantiles(made: Expressions, node: exp.Expression) -> exp.Expression:
    """APPROX_QUANTILES([DISTINCT] x, n [{IGNORE | RESPECT} NULLS]), exactly."""
    kept = not isinstance(node, exp.RespectNulls)
    inner = node.this if isinstance(node, (exp.IgnoreNulls, exp.RespectNulls)) else node
    only(inner, "this", "expression")
    value, count = inner.this, inner.args.get("expression")
    distinct = isinstance(value, exp.Distinct)
    if distinct:
        value, count = value.expressions
    argument: exp.Expression = exp.Distinct(expressions=[value]) if distinct else value
    array = _array(made, exp.ArrayAgg(this=_sorted(argument)), lambda raw: raw, ignore_nulls=kept)
    return call("__approx_quantiles", array, made.of(count))


def distinct_count(made: Expressions, node: exp.Expression) -> exp.Expression:
    """APPROX_COUNT_DISTINCT, exactly."""
    only(node, "this")
    return exp.Anonymous(this="count", expressions=[exp.Distinct(expressions=[made.of(node.this)])])


def grouping(made: Expressions, node: exp.Expression) -> exp.Expression:
    """GROUPING: 1 where a row is of all values of an expression."""
    only(node, "expressions")
    if len(node.expressions) != 1:
        raise invalid_query("GROUPING takes one argument")
    return call("grouping", made.of(node.expressions[0]))


def _percentile(made: Expressions, node: exp.Expression, over: Over, *, respect_nulls: bool) -> exp.Expression:
    """PERCENTILE_CONT and PERCENTILE_DISC over a window."""
    only(node, "this", "expression")
    if respect_nulls:
        raise not_emulated(f"RESPECT NULLS of {name_of(node)}")
    continuous = isinstance(node, exp.PercentileCont)
    part = node.expression
    if not isinstance(part, exp.Literal):
        raise not_emulated(f"{name_of(node)} of a percentile that is not written out")
    if not 0 <= float(part.name) <= 1:
        raise invalid_query("Percentile must be between 0 and 1")
    if isinstance(node.this, exp.Distinct):
        raise not_emulated(f"DISTINCT in {name_of(node)}")
    array = _array(made, exp.ArrayAgg(this=_sorted(node.this)), over, ignore_nulls=True)
    percentile = cast(exp.Literal.string(part.name), "DOUBLE")
    return call("__percentile_cont" if continuous else "__percentile_disc", array, percentile)


def _sorted(value: exp.Expression) -> exp.Expression:
    """What an ARRAY_AGG takes, in its own order."""
    inner = value.expressions[0] if isinstance(value, exp.Distinct) else value
    return exp.Order(this=value, expressions=[exp.Ordered(this=inner.copy(), nulls_first=True)])


def _argument(made: Expressions, node: exp.Expression, *, macro: str = "") -> exp.Expression:
    """What is aggregated; `macro` gives it the type that it is to have."""
    if isinstance(node, exp.Star):
        only(node)
        return exp.Star()
    if isinstance(node, exp.Distinct):
        if len(node.expressions) != 1 or node.args.get("on") is not None:
            raise not_emulated("DISTINCT of several values")
        inner = node.expressions[0]
        return exp.Distinct(expressions=[_argument(made, inner, macro=macro)])
    if isinstance(node, (exp.HavingMax, exp.Limit, exp.Order)):
        raise not_emulated(f"{name_of(node)} in this aggregate")
    value = made.of(node)
    return call(macro, value) if macro else value


def _extreme(made: Expressions, node: exp.Expression, over: Over) -> exp.Expression:
    """MIN and MAX: NaN if one is. In DuckDB NaN is the greatest, so that the maximum is right."""
    only(node, "this")
    argument = _argument(made, node.this)
    highest = over(exp.Anonymous(this="max", expressions=[argument]))
    if isinstance(node, exp.Max):
        return highest
    inner = argument.expressions[0] if isinstance(argument, exp.Distinct) else argument
    nan = over(exp.Anonymous(this="bool_or", expressions=[call("__is_nan", inner.copy())]))
    lowest = over(exp.Anonymous(this="min", expressions=[argument.copy()]))
    return case((nan, highest), otherwise=lowest)


def _array(made: Expressions, node: exp.Expression, over: Over, *, ignore_nulls: bool) -> exp.Expression:
    """ARRAY_AGG([DISTINCT] x [IGNORE NULLS] [ORDER BY …] [LIMIT n])."""
    only(node, "this", "nulls_excluded")
    inner, most, orders = node.this, None, []
    if isinstance(inner, exp.Limit):
        inner, most = inner.this, inner.expression
    if isinstance(inner, exp.Order):
        inner, orders = inner.this, inner.expressions
    if isinstance(inner, exp.IgnoreNulls):
        inner, ignore_nulls = inner.this, True
    argument = _argument(made, inner)
    value = argument.expressions[0] if isinstance(argument, exp.Distinct) else argument
    if orders:
        argument = exp.Order(this=argument, expressions=made.orders(orders, plain=isinstance(argument, exp.Distinct)))
    result: exp.Expression = exp.Anonymous(this="array_agg", expressions=[argument])
    if ignore_nulls:
        known = exp.Not(this=exp.paren(exp.Is(this=value.copy(), expression=exp.null()), copy=False))
        result = exp.Filter(this=result, expression=exp.Where(this=known))
    result = over(result)
    if most is not None:
        return call("list_slice", result, exp.Literal.number(1), made.of(most))
    return result


def _texts(made: Expressions, node: exp.Expression, over: Over) -> exp.Expression:
    """STRING_AGG([DISTINCT] x[, separator] [ORDER BY …])."""
    only(node, "this", "separator")
    inner, orders = node.this, []
    if isinstance(inner, exp.Limit):
        raise not_emulated("LIMIT in STRING_AGG")
    if isinstance(inner, exp.Order):
        inner, orders = inner.this, inner.expressions
    argument = _argument(made, inner)
    separator = node.args.get("separator")
    parts = [argument, made.of(separator) if separator is not None else exp.Literal.string(",")]
    if orders:
        parts[-1] = exp.Order(this=parts[-1], expressions=made.orders(orders, plain=isinstance(argument, exp.Distinct)))
    return over(exp.Anonymous(this="string_agg", expressions=parts))


def window(made: Expressions, node: exp.Expression) -> exp.Expression:
    """A function over a window."""
    only(node, "this", "partition_by", "order", "spec", "alias", "over")

    def over(raw: exp.Expression) -> exp.Expression:
        return exp.Window(this=raw, **_frame(made, node))

    function = node.this
    if isinstance(function, _NUMBERING):
        only(function)
        names = {
            exp.RowNumber: "row_number",
            exp.Rank: "rank",
            exp.DenseRank: "dense_rank",
            exp.PercentRank: "percent_rank",
            exp.CumeDist: "cume_dist",
        }
        return over(exp.Anonymous(this=names[type(function)], expressions=[]))
    if isinstance(function, exp.Ntile):
        only(function, "this")
        return over(call("ntile", made.of(function.this)))
    nulls = type(function) if isinstance(function, (exp.IgnoreNulls, exp.RespectNulls)) else None
    inner = function.this if nulls else function
    if isinstance(inner, (exp.FirstValue, exp.LastValue, exp.NthValue)):
        only(inner, "this", "offset")
        names_of = {exp.FirstValue: exp.FirstValue, exp.LastValue: exp.LastValue, exp.NthValue: exp.NthValue}
        offset = inner.args.get("offset")
        raw: exp.Expression = names_of[type(inner)](
            this=made.of(inner.this), **({"offset": made.of(offset)} if offset is not None else {})
        )
        return over(nulls(this=raw) if nulls is exp.IgnoreNulls else raw)
    if isinstance(inner, (exp.Lag, exp.Lead)) and nulls is None:
        only(inner, "this", "offset", "default")
        parts = [inner.this, inner.args.get("offset"), inner.args.get("default")]
        return over(
            call(
                "lag" if isinstance(inner, exp.Lag) else "lead", *(made.of(part) for part in parts if part is not None)
            )
        )
    if isinstance(inner, (exp.PercentileCont, exp.PercentileDisc)):
        if node.args.get("order") is not None or node.args.get("spec") is not None:
            raise invalid_query(f"Window ORDER BY is not allowed for analytic function {name_of(inner)}")
        return _percentile(made, inner, over, respect_nulls=nulls is exp.RespectNulls)
    if type(inner) not in AGGREGATES or (nulls is not None and not isinstance(inner, exp.ArrayAgg)):
        raise not_emulated(f"{name_of(inner)} over a window")
    return _aggregate(made, function, over)


def _frame(made: Expressions, node: exp.Expression) -> dict[str, object]:
    """The window itself; made anew each time, since nodes have one parent."""
    frame: dict[str, object] = {}
    partition, order, spec = _parts(node)
    if partition:
        frame["partition_by"] = [made.of(part) for part in partition]
    ranged = spec is not None and str(spec.args.get("kind")).upper() == "RANGE" and _numeric(spec)
    if order is not None:
        frame["order"] = exp.Order(expressions=made.orders(order.expressions, plain=ranged))
    if spec is not None:
        frame["spec"] = _spec(made, spec)
    return frame


_Parts = tuple[Sequence[exp.Expression], exp.Expression | None, exp.Expression | None]


def _parts(node: exp.Expression) -> _Parts:
    """What a window says of its partitions, order and frame, with what it takes from a named one."""
    own = node.args.get("partition_by") or (), node.args.get("order"), node.args.get("spec")
    alias = node.args.get("alias")
    if alias is None:
        return own
    partition, order, spec = _parts(_window_named(node, alias.name))
    if own[0] or (own[1] is not None and order is not None) or (own[2] is not None and spec is not None):
        raise invalid_query(f"A window cannot change what the named window {alias.name} says")
    return partition, own[1] if order is None else order, own[2] if spec is None else spec


def _window_named(node: exp.Expression, name: str) -> exp.Expression:
    select = node.find_ancestor(exp.Select)
    for window_ in (select.args.get("windows") or ()) if select is not None else ():
        if window_.name.lower() == name.lower() and window_ is not node:
            return window_
    raise invalid_query(f"Unrecognized window alias {name}")


def _numeric(spec: exp.Expression) -> bool:
    return any(isinstance(spec.args.get(side), exp.Expression) for side in ("start", "end"))


def _spec(made: Expressions, spec: exp.Expression) -> exp.Expression:
    only(spec, "kind", "start", "start_side", "end", "end_side")
    kind = str(spec.args.get("kind")).upper()
    if kind not in {"ROWS", "RANGE"}:
        raise invalid_query(f"{kind} is not a window frame unit")
    parts: dict[str, object] = {"kind": kind}
    for name in ("start", "start_side", "end", "end_side"):
        value = spec.args.get(name)
        if value is not None:
            parts[name] = made.of(value) if isinstance(value, exp.Expression) else value
    if "end" not in parts:
        parts["end"] = "CURRENT ROW"
    return exp.WindowSpec(**parts)


def array_or_nulls(made: Expressions, node: exp.Expression) -> exp.Expression:
    """IGNORE NULLS outside of a window: only ARRAY_AGG has it."""
    if isinstance(node.this, exp.ApproxQuantiles):
        return quantiles(made, node)
    if not isinstance(node.this, exp.ArrayAgg):
        raise not_emulated(f"IGNORE NULLS of {name_of(node.this)} without a window")
    return _aggregate(made, node, lambda raw: raw)


AGGREGATES: Final[dict[type[exp.Expression], Handler]] = {
    **dict.fromkeys((*_PLAIN, *_PAIRS, exp.ArgMax, exp.ArgMin), aggregated),
    **dict.fromkeys((exp.ArrayAgg, exp.GroupConcat, exp.Count, exp.CountIf, exp.Sum, exp.Min, exp.Max), aggregated),
}

WINDOWS: Final[dict[type[exp.Expression], Handler]] = {
    exp.ApproxQuantiles: quantiles,
    exp.ApproxDistinct: distinct_count,
    exp.Grouping: grouping,
    exp.Window: window,
    exp.IgnoreNulls: array_or_nulls,
    exp.RespectNulls: array_or_nulls,
}
