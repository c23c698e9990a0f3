"""Arithmetic of arithmetic: DuckDB looks at an operand twice to choose among a macro's types, and so 2^n times n deep.

The types of what it is made of are asked for once, and the rest is known. What is FLOAT64 is computed as it is; only
where that is not finite does a slow way tell whether BigQuery fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
from sqlglot import exp

from cloudmlops.emulators.google.bigquery.arithmetic import ONCE, OPERATORS
from cloudmlops.emulators.google.bigquery.dialect.arithmetic import ONCE_ONLY, PLAIN, VOLATILE
from cloudmlops.emulators.google.bigquery.dialect.building import bound, call, case, cast, conjunction
from cloudmlops.emulators.google.bigquery.dialect.overloading import has_aggregates, nodes_of, substituted, types_of
from cloudmlops.emulators.google.bigquery.dialect.unnesting import Unnesting

_MADE: Final = {"+": exp.Add, "-": exp.Sub, "*": exp.Mul, "/": exp.Div}
_NEGATIVE: Final = "~"
_WHOLE: Final = frozenset({"BIGINT", "INTEGER", "SMALLINT", "TINYINT"})
_MOST: Final = 300
"""How many nodes of what it is made of are written several times."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Number:
    """An INT64 or FLOAT64, as it is or made of others."""

    is_float: bool
    value: exp.Expression | None = None
    operator: str = ""
    operands: tuple[_Number, ...] = ()

    def parts(self) -> Iterator[_Number]:
        """What it is made of in the end, from the left."""
        if self.value is not None:
            yield self
        for operand in self.operands:
            yield from operand.parts()

    def program(self, places: Mapping[_Number, int]) -> str:
        """What is to be done, in reverse Polish notation."""
        if self.value is not None:
            return str(places[self])
        return " ".join([*(operand.program(places) for operand in self.operands), self.operator])

    def unchecked(self, forms: Mapping[_Number, exp.Expression]) -> exp.Expression:
        """It in DuckDB's operators: not finite if a part is not, but for what is divided by."""
        if self.value is not None:
            return forms[self].copy()
        operands = [operand.unchecked(forms) for operand in self.operands]
        if self.operator == _NEGATIVE:
            return exp.paren(exp.Neg(this=exp.paren(operands[0], copy=False)), copy=False)
        return exp.paren(_MADE[self.operator](this=operands[0], expression=operands[1]), copy=False)

    def divisors(self) -> Iterator[_Number]:
        """What is divided by and is made of others."""
        if self.operator == "/" and self.operands[1].value is None:
            yield self.operands[1]
        for operand in self.operands:
            yield from operand.divisors()


def settle(made: exp.Select, unnesting: Unnesting, around: int) -> None:
    """Write arithmetic of arithmetic in DuckDB's own operators, where all is INT64 or FLOAT64.

    Args:
        made: A rewritten query.
        unnesting: Knows what is in sight.
        around: How many sources are around the query.
    """
    group = made.args.get("group")
    keys = substituted(group.expressions, made.expressions) if group is not None else []
    roots = [root for clause in _clauses(made) for root in _roots(clause, keys)]
    leaves = [leaf for root in roots for leaf in _leaves(root, keys, top=True)]
    if not leaves:
        return
    kinds = _kinds(leaves, made, unnesting, around)
    known = {id(leaf): kind for leaf, kind in zip(leaves, kinds, strict=True)}
    for root in reversed(roots):  # What is inside of another comes first.
        number = _number(root, keys, known, top=True)
        if number is None:
            continue
        unchecked = isinstance(root.parent, exp.Anonymous) and root.parent.this == "__naught"
        written = _unchecked(number) if unchecked else _checked(number)
        if id(root) in known:
            known[id(written)] = known[id(root)]
        root.replace(written)


def _clauses(made: exp.Select) -> Iterator[exp.Expression]:
    yield from made.expressions
    for join in made.args.get("joins") or ():
        if join.args.get("on") is not None:
            yield join.args["on"]
    for name in ("where", "group", "having", "qualify", "order"):
        if made.args.get(name) is not None:
            yield made.args[name]


def _macro(node: exp.Expression) -> str:
    name = str(node.this) if isinstance(node, exp.Anonymous) else ""
    return name.removesuffix(ONCE) if name in PLAIN | ONCE_ONLY else "__neg" if name == "__neg" else ""


def _roots(clause: exp.Expression, keys: Sequence[exp.Expression]) -> Iterator[exp.Expression]:
    """Arithmetic that has arithmetic as an operand and is no operand itself; the outer before the inner."""
    within: set[int] = set()
    for node in nodes_of(clause):
        if not _macro(node):
            continue
        operands = [_bare(operand) for operand in node.expressions]
        inner = [operand for operand in operands if _macro(operand) and operand not in keys]
        if inner and id(node) not in within:
            yield node
        within.update(map(id, inner))


def _bare(node: exp.Expression) -> exp.Expression:
    return _bare(node.this) if isinstance(node, exp.Paren) else node


def _leaves(node: exp.Expression, keys: Sequence[exp.Expression], *, top: bool = False) -> Iterator[exp.Expression]:
    bare = _bare(node)
    if not _macro(bare) or (not top and bare in keys):
        yield bare
        return
    for operand in bare.expressions:
        yield from _leaves(operand, keys)


def _kinds(leaves: Sequence[exp.Expression], made: exp.Select, unnesting: Unnesting, around: int) -> list[str]:
    """The types in DuckDB; without a name where it is not known."""
    ungrouped = exp.Select()
    for name in ("from_", "joins"):
        ungrouped.set(name, made.args.get(name) and made.copy().args[name])
    kinds = [""] * len(leaves)
    for select, grouped in ((ungrouped, False), (made, True)):
        places = [place for place, leaf in enumerate(leaves) if has_aggregates(leaf) == grouped]
        if not places:
            continue
        try:
            found = types_of([leaves[place] for place in places], select, unnesting, around)
        except duckdb.Error:
            continue  # It is not alone in sight, or wrong: the whole query tells.
        for place, kind in zip(places, found, strict=True):
            kinds[place] = kind
    return kinds


def _number(
    node: exp.Expression, keys: Sequence[exp.Expression], known: Mapping[int, str], *, top: bool = False
) -> _Number | None:
    """What a node is, unless it has to do with other types than INT64 and FLOAT64."""
    bare = _bare(node)
    macro = _macro(bare)
    if not macro or (not top and bare in keys):
        kind = known.get(id(bare), "")
        if kind == "DOUBLE" or kind in _WHOLE:
            value = bare.copy() if kind in {"DOUBLE", "BIGINT"} else cast(bare.copy(), "BIGINT")
            return _Number(is_float=kind == "DOUBLE", value=value)
        return None
    operands = [number for part in bare.expressions if (number := _number(part, keys, known)) is not None]
    if len(operands) < len(bare.expressions):
        return None
    sign = _NEGATIVE if macro == "__neg" else OPERATORS[macro.strip("_")]
    if sign == "/" or any(operand.is_float for operand in operands):
        return _Number(is_float=True, operator=sign, operands=tuple(operands))
    values = [operand.value for operand in operands if operand.value is not None]
    left = cast(exp.Literal.number(0), "BIGINT") if sign == _NEGATIVE else values[0]
    whole = _MADE["-" if sign == _NEGATIVE else sign](this=left, expression=values[-1])
    return _Number(is_float=False, value=exp.paren(whole, copy=False))


def _as_float(part: _Number) -> exp.Expression:
    if part.value is None:
        raise TypeError("only a part has a value")
    return part.value if part.is_float else cast(part.value, "DOUBLE")


def _unchecked(number: _Number) -> exp.Expression:
    return (
        number.unchecked({part: _as_float(part) for part in number.parts()}) if number.value is None else number.value
    )


def _checked(number: _Number) -> exp.Expression:
    """A number, or the error that it is too large."""
    if number.value is not None:
        return number.value
    parts = {part: _as_float(part) for part in number.parts()}
    if all(map(_may_repeat, parts.values())) and sum(1 for value in parts.values() for _ in value.walk()) <= _MOST:
        return exp.paren(_guarded(number, parts), copy=False)
    return bound([*parts.values()], lambda values: _guarded(number, dict(zip(parts, values, strict=True))))


def _guarded(number: _Number, forms: Mapping[_Number, exp.Expression]) -> exp.Expression:
    """Unchecked where all is finite, and else done again; NULL is not, since it may hide what fails."""
    finite = [call("isfinite", one.unchecked(forms)) for one in (number, *number.divisors())]
    program = number.program({part: place for place, part in enumerate(forms)})
    values = exp.Anonymous(this="list_value", expressions=[form.copy() for form in forms.values()])
    again = call("__python_recomputed", exp.Literal.string(program), values)
    return case((conjunction(finite), number.unchecked(forms)), otherwise=again)


def _may_repeat(part: exp.Expression) -> bool:
    return part.find(exp.Query, exp.Window) is None and not any(
        str(one.this) in VOLATILE for one in part.find_all(exp.Anonymous)
    )
