"""Functions of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import call, name_of, only
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

if TYPE_CHECKING:
    from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions
    from cloudmlops.emulators.google.bigquery.dialect.operators import Handler


def _path(node: exp.Expression) -> exp.Expression:
    """A JSON path that is written out, as the library reads it."""
    path = node.expression
    if not isinstance(path, exp.JSONPath):
        raise not_emulated(f"{name_of(node)} with a path that is not written out")
    parts = ["$"]
    for step in path.expressions:
        if isinstance(step, exp.JSONPathRoot):
            continue
        if isinstance(step, exp.JSONPathKey) and isinstance(step.this, str) and '"' not in step.this:
            parts.append(f'."{step.this}"')
        elif isinstance(step, exp.JSONPathSubscript) and isinstance(step.this, int) and step.this >= 0:
            parts.append(f"[{step.this}]")
        else:
            raise not_emulated("this JSON path")
    return exp.Literal.string("".join(parts))


_AT: Final = {
    exp.JSONExtract: "__json_query",
    exp.JSONExtractScalar: "__json_value",
    exp.JSONExtractArray: "__json_query_array",
    exp.JSONValueArray: "__json_value_array",
}


def at_path(made: Expressions, node: exp.Expression) -> exp.Expression:
    """JSON_QUERY, JSON_VALUE, those of arrays, and their older names."""
    only(node, "this", "expression", "scalar_only")
    path = _path(node) if node.args.get("expression") is not None else exp.Literal.string("$")
    return call(_AT[type(node)], made.of(node.this), path)


def parsed(made: Expressions, node: exp.Expression) -> exp.Expression:
    """PARSE_JSON and literals of JSON."""
    only(node, "this", "expression", "is_literal")
    mode = "exact"
    given = node.args.get("expression")
    if given is not None:
        if not isinstance(given, exp.Kwarg) or given.this.name.lower() != "wide_number_mode":
            raise invalid_query("PARSE_JSON takes wide_number_mode")
        mode = given.expression.name.lower()
        if mode not in {"exact", "round"}:
            raise invalid_query("Invalid wide_number_mode: it is 'exact' or 'round'")
    return call("__parse_json", made.of(node.this), exp.Literal.string(mode))


def written(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TO_JSON_STRING(value[, pretty]) and TO_JSON(value)."""
    only(node, "this", "options", "to_json")
    options = node.args.get("options")
    value = made.of(node.this)
    if node.args.get("to_json"):
        if options is not None:
            raise not_emulated("TO_JSON with options")
        return call("__to_json", value, exp.false())
    return call("__to_json_string", value, made.of(options) if options is not None else exp.false())


DOCUMENTS: Final[dict[type[exp.Expression], Handler]] = {
    **dict.fromkeys(_AT, at_path),
    exp.ParseJSON: parsed,
    exp.JSONFormat: written,
}
