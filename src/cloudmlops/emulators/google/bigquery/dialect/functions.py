"""Functions of one row: numbers, texts, bytes, arrays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import (
    call,
    case,
    cast,
    disjunction,
    name_of,
    only,
    whole,
)
from cloudmlops.emulators.google.bigquery.dialect.operators import compared
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

if TYPE_CHECKING:
    from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions
    from cloudmlops.emulators.google.bigquery.dialect.operators import Handler

_SIMPLE: Final[dict[type[exp.Expression], tuple[str, tuple[str, ...]]]] = {
    exp.Abs: ("__abs", ("this",)),
    exp.Sign: ("__sign", ("this",)),
    exp.Round: ("__round", ("this", "decimals")),
    exp.Ceil: ("__ceil", ("this",)),
    exp.Floor: ("__floor", ("this",)),
    exp.Trunc: ("__trunc", ("this",)),
    exp.Sqrt: ("__sqrt", ("this",)),
    exp.Ln: ("__ln", ("this",)),
    exp.Exp: ("__exp", ("this",)),
    exp.Pow: ("__pow", ("this", "expression")),
    exp.SafeDivide: ("__safe_div", ("this", "expression")),
    exp.SafeAdd: ("__safe_add", ("this", "expression")),
    exp.SafeSubtract: ("__safe_sub", ("this", "expression")),
    exp.SafeMultiply: ("__safe_mul", ("this", "expression")),
    exp.SafeNegate: ("__safe_neg", ("this",)),
    exp.Rand: ("random", ()),
    exp.Upper: ("__upper", ("this",)),
    exp.Lower: ("__lower", ("this",)),
    exp.Reverse: ("__reverse", ("this",)),
    exp.Replace: ("__replace", ("this", "expression", "replacement")),
    exp.Substring: ("__substr", ("this", "start", "length")),
    exp.Left: ("__left", ("this", "expression")),
    exp.Right: ("__right", ("this", "expression")),
    exp.Repeat: ("__repeat", ("this", "times")),
    exp.StartsWith: ("__starts_with", ("this", "expression")),
    exp.EndsWith: ("__ends_with", ("this", "expression")),
    exp.StrPosition: ("__strpos", ("this", "substr")),
    exp.Split: ("__split", ("this", "expression")),
    exp.ByteLength: ("__byte_length", ("this",)),
    exp.Unhex: ("unhex", ("this",)),
    exp.ToBase64: ("to_base64", ("this",)),
    exp.FromBase64: ("from_base64", ("this",)),
    exp.MD5Digest: ("__md5", ("this",)),
    exp.SHA1Digest: ("__sha1", ("this",)),
    exp.ArraySize: ("len", ("this",)),
    exp.ArrayReverse: ("list_reverse", ("this",)),
}


def simple(made: Expressions, node: exp.Expression) -> exp.Expression:
    """One that is a macro or a function of DuckDB with the same arguments."""
    function, names = _SIMPLE[type(node)]
    only(node, *names)
    return call(function, *(made.of(node.args[name]) for name in names if node.args.get(name) is not None))


def logarithm(made: Expressions, node: exp.Expression) -> exp.Expression:
    """LOG(x, base) and LOG10, which sqlglot reads as base first."""
    only(node, "this", "expression")
    if isinstance(node.this, exp.Literal) and node.this.name == "10":
        return call("__log10", made.of(node.expression))
    return call("__log", made.of(node.expression), made.of(node.this))


def not_a_number(made: Expressions, node: exp.Expression) -> exp.Expression:
    """IS_NAN and IS_INF."""
    only(node, "this")
    return call("isnan" if isinstance(node, exp.IsNan) else "isinf", call("__float", made.of(node.this)))


def greatest(made: Expressions, node: exp.Expression) -> exp.Expression:
    """GREATEST and LEAST: NULL if one is, else NaN if one is."""
    only(node, "this", "expressions", "ignore_nulls")
    values = [made.of(value) for value in (node.this, *node.expressions) if value is not None]
    none = disjunction(exp.Is(this=value.copy(), expression=exp.null()) for value in values)
    if isinstance(node, exp.Greatest):
        return case((none, exp.null()), otherwise=call("greatest", *values))
    nans = [(call("__is_nan", value.copy()), value.copy()) for value in values]
    return case((none, exp.null()), *nans, otherwise=call("least", *values))


def first_known(made: Expressions, node: exp.Expression) -> exp.Expression:
    """COALESCE and IFNULL."""
    only(node, "this", "expressions", "is_nvl", "is_null")
    return exp.Coalesce(this=made.of(node.this), expressions=[made.of(value) for value in node.expressions])


def null_if(made: Expressions, node: exp.Expression) -> exp.Expression:
    """NULLIF, which compares as = does."""
    only(node, "this", "expression")
    same = compared(made, exp.EQ(this=node.this.copy(), expression=node.expression))
    return case((same, exp.null()), otherwise=made.of(node.this))


def uuid(_: Expressions, node: exp.Expression) -> exp.Expression:
    """GENERATE_UUID."""
    only(node, "is_string", "name")
    return cast(call("uuid"), "VARCHAR")


def length(made: Expressions, node: exp.Expression) -> exp.Expression:
    """LENGTH and CHAR_LENGTH."""
    only(node, "this", "binary")
    return call("__length", made.of(node.this))


def trimmed(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TRIM, LTRIM, RTRIM."""
    only(node, "this", "expression", "position")
    function = {"LEADING": "__ltrim", "TRAILING": "__rtrim"}.get(str(node.args.get("position")), "__trim")
    parts = [node.this] + ([node.expression] if node.args.get("expression") is not None else [])
    return call(function, *map(made.of, parts))


def padded(made: Expressions, node: exp.Expression) -> exp.Expression:
    """LPAD and RPAD."""
    only(node, "this", "expression", "fill_pattern", "is_left")
    fill = node.args.get("fill_pattern")
    return call(
        "__lpad" if node.args.get("is_left") else "__rpad",
        made.of(node.this),
        made.of(node.expression),
        made.of(fill) if fill is not None else exp.Literal.string(" "),
    )


def _pattern(node: exp.Expression) -> str:
    if isinstance(node, exp.RawString):
        return str(node.this)
    if isinstance(node, exp.Literal) and node.is_string:
        return str(node.name)
    raise not_emulated("a regular expression that is not written out")


def matches(made: Expressions, node: exp.Expression) -> exp.Expression:
    """REGEXP_CONTAINS; both are RE2."""
    only(node, "this", "expression")
    return call("regexp_matches", made.of(node.this), made.of(node.expression))


def match(made: Expressions, node: exp.Expression) -> exp.Expression:
    """REGEXP_EXTRACT: the group if there is one, NULL where nothing matches."""
    only(node, "this", "expression", "group", "null_if_pos_overflow", "null_if_no_match")
    pattern = _pattern(node.expression)
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise not_emulated(f"the regular expression {pattern!r}") from error
    if groups > 1:
        raise invalid_query("Regular expression has more than 1 capturing group")
    value = made.of(node.this)
    written = exp.Literal.string(pattern)
    return case(
        (
            call("regexp_matches", value.copy(), written.copy()),
            call("regexp_extract", value, written, exp.Literal.number(groups)),
        )
    )


def replaced(made: Expressions, node: exp.Expression) -> exp.Expression:
    """REGEXP_REPLACE, all of them."""
    only(node, "this", "expression", "replacement")
    parts = [made.of(node.args[name]) for name in ("this", "expression", "replacement")]
    return call("regexp_replace", *parts, "g")


def hexadecimal(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TO_HEX, in small letters."""
    only(node, "this")
    return call("lower", call("hex", made.of(node.this)))


def digest_text(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TO_HEX of a digest, which sqlglot reads as one function."""
    only(node, "this", "length")
    if isinstance(node, exp.SHA2) and node.args["length"].name != "256":
        raise not_emulated(f"SHA{node.args['length'].name}")
    macro = {exp.MD5: "__md5", exp.SHA: "__sha1", exp.SHA2: "__sha256"}[type(node)]
    return call("lower", call("hex", call(macro, made.of(node.this))))


def digest(made: Expressions, node: exp.Expression) -> exp.Expression:
    """SHA256."""
    only(node, "this", "length")
    if node.args["length"].name != "256":
        raise not_emulated(f"SHA{node.args['length'].name}")
    return call("__sha256", made.of(node.this))


def series(made: Expressions, node: exp.Expression) -> exp.Expression:
    """GENERATE_ARRAY of INT64."""
    only(node, "start", "end", "step")
    step = node.args.get("step")
    bounds = (made.of(node.args["start"]), made.of(node.args["end"]))
    return call("__series", *bounds, made.of(step) if step is not None else whole(1))


def concatenated(made: Expressions, node: exp.Expression) -> exp.Expression:
    """ARRAY_CONCAT: NULL if one is."""
    only(node, "this", "expressions", "null_propagation")
    result = made.of(node.this)
    for part in node.expressions:
        result = call("__array_concat", result, made.of(part))
    return result


def array_text(made: Expressions, node: exp.Expression) -> exp.Expression:
    """ARRAY_TO_STRING, without the NULLs."""
    only(node, "this", "expression")
    return call("array_to_string", made.of(node.this), made.of(node.expression))


def json_value(made: Expressions, node: exp.Expression) -> exp.Expression:
    """JSON_VALUE with a written path: NULL for what is no scalar."""
    only(node, "this", "expression", "scalar_only")
    path = node.expression
    if not isinstance(path, exp.JSONPath):
        raise not_emulated(f"{name_of(node)} with a path that is not written out")
    parts = ["$"]
    for step in path.expressions:
        if isinstance(step, exp.JSONPathRoot):
            continue
        if isinstance(step, exp.JSONPathKey) and isinstance(step.this, str) and '"' not in step.this:
            parts.append(f'."{step.this}"')
        elif isinstance(step, exp.JSONPathSubscript) and isinstance(step.this, int):
            parts.append(f"[{step.this}]")
        else:
            raise not_emulated("this JSON path")
    written = exp.Literal.string("".join(parts))
    value = made.of(node.this)
    kind = call("json_type", value.copy(), written.copy())
    unfit = exp.In(
        this=call("coalesce", kind, exp.Literal.string("NULL")),
        expressions=[exp.Literal.string(word) for word in ("OBJECT", "ARRAY", "NULL")],
    )
    return case((exp.paren(exp.Not(this=unfit), copy=False), call("json_extract_string", value, written)))


_NAMED: Final = {
    "IEEE_DIVIDE": ("__ieee_div", 2),
    "ERROR": ("error", 1),
}


def named(made: Expressions, node: exp.Expression) -> exp.Expression:
    """One that sqlglot has no node for."""
    name = str(node.this).upper()
    if name not in _NAMED:
        raise not_emulated(f"the function {name}")
    function, count = _NAMED[name]
    if len(node.expressions) != count:
        raise invalid_query(f"Number of arguments does not match for function {name}")
    return call(function, *map(made.of, node.expressions))


def safe(made: Expressions, node: exp.Expression) -> exp.Expression:
    """SAFE.function: NULL where the function fails. Only of those that fail by themselves, not by a macro's error."""
    only(node, "this")
    inner = node.this
    if isinstance(inner, (exp.StrToDate, exp.StrToTime, exp.ParseDatetime, exp.DateFromParts)):
        return call("try", made.of(inner))
    if isinstance(inner, exp.Date) and inner.args.get("zone") is None:
        return call("__safe_date", made.of(inner.this))
    if isinstance(inner, exp.Timestamp) and inner.args.get("zone") is None:
        return call("__safe_timestamp", made.of(inner.this))
    raise not_emulated(f"SAFE.{name_of(inner)}")


FUNCTIONS: Final[dict[type[exp.Expression], Handler]] = {
    **dict.fromkeys(_SIMPLE, simple),
    exp.Log: logarithm,
    exp.IsNan: not_a_number,
    exp.IsInf: not_a_number,
    exp.Greatest: greatest,
    exp.Least: greatest,
    exp.Coalesce: first_known,
    exp.Nullif: null_if,
    exp.Uuid: uuid,
    exp.Length: length,
    exp.Trim: trimmed,
    exp.Pad: padded,
    exp.RegexpLike: matches,
    exp.RegexpExtract: match,
    exp.RegexpReplace: replaced,
    exp.LowerHex: hexadecimal,
    exp.SHA2Digest: digest,
    **dict.fromkeys((exp.MD5, exp.SHA, exp.SHA2), digest_text),
    exp.GenerateSeries: series,
    exp.ArrayConcat: concatenated,
    exp.ArrayToString: array_text,
    exp.JSONExtractScalar: json_value,
    exp.Anonymous: named,
    exp.SafeFunc: safe,
}
