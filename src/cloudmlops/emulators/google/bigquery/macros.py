r"""What DuckDB lacks or does otherwise, as its macros; one name may take several types, as GoogleSQL's functions do.

What fails is where it can be a conversion of a text that begins with `!`, and not `error`: DuckDB takes that for
volatile, and takes nothing volatile in a window's PARTITION BY, nor in TRY.

Comparisons: DuckDB takes NaN as equal to itself and greater than all, GoogleSQL as unequal to all and less than all in
order. `typeof` is known when a query is planned, so that what concerns other types than FLOAT64 costs nothing.
"""

from __future__ import annotations

import re
from typing import Final

from cloudmlops.emulators.google.bigquery.arithmetic import ARITHMETIC
from cloudmlops.emulators.google.bigquery.overloads import overloaded

_NUMBER: Final = "('BIGINT', 'INTEGER', 'HUGEINT', 'DOUBLE', 'DECIMAL(38,9)')"


def _compared(name: str, operator: str, doubles: str, sign: str) -> str:
    """A comparison: checked for types that have none, and for NaN."""
    others = "('VARCHAR', 'BOOLEAN', 'DATE', 'TIMESTAMP WITH TIME ZONE', 'BLOB')"
    kinds = (
        f"(typeof(a) IN {_NUMBER} AND typeof(b) IN {others}) OR (typeof(b) IN {_NUMBER} AND typeof(a) IN {others}) "
        "OR (typeof(a) = 'TIMESTAMP WITH TIME ZONE' AND typeof(b) IN ('DATE', 'TIMESTAMP', 'BOOLEAN')) "
        "OR (typeof(b) = 'TIMESTAMP WITH TIME ZONE' AND typeof(a) IN ('DATE', 'TIMESTAMP', 'BOOLEAN'))"
    )
    return (
        f"CREATE MACRO {name}(a, b) AS CASE "
        f"WHEN {kinds} THEN error('No matching signature for operator {sign} for argument types: ' "
        "|| __type_name(typeof(a)) || ', ' || __type_name(typeof(b))) "
        "WHEN typeof(a) LIKE 'STRUCT%' OR typeof(b) LIKE 'STRUCT%' "
        "THEN error('not emulated: comparing STRUCTs that are not written out') "
        "WHEN typeof(a) = 'JSON' THEN error('Equality is not defined for arguments of type JSON') "
        f"WHEN typeof(a) LIKE '%[]' THEN error('Equality is not defined for arguments of type ARRAY') "
        f"WHEN typeof(a) = 'DOUBLE' OR typeof(b) = 'DOUBLE' THEN {doubles} "
        f"ELSE a {operator} b END"
    )


_A: Final = "isnan(TRY_CAST(a AS DOUBLE))"
_B: Final = "isnan(TRY_CAST(b AS DOUBLE))"

_FRACTION: Final = (
    "CASE WHEN epoch_us({0}) % 1000000 = 0 THEN '' "
    "WHEN epoch_us({0}) % 1000 = 0 THEN strftime({0}, '.%g') ELSE strftime({0}, '.%f') END"
)

_ANY_FLOAT: Final = {
    "x DOUBLE": "x",
    "x BIGINT": "CAST(x AS DOUBLE)",
    "x DECIMAL(38,9)": "CAST('!not emulated: this function of NUMERIC' AS DOUBLE)",
}


def _refused(kind: str, what: str) -> str:
    return f"CAST(error('No matching signature for this function: {what} where a {kind} is expected') AS {kind})"


_PLAIN: Final = (
    (
        "CREATE MACRO __type_name(t) AS CASE t WHEN 'BIGINT' THEN 'INT64' WHEN 'INTEGER' THEN 'INT64' "
        "WHEN 'DOUBLE' THEN 'FLOAT64' WHEN 'VARCHAR' THEN 'STRING' WHEN 'BOOLEAN' THEN 'BOOL' "
        "WHEN 'BLOB' THEN 'BYTES' WHEN 'TIMESTAMP' THEN 'DATETIME' WHEN 'TIMESTAMP WITH TIME ZONE' "
        "THEN 'TIMESTAMP' WHEN 'DECIMAL(38,9)' THEN 'NUMERIC' ELSE t END"
    ),
    # Comparisons
    "CREATE MACRO __is_nan(x) AS CASE WHEN typeof(x) = 'DOUBLE' THEN isnan(TRY_CAST(x AS DOUBLE)) ELSE FALSE END",
    "CREATE MACRO __key(x) AS CASE WHEN typeof(x) = 'DOUBLE' AND isnan(TRY_CAST(x AS DOUBLE)) THEN NULL ELSE x END",
    (
        "CREATE MACRO __only_number(x) AS CASE WHEN typeof(x) = 'DOUBLE' AND isnan(TRY_CAST(x AS DOUBLE)) THEN "
        "CAST('!not emulated: NaN in a column that RIGHT or FULL JOIN shares by USING' AS DOUBLE) ELSE x END"
    ),
    "CREATE MACRO __nan_order(x) AS CASE WHEN typeof(x) = 'DOUBLE' THEN NOT isnan(TRY_CAST(x AS DOUBLE)) END",
    _compared("__eq", "=", f"a = b AND coalesce(NOT {_A} OR b IS NULL, TRUE)", "="),
    _compared("__ne", "<>", f"a <> b OR ({_A} AND {_B})", "!="),
    _compared("__lt", "<", f"a < b AND coalesce(NOT {_B} OR a IS NULL, TRUE)", "<"),
    _compared("__le", "<=", f"a <= b AND coalesce(NOT {_B} OR a IS NULL, TRUE)", "<="),
    *ARITHMETIC,
    overloaded(
        "__neg", {"a BIGINT": "CAST(0 AS BIGINT) - a", "a DOUBLE": "-a", "a DECIMAL(38,9)": "CAST(-a AS DECIMAL(38,9))"}
    ),
    overloaded(
        "__abs", {"a BIGINT": "abs(a)", "a DOUBLE": "abs(a)", "a DECIMAL(38,9)": "CAST(abs(a) AS DECIMAL(38,9))"}
    ),
    overloaded(
        "__sign",
        {
            "a BIGINT": "CAST(sign(a) AS BIGINT)",
            "a DOUBLE": "CASE WHEN isnan(a) THEN a ELSE CAST(sign(a) AS DOUBLE) END",
            "a DECIMAL(38,9)": "CAST(sign(a) AS DECIMAL(38,9))",
        },
    ),
    *(
        overloaded(
            f"__{name}",
            {
                "x DOUBLE": f"{name}(x)",
                "x BIGINT": "CAST(x AS DOUBLE)",
                "x DECIMAL(38,9)": f"CAST({name}(x) AS DECIMAL(38,9))",
            },
        )
        for name in ("ceil", "floor")
    ),
    (
        "CREATE MACRO __sqrt(x DOUBLE) AS CASE WHEN x < 0 THEN CAST('!Argument to SQRT cannot be negative' AS DOUBLE) "
        "ELSE sqrt(x) END"
    ),
    (
        "CREATE MACRO __ln(x DOUBLE) AS CASE WHEN x <= 0 THEN CAST('!Argument to LN must be positive' AS DOUBLE) "
        "ELSE ln(x) END"
    ),
    (
        "CREATE MACRO __log10(x DOUBLE) AS CASE WHEN x <= 0 THEN CAST('!Argument to LOG10 must be positive' AS DOUBLE) "
        "ELSE log10(x) END"
    ),
    (
        "CREATE MACRO __log(x DOUBLE, b DOUBLE) AS CASE WHEN x <= 0 OR b <= 0 OR b = 1 "
        "THEN CAST('!invalid arguments of LOG' AS DOUBLE) ELSE ln(x) / ln(b) END"
    ),
    (
        "CREATE MACRO __exp(x DOUBLE) AS CASE WHEN isinf(exp(x)) AND NOT isinf(x) "
        "THEN CAST('!Floating point overflow in function: EXP' AS DOUBLE) ELSE exp(x) END"
    ),
    overloaded(
        "__pow",
        {
            "a DOUBLE, b DOUBLE": "CASE WHEN isinf(pow(a, b)) AND NOT isinf(a) AND NOT isinf(b) "
            "THEN CAST('!Floating point overflow in function: POW' AS DOUBLE) "
            "WHEN isnan(pow(a, b)) AND NOT isnan(a) AND NOT isnan(b) "
            "THEN CAST('!Floating point error in function: POW' AS DOUBLE) ELSE pow(a, b) END",
        },
    ),
    overloaded("__float", _ANY_FLOAT),
    overloaded(
        "__total",
        {
            "x HUGEINT, f DOUBLE": "CAST(x AS BIGINT)",
            "x DOUBLE, f DOUBLE": "CASE WHEN NOT isfinite(x) AND f = 0 THEN CAST('!double overflow' AS DOUBLE) "
            "ELSE x END",
            "x DECIMAL(38,9), f DOUBLE": "x",
        },
    ),
    (
        "CREATE MACRO __in_range(x DOUBLE, f DOUBLE) AS CASE WHEN NOT isfinite(x) AND f = 0 "
        "THEN CAST('!not emulated: this aggregate of FLOAT64 so large' AS DOUBLE) ELSE x END"
    ),
    overloaded("__number", {"x BIGINT": "x", "x DOUBLE": "x", "x DECIMAL(38,9)": "x"}),
    overloaded("__bool", {"x BOOLEAN": "x"}),
    overloaded("__date", {"x DATE": "x"}),
    overloaded(
        "__timestamp",
        {
            "x TIMESTAMPTZ": "x",
            "x TIMESTAMP": _refused("TIMESTAMPTZ", "DATETIME"),
            "x DATE": _refused("TIMESTAMPTZ", "DATE"),
        },
    ),
    overloaded(
        "__datetime",
        {"x TIMESTAMP": "x", "x DATE": "CAST(x AS TIMESTAMP)", "x TIMESTAMPTZ": _refused("TIMESTAMP", "TIMESTAMP")},
    ),
    (
        "CREATE MACRO __joinable(x) AS CASE WHEN typeof(x) IN ('VARCHAR', 'BLOB', '\"NULL\"') OR typeof(x) LIKE '%[]' "
        "THEN x ELSE error('No matching signature for operator || for an argument of type ' "
        "|| __type_name(typeof(x))) END"
    ),
    # Conversions
    overloaded(
        "__to_int64",
        {
            "x BIGINT": "x",
            "x DOUBLE": "CAST(round(x) AS BIGINT)",
            "x DECIMAL(38,9)": "CAST(x AS BIGINT)",
            "x BOOLEAN": "CAST(x AS BIGINT)",
            "x VARCHAR": r"CASE WHEN regexp_full_match(x, '\s*[+-]0[xX][0-9a-fA-F]+\s*') "
            "THEN CAST('!not emulated: a signed hexadecimal number' AS BIGINT) "
            r"WHEN regexp_full_match(x, '\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*') "
            "THEN CAST(trim(x) AS BIGINT) WHEN x IS NOT NULL THEN CAST('!' || 'Bad int64 value: ' || x AS BIGINT) END",
        },
    ),
    overloaded(
        "__safe_int64",
        {
            "x BIGINT": "x",
            "x DOUBLE": "TRY_CAST(round(x) AS BIGINT)",
            "x DECIMAL(38,9)": "TRY_CAST(x AS BIGINT)",
            "x BOOLEAN": "CAST(x AS BIGINT)",
            "x VARCHAR": r"CASE WHEN regexp_full_match(x, '\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*') "
            "THEN TRY_CAST(trim(x) AS BIGINT) END",
        },
    ),
    overloaded(
        "__to_float64",
        {
            "x DOUBLE": "x",
            "x BIGINT": "CAST(x AS DOUBLE)",
            "x DECIMAL(38,9)": "CAST(x AS DOUBLE)",
            "x VARCHAR": "CASE WHEN contains(x, '_') OR TRY_CAST(x AS DOUBLE) IS NULL AND x IS NOT NULL "
            "THEN CAST('!' || 'Bad double value: ' || x AS DOUBLE) ELSE TRY_CAST(x AS DOUBLE) END",
        },
    ),
    overloaded(
        "__safe_float64",
        {
            "x DOUBLE": "x",
            "x BIGINT": "CAST(x AS DOUBLE)",
            "x DECIMAL(38,9)": "CAST(x AS DOUBLE)",
            "x VARCHAR": "CASE WHEN NOT contains(x, '_') THEN TRY_CAST(x AS DOUBLE) END",
        },
    ),
    overloaded(
        "__to_numeric",
        {
            "x DECIMAL(38,9)": "x",
            "x BIGINT": "CAST(x AS DECIMAL(38,9))",
            "x DOUBLE": "CAST(x AS DECIMAL(38,9))",
            "x VARCHAR": "CASE WHEN contains(x, '_') THEN CAST('!Invalid NUMERIC value: ' || x AS DECIMAL(38,9)) "
            "ELSE CAST(x AS DECIMAL(38,9)) END",
        },
    ),
    overloaded(
        "__safe_numeric",
        {
            "x DECIMAL(38,9)": "x",
            "x BIGINT": "TRY_CAST(x AS DECIMAL(38,9))",
            "x DOUBLE": "TRY_CAST(x AS DECIMAL(38,9))",
            "x VARCHAR": "CASE WHEN NOT contains(x, '_') THEN TRY_CAST(x AS DECIMAL(38,9)) END",
        },
    ),
    overloaded(
        "__to_bool",
        {
            "x BOOLEAN": "x",
            "x BIGINT": "CAST(x AS BOOLEAN)",
            "x VARCHAR": "CASE lower(x) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE "
            "ELSE CASE WHEN x IS NOT NULL THEN CAST('!' || 'Bad bool value: ' || x AS BOOLEAN) END END",
        },
    ),
    overloaded(
        "__safe_bool",
        {
            "x BOOLEAN": "x",
            "x BIGINT": "CAST(x AS BOOLEAN)",
            "x VARCHAR": "CASE lower(x) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END",
        },
    ),
    overloaded(
        "__to_string",
        {
            "x VARCHAR": "x",
            "x BIGINT": "CAST(x AS VARCHAR)",
            "x BOOLEAN": "CAST(x AS VARCHAR)",
            "x DOUBLE": "CASE WHEN abs(x) >= 1e15 AND abs(x) < 1e16 THEN "
            "CASE WHEN x < 0 THEN '-' ELSE '' END || left(CAST(abs(x) AS VARCHAR), 1) || "
            "rtrim(rtrim('.' || substring(CAST(abs(x) AS VARCHAR), 2, 15), '0'), '.') || 'e+15' "
            r"ELSE regexp_replace(CAST(x AS VARCHAR), '\.0$', '') END",
            "x DECIMAL(38,9)": "rtrim(rtrim(CAST(x AS VARCHAR), '0'), '.')",
            "x DATE": "CAST(x AS VARCHAR)",
            "x TIME": "CAST(x AS VARCHAR)",
            "x TIMESTAMP": f"strftime(x, '%Y-%m-%d %H:%M:%S') || {_FRACTION.format('x')}",
            "x TIMESTAMPTZ": f"strftime(x, '%Y-%m-%d %H:%M:%S') || {_FRACTION.format('x')} || '+00'",
            "x BLOB": "decode(x)",
            "x INTERVAL": "CAST(error('not emulated: CAST of an INTERVAL to STRING') AS VARCHAR)",
            "x": "CAST(error('Invalid cast to STRING') AS VARCHAR)",
        },
    ),
    overloaded("__to_bytes", {"x BLOB": "x", "x VARCHAR": "encode(x)"}),
    overloaded(
        "__to_timestamp",
        {
            "x TIMESTAMPTZ": "x",
            "x TIMESTAMP": "CAST(x AS TIMESTAMPTZ)",
            "x DATE": "CAST(x AS TIMESTAMPTZ)",
            "x VARCHAR": r"CASE WHEN regexp_matches(x, ':60([^:]|$)') THEN "
            "CAST(error('not emulated: a leap second') AS TIMESTAMPTZ) "
            r"WHEN regexp_matches(x, '^\s*\d{4}-\d') THEN CAST(x AS TIMESTAMPTZ) "
            "WHEN x IS NOT NULL THEN CAST(error('Invalid timestamp: ' || x) AS TIMESTAMPTZ) END",
        },
    ),
    overloaded(
        "__safe_timestamp",
        {
            "x TIMESTAMPTZ": "x",
            "x TIMESTAMP": "CAST(x AS TIMESTAMPTZ)",
            "x DATE": "CAST(x AS TIMESTAMPTZ)",
            "x VARCHAR": r"CASE WHEN regexp_matches(x, '^\s*\d{4}-\d') THEN TRY_CAST(x AS TIMESTAMPTZ) END",
        },
    ),
    overloaded(
        "__to_datetime",
        {
            "x TIMESTAMP": "x",
            "x TIMESTAMPTZ": "timezone('UTC', x)",
            "x DATE": "CAST(x AS TIMESTAMP)",
            "x VARCHAR": r"CASE WHEN regexp_full_match(x, '\s*\d{4}-\d+-\d+([ tT]\d+:\d+(:\d+(\.\d+)?)?)?\s*') "
            "THEN CAST(x AS TIMESTAMP) WHEN x IS NOT NULL THEN CAST(error('Invalid datetime: ' || x) AS TIMESTAMP) END",
        },
    ),
    overloaded(
        "__safe_datetime",
        {
            "x TIMESTAMP": "x",
            "x TIMESTAMPTZ": "timezone('UTC', x)",
            "x DATE": "CAST(x AS TIMESTAMP)",
            "x VARCHAR": r"CASE WHEN regexp_full_match(x, '\s*\d{4}-\d+-\d+([ tT]\d+:\d+(:\d+(\.\d+)?)?)?\s*') "
            "THEN TRY_CAST(x AS TIMESTAMP) END",
        },
    ),
    overloaded(
        "__to_date",
        {
            "x DATE": "x",
            "x TIMESTAMP": "CAST(x AS DATE)",
            "x TIMESTAMPTZ": "CAST(timezone('UTC', x) AS DATE)",
            "x VARCHAR": r"CASE WHEN regexp_full_match(x, '\s*\d{4}-\d+-\d+\s*') THEN CAST(x AS DATE) "
            "WHEN x IS NOT NULL THEN CAST(error('Invalid date: ' || x) AS DATE) END",
        },
    ),
    overloaded(
        "__safe_date",
        {
            "x DATE": "x",
            "x TIMESTAMP": "CAST(x AS DATE)",
            "x TIMESTAMPTZ": "CAST(timezone('UTC', x) AS DATE)",
            "x VARCHAR": r"CASE WHEN regexp_full_match(x, '\s*\d{4}-\d+-\d+\s*') THEN TRY_CAST(x AS DATE) END",
        },
    ),
    overloaded(
        "__to_time",
        {
            "x TIME": "x",
            "x TIMESTAMP": "CAST(x AS TIME)",
            "x TIMESTAMPTZ": "CAST(timezone('UTC', x) AS TIME)",
            "x VARCHAR": "CAST(x AS TIME)",
        },
    ),
    overloaded(
        "__safe_time",
        {
            "x TIME": "x",
            "x TIMESTAMP": "CAST(x AS TIME)",
            "x TIMESTAMPTZ": "CAST(timezone('UTC', x) AS TIME)",
            "x VARCHAR": "TRY_CAST(x AS TIME)",
        },
    ),
    # Texts and bytes
    overloaded("__length", {"x VARCHAR": "length(x)", "x BLOB": "octet_length(x)"}),
    overloaded("__byte_length", {"x VARCHAR": "strlen(x)", "x BLOB": "octet_length(x)"}),
    overloaded("__md5", {"x VARCHAR": "unhex(md5(x))", "x BLOB": "unhex(md5(x))"}),
    overloaded("__sha1", {"x VARCHAR": "unhex(sha1(x))", "x BLOB": "unhex(sha1(x))"}),
    overloaded("__sha256", {"x VARCHAR": "unhex(sha256(x))", "x BLOB": "unhex(sha256(x))"}),
    # Arrays
    (
        "CREATE MACRO __at(a, i) AS CASE WHEN i < 0 OR i >= len(a) "
        "THEN error('Array index ' || i || ' is out of bounds') ELSE a[i + 1] END"
    ),
    "CREATE MACRO __safe_at(a, i) AS CASE WHEN i >= 0 AND i < len(a) THEN a[i + 1] END",
    overloaded(
        "__series",
        {
            "a BIGINT, b BIGINT, s BIGINT": "CASE WHEN s = 0 THEN error('Sequence step cannot be 0.') "
            "ELSE generate_series(a, b, s) END",
            "a DOUBLE, b DOUBLE, s DOUBLE": "CAST(error('not emulated: GENERATE_ARRAY of FLOAT64') AS DOUBLE[])",
        },
    ),
    "CREATE MACRO __array_concat(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN list_concat(a, b) END",
    # Times
    "CREATE MACRO __floor_div(a BIGINT, b BIGINT) AS (a - ((a % b) + b) % b) // b",
    "CREATE MACRO __week_of(x) AS (CAST(extract(doy FROM x) AS BIGINT) + 6 - CAST(extract(dow FROM x) AS BIGINT)) // 7",
)


def _typed(macro: str) -> str:
    """Give a macro with one form of types a name for it too, so that an aggregate's type is checked as well."""
    match = re.fullmatch(r"CREATE MACRO (__\w+)\((\w+ [^)]*)\) AS (.*)", macro, re.DOTALL)
    return overloaded(match[1], {match[2]: match[3]}) if match and "; CREATE" not in macro else macro


MACROS: Final = tuple(_typed(macro) for macro in _PLAIN)
