r"""The library's functions by name: DuckDB's macros, and which are Python's.

Macros say what is wrong by DuckDB's `error`; Python's functions raise `ValueError`. A text that begins with
`not emulated: ` refuses by name.
"""

from __future__ import annotations

from typing import Final

from cloudmlops.emulators.google.bigquery.arithmetic import scaled, unscaled
from cloudmlops.emulators.google.bigquery.library.definitions import Library, python
from cloudmlops.emulators.google.bigquery.library.strings import STRINGS
from cloudmlops.emulators.google.bigquery.overloads import overloaded


def _refused(what: str, kind: str) -> str:
    return f"CAST(error('not emulated: {what}') AS {kind})"


def _rounded_numeric(x: str, n: str, half: str) -> str:
    """A NUMERIC with `n` digits after the point, of which more are cut, after `half` of the last one was added."""
    step = f"CAST(pow(10::DOUBLE, greatest(0, 9 - {n})) AS HUGEINT)"
    whole = unscaled(x)
    kept = f"(((abs({whole}) + {half.format(step)}) // {step}) * {step})"
    signed = f"(CASE WHEN {x} < 0 THEN -{kept} ELSE {kept} END)"
    coarse = _refused("ROUND and TRUNC of NUMERIC by 1e14 and more", "DECIMAL(38,9)")
    return f"CASE WHEN {n} >= 9 THEN {x} WHEN {n} < -13 THEN {coarse} ELSE {scaled(signed)} END"


_UNSIGNED: Final = "(CAST(a AS HUGEINT) & ((CAST(1 AS HUGEINT) << 64) - 1))"
_SIGNED: Final = (
    "CAST(CASE WHEN {0} >= (CAST(1 AS HUGEINT) << 63) THEN {0} - (CAST(1 AS HUGEINT) << 64) ELSE {0} END AS BIGINT)"
)


def _shift(name: str, moved: str, sign: str) -> str:
    return overloaded(
        name,
        {
            "a BIGINT, n BIGINT": "CASE WHEN n < 0 THEN error('Bitwise shift by negative offset.') WHEN n >= 64 "
            f"THEN 0 ELSE {_SIGNED.format(moved)} END",
            "a BLOB, n BIGINT": _refused(f"{sign} of BYTES", "BLOB"),
        },
    )


def _bits(name: str, expression: str, sign: str) -> str:
    return overloaded(
        name,
        {"a BIGINT, b BIGINT": expression, "a BLOB, b BLOB": _refused(f"{sign} of BYTES", "BLOB")},
    )


_NUMBERS: Final[Library] = {
    "__python_recomputed": python("recomputing:recomputed", "VARCHAR; DOUBLE[]", "DOUBLE", takes_nulls=True),
    "__round": overloaded(
        "__round",
        {
            "x DOUBLE": "round(x)",
            "x BIGINT": "CAST(x AS DOUBLE)",
            "x DECIMAL(38,9)": "CAST(round(x) AS DECIMAL(38,9))",
            "x DOUBLE, n BIGINT": "CASE WHEN n < -300 THEN "
            "CAST('!not emulated: ROUND of FLOAT64 to so few digits' AS DOUBLE) ELSE round(x, CAST(n AS INTEGER)) END",
            "x BIGINT, n BIGINT": "round(CAST(x AS DOUBLE), CAST(n AS INTEGER))",
            "x DECIMAL(38,9), n BIGINT": _rounded_numeric("x", "n", "{0} // 2"),
        },
    ),
    "__trunc": overloaded(
        "__trunc",
        {
            "x DOUBLE": "trunc(x)",
            "x BIGINT": "CAST(x AS DOUBLE)",
            "x DECIMAL(38,9)": "CAST(trunc(x) AS DECIMAL(38,9))",
            "x DOUBLE, n BIGINT": _refused("TRUNC of FLOAT64 to a number of digits", "DOUBLE"),
            "x BIGINT, n BIGINT": _refused("TRUNC of FLOAT64 to a number of digits", "DOUBLE"),
            "x DECIMAL(38,9), n BIGINT": _rounded_numeric("x", "n", "0 * {0}"),
        },
    ),
    "__bit_and": _bits("__bit_and", "a & b", "&"),
    "__bit_or": _bits("__bit_or", "a | b", "|"),
    "__bit_xor": _bits("__bit_xor", "xor(a, b)", "^"),
    "__bit_not": overloaded("__bit_not", {"a BIGINT": "~a", "a BLOB": _refused("~ of BYTES", "BLOB")}),
    "__shift_left": _shift(
        "__shift_left",
        "((CAST(a AS HUGEINT) & ((CAST(1 AS HUGEINT) << CAST(64 - greatest(0, least(n, 63)) AS INTEGER)) - 1)) "
        "<< CAST(greatest(0, least(n, 63)) AS INTEGER))",
        "<<",
    ),
    "__shift_right": _shift("__shift_right", f"({_UNSIGNED} >> CAST(greatest(0, least(n, 63)) AS INTEGER))", ">>"),
    "__bit_count": overloaded(
        "__bit_count",
        {"x BIGINT": "CAST(bit_count(x) AS BIGINT)", "x BLOB": _refused("BIT_COUNT of BYTES", "BIGINT")},
    ),
    "__whole": overloaded("__whole", {"x BIGINT": "x"}),
    **{
        f"__{name}": f"CREATE MACRO __{name}(x DOUBLE) AS {name}(x)"
        for name in ("sin", "cos", "tan", "atan", "tanh", "asinh")
    },
    **{
        f"__{name}": f"CREATE MACRO __{name}(x DOUBLE) AS CASE WHEN NOT isnan(x) AND abs(x) > 1 "
        f"THEN error('Argument to {name.upper()} must be between -1 and 1') ELSE {name}(x) END"
        for name in ("asin", "acos")
    },
    **{
        f"__{name}": f"CREATE MACRO __{name}(x DOUBLE) AS CASE WHEN isinf({name}(x)) AND NOT isinf(x) "
        f"THEN error('Floating point overflow in function: {name.upper()}') ELSE {name}(x) END"
        for name in ("sinh", "cosh")
    },
    "__python_cube_root": python("cube_roots:cube_root", "DOUBLE", "DOUBLE"),
    "__cbrt": "CREATE MACRO __cbrt(x DOUBLE) AS __python_cube_root(x)",
    "__atan2": "CREATE MACRO __atan2(y DOUBLE, x DOUBLE) AS atan2(y, x)",
    "__range_bucket": (
        "CREATE MACRO __range_bucket(p, a) AS CASE WHEN p IS NULL OR a IS NULL OR __is_nan(p) THEN NULL "
        "WHEN list_contains([e IS NULL FOR e IN a], TRUE) "
        "THEN error('Elements in input array to RANGE_BUCKET must be non-NULL') "
        "WHEN list_contains([a[i] > a[i + 1] FOR i IN range(1, len(a))], TRUE) "
        "THEN error('Elements in input array to RANGE_BUCKET must be in ascending order') "
        "ELSE CAST(len([e FOR e IN a IF e <= p]) AS BIGINT) END"
    ),
}

_TEXTS: Final[Library] = {
    "__python_farm": python("fingerprints:farm_fingerprint", "BLOB", "BIGINT"),
    "__farm_fingerprint": overloaded(
        "__farm_fingerprint", {"x VARCHAR": "__python_farm(encode(x))", "x BLOB": "__python_farm(x)"}
    ),
    "__python_sha512": python("characters:sha512", "BLOB", "BLOB"),
    "__sha512": overloaded("__sha512", {"x VARCHAR": "__python_sha512(encode(x))", "x BLOB": "__python_sha512(x)"}),
    "__python_initcap": python("characters:initcap", "VARCHAR; VARCHAR", "VARCHAR"),
    "__initcap": overloaded("__initcap", {"x VARCHAR, d VARCHAR": "__python_initcap(x, d)"}),
    "__python_normalize": python("characters:normalize", "VARCHAR; VARCHAR", "VARCHAR"),
    "__normalize": overloaded("__normalize", {"x VARCHAR, f VARCHAR": "__python_normalize(x, f)"}),
    "__python_contains": python("characters:contains_substr", "VARCHAR; VARCHAR", "BOOLEAN"),
    "__contains_substr": overloaded(
        "__contains_substr",
        {
            "x VARCHAR, y VARCHAR": "__python_contains(x, y)",
            "x, y VARCHAR": _refused("CONTAINS_SUBSTR in what is no STRING", "BOOLEAN"),
        },
    ),
    "__ascii": overloaded(
        "__ascii",
        {
            "x VARCHAR": "CASE WHEN x = '' THEN CAST(0 AS BIGINT) WHEN ascii(x) > 127 "
            "THEN error('Argument to ASCII is not a structurally valid ASCII string') "
            "ELSE CAST(ascii(x) AS BIGINT) END",
            "x BLOB": _refused("ASCII of BYTES", "BIGINT"),
        },
    ),
    "__unicode": overloaded(
        "__unicode", {"x VARCHAR": "CASE WHEN x = '' THEN CAST(0 AS BIGINT) ELSE CAST(unicode(x) AS BIGINT) END"}
    ),
    "__python_chr": python("characters:character", "BIGINT", "VARCHAR"),
    "__chr": overloaded("__chr", {"x BIGINT": "__python_chr(x)"}),
    "__python_text_points": python("characters:code_points", "VARCHAR", "BIGINT[]"),
    "__python_bytes_points": python("characters:byte_points", "BLOB", "BIGINT[]"),
    "__to_code_points": overloaded(
        "__to_code_points", {"x VARCHAR": "__python_text_points(x)", "x BLOB": "__python_bytes_points(x)"}
    ),
    "__python_points_text": python("characters:code_points_to_string", "BIGINT[]", "VARCHAR"),
    "__code_points_to_string": overloaded("__code_points_to_string", {"x BIGINT[]": "__python_points_text(x)"}),
    "__python_points_bytes": python("characters:code_points_to_bytes", "BIGINT[]", "BLOB"),
    "__code_points_to_bytes": overloaded("__code_points_to_bytes", {"x BIGINT[]": "__python_points_bytes(x)"}),
    "__python_translate": python("characters:translate", "VARCHAR; VARCHAR; VARCHAR", "VARCHAR"),
    "__translate": overloaded("__translate", {"x VARCHAR, s VARCHAR, t VARCHAR": "__python_translate(x, s, t)"}),
    "__python_edits": python("characters:edit_distance", "VARCHAR; VARCHAR; BIGINT", "BIGINT", takes_nulls=True),
    "__edit_distance": overloaded(
        "__edit_distance",
        {
            "a VARCHAR, b VARCHAR": "__python_edits(a, b, CAST(9223372036854775807 AS BIGINT))",
            "a VARCHAR, b VARCHAR, most BIGINT": "__python_edits(a, b, most)",
            "a BLOB, b BLOB": _refused("EDIT_DISTANCE of BYTES", "BIGINT"),
            "a BLOB, b BLOB, most BIGINT": _refused("EDIT_DISTANCE of BYTES", "BIGINT"),
        },
    ),
    "__python_soundex": python("characters:soundex", "VARCHAR", "VARCHAR"),
    "__soundex": overloaded("__soundex", {"x VARCHAR": "__python_soundex(x)"}),
    "__python_instr": python("characters:instr", "VARCHAR; VARCHAR; BIGINT; BIGINT", "BIGINT"),
    "__instr": overloaded(
        "__instr",
        {
            "x VARCHAR, y VARCHAR, p BIGINT, n BIGINT": "__python_instr(x, y, p, n)",
            "x BLOB, y BLOB, p BIGINT, n BIGINT": _refused("INSTR of BYTES", "BIGINT"),
        },
    ),
    "__python_joined": python("characters:joined", "VARCHAR[]; VARCHAR", "VARCHAR"),
    "__array_to_string": overloaded(
        "__array_to_string",
        {
            "a VARCHAR[], d VARCHAR": "__python_joined([e FOR e IN a IF e IS NOT NULL], d)",
            "a VARCHAR[], d VARCHAR, n VARCHAR": "__python_joined([coalesce(e, n) FOR e IN a], d)",
            "a BLOB[], d BLOB": _refused("ARRAY_TO_STRING of BYTES", "BLOB"),
        },
    ),
    "__python_to_base32": python("characters:to_base32", "BLOB", "VARCHAR"),
    "__to_base32": overloaded("__to_base32", {"x BLOB": "__python_to_base32(x)"}),
    "__python_from_base32": python("characters:from_base32", "VARCHAR", "BLOB"),
    "__from_base32": overloaded("__from_base32", {"x VARCHAR": "__python_from_base32(x)"}),
    "__python_repaired": python("characters:repaired", "BLOB", "VARCHAR"),
    "__safe_convert_bytes_to_string": overloaded("__safe_convert_bytes_to_string", {"x BLOB": "__python_repaired(x)"}),
    "__regexp_extract_all": overloaded(
        "__regexp_extract_all",
        {
            "x VARCHAR, p VARCHAR, g BIGINT": "[coalesce(e, '') FOR e IN regexp_extract_all(x, p, CAST(g AS INTEGER))]",
            "x BLOB, p BLOB, g BIGINT": _refused("REGEXP_EXTRACT_ALL of BYTES", "BLOB[]"),
        },
    ),
    "__regexp_instr": overloaded(
        "__regexp_instr",
        {
            "x VARCHAR, p VARCHAR": "CASE WHEN p = '' THEN CAST(0 AS BIGINT) WHEN regexp_matches(x, p) "
            "THEN CAST(length(regexp_extract(x, '^((?s).*?)(?-s:' || p || ')', 1)) AS BIGINT) + 1 ELSE 0 END",
            "x BLOB, p BLOB": _refused("REGEXP_INSTR of BYTES", "BIGINT"),
        },
    ),
    "__python_format": python("formatting:formatted", "VARCHAR; VARCHAR[]; VARCHAR[]", "VARCHAR", takes_nulls=True),
}

_JSON: Final[Library] = {
    "__python_json_text": python("json_values:json_text", "VARCHAR; VARCHAR; BOOLEAN", "VARCHAR", takes_nulls=True),
    "__python_json_document": python(
        "json_values:json_document", "VARCHAR; VARCHAR; BOOLEAN", "VARCHAR", takes_nulls=True
    ),
    "__to_json_string": "CREATE MACRO __to_json_string(x, pretty) AS "
    "__python_json_text(typeof(x), CAST(to_json(x) AS VARCHAR), pretty)",
    "__to_json": "CREATE MACRO __to_json(x, wide) AS "
    "CAST(__python_json_document(typeof(x), CAST(to_json(x) AS VARCHAR), wide) AS JSON)",
    "__python_parse_json": python("json_values:parsed", "VARCHAR; VARCHAR", "VARCHAR"),
    "__parse_json": overloaded(
        "__parse_json", {"x VARCHAR, wide VARCHAR": "CAST(__python_parse_json(x, wide) AS JSON)"}
    ),
    "__python_json_query": python("json_values:queried", "VARCHAR; VARCHAR", "VARCHAR"),
    "__python_json_query_document": python("json_values:queried_document", "VARCHAR; VARCHAR", "VARCHAR"),
    "__json_query": overloaded(
        "__json_query",
        {
            "x JSON, p VARCHAR": "CAST(__python_json_query_document(CAST(x AS VARCHAR), p) AS JSON)",
            "x VARCHAR, p VARCHAR": "__python_json_query(x, p)",
        },
    ),
    "__python_json_value": python("json_values:scalar", "VARCHAR; VARCHAR", "VARCHAR"),
    "__json_value": overloaded(
        "__json_value",
        {
            "x JSON, p VARCHAR": "__python_json_value(CAST(x AS VARCHAR), p)",
            "x VARCHAR, p VARCHAR": "__python_json_value(x, p)",
        },
    ),
    "__python_json_query_array": python("json_values:queried_array", "VARCHAR; VARCHAR", "VARCHAR[]"),
    "__json_query_array": overloaded(
        "__json_query_array",
        {
            "x JSON, p VARCHAR": "CAST(__python_json_query_array(CAST(x AS VARCHAR), p) AS JSON[])",
            "x VARCHAR, p VARCHAR": "__python_json_query_array(x, p)",
        },
    ),
    "__python_json_value_array": python("json_values:scalar_array", "VARCHAR; VARCHAR", "VARCHAR[]"),
    "__json_value_array": overloaded(
        "__json_value_array",
        {
            "x JSON, p VARCHAR": "__python_json_value_array(CAST(x AS VARCHAR), p)",
            "x VARCHAR, p VARCHAR": "__python_json_value_array(x, p)",
        },
    ),
    "__python_json_type": python("json_values:type_name", "VARCHAR", "VARCHAR"),
    "__json_type": overloaded("__json_type", {"x JSON": "__python_json_type(CAST(x AS VARCHAR))"}),
    **{
        f"__python_json_{name}": python(f"json_values:as_{name}", "VARCHAR", kind)
        for name, kind in {"int64": "BIGINT", "float64": "DOUBLE", "bool": "BOOLEAN", "string": "VARCHAR"}.items()
    },
    **{
        f"__json_{name}": overloaded(f"__json_{name}", {"x JSON": f"__python_json_{name}(CAST(x AS VARCHAR))"})
        for name in ("int64", "float64", "bool", "string")
    },
}

_MOMENTS: Final[Library] = {
    "__python_moment_text": python("moments:formatted", "VARCHAR; BIGINT; VARCHAR; VARCHAR", "VARCHAR"),
    "__format_timestamp": overloaded(
        "__format_timestamp",
        {"f VARCHAR, x TIMESTAMPTZ, z VARCHAR": "__python_moment_text(f, epoch_us(x), z, 'TIMESTAMP')"},
    ),
    "__format_datetime": overloaded(
        "__format_datetime",
        {"f VARCHAR, x TIMESTAMP, z VARCHAR": "__python_moment_text(f, epoch_us(x), z, 'DATETIME')"},
    ),
    "__format_date": overloaded(
        "__format_date", {"f VARCHAR, x DATE, z VARCHAR": "__python_moment_text(f, epoch_us(x), z, 'DATE')"}
    ),
    "__format_time": overloaded(
        "__format_time", {"f VARCHAR, x TIME, z VARCHAR": "__python_moment_text(f, epoch_us(x), z, 'TIME')"}
    ),
    "__python_parse_moment": python("moments:parsed", "VARCHAR; VARCHAR; VARCHAR; VARCHAR", "BIGINT"),
    "__parse_timestamp": overloaded(
        "__parse_timestamp",
        {
            "f VARCHAR, x VARCHAR, z VARCHAR": "CAST('1970-01-01 00:00:00+00' AS TIMESTAMPTZ) + "
            "to_microseconds(__python_parse_moment(f, x, z, 'TIMESTAMP'))"
        },
    ),
    "__parse_datetime": overloaded(
        "__parse_datetime",
        {"f VARCHAR, x VARCHAR, z VARCHAR": "make_timestamp(__python_parse_moment(f, x, z, 'DATETIME'))"},
    ),
    "__parse_date": overloaded(
        "__parse_date",
        {"f VARCHAR, x VARCHAR, z VARCHAR": "CAST(make_timestamp(__python_parse_moment(f, x, z, 'DATE')) AS DATE)"},
    ),
    "__parse_time": overloaded(
        "__parse_time",
        {"f VARCHAR, x VARCHAR, z VARCHAR": "CAST(make_timestamp(__python_parse_moment(f, x, z, 'TIME')) AS TIME)"},
    ),
    "__python_zoned_text": python("moments:zoned_text", "BIGINT; VARCHAR", "VARCHAR"),
    "__string_in_zone": overloaded(
        "__string_in_zone", {"x TIMESTAMPTZ, z VARCHAR": "__python_zoned_text(epoch_us(x), z)"}
    ),
    "__python_local": python("moments:local", "BIGINT; VARCHAR", "BIGINT"),
    "__in_zone": overloaded(
        "__in_zone", {"x TIMESTAMPTZ, z VARCHAR": "make_timestamp(__python_local(epoch_us(x), z))"}
    ),
    "__python_instant": python("moments:instant", "BIGINT; VARCHAR", "BIGINT"),
    "__from_zone": overloaded(
        "__from_zone",
        {
            "x TIMESTAMP, z VARCHAR": "CAST('1970-01-01 00:00:00+00' AS TIMESTAMPTZ) + "
            "to_microseconds(__python_instant(epoch_us(x), z))"
        },
    ),
    "__time": overloaded("__time", {"x TIME": "x"}),
    "__string_of": overloaded(
        "__string_of",
        {
            **{f"x {kind}": "__to_string(x)" for kind in ("DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ")},
            "x": "CASE WHEN typeof(x) = 'JSON' THEN __python_json_string(CAST(x AS VARCHAR)) "
            "WHEN typeof(x) <> '\"NULL\"' THEN error('No matching signature for function STRING') END",
        },
    ),
    "__week_from": "CREATE MACRO __week_from(x, d) AS (CAST(extract(doy FROM x) AS BIGINT) + 6 "
    "- (CAST(extract(isodow FROM x) AS BIGINT) + 6 - d) % 7) // 7",
    "__date_and_time": overloaded(
        "__date_and_time",
        {
            "x DATE, t TIME": "x + t",
            "x TIMESTAMPTZ, z VARCHAR": "__in_zone(x, z)",
        },
    ),
    "__time_add": "CREATE MACRO __time_add(t TIME, n BIGINT) AS CAST(make_timestamp(((epoch_us(t) + n) % 86400000000 "
    "+ 86400000000) % 86400000000) AS TIME)",
}

_MANY_ROWS: Final[Library] = {
    "__python_quantiles": python("quantiles:places", "BIGINT; BIGINT", "BIGINT[]"),
    "__approx_quantiles": "CREATE MACRO __approx_quantiles(a, n) AS list_select(a, __python_quantiles(len(a), n))",
    "__python_weights": python("quantiles:weights", "BIGINT; DOUBLE", "DOUBLE[]"),
    "__between_places": "CREATE MACRO __between_places(a, w) AS CASE WHEN w[3] > 0 "
    "THEN a[CAST(w[1] AS BIGINT)] * w[2] + a[CAST(w[1] AS BIGINT) + 1] * w[3] ELSE a[CAST(w[1] AS BIGINT)] END",
    "__percentile_cont": overloaded(
        "__percentile_cont",
        {
            "a DOUBLE[], p DOUBLE": "__between_places(a, __python_weights(len(a), p))",
            "a BIGINT[], p DOUBLE": "__between_places(CAST(a AS DOUBLE[]), __python_weights(len(a), p))",
            "a DECIMAL(38,9)[], p DOUBLE": _refused("PERCENTILE_CONT of NUMERIC", "DECIMAL(38,9)"),
        },
    ),
    "__python_place": python("quantiles:discrete", "BIGINT; DOUBLE", "BIGINT"),
    "__percentile_disc": "CREATE MACRO __percentile_disc(a, p) AS a[__python_place(len(a), p)]",
    "__ordered": "CREATE MACRO __ordered(x) AS CASE WHEN __is_nan(x) "
    "THEN error('not emulated: NaN in what is ordered by this function') ELSE x END",
}

LIBRARY: Final[Library] = {**_NUMBERS, **STRINGS, **_TEXTS, **_JSON, **_MOMENTS, **_MANY_ROWS}
