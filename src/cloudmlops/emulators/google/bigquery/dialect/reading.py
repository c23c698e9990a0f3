"""The parser: sqlglot's, with what it does not read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokens import Token, TokenType

from cloudmlops.emulators.google.bigquery.dialect.written import check_intervals, check_names, check_symbols, note
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

_SIGN_FOLLOWS: Final = re.compile(r"[\d.]*[eE]\d+(?=[+-])")
"""A number whose exponent has no sign, with one after it: sqlglot takes `1e3-1` for one number."""


def _entity_features(parser: Any) -> exp.Expression:
    """ML.ENTITY_FEATURES_AT_TIME({TABLE t | (query)}, {TABLE t | (query)}[, name => value …])."""
    tables = [_table_or_query(parser)]
    if parser._match(TokenType.COMMA):  # noqa: SLF001 a parser is extended from within
        tables.append(_table_or_query(parser))
    options = []
    while parser._match(TokenType.COMMA):  # noqa: SLF001
        options.append(parser._parse_lambda())  # noqa: SLF001
    return exp.Anonymous(this="ENTITY_FEATURES_AT_TIME", expressions=[*tables, *options])


def _table_or_query(parser: Any) -> exp.Expression:
    if parser._match(TokenType.TABLE):  # noqa: SLF001
        return parser._parse_table_parts()  # noqa: SLF001
    return parser._parse_wrapped(parser._parse_statement)  # noqa: SLF001


class GoogleSql(BigQuery):  # type: ignore[misc] # sqlglot makes its dialects by a metaclass without types
    """BigQuery's dialect with ML.ENTITY_FEATURES_AT_TIME; format elements stay as they are written."""

    TIME_MAPPING: ClassVar[dict[str, str]] = {}

    def tokenize(self, sql: str, dialect: Any = None) -> list[Token]:
        """Take a text apart; `1e3-1` is three tokens."""
        done: list[Token] = []
        tokens: list[Token] = super().tokenize(sql, dialect)
        while (cut := next((place for place, token in enumerate(tokens) if _first_number(token)), None)) is not None:
            token = tokens[cut]
            number = _first_number(token)
            end = token.start + len(number)
            column = token.col - (token.end + 1 - end)
            done += [*tokens[:cut], Token(token.token_type, number, token.line, column, token.start, end - 1)]
            tokens = super().tokenize(re.sub(r"[^\r\n]", " ", sql[:end]) + sql[end:], dialect)
        return [*done, *tokens]

    def to_json_path(self, path: exp.Expression | None) -> exp.Expression | None:
        """Read a JSON path; sqlglot's own adds the root that is not written."""
        if isinstance(path, exp.Literal) and path.is_string and not path.name.startswith("$"):
            if path.name.lower().startswith("lax"):
                raise not_emulated("a JSON path that is lax")
            raise invalid_query("JSONPath must start with '$'")
        found: exp.Expression | None = super().to_json_path(path)
        return found

    class Parser(BigQuery.Parser):  # type: ignore[misc] # likewise
        """With one function more."""

        FUNCTION_PARSERS: ClassVar = {
            **{name: one for name, one in BigQuery.Parser.FUNCTION_PARSERS.items() if name != "SUBSTRING"},
            "ENTITY_FEATURES_AT_TIME": _entity_features,
        }

        def _parse_function_call(self, *arguments: Any, **options: Any) -> exp.Expression | None:
            place, start = self._curr, self._index
            made = super()._parse_function_call(*arguments, **options)
            called = start + 1 < self._index and self._tokens[start + 1].token_type is TokenType.L_PAREN
            if isinstance(made, exp.Expression) and place is not None and called:
                note(made, _qualified(self._tokens, start), place)
            return made

        def _parse_types(self, *arguments: Any, **options: Any) -> exp.Expression | None:
            place = self._curr
            made = super()._parse_types(*arguments, **options)
            if isinstance(made, exp.DataType) and place is not None:
                note(made, place.text, place)
            return made


def _qualified(tokens: Sequence[Token], place: int) -> str:
    """The name of a function with its prefix, but for SAFE."""
    parts = [tokens[place].text]
    while place >= 2 and tokens[place - 1].token_type is TokenType.DOT and tokens[place - 2].text.upper() != "SAFE":
        place -= 2
        parts.insert(0, tokens[place].text)
    return ".".join(parts)


def _first_number(token: Token) -> str:
    found = _SIGN_FOLLOWS.match(token.text) if token.token_type == TokenType.NUMBER else None
    return found[0] if found is not None else ""


def _lacks_an_argument(description: str) -> bool:
    """Say whether sqlglot misses an argument of a function, not an operand."""
    found = re.match(r"Required keyword: '\w+' missing for <class '[\w.]*?(\w+)'>", description)
    kind = getattr(exp, found[1], None) if found is not None else None
    return isinstance(kind, type) and issubclass(kind, exp.Func) and not issubclass(kind, exp.Connector)


def parse(text: str) -> exp.Expression:
    """Parse one statement.

    Raises:
        Refused: It is no GoogleSQL, or several statements.
    """
    try:
        dialect = GoogleSql()
        tokens = dialect.tokenize(text)
        check_symbols(tokens)
        check_intervals(tokens)
        trees = [tree for tree in dialect.parser().parse(tokens, text) if tree is not None]
    except (ParseError, TokenError) as error:
        if re.search(r"""\b(?:rb|br)['"]""", text, re.IGNORECASE):
            raise not_emulated("a raw BYTES literal") from error
        found = getattr(error, "errors", None)
        if found:
            first = found[0]
            at = f" at [{first.get('line')}:{first.get('col')}]"
            if _lacks_an_argument(str(first.get("description"))):
                raise invalid_query(f"No matching signature for a function: an argument is missing{at}") from error
            raise invalid_query(f"Syntax error: {first.get('description')}{at}") from error
        raise invalid_query(f"Syntax error: {str(error).splitlines()[0]}") from error
    if not trees:
        raise invalid_query("Syntax error: Unexpected end of statement")
    if len(trees) > 1 or isinstance(trees[0], exp.Block):
        raise not_emulated("a script of several statements")
    tree = trees[0]
    if not isinstance(tree, exp.Expression):
        raise not_emulated("this statement")
    check_names(tree)
    if isinstance(tree, exp.Delete) and not tree.this and len(tree.args.get("tables") or ()) == 1:
        tree.set("this", tree.args["tables"][0])  # DELETE without FROM
        tree.set("tables", None)
    return tree
