"""Pieces of DuckDB's SQL, as sqlglot's nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.written import WRITTEN
from cloudmlops.emulators.google.bigquery.refusals import not_emulated


def call(name: str, *arguments: exp.Expression | int | str) -> exp.Expression:
    """A call of one of DuckDB's functions or of our macros.

    A number becomes a plain number, a text a plain text; an expression's text gets its type, so that a macro of several
    types is not in doubt.
    """
    return exp.Anonymous(this=name, expressions=[_argument(argument) for argument in arguments])


def _argument(argument: exp.Expression | int | str) -> exp.Expression:
    if isinstance(argument, int):
        return exp.Literal.number(argument)
    if isinstance(argument, str):
        return exp.Literal.string(argument)
    return typed_text(argument)


def typed_text(node: exp.Expression) -> exp.Expression:
    """A written text with its type; all else as it is."""
    return cast(node, "VARCHAR") if isinstance(node, exp.Literal) and node.is_string else node


def cast(node: exp.Expression, kind: str) -> exp.Expression:
    """A conversion in DuckDB."""
    return exp.Cast(this=node, to=exp.DataType.build(kind, dialect="duckdb"))


def whole(number: int) -> exp.Expression:
    """An INT64."""
    return cast(exp.Literal.number(number), "BIGINT")


def case(*whens: tuple[exp.Expression, exp.Expression], otherwise: exp.Expression | None = None) -> exp.Expression:
    """A CASE."""
    return exp.Case(ifs=[exp.If(this=when, true=then) for when, then in whens], default=otherwise)


def conjunction(nodes: Iterable[exp.Expression]) -> exp.Expression:
    """All of them."""
    return exp.and_(*(exp.paren(node, copy=False) for node in nodes), copy=False)


def disjunction(nodes: Iterable[exp.Expression]) -> exp.Expression:
    """One of them at least."""
    return exp.or_(*(exp.paren(node, copy=False) for node in nodes), copy=False)


def bound(values: Sequence[exp.Expression], body: Callable[[list[exp.Expression]], exp.Expression]) -> exp.Expression:
    """What `body` makes of values that are evaluated once, however often it mentions them."""
    row = exp.to_identifier("__bound", quoted=True)
    names = [exp.to_identifier(f"b{place}", quoted=True) for place in range(len(values))]
    packed = [exp.PropertyEQ(this=name.copy(), expression=value) for name, value in zip(names, values, strict=True)]
    rows = exp.Array(expressions=[exp.Anonymous(this="struct_pack", expressions=packed)])
    made = body([exp.Dot(this=row.copy(), expression=name.copy()) for name in names])
    return call("list_extract", call("list_transform", rows, exp.Lambda(this=made, expressions=[row])), 1)


def only(node: exp.Expression, *allowed: str) -> None:
    """Refuse a node that has more than is understood.

    Raises:
        Refused: It has another part.
    """
    for key, value in node.args.items():
        if key not in allowed and value not in (None, False) and value != []:
            raise not_emulated(f"{key.strip('_').upper()} of {name_of(node)}")


_NAMES: Final = {
    "GroupConcat": "STRING_AGG",
    "ApproxDistinct": "APPROX_COUNT_DISTINCT",
    "JSONFormat": "TO_JSON_STRING",
    "ArgMin": "MIN_BY",
    "ArgMax": "MAX_BY",
    "TimeToStr": "FORMAT_TIMESTAMP",
    "StrToTime": "PARSE_TIMESTAMP",
    "StrToDate": "PARSE_DATE",
}


_PREFIXED: Final = (exp.NetFunc, exp.SafeFunc)


def name_of(node: Any) -> str:
    """What a node is called in GoogleSQL, as near as is known."""
    written = node.meta.get(WRITTEN) or (node.this.meta.get(WRITTEN) if isinstance(node, _PREFIXED) else None)
    if written:
        return str(written[0]).upper()
    if isinstance(node, exp.Anonymous):
        return str(node.this).upper()
    kind = type(node).__name__
    if kind in _NAMES:
        return _NAMES[kind]
    if isinstance(node, exp.Func):
        names = node.sql_names()
        return str(names[0]) if names else kind
    return "".join(f" {letter}" if letter.isupper() and at else letter for at, letter in enumerate(kind)).upper()
