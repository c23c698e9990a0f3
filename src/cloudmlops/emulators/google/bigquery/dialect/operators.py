"""Operators, literals, arrays, structs and conversions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.arithmetic import ARITHMETIC, arithmetic
from cloudmlops.emulators.google.bigquery.dialect.building import (
    call,
    case,
    cast,
    conjunction,
    disjunction,
    only,
    whole,
)
from cloudmlops.emulators.google.bigquery.dialect.comparing import COMPARISONS, members_of_struct
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

if TYPE_CHECKING:
    from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions

Handler = Callable[["Expressions", exp.Expression], exp.Expression]

_BITS: Final = {
    exp.BitwiseAnd: "__bit_and",
    exp.BitwiseOr: "__bit_or",
    exp.BitwiseXor: "__bit_xor",
    exp.BitwiseLeftShift: "__shift_left",
    exp.BitwiseRightShift: "__shift_right",
}

_CASTS: Final = {
    exp.DataType.Type.BIGINT: "int64",
    exp.DataType.Type.INT: "int64",
    exp.DataType.Type.DOUBLE: "float64",
    exp.DataType.Type.FLOAT: "float64",
    exp.DataType.Type.DECIMAL: "numeric",
    exp.DataType.Type.TEXT: "string",
    exp.DataType.Type.VARCHAR: "string",
    exp.DataType.Type.BOOLEAN: "bool",
    exp.DataType.Type.BINARY: "bytes",
    exp.DataType.Type.VARBINARY: "bytes",
    exp.DataType.Type.TIMESTAMPTZ: "timestamp",
    exp.DataType.Type.TIMESTAMP: "datetime",
    exp.DataType.Type.DATETIME: "datetime",
    exp.DataType.Type.DATE: "date",
    exp.DataType.Type.TIME: "time",
}
_DUCKDB: Final = {
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "numeric": "DECIMAL(38,9)",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "bytes": "BLOB",
    "timestamp": "TIMESTAMPTZ",
    "datetime": "TIMESTAMP",
    "date": "DATE",
    "time": "TIME",
    "json": "JSON",
}


def type_sql(kind: exp.DataType) -> str:
    """A type of GoogleSQL in DuckDB's words.

    Raises:
        Refused: It is not emulated.
    """
    if kind.this is exp.DataType.Type.ARRAY:
        return f"{type_sql(kind.expressions[0])}[]"
    if kind.this is exp.DataType.Type.STRUCT:
        parts = []
        for place, part in enumerate(kind.expressions):
            named = isinstance(part, exp.ColumnDef)
            name = part.name if named else f"_field_{place + 1}"
            inner = part.args["kind"] if named else part
            quoted = name.replace('"', '""')
            parts.append(f'"{quoted}" {type_sql(inner)}')
        return f"STRUCT({', '.join(parts)})"
    return _DUCKDB[type_word(kind)]


def type_word(kind: exp.DataType) -> str:
    """The short name of a scalar type."""
    if kind.this is exp.DataType.Type.JSON:
        return "json"
    if kind.this not in _CASTS:
        raise not_emulated(f"type {kind.sql(dialect='bigquery')}")
    if kind.expressions:
        raise not_emulated(f"parameterised type {kind.sql(dialect='bigquery')}")
    return _CASTS[kind.this]


def negated(made: Expressions, node: exp.Expression) -> exp.Expression:
    """Minus."""
    only(node, "this")
    if isinstance(node.this, exp.Literal) and not node.this.is_string:
        return exp.paren(literal(made, node.this, sign="-"), copy=False)
    return call("__neg", made.of(node.this))


def bits(made: Expressions, node: exp.Expression) -> exp.Expression:
    """&, |, ^, << and >>, of INT64."""
    only(node, "this", "expression")
    return call(_BITS[type(node)], made.of(node.this), made.of(node.expression))


def inverted(made: Expressions, node: exp.Expression) -> exp.Expression:
    """~, of INT64."""
    only(node, "this")
    return call("__bit_not", made.of(node.this))


def joined(made: Expressions, node: exp.Expression) -> exp.Expression:
    """|| and CONCAT, NULL when one of them is."""
    parts = node.expressions if isinstance(node, exp.Concat) else [node.this, node.expression]
    made_parts = [
        cast(exp.null(), "VARCHAR") if isinstance(part, exp.Null) else _joinable(made.of(part)) for part in parts
    ]
    result = made_parts[0]
    for part in made_parts[1:]:
        result = exp.DPipe(this=result, expression=part, safe=True)
    return exp.paren(result, copy=False)


def _joinable(node: exp.Expression) -> exp.Expression:
    known = isinstance(node, (exp.Paren, exp.Literal)) or node.find(exp.Query) is not None
    return node if known else call("__joinable", node)


def logic(made: Expressions, node: exp.Expression) -> exp.Expression:
    """AND and OR."""
    only(node, "this", "expression")
    return exp.paren(type(node)(this=made.truth(node.this), expression=made.truth(node.expression)), copy=False)


def negation(made: Expressions, node: exp.Expression) -> exp.Expression:
    """NOT."""
    return exp.paren(exp.Not(this=exp.paren(made.truth(node.this), copy=False)), copy=False)


def tested(made: Expressions, node: exp.Expression) -> exp.Expression:
    """IS NULL, IS TRUE, IS FALSE."""
    only(node, "this", "expression")
    if not isinstance(node.expression, (exp.Null, exp.Boolean)):
        raise not_emulated("IS with anything but NULL, TRUE and FALSE")
    return exp.paren(exp.Is(this=made.of(node.this), expression=node.expression.copy()), copy=False)


def like(made: Expressions, node: exp.Expression) -> exp.Expression:
    r"""LIKE, whose escape is the backslash; of several patterns, ANY or ALL."""
    only(node, "this", "expression", "negate")
    several = node.expression
    if isinstance(several, (exp.Any, exp.All)):
        patterns = several.this
        if not isinstance(patterns, (exp.Tuple, exp.Paren)):
            raise not_emulated("LIKE ANY, LIKE SOME and LIKE ALL of what is not written out")
        written = patterns.expressions if isinstance(patterns, exp.Tuple) else [patterns.this]
        parts = [_like(made, node.this.copy(), pattern) for pattern in written]
        result = exp.paren(disjunction(parts) if isinstance(several, exp.Any) else conjunction(parts), copy=False)
    else:
        result = _like(made, node.this, several)
    return exp.paren(exp.Not(this=result), copy=False) if node.args.get("negate") else result


def _like(made: Expressions, value: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    matching = exp.Like(this=made.of(value), expression=made.of(pattern))
    return exp.paren(exp.Escape(this=matching, expression=exp.Literal.string("\\")), copy=False)


def literal(_: Expressions, node: exp.Expression, *, sign: str = "") -> exp.Expression:
    """A written value: a number has its type."""
    if not isinstance(node, exp.Literal):
        raise not_emulated("this literal")
    if node.is_string:
        return node.copy()
    text = str(node.this)
    if text.isdigit():
        if not -(2**63) <= int(sign + text) < 2**63:
            raise invalid_query(f"Invalid integer literal: {sign}{text}")
        return cast(exp.Literal.string(sign + text), "BIGINT") if int(text) >= 2**63 else whole(int(sign + text))
    try:
        number = float(text)
    except ValueError as error:
        raise invalid_query(f"Syntax error: Unexpected floating point literal {text}") from error
    if math.isinf(number):
        raise invalid_query(f"Invalid floating point literal: {sign}{text}")
    return cast(exp.Literal.string(sign + text), "DOUBLE")


def hexadecimal(_: Expressions, node: exp.Expression) -> exp.Expression:
    """An INT64 in hexadecimal."""
    return whole(int(str(node.this), 16))


def raw_text(_: Expressions, node: exp.Expression) -> exp.Expression:
    """A text without escapes."""
    return exp.Literal.string(str(node.this))


def bytes_literal(_: Expressions, node: exp.Expression) -> exp.Expression:
    """BYTES; escapes have been resolved to characters."""
    text = str(node.this)
    if "\\" in text or not text.isascii():
        raise not_emulated("an escape or a character beyond ASCII in a BYTES literal")
    return call("encode", exp.Literal.string(text))


def plain(_: Expressions, node: exp.Expression) -> exp.Expression:
    """NULL, TRUE, FALSE."""
    return node.copy()


def column(_: Expressions, node: exp.Expression) -> exp.Expression:
    """A column, or a field of one."""
    only(node, "this", "table", "db", "catalog")
    if isinstance(node.this, exp.Star):
        raise not_emulated("* where a value is expected")
    return node.copy()


def field(made: Expressions, node: exp.Expression) -> exp.Expression:
    """A field of a STRUCT."""
    only(node, "this", "expression")
    if not isinstance(node.expression, exp.Identifier):
        raise not_emulated(f"the function {node.sql(dialect='bigquery')}")
    return (
        call("struct_extract", exp.paren(made.of(node.this), copy=False), exp.Literal.string(node.expression.name))
        if (not isinstance(node.this, (exp.Column, exp.Dot)))
        else exp.Dot(this=made.of(node.this), expression=node.expression.copy())
    )


def choice(made: Expressions, node: exp.Expression) -> exp.Expression:
    """CASE; with a subject it compares as = does."""
    only(node, "this", "ifs", "default")
    subject = node.args.get("this")
    whens = []
    for branch in node.args["ifs"]:
        when = exp.EQ(this=subject.copy(), expression=branch.this) if subject is not None else branch.this
        whens.append((made.truth(when), made.of(branch.args["true"])))
    default = node.args.get("default")
    return case(*whens, otherwise=made.of(default) if default is not None else None)


def either(made: Expressions, node: exp.Expression) -> exp.Expression:
    """IF."""
    only(node, "this", "true", "false")
    otherwise = node.args.get("false")
    return case(
        (made.truth(node.this), made.of(node.args["true"])),
        otherwise=made.of(otherwise) if otherwise is not None else None,
    )


def converted(made: Expressions, node: exp.Expression) -> exp.Expression:
    """CAST and SAFE_CAST, and literals with a type."""
    safe = isinstance(node, exp.TryCast)
    only(node, "this", "to", *(("safe",) if safe else ()))
    kind = node.args["to"]
    if kind.this in {exp.DataType.Type.ARRAY, exp.DataType.Type.STRUCT}:
        return _converted_nested(made, node.this, kind, safe=safe)
    word = type_word(kind)
    if isinstance(node.this, exp.Null):
        return cast(exp.null(), _DUCKDB[word])
    if word == "json":
        raise not_emulated("CAST to JSON")
    if safe and word == "bytes":
        raise not_emulated(f"SAFE_CAST to {word.upper()}")
    return call(f"__{'safe' if safe else 'to'}_{word}", made.of(node.this))


def _converted_nested(made: Expressions, value: exp.Expression, kind: exp.DataType, *, safe: bool) -> exp.Expression:
    """A typed ARRAY or STRUCT, whose written members are converted one by one."""
    if safe:
        raise not_emulated("SAFE_CAST to an ARRAY or a STRUCT")
    if isinstance(value, exp.Null):
        return cast(exp.null(), type_sql(kind))
    if kind.this is exp.DataType.Type.ARRAY:
        if not isinstance(value, exp.Array):
            raise not_emulated("CAST to an ARRAY of what is not written out")
        element = kind.expressions[0]
        members = [made.of(exp.Cast(this=item.copy(), to=element.copy())) for item in value.expressions]
        return cast(exp.Anonymous(this="list_value", expressions=members), type_sql(kind))
    members_of = members_of_struct(value)
    if members_of is None:
        raise not_emulated("CAST to a STRUCT of what is not written out")
    if len(members_of) != len(kind.expressions):
        raise invalid_query(
            f"STRUCT type has {len(kind.expressions)} fields but constructor call has {len(members_of)} fields"
        )
    parts = []
    for place, (item, part) in enumerate(zip(members_of, kind.expressions, strict=True)):
        named = isinstance(part, exp.ColumnDef)
        inner = part.args["kind"] if named else part
        parts.append(
            _packed(part.name if named else f"_field_{place + 1}", made.of(exp.Cast(this=item.copy(), to=inner.copy())))
        )
    return cast(exp.Anonymous(this="struct_pack", expressions=parts), type_sql(kind))


def _packed(name: str, value: exp.Expression) -> exp.Expression:
    return exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value)


def record(made: Expressions, node: exp.Expression) -> exp.Expression:
    """A STRUCT that is written out."""
    only(node, "expressions")
    counter = itertools.count(1)
    parts = []
    for part in node.expressions:
        number = next(counter)
        if isinstance(part, exp.PropertyEQ):
            name, value = part.this.name, part.expression
        elif isinstance(part, exp.Alias):
            name, value = part.alias, part.this
        elif isinstance(part, (exp.Column, exp.Dot)) and not isinstance(part.this, exp.Star):
            name, value = part.output_name, part
        else:
            name, value = f"_field_{number}", part
        parts.append(_packed(name, made.of(value)))
    return exp.Anonymous(this="struct_pack", expressions=parts)


def array(made: Expressions, node: exp.Expression) -> exp.Expression:
    """An ARRAY of written members, or of a query's rows."""
    members = node.expressions
    if len(members) == 1 and isinstance(members[0], (exp.Query, exp.Subquery)):
        inner = members[0].this if isinstance(members[0], exp.Subquery) else members[0]
        query = made.query(inner)
        return call("coalesce", exp.Array(expressions=[query]), exp.Array(expressions=[]))
    names = _names(members[0]) if members else None
    if names is not None:
        members = [_renamed(member, names) for member in members]
    return exp.Anonymous(this="list_value", expressions=[made.of(member) for member in members])


def _names(node: exp.Expression) -> list[str] | None:
    """The names of a written STRUCT's fields; a nameless one has an empty name."""
    if isinstance(node, exp.Paren):
        return _names(node.this)
    if isinstance(node, exp.Tuple):
        return [""] * len(node.expressions)
    if isinstance(node, exp.Struct):
        return [
            part.this.name
            if isinstance(part, exp.PropertyEQ)
            else part.alias
            if isinstance(part, exp.Alias)
            else part.output_name
            if isinstance(part, (exp.Column, exp.Dot))
            else ""
            for part in node.expressions
        ]
    return None


def _renamed(node: exp.Expression, names: Sequence[str]) -> exp.Expression:
    """A STRUCT of an ARRAY takes the names of the first one."""
    members = members_of_struct(node)
    if members is None:
        if isinstance(node, exp.Null):
            return node
        raise not_emulated("an ARRAY of STRUCTs of which some are not written out")
    if len(members) != len(names):
        raise invalid_query(
            "Array elements of types STRUCT with different numbers of fields do not have a common supertype"
        )
    parts = [
        exp.PropertyEQ(this=exp.to_identifier(name or f"_field_{place + 1}"), expression=member.copy())
        for place, (name, member) in enumerate(zip(names, members, strict=True))
    ]
    return exp.Struct(expressions=parts)


def indexed(made: Expressions, node: exp.Expression) -> exp.Expression:
    """A member of an ARRAY."""
    only(node, "this", "expressions", "offset", "safe")
    if len(node.expressions) != 1:
        raise not_emulated("more than one index")
    index = node.expressions[0]
    if isinstance(index, exp.Literal) and index.is_string:
        raise not_emulated("a member of JSON by name")
    place = made.of(index)
    if node.args.get("offset") == 1:
        place = exp.paren(exp.Sub(this=place, expression=exp.Literal.number(1)), copy=False)
    return call("__safe_at" if node.args.get("safe") else "__at", made.of(node.this), place)


def scalar_query(made: Expressions, node: exp.Expression) -> exp.Expression:
    """A query that is a value."""
    return exp.Subquery(this=made.query(node.this if isinstance(node, exp.Subquery) else node))


def exists(made: Expressions, node: exp.Expression) -> exp.Expression:
    """EXISTS."""
    only(node, "this")
    inner = node.this.this if isinstance(node.this, exp.Subquery) else node.this
    return exp.Exists(this=made.query(inner))


def parenthesized(made: Expressions, node: exp.Expression) -> exp.Expression:
    """(x)."""
    return exp.paren(made.of(node.this), copy=False)


OPERATORS: Final[dict[type[exp.Expression], Handler]] = {
    **COMPARISONS,
    **dict.fromkeys(ARITHMETIC, arithmetic),
    **dict.fromkeys(_BITS, bits),
    exp.BitwiseNot: inverted,
    exp.Neg: negated,
    exp.DPipe: joined,
    exp.Concat: joined,
    exp.And: logic,
    exp.Or: logic,
    exp.Not: negation,
    exp.Is: tested,
    exp.Like: like,
    exp.Literal: literal,
    exp.HexString: hexadecimal,
    exp.RawString: raw_text,
    exp.ByteString: bytes_literal,
    exp.Null: plain,
    exp.Boolean: plain,
    exp.Column: column,
    exp.Dot: field,
    exp.Case: choice,
    exp.If: either,
    exp.Cast: converted,
    exp.TryCast: converted,
    exp.Struct: record,
    exp.Tuple: record,
    exp.Array: array,
    exp.Bracket: indexed,
    exp.Subquery: scalar_query,
    exp.Select: scalar_query,
    exp.Exists: exists,
    exp.Paren: parenthesized,
}
