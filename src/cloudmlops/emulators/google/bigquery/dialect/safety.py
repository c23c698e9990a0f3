"""SAFE.function: NULL where the function fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import call, case, name_of, only, whole
from cloudmlops.emulators.google.bigquery.refusals import not_emulated

if TYPE_CHECKING:
    from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions
    from cloudmlops.emulators.google.bigquery.dialect.operators import Handler

_CAUGHT: Final = (
    exp.StrToDate,
    exp.StrToTime,
    exp.ParseDatetime,
    exp.ParseTime,
    exp.ParseJSON,
    exp.DateFromParts,
    exp.Format,
    exp.FromBase64,
    exp.FromBase32,
    exp.Unhex,
    exp.CodePointsToString,
    exp.CodePointsToBytes,
    exp.Chr,
    exp.Translate,
    exp.Int64,
    exp.Float64,
    exp.JSONBool,
    exp.JSONExtract,
    exp.JSONExtractScalar,
    exp.TimeToStr,
)
"""Those whose errors DuckDB's TRY sees: it does not see those that a macro raises."""

_LENGTHS: Final[dict[type[exp.Expression], str]] = {
    exp.Substring: "length",
    exp.Left: "expression",
    exp.Right: "expression",
    exp.Repeat: "times",
}
_DOMAINS: Final[dict[type[exp.Expression], type[exp.Expression]]] = {exp.Sqrt: exp.GTE, exp.Ln: exp.GT}

_KNOWN: Final = frozenset({*_CAUGHT, *_LENGTHS, *_DOMAINS})


def safe(made: Expressions, node: exp.Expression) -> exp.Expression:
    """Rewrite SAFE.function; what fails among its arguments is not what it is for."""
    only(node, "this")
    inner = node.this
    if isinstance(inner, exp.Date) and inner.args.get("zone") is None:
        return call("__safe_date", made.of(inner.this))
    if isinstance(inner, exp.Timestamp) and inner.args.get("zone") is None:
        return call("__safe_timestamp", made.of(inner.this))
    if type(inner) not in _KNOWN:
        raise not_emulated(f"SAFE.{name_of(inner)}")
    if not all(_cannot_fail(part) for part in inner.iter_expressions()):
        raise not_emulated(f"SAFE.{name_of(inner)} of what may fail itself")
    if type(inner) in _CAUGHT:
        return call("try", made.of(inner))
    if type(inner) in _DOMAINS:
        fits = _DOMAINS[type(inner)](this=call("__float", made.of(inner.this)), expression=exp.Literal.number(0))
        return case((fits, made.of(inner)))
    count = inner.args.get(_LENGTHS[type(inner)])
    if count is None:
        return made.of(inner)
    return case((exp.GTE(this=made.of(count), expression=whole(0)), made.of(inner)))


def _cannot_fail(node: exp.Expression) -> bool:
    if isinstance(node, (exp.Literal, exp.Column, exp.Null, exp.Boolean, exp.RawString, exp.ByteString, exp.Var)):
        return True
    if isinstance(node, (exp.Identifier, exp.JSONPath, exp.DataType)):
        return True
    if isinstance(node, exp.ParseJSON):
        return bool(node.args.get("is_literal"))
    wrappers = (
        exp.Paren,
        exp.Neg,
        exp.Dot,
        exp.Array,
        exp.Concat,
        exp.DPipe,
        exp.TsOrDsToDate,
        exp.TsOrDsToDatetime,
        exp.TsOrDsToTime,
        exp.TsOrDsToTimestamp,
    )
    if isinstance(node, wrappers) or (isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal)):
        return all(_cannot_fail(part) for part in node.iter_expressions())
    return False


SAFETY: Final[dict[type[exp.Expression], Handler]] = {exp.SafeFunc: safe}
