"""A query from its text to DuckDB's SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from cloudmlops.emulators.google.bigquery.catalog import Catalog, fields_of
from cloudmlops.emulators.google.bigquery.estimating import table_bytes
from cloudmlops.emulators.google.bigquery.fields import field_of, quoted, result_expression
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated
from cloudmlops.emulators.google.bigquery.warehouse import count, place


@dataclass(kw_only=True, slots=True)
class Statement:
    """One statement, ready to run."""

    kind: str
    """A `statementType` of the REST reference."""
    tree: exp.Expression
    """As it was parsed, its tables resolved."""
    sql: str
    """What DuckDB is to run, if it is one statement there too."""
    reads: set[TableName] = field(default_factory=set)
    columns: frozenset[str] | None = None
    catalog: Catalog

    def fields(self, cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
        """The columns of its result, without running it."""
        relation = cursor.sql(self.sql)
        return [field_of(name, kind) for name, kind in zip(relation.columns, relation.types, strict=True)]

    def checked(self, cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
        """Find what would keep it from running, and return its columns."""
        return self.fields(cursor) if self.kind == "SELECT" else []

    def rows(self, cursor: duckdb.DuckDBPyConnection) -> tuple[list[dict[str, Any]], pa.Table]:
        """Run a SELECT."""
        relation = cursor.sql(self.sql)
        fields = [field_of(name, kind) for name, kind in zip(relation.columns, relation.types, strict=True)]
        casts = [
            cast for name, kind in zip(relation.columns, relation.types, strict=True)
            if (cast := result_expression(name, kind))
        ]
        if casts:
            names = [
                f"{result_expression(name, kind) or quoted(name)} AS {quoted(name)}"
                for name, kind in zip(relation.columns, relation.types, strict=True)
            ]
            relation = relation.select(*map(duckdb.SQLExpression, names)) if False else relation.project(", ".join(names))
        return fields, relation.to_arrow_table()

    def bytes_read(self, cursor: duckdb.DuckDBPyConnection) -> int:
        """Count the bytes of the columns that it reads."""
        total = 0
        for name in self.reads:
            table = self.catalog.table(name)
            rows = count(cursor, place(name))
            total += table_bytes(cursor, place(name), fields_of(table), rows, columns=self.columns)
        return total


class Translator:
    """Translates the statements of one job."""

    def __init__(
        self,
        catalog: Catalog,
        cursor: duckdb.DuckDBPyConnection,
        *,
        now: datetime,
        project: str,
        default: DatasetName | None = None,
        parameters: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._catalog = catalog
        self._cursor = cursor
        self._now = now
        self._project = project
        self._default = default
        self._parameters = parameters

    def translate(self, text: str) -> Statement:
        """Translate one statement.

        Raises:
            Refused: It is no GoogleSQL, or uses what is not emulated.
        """
        try:
            trees = [tree for tree in sqlglot.parse(text, read="bigquery") if tree is not None]
        except (ParseError, TokenError) as error:
            raise invalid_query(f"Syntax error: {error}") from error
        if len(trees) != 1:
            raise not_emulated("a script of several statements")
        tree = trees[0]
        reads = set()
        for table in tree.find_all(exp.Table):
            name = TableName(DatasetName(table.catalog or self._project, table.db), table.name)
            self._catalog.table(name)
            reads.add(name)
            alias = table.alias or table.name
            table.replace(exp.alias_(exp.to_table(place(name), dialect="duckdb"), alias, table=True))
        return Statement(kind="SELECT", tree=tree, sql=tree.sql(dialect="duckdb"), reads=reads, catalog=self._catalog)
