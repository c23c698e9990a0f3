"""Functions of texts that DuckDB has with other types or words; those of BYTES are refused by name."""

from __future__ import annotations

from typing import Final

from cloudmlops.emulators.google.bigquery.library.definitions import Library, python
from cloudmlops.emulators.google.bigquery.overloads import overloaded

_SPACES: Final = r"[\s\v\x{85}\p{Z}]+"
_ODD_LETTERS: Final = r"[ßŉǰΐΰևİΣ\x{1E96}-\x{1E9E}\x{1F00}-\x{1FFF}\x{FB00}-\x{FB17}]"
"""Letters whose other case is more than one letter, or depends on what is around."""


def _text(name: str, forms: dict[str, str], *, of_bytes: tuple[str, ...] = ()) -> str:
    """A macro of texts; `of_bytes` are the forms that are valid and not emulated."""
    refused = f"error('not emulated: {name.upper()} of BYTES')"
    return overloaded(f"__{name}", {**forms, **dict.fromkeys(of_bytes, refused)})


def _cased(name: str) -> str:
    return _text(
        name,
        {
            "s VARCHAR": f"CASE WHEN strlen(s) <> length(s) AND regexp_matches(s, '{_ODD_LETTERS}') "
            f"THEN CAST(CAST('!not emulated: {name.upper()} of these letters' AS BIGINT) AS VARCHAR) ELSE {name}(s) END"
        },
        of_bytes=("s BLOB",),
    )


STRINGS: Final[Library] = {
    "__upper": _cased("upper"),
    "__lower": _cased("lower"),
    "__python_reverse": python("characters:reversed_text", "VARCHAR", "VARCHAR"),
    "__reverse": _text("reverse", {"s VARCHAR": "__python_reverse(s)"}, of_bytes=("s BLOB",)),
    "__from": "CREATE MACRO __from(s, p) AS CASE WHEN p = 0 OR p < -length(s) THEN 1 ELSE p END",
    "__substr": _text(
        "substr",
        {
            "s VARCHAR, p BIGINT": "substring(s, __from(s, p))",
            "s VARCHAR, p BIGINT, n BIGINT": "CASE WHEN n < 0 "
            "THEN CAST(CAST('!Third argument in SUBSTR() cannot be negative' AS BIGINT) AS VARCHAR) "
            "ELSE substring(s, __from(s, p), n) END",
        },
        of_bytes=("s BLOB, p BIGINT", "s BLOB, p BIGINT, n BIGINT"),
    ),
    **{
        f"__{name}": _text(
            name,
            {
                "s VARCHAR, n BIGINT": "CASE WHEN n < 0 "
                f"THEN CAST(CAST('!Second argument in {name.upper()}() cannot be negative' AS BIGINT) AS VARCHAR) "
                f"ELSE {name}(s, n) END"
            },
            of_bytes=("s BLOB, n BIGINT",),
        )
        for name in ("left", "right", "repeat")
    },
    **{
        f"__{name}": _text(
            name,
            {
                "s VARCHAR, n BIGINT, f VARCHAR": "CASE WHEN n < 0 OR f = '' "
                f"THEN CAST(CAST('!invalid arguments of {name.upper()}' AS BIGINT) AS VARCHAR) "
                f"ELSE {name}(s, CAST(n AS INTEGER), f) END"
            },
            of_bytes=("s BLOB, n BIGINT, f VARCHAR", "s BLOB, n BIGINT, f BLOB"),
        )
        for name in ("lpad", "rpad")
    },
    "__trim": _text(
        "trim",
        {
            "s VARCHAR": f"regexp_replace(regexp_replace(s, '^{_SPACES}', ''), '{_SPACES}$', '')",
            "s VARCHAR, c VARCHAR": "trim(s, c)",
        },
        of_bytes=("s BLOB, c BLOB",),
    ),
    "__ltrim": _text(
        "ltrim",
        {"s VARCHAR": f"regexp_replace(s, '^{_SPACES}', '')", "s VARCHAR, c VARCHAR": "ltrim(s, c)"},
        of_bytes=("s BLOB, c BLOB",),
    ),
    "__rtrim": _text(
        "rtrim",
        {"s VARCHAR": f"regexp_replace(s, '{_SPACES}$', '')", "s VARCHAR, c VARCHAR": "rtrim(s, c)"},
        of_bytes=("s BLOB, c BLOB",),
    ),
    "__replace": _text(
        "replace", {"s VARCHAR, a VARCHAR, b VARCHAR": "replace(s, a, b)"}, of_bytes=("s BLOB, a BLOB, b BLOB",)
    ),
    "__starts_with": _text("starts_with", {"s VARCHAR, a VARCHAR": "starts_with(s, a)"}, of_bytes=("s BLOB, a BLOB",)),
    "__ends_with": _text("ends_with", {"s VARCHAR, a VARCHAR": "ends_with(s, a)"}, of_bytes=("s BLOB, a BLOB",)),
    "__strpos": _text("strpos", {"s VARCHAR, a VARCHAR": "CAST(strpos(s, a) AS BIGINT)"}, of_bytes=("s BLOB, a BLOB",)),
    "__split": _text(
        "split",
        {"s VARCHAR, d VARCHAR": "CASE WHEN d IS NOT NULL THEN string_split(s, d) END"},
        of_bytes=("s BLOB, d BLOB",),
    ),
    "__safe_string": overloaded(
        "__safe_string",
        {
            **{
                f"x {kind}": "__to_string(x)"
                for kind in (
                    "VARCHAR",
                    "BIGINT",
                    "BOOLEAN",
                    "DOUBLE",
                    "DECIMAL(38,9)",
                    "DATE",
                    "TIME",
                    "TIMESTAMP",
                    "TIMESTAMPTZ",
                )
            },
            "x BLOB": "try(decode(x))",
        },
    ),
}
