"""Functions of texts that take more than their arguments' values: regular expressions, FORMAT, places of a text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery

from cloudmlops.emulators.google.bigquery.dialect.building import call, case, cast, only, whole
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

if TYPE_CHECKING:
    from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions
    from cloudmlops.emulators.google.bigquery.dialect.operators import Handler


def _pattern(node: exp.Expression) -> str:
    """A regular expression that is written out.

    Raises:
        Refused: It is not, so that its groups cannot be counted.
    """
    if isinstance(node, exp.RawString):
        return str(node.this)
    if isinstance(node, exp.Literal) and node.is_string:
        return str(node.name)
    if isinstance(node, (exp.Paren, exp.Cast)):
        return _pattern(node.this)
    raise not_emulated("a regular expression that is not written out")


def _groups(pattern: str) -> int:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise not_emulated(f"the regular expression {pattern!r}") from error
    if groups > 1:
        raise invalid_query("Regular expression has more than 1 capturing group")
    return groups


def matches(made: Expressions, node: exp.Expression) -> exp.Expression:
    """REGEXP_CONTAINS; both are RE2."""
    only(node, "this", "expression")
    return call("regexp_matches", made.of(node.this), made.of(node.expression))


def match(made: Expressions, node: exp.Expression) -> exp.Expression:
    """REGEXP_EXTRACT: the group if there is one, NULL where nothing matches."""
    only(node, "this", "expression", "group", "null_if_pos_overflow", "null_if_no_match", "position", "occurrence")
    pattern = _pattern(node.expression)
    groups = _groups(pattern)
    position, occurrence = node.args.get("position"), node.args.get("occurrence")
    if any(part is not None and not _is_one(part) for part in (position, occurrence)):
        return _later_match(made, node, pattern, groups)
    value = made.of(node.this)
    written = exp.Literal.string(pattern)
    return case(
        (
            call("regexp_matches", value.copy(), written.copy()),
            call("regexp_extract", value, written, exp.Literal.number(groups)),
        )
    )


def _is_one(node: exp.Expression) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and node.name == "1"


def _positive(node: exp.Expression | None, what: str) -> int:
    if node is None:
        return 1
    if not isinstance(node, exp.Literal) or not node.name.isdigit():
        raise not_emulated(f"{what} that is not written out, or negative")
    if int(node.name) < 1:
        raise invalid_query(f"{what} must be positive")
    return int(node.name)


def _later_match(made: Expressions, node: exp.Expression, pattern: str, groups: int) -> exp.Expression:
    position = _positive(node.args.get("position"), "Position")
    occurrence = _positive(node.args.get("occurrence"), "Occurrence")
    if position > 1 and re.search(r"(?<!\[)\^|\\[AbB]", pattern):
        raise not_emulated("a regular expression that looks behind a position")
    value = call("__substr", made.of(node.this), whole(position)) if position > 1 else made.of(node.this)
    every = call("__regexp_extract_all", value, exp.Literal.string(pattern), whole(groups))
    return call("__safe_at", every, whole(occurrence - 1))


def all_matches(made: Expressions, node: exp.Expression) -> exp.Expression:
    """REGEXP_EXTRACT_ALL: the groups if there is one."""
    only(node, "this", "expression", "group")
    pattern = _pattern(node.expression)
    groups = _groups(pattern)
    if re.match(pattern, ""):
        raise not_emulated("REGEXP_EXTRACT_ALL of what matches nothing")
    return call("__regexp_extract_all", made.of(node.this), exp.Literal.string(pattern), whole(groups))


def place_of_match(made: Expressions, node: exp.Expression) -> exp.Expression:
    """REGEXP_INSTR of the first match's beginning."""
    only(node, "this", "expression", "position", "occurrence", "option")
    later = [node.args.get(part) for part in ("position", "occurrence")]
    option = node.args.get("option")
    if any(part is not None and not _is_one(part) for part in later) or (option is not None and option.name != "0"):
        raise not_emulated("REGEXP_INSTR of anything but the first match's beginning")
    pattern = _pattern(node.expression)
    if _groups(pattern) or re.search(r"(?<!\[)\^|\$|\\[AbBzZ]|\(\?", pattern):
        raise not_emulated("REGEXP_INSTR with groups, anchors or flags")
    return call("__regexp_instr", made.of(node.this), exp.Literal.string(pattern))


def replaced(made: Expressions, node: exp.Expression) -> exp.Expression:
    """REGEXP_REPLACE, all of them."""
    only(node, "this", "expression", "replacement")
    parts = [made.of(node.args[name]) for name in ("this", "expression", "replacement")]
    return call("regexp_replace", *parts, "g")


def placed(made: Expressions, node: exp.Expression) -> exp.Expression:
    """STRPOS and INSTR."""
    only(node, "this", "substr", "position", "occurrence")
    parts = [made.of(node.this), made.of(node.args["substr"])]
    if node.args.get("position") is None:
        return call("__strpos", *parts)
    occurrence = node.args.get("occurrence")
    last = made.of(occurrence) if occurrence is not None else whole(1)
    return call("__instr", *parts, made.of(node.args["position"]), last)


def fingerprint(made: Expressions, node: exp.Expression) -> exp.Expression:
    """FARM_FINGERPRINT."""
    only(node, "expressions")
    if len(node.expressions) != 1:
        raise invalid_query("Number of arguments does not match for function FARM_FINGERPRINT")
    return call("__farm_fingerprint", made.of(node.expressions[0]))


_USUAL: Final = BigQuery.INITCAP_DEFAULT_DELIMITER_CHARS


def capitals(made: Expressions, node: exp.Expression) -> exp.Expression:
    """INITCAP."""
    only(node, "this", "expression")
    given = node.args.get("expression")
    usual = given is None or (isinstance(given, exp.Literal) and given.name == _USUAL)
    if not usual and isinstance(given, exp.Literal) and not given.name:
        raise not_emulated("INITCAP without delimiters")
    return call("__initcap", made.of(node.this), exp.Literal.string("") if usual else made.of(given))


def normalized(made: Expressions, node: exp.Expression) -> exp.Expression:
    """NORMALIZE."""
    only(node, "this", "form", "is_casefold")
    if node.args.get("is_casefold"):
        raise not_emulated("NORMALIZE_AND_CASEFOLD")
    form = node.args.get("form")
    return call("__normalize", made.of(node.this), exp.Literal.string(form.name.upper() if form else "NFC"))


def contained(made: Expressions, node: exp.Expression) -> exp.Expression:
    """CONTAINS_SUBSTR, which sqlglot reads as of small letters."""
    only(node, "this", "expression", "json_scope")
    if node.args.get("json_scope") is not None:
        raise not_emulated("CONTAINS_SUBSTR with json_scope")
    parts = [part.this if isinstance(part, exp.Lower) else part for part in (node.this, node.expression)]
    if isinstance(parts[1], exp.Null):
        raise invalid_query("CONTAINS_SUBSTR's search value must not be NULL")
    return call("__contains_substr", *map(made.of, parts))


def character(made: Expressions, node: exp.Expression) -> exp.Expression:
    """CHR."""
    only(node, "expressions", "charset")
    return call("__chr", *map(made.of, node.expressions))


def formatted(made: Expressions, node: exp.Expression) -> exp.Expression:
    """FORMAT: its values go as JSON, with their types."""
    only(node, "this", "expressions")
    values = [made.of(value) for value in node.expressions]
    kinds = [call("typeof", value.copy()) for value in values]
    texts = [cast(call("to_json", value), "VARCHAR") for value in values]
    lists = [cast(exp.Anonymous(this="list_value", expressions=part), "VARCHAR[]") for part in (kinds, texts)]
    return call("__python_format", cast(made.of(node.this), "VARCHAR"), *lists)


TEXTS: Final[dict[type[exp.Expression], Handler]] = {
    exp.RegexpLike: matches,
    exp.RegexpExtract: match,
    exp.RegexpExtractAll: all_matches,
    exp.RegexpInstr: place_of_match,
    exp.RegexpReplace: replaced,
    exp.StrPosition: placed,
    exp.FarmFingerprint: fingerprint,
    exp.Initcap: capitals,
    exp.Normalize: normalized,
    exp.Contains: contained,
    exp.Chr: character,
    exp.Format: formatted,
}
