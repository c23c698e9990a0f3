"""Functions of one row: numbers, texts, bytes, arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import (
    call,
    case,
    cast,
    disjunction,
    only,
    whole,
)
from cloudmlops.emulators.google.bigquery.dialect.comparing import compared
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
    exp.Trunc: ("__trunc", ("this", "decimals")),
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
    exp.Split: ("__split", ("this", "expression")),
    exp.ByteLength: ("__byte_length", ("this",)),
    exp.Unhex: ("unhex", ("this",)),
    exp.ToBase64: ("to_base64", ("this",)),
    exp.FromBase64: ("from_base64", ("this",)),
    exp.MD5Digest: ("__md5", ("this",)),
    exp.SHA1Digest: ("__sha1", ("this",)),
    exp.SafeConvertBytesToString: ("__safe_convert_bytes_to_string", ("this",)),
    exp.ToBase32: ("__to_base32", ("this",)),
    exp.FromBase32: ("__from_base32", ("this",)),
    exp.Ascii: ("__ascii", ("this",)),
    exp.Unicode: ("__unicode", ("this",)),
    exp.ToCodePoints: ("__to_code_points", ("this",)),
    exp.CodePointsToString: ("__code_points_to_string", ("this",)),
    exp.CodePointsToBytes: ("__code_points_to_bytes", ("this",)),
    exp.Translate: ("__translate", ("this", "from_", "to")),
    exp.Levenshtein: ("__edit_distance", ("this", "expression", "max_dist")),
    exp.Soundex: ("__soundex", ("this",)),
    exp.ArrayToString: ("__array_to_string", ("this", "expression", "null")),
    exp.RangeBucket: ("__range_bucket", ("this", "expression")),
    exp.BitwiseCount: ("__bit_count", ("this",)),
    exp.Sin: ("__sin", ("this",)),
    exp.Cos: ("__cos", ("this",)),
    exp.Tan: ("__tan", ("this",)),
    exp.Asin: ("__asin", ("this",)),
    exp.Acos: ("__acos", ("this",)),
    exp.Atan: ("__atan", ("this",)),
    exp.Atan2: ("__atan2", ("this", "expression")),
    exp.Sinh: ("__sinh", ("this",)),
    exp.Cosh: ("__cosh", ("this",)),
    exp.Tanh: ("__tanh", ("this",)),
    exp.Cbrt: ("__cbrt", ("this",)),
    exp.JSONType: ("__json_type", ("this",)),
    exp.Int64: ("__json_int64", ("this",)),
    exp.Float64: ("__json_float64", ("this",)),
    exp.JSONBool: ("__json_bool", ("this",)),
    exp.ArraySize: ("len", ("this",)),
    exp.ArrayReverse: ("list_reverse", ("this",)),
}

_OF_FLOATS: Final = frozenset({exp.Sqrt, exp.Ln, exp.Exp, exp.Pow, exp.Cbrt})
"""Those whose value of NUMERIC is NUMERIC, which is not emulated."""


def simple(made: Expressions, node: exp.Expression) -> exp.Expression:
    """One that is a macro or a function of DuckDB with the same arguments."""
    function, names = _SIMPLE[type(node)]
    only(node, *names)
    values = [made.of(node.args[name]) for name in names if node.args.get(name) is not None]
    if type(node) in _OF_FLOATS:
        values = [call("__float", value) for value in values]
    return call(function, *values)


def logarithm(made: Expressions, node: exp.Expression) -> exp.Expression:
    """LOG(x, base) and LOG10, which sqlglot reads as base first."""
    only(node, "this", "expression")
    if isinstance(node.this, exp.Literal) and node.this.name == "10":
        return call("__log10", call("__float", made.of(node.expression)))
    return call("__log", call("__float", made.of(node.expression)), call("__float", made.of(node.this)))


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


def user(made: Expressions, node: exp.Expression) -> exp.Expression:
    """SESSION_USER."""
    only(node)
    return cast(exp.Literal.string(made.user), "VARCHAR")


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


def hexadecimal(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TO_HEX, in small letters."""
    only(node, "this")
    return call("lower", call("hex", made.of(node.this)))


def digest_text(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TO_HEX of a digest, which sqlglot reads as one function."""
    only(node, "this", "length")
    macro = _sha2(node) if isinstance(node, exp.SHA2) else {exp.MD5: "__md5", exp.SHA: "__sha1"}[type(node)]
    return call("lower", call("hex", call(macro, made.of(node.this))))


def _sha2(node: exp.Expression) -> str:
    length = node.args["length"].name
    if length not in {"256", "512"}:
        raise not_emulated(f"SHA{length}")
    return f"__sha{length}"


def digest(made: Expressions, node: exp.Expression) -> exp.Expression:
    """SHA256 and SHA512."""
    only(node, "this", "length")
    return call(_sha2(node), made.of(node.this))


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
    exp.SessionUser: user,
    exp.Length: length,
    exp.Trim: trimmed,
    exp.Pad: padded,
    exp.LowerHex: hexadecimal,
    exp.SHA2Digest: digest,
    **dict.fromkeys((exp.MD5, exp.SHA, exp.SHA2), digest_text),
    exp.GenerateSeries: series,
    exp.ArrayConcat: concatenated,
    exp.Anonymous: named,
}
