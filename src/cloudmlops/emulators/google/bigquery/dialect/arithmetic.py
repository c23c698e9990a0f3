"""+, -, * and /: which form of their macros is meant, and arithmetic of arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.arithmetic import ONCE, OPERATORS
from cloudmlops.emulators.google.bigquery.dialect.building import call, only

if TYPE_CHECKING:
    from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions

ARITHMETIC: Final = {
    exp.Add: "__add",
    exp.Sub: "__sub",
    exp.Mul: "__mul",
    exp.Div: "__div",
    exp.Mod: "__mod",
    exp.IntDiv: "__int_div",
}
"""The macro of each operator."""

PLAIN: Final = frozenset(f"__{name}" for name in OPERATORS)
ONCE_ONLY: Final = frozenset(name + ONCE for name in PLAIN)
VOLATILE: Final = frozenset({"random", "uuid"})


def arithmetic(made: Expressions, node: exp.Expression) -> exp.Expression:
    """Numbers, and a date or time with an INTERVAL."""
    if isinstance(node, exp.Div):
        only(node, "this", "expression", "typed", "safe")
    else:
        only(node, "this", "expression")
    operands = made.of(node.this), made.of(node.expression)
    macro = ARITHMETIC[type(node)]
    if macro in PLAIN and not all(map(_is_light, operands)):
        macro += ONCE
    return call(macro, *operands)


def _is_light(node: exp.Expression) -> bool:
    """Whether an operand may be written several times: it costs next to nothing, and is the same each time."""
    if node.find(exp.Query, exp.Window) is not None:
        return False
    calls = [str(one.this) for one in node.find_all(exp.Anonymous)]
    return len(calls) <= 1 and not PLAIN & {*calls} and not VOLATILE & {*calls}


def naught(node: exp.Expression) -> exp.Expression:
    """0 for a finite FLOAT64, NaN for others, NULL for what is none; what fails in the value does not here."""
    inner = node
    while isinstance(inner, exp.Anonymous) and str(inner.this) in {"__number", "__float"}:
        inner = inner.expressions[0]
    if isinstance(inner, exp.Anonymous) and str(inner.this) in PLAIN:
        return call(str(inner.this).replace("__", "__naught_", 1), *(part.copy() for part in inner.expressions))
    return call("__naught", inner.copy())
