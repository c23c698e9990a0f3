"""Arithmetic, as DuckDB's macros: what is too large fails, as in GoogleSQL.

A FLOAT64 is infinite only where an operand is. A macro writes an argument as often as it mentions it, so that there are
three forms of each operator: `__add` for operands that cost nothing, `__add_once` for all others, which binds them by a
lambda, and `__exact_add` of FLOAT64 alone, which is what the latter is made of.
"""

from __future__ import annotations

from typing import Final

from cloudmlops.emulators.google.bigquery.overloads import overloaded

ONCE: Final = "_once"
"""How the name of the form ends that evaluates its operands once."""

OPERATORS: Final = {"add": "+", "sub": "-", "mul": "*", "div": "/"}

_DOUBLES: Final = "a DOUBLE, b DOUBLE"
_OF_INTERVALS: Final = "CAST(error('not emulated: arithmetic that gives an INTERVAL') AS INTERVAL)"


def _finite(result: str) -> str:
    """A FLOAT64, or NULL if it is infinite and nothing is that it is made of."""
    return f"CASE WHEN isinf({result}) AND NOT isinf(a) AND NOT isinf(b) THEN NULL ELSE {result} END"


def _in_days(sum_: str) -> str:
    return (
        "CASE WHEN datepart('year', b) <> 0 OR datepart('month', b) <> 0 THEN error('TIMESTAMP +/- INTERVAL is not "
        f"supported for intervals with non-zero MONTH or YEAR part.') ELSE {sum_} END"
    )


def _checked(operator: str, a: str, b: str) -> str:
    """A FLOAT64 of two: an error if it is infinite and they are not."""
    result = f"{a} {operator} {b}"
    zero = f"WHEN {b} = 0 THEN CAST('!division by zero' AS DOUBLE) " if operator == "/" else ""
    return (
        f"CASE {zero}WHEN isinf({result}) AND NOT isinf({a}) AND NOT isinf({b}) "
        f"THEN CAST('!double overflow: ' || {a} || ' {operator} ' || {b} AS DOUBLE) ELSE {result} END"
    )


def unscaled(x: str) -> str:
    """A NUMERIC's billionths, as a HUGEINT."""
    return f"CAST(replace(CAST({x} AS VARCHAR), '.', '') AS HUGEINT)"


def scaled(x: str) -> str:
    """The NUMERIC of so many billionths."""
    return (
        f"CAST(CASE WHEN {x} < 0 THEN '-' ELSE '' END || CAST(abs({x}) // 1000000000 AS VARCHAR) || '.' || "
        f"lpad(CAST(abs({x}) % 1000000000 AS VARCHAR), 9, '0') AS DECIMAL(38,9))"
    )


def numeric_quotient(a: str, b: str) -> str:
    """Divide NUMERICs: rounded half away from zero, as is documented.

    The remainder's billionfold must be a HUGEINT, so that a divisor of 10^19 and more is not emulated.
    """
    top, under = f"abs({unscaled(a)})", f"abs({unscaled(b)})"
    ninth = "CAST(1000000000 AS HUGEINT)"
    quotient = f"(({top} // {under}) * {ninth} + (2 * ({top} % {under}) * {ninth} + {under}) // (2 * {under}))"
    signed = f"(CASE WHEN ({a} < 0) = ({b} < 0) THEN {quotient} ELSE -{quotient} END)"
    return (
        f"CASE WHEN abs({b}) >= 10000000000000000000 THEN "
        f"CAST(error('not emulated: division of NUMERIC by 1e19 or more') AS DECIMAL(38,9)) ELSE {scaled(signed)} END"
    )


_OF_OTHERS: Final[dict[str, dict[str, str]]] = {
    "div": {
        "a BIGINT, b BIGINT": "a / __nonzero(b)",
        "a INTERVAL, b BIGINT": _OF_INTERVALS,
        "a DECIMAL(38,9), b DECIMAL(38,9)": numeric_quotient("a", "__nonzero(b)"),
    },
    "mul": {
        "a BIGINT, b BIGINT": "a * b",
        "a DECIMAL(38,9), b DECIMAL(38,9)": "CAST(a * b AS DECIMAL(38,9))",
        "a INTERVAL, b BIGINT": _OF_INTERVALS,
        "a BIGINT, b INTERVAL": _OF_INTERVALS,
    },
    "add": {
        "a BIGINT, b BIGINT": "a + b",
        "a DECIMAL(38,9), b DECIMAL(38,9)": "CAST(a + b AS DECIMAL(38,9))",
        "a DATE, b BIGINT": "CAST(a + CAST(b AS INTEGER) AS DATE)",
        "a BIGINT, b DATE": "CAST(b + CAST(a AS INTEGER) AS DATE)",
        "a DATE, b INTERVAL": "a + b",
        "a TIMESTAMP, b INTERVAL": "a + b",
        "a TIMESTAMPTZ, b INTERVAL": _in_days("a + b"),
        "a INTERVAL, b DATE": "b + a",
        "a INTERVAL, b TIMESTAMP": "b + a",
        "a INTERVAL, b INTERVAL": _OF_INTERVALS,
    },
    "sub": {
        "a BIGINT, b BIGINT": "a - b",
        "a DECIMAL(38,9), b DECIMAL(38,9)": "CAST(a - b AS DECIMAL(38,9))",
        "a DATE, b BIGINT": "CAST(a - CAST(b AS INTEGER) AS DATE)",
        "a DATE, b INTERVAL": "a - b",
        "a TIMESTAMP, b INTERVAL": "a - b",
        "a TIMESTAMPTZ, b INTERVAL": _in_days("a - b"),
        "a INTERVAL, b INTERVAL": _OF_INTERVALS,
        "a DATE, b DATE": _OF_INTERVALS,
        "a TIMESTAMP, b TIMESTAMP": _OF_INTERVALS,
        "a TIMESTAMPTZ, b TIMESTAMPTZ": _OF_INTERVALS,
        "a TIME, b TIME": _OF_INTERVALS,
    },
}
"""What each operator does with other types than FLOAT64."""


def _forms(name: str, operator: str) -> tuple[str, ...]:
    exact = (
        f"CREATE MACRO __exact_{name}(a, b) AS list_transform([{{'a': a, 'b': b}}], "
        f"lambda pair: {_checked(operator, 'pair.a', 'pair.b')})[1]"
    )
    plain = overloaded(f"__{name}", {_DOUBLES: _checked(operator, "a", "b"), **_OF_OTHERS[name]})
    once = overloaded(f"__{name}{ONCE}", {_DOUBLES: f"__exact_{name}(a, b)", **_OF_OTHERS[name]})
    naught = (
        f"CREATE MACRO __naught_{name}(a, b) AS CASE WHEN typeof(a) = 'DOUBLE' OR typeof(b) = 'DOUBLE' "
        f"THEN (TRY_CAST(a AS DOUBLE) {operator} TRY_CAST(b AS DOUBLE)) * 0 END"
    )
    return exact, plain, once, naught


ARITHMETIC: Final = (
    "CREATE MACRO __naught(x) AS CASE WHEN typeof(x) = 'DOUBLE' THEN TRY_CAST(x AS DOUBLE) * 0 END",
    "CREATE MACRO __nonzero(x) AS CASE WHEN x = 0 THEN CAST('!division by zero' AS BIGINT) ELSE x END",
    *(form for name, operator in OPERATORS.items() for form in _forms(name, operator)),
    overloaded(
        "__safe_div",
        {
            "a BIGINT, b BIGINT": "CASE WHEN b <> 0 THEN a / b END",
            "a DOUBLE, b DOUBLE": f"CASE WHEN b <> 0 THEN {_finite('a / b')} END",
            "a DECIMAL(38,9), b DECIMAL(38,9)": numeric_quotient("a", "nullif(b, 0)"),
        },
    ),
    "CREATE MACRO __ieee_div(a DOUBLE, b DOUBLE) AS a / b",
    overloaded(
        "__int_div",
        {
            "a BIGINT, b BIGINT": "a // __nonzero(b)",
            "a DECIMAL(38,9), b DECIMAL(38,9)": f"CAST({unscaled('a')} // {unscaled('__nonzero(b)')} AS DECIMAL(38,9))",
        },
    ),
    overloaded(
        "__mod",
        {
            "a BIGINT, b BIGINT": "a % __nonzero(b)",
            "a DECIMAL(38,9), b DECIMAL(38,9)": "CAST(a % __nonzero(b) AS DECIMAL(38,9))",
        },
    ),
    overloaded(
        "__safe_add",
        {
            "a BIGINT, b BIGINT": "TRY(a + b)",
            "a DOUBLE, b DOUBLE": _finite("a + b"),
            "a DECIMAL(38,9), b DECIMAL(38,9)": "TRY(CAST(a + b AS DECIMAL(38,9)))",
        },
    ),
    overloaded(
        "__safe_sub",
        {
            "a BIGINT, b BIGINT": "TRY(a - b)",
            "a DOUBLE, b DOUBLE": _finite("a - b"),
            "a DECIMAL(38,9), b DECIMAL(38,9)": "TRY(CAST(a - b AS DECIMAL(38,9)))",
        },
    ),
    overloaded(
        "__safe_mul",
        {
            "a BIGINT, b BIGINT": "TRY(a * b)",
            "a DOUBLE, b DOUBLE": _finite("a * b"),
            "a DECIMAL(38,9), b DECIMAL(38,9)": "TRY(CAST(a * b AS DECIMAL(38,9)))",
        },
    ),
    overloaded(
        "__safe_neg",
        {"a BIGINT": "TRY(CAST(0 AS BIGINT) - a)", "a DOUBLE": "-a", "a DECIMAL(38,9)": "CAST(-a AS DECIMAL(38,9))"},
    ),
)
