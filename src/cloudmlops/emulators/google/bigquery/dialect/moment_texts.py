"""Dates and times as texts: FORMAT_DATE and its like, PARSE_DATE and its like, STRING."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import call, cast, name_of, only
from cloudmlops.emulators.google.bigquery.dialect.times import moment_of
from cloudmlops.emulators.google.bigquery.refusals import not_emulated

if TYPE_CHECKING:
    from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions
    from cloudmlops.emulators.google.bigquery.dialect.operators import Handler

_FORMATTED: Final[dict[type[exp.Expression], str]] = {
    exp.TsOrDsToTimestamp: "timestamp",
    exp.TsOrDsToDate: "date",
    exp.TsOrDsToDatetime: "datetime",
    exp.TsOrDsToTime: "time",
}
_PARSED: Final[dict[type[exp.Expression], str]] = {
    exp.StrToTime: "timestamp",
    exp.StrToDate: "date",
    exp.ParseDatetime: "datetime",
    exp.ParseTime: "time",
}


def _zone(made: Expressions, node: exp.Expression) -> exp.Expression:
    zone = node.args.get("zone")
    return made.of(zone) if zone is not None else exp.Literal.string("UTC")


def formatted(made: Expressions, node: exp.Expression) -> exp.Expression:
    """FORMAT_TIMESTAMP, FORMAT_DATE, FORMAT_DATETIME, FORMAT_TIME."""
    only(node, "this", "format", "zone")
    kind = _FORMATTED.get(type(node.this))
    if kind is None:
        raise not_emulated(name_of(node))
    value = moment_of(made, node.this.this, kind)
    return call(f"__format_{kind}", made.of(node.args["format"]), value, _zone(made, node))


def parsed(made: Expressions, node: exp.Expression) -> exp.Expression:
    """PARSE_TIMESTAMP, PARSE_DATE, PARSE_DATETIME, PARSE_TIME."""
    only(node, "this", "format", "zone", "default_year")
    value = cast(exp.null(), "VARCHAR") if isinstance(node.this, exp.Null) else made.of(node.this)
    return call(f"__parse_{_PARSED[type(node)]}", made.of(node.args["format"]), value, _zone(made, node))


def text(made: Expressions, node: exp.Expression) -> exp.Expression:
    """STRING(x[, zone])."""
    only(node, "this", "zone")
    if node.args.get("zone") is not None:
        return call("__string_in_zone", moment_of(made, node.this, "timestamp"), made.of(node.args["zone"]))
    return call("__string_of", made.of(node.this))


MOMENT_TEXTS: Final[dict[type[exp.Expression], Handler]] = {
    exp.TimeToStr: formatted,
    **dict.fromkeys(_PARSED, parsed),
    exp.String: text,
}
