"""Query parameters as typed values of GoogleSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlglot import exp
from sqlglot.errors import TokenError
from sqlglot.tokens import TokenType

from cloudmlops.emulators.google.bigquery.dialect.reading import GoogleSql
from cloudmlops.emulators.google.bigquery.refusals import invalid, invalid_query, not_emulated

Parameter = Mapping[str, Any]

_POSITION: Final = "positional__"


def name_positions(text: str) -> str:
    """Give each `?` of a statement a name, which `put_parameters` knows."""
    try:
        tokens = GoogleSql().tokenize(text)
    except TokenError:
        return text  # The parser says what is wrong with it.
    made, end = [], 0
    places = [token for token in tokens if token.token_type is TokenType.PLACEHOLDER]
    for number, token in enumerate(places):
        made += [text[end : token.start], f"@{_POSITION}{number}"]
        end = token.end + 1
    return "".join(made) + text[end:]


def put_parameters(tree: exp.Expression, parameters: Sequence[Parameter]) -> exp.Expression:
    """Put values in the places of parameters.

    Raises:
        Refused: One is missing, or cannot be its type.
    """
    named = {str(one["name"]).lower(): one for one in parameters if one.get("name")}
    positional = [one for one in parameters if not one.get("name")]
    if named and positional:
        raise invalid("Cannot mix named and positional parameters")
    named |= {f"{_POSITION}{number}": one for number, one in enumerate(positional)}
    for node in list(tree.find_all(exp.Parameter)):
        if not isinstance(node.this, exp.Var):
            raise not_emulated("a system variable")
        if node.name.lower() not in named:
            if node.name.startswith(_POSITION):
                raise invalid_query(
                    f"Query parameter number {int(node.name.removeprefix(_POSITION)) + 1} is not defined"
                )
            raise invalid_query(f"Query parameter '{node.name}' not found")
        node.replace(_value(named[node.name.lower()]))
    return tree


def _value(parameter: Parameter) -> exp.Expression:
    kind = parameter.get("parameterType")
    if not kind:
        raise invalid("a query parameter has no parameterType")
    written = exp.DataType.build(_type(kind), dialect="bigquery")
    return exp.paren(exp.Cast(this=_raw(kind, parameter.get("parameterValue") or {}), to=written), copy=False)


def _type(kind: Mapping[str, Any]) -> str:
    name = str(kind.get("type", "")).upper()
    if name == "ARRAY":
        return f"ARRAY<{_type(kind['arrayType'])}>"
    if name == "STRUCT":
        parts = (
            f"`{part['name']}` {_type(part['type'])}" if part.get("name") else _type(part["type"])
            for part in kind["structTypes"]
        )
        return f"STRUCT<{', '.join(parts)}>"
    if name in {"RANGE", "INTERVAL", "GEOGRAPHY", "JSON", "BIGNUMERIC"}:
        raise not_emulated(f"a parameter of type {name}")
    return {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}.get(name, name)


def _raw(kind: Mapping[str, Any], value: Mapping[str, Any]) -> exp.Expression:
    name = str(kind["type"]).upper()
    if name == "ARRAY":
        if "arrayValues" not in value:
            return exp.Array(expressions=[])
        return exp.Array(expressions=[_raw(kind["arrayType"], item) for item in value["arrayValues"]])
    if name == "STRUCT":
        given = value.get("structValues")
        if given is None:
            return exp.null()
        return exp.Tuple(expressions=[_raw(part["type"], given[part["name"]]) for part in kind["structTypes"]])
    text = value.get("value")
    if text is None:
        return exp.null()
    if name == "BYTES":
        return exp.FromBase64(this=exp.Literal.string(text))
    return exp.Literal.string(str(text))
