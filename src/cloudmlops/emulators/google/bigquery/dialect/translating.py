"""A statement from its text to what DuckDB runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from cloudmlops.emulators.google.bigquery.callers import Caller
from cloudmlops.emulators.google.bigquery.catalog import Catalog, fields_of
from cloudmlops.emulators.google.bigquery.dialect.reading import parse
from cloudmlops.emulators.google.bigquery.dialect.selecting import Queries
from cloudmlops.emulators.google.bigquery.dialect.sources import Sources
from cloudmlops.emulators.google.bigquery.estimating import table_bytes
from cloudmlops.emulators.google.bigquery.features_at_time import expand_features
from cloudmlops.emulators.google.bigquery.fields import Field, field_of, quoted, result_expression
from cloudmlops.emulators.google.bigquery.information_schema import information_schema
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName
from cloudmlops.emulators.google.bigquery.parameters import name_positions, put_parameters
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated
from cloudmlops.emulators.google.bigquery.warehouse import count, place

UNTYPED: Final = "NULL"

_FIRST: Final = {"DATE": -719_162, "TIMESTAMP": -62_135_596_800_000_000, "DATETIME": -62_135_596_800_000_000}
_LAST: Final = {"DATE": 2_932_896, "TIMESTAMP": 253_402_300_799_999_999, "DATETIME": 253_402_300_799_999_999}
"""Days and microseconds since 1970 of 0001-01-01 and of the end of 9999-12-31."""

_KINDS: Final = {
    exp.Insert: "INSERT",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.Merge: "MERGE",
    exp.TruncateTable: "TRUNCATE_TABLE",
    exp.Alter: "ALTER_TABLE",
}


@dataclass(kw_only=True, slots=True)
class Statement:
    """One statement, parsed, with its parameters."""

    kind: str
    """A `statementType` of the REST reference."""
    text: str
    tree: exp.Expression
    columns: frozenset[str] | None
    """The names, in lower case, of all columns that it mentions; None when it takes all."""
    sql: str = ""
    """Of a SELECT: what DuckDB runs."""
    reads: set[TableName] = field(default_factory=set)


class Translator:
    """Translates the statements of one job, which have one moment."""

    def __init__(
        self,
        catalog: Catalog,
        cursor: duckdb.DuckDBPyConnection,
        *,
        now: datetime,
        project: str,
        caller: Caller,
        default: DatasetName | None = None,
        parameters: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._catalog = catalog
        self._cursor = cursor
        self._parameters = parameters
        self._made_tables = 0
        self.project: Final = project
        self.caller: Final = caller
        self.sources: Final = Sources(
            catalog, project=project, default=default, information=self._information, caller=caller
        )
        self.queries: Final = Queries(now=now, user=caller.principal, type_of=self._type_of)

    def translate(self, text: str) -> Statement:
        """Read one statement; a query is made ready to run.

        Raises:
            Refused: It is no GoogleSQL, or uses what is not emulated.
        """
        positional = any(not one.get("name") for one in self._parameters)
        tree = parse(name_positions(text) if positional or "?" in text else text)
        tree = put_parameters(tree, self._parameters)
        statement = Statement(kind=_kind(tree), text=text, tree=tree, columns=_mentioned(tree))
        if statement.kind == "SELECT":
            statement.sql = self.select(tree)
            statement.reads = self.sources.reads
        return statement

    def select(self, tree: exp.Expression) -> str:
        """Return a query in DuckDB's SQL.

        Raises:
            Refused: It uses what is not emulated.
        """
        return self.sql(self.rewritten(tree))

    def rewritten(self, tree: exp.Expression) -> exp.Expression:
        """Return a query as DuckDB takes it."""
        tree = self.sources.resolve(tree)
        tree = expand_features(tree, lambda query: self._fields(self.queries.query(query)))
        return self.queries.query(tree)

    def sql(self, tree: exp.Expression) -> str:
        """Write a rewritten node in DuckDB's SQL, whose functions are known then."""
        made = str(tree.sql(dialect="duckdb", identify=True, comments=False))
        self._catalog.warehouse.define_functions(made)
        return made

    def fields(self, sql: str) -> list[dict[str, Any]]:
        """The columns of a query in DuckDB's SQL, which is not run.

        Raises:
            Refused: A column is of a type that is not emulated, or two have one name.
        """
        relation = self._cursor.sql(sql)
        return _checked_fields(relation)

    def rows(self, sql: str) -> tuple[list[dict[str, Any]], pa.Table]:
        """Run a query in DuckDB's SQL.

        Raises:
            Refused: A column is of a type that is not emulated, two have one name, or an array has a NULL.
        """
        relation = self._cursor.sql(sql)
        fields = _checked_fields(relation)
        casts = [result_expression(name, kind) for name, kind in zip(relation.columns, relation.types, strict=True)]
        if any(casts):
            columns = ", ".join(
                f"{cast or quoted(name)} AS {quoted(name)}" for name, cast in zip(relation.columns, casts, strict=True)
            )
            relation = relation.project(columns)
        rows = relation.to_arrow_table()
        for place_, one in enumerate(fields):
            if one["mode"] == "REPEATED":
                _check_members(rows.column(place_), one)
            elif one["type"] in _LAST and rows.num_rows:
                _check_range(rows.column(place_), one)
        return fields, rows

    def described(self, sql: str) -> list[dict[str, Any]]:
        """The columns of a query in DuckDB's SQL; one that is only NULL is of type `UNTYPED`."""
        relation = self._cursor.sql(sql)
        return [
            {"name": name, "type": UNTYPED, "mode": "NULLABLE"}
            if str(kind).strip('"') == "NULL"
            else field_of(name, kind)
            for name, kind in zip(relation.columns, relation.types, strict=True)
        ]

    def bytes_read(self, statement: Statement) -> int:
        """Count the bytes of the columns that a statement mentions."""
        total = 0
        for name in statement.reads:
            table = self._catalog.table(name)
            rows = count(self._cursor, place(name))
            total += table_bytes(self._cursor, place(name), fields_of(table), rows, columns=statement.columns)
        return total

    def _type_of(self, sql: str) -> Any:
        self._catalog.warehouse.define_functions(sql)
        return self._cursor.sql(sql).types[0]

    def _fields(self, tree: exp.Expression) -> list[dict[str, Any]]:
        relation = self._cursor.sql(self.sql(tree))
        return [field_of(name, kind) for name, kind in zip(relation.columns, relation.types, strict=True)]

    def _information(self, view: str, parent: DatasetName | None, project: str) -> str:
        regional = parent is not None and parent.dataset.lower().startswith("region-")
        self.caller.need(
            "bigquery.datasets.get" if view == "SCHEMATA" else "bigquery.tables.list",
            project if parent is None or regional else parent,
        )
        self._made_tables += 1
        name = f"__information_{self._made_tables}"
        self._cursor.register(name, information_schema(self._catalog, view, parent, project))
        return name


def _checked_fields(relation: duckdb.DuckDBPyRelation) -> list[dict[str, Any]]:
    names = [name.lower() for name in relation.columns]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise invalid_query(
            f"Duplicate column names in the result are not supported. Found duplicate(s): {', '.join(twice)}"
        )
    return [field_of(name, kind) for name, kind in zip(relation.columns, relation.types, strict=True)]


def _check_members(values: pa.ChunkedArray, one: Field) -> None:
    if pc.sum(pc.is_null(pc.list_flatten(values))).as_py():
        raise invalid_query(f"Array cannot have a null element; error in writing field {one['name']}")


def _check_range(values: pa.ChunkedArray, one: Field) -> None:
    """Refuse dates and times that GoogleSQL has not."""
    bounds = pc.min_max(values)
    kind = pa.date32() if one["type"] == "DATE" else pa.int64()
    least, most = (
        bounds[side].cast(kind).cast(pa.int32() if kind == pa.date32() else kind).as_py() for side in ("min", "max")
    )
    if least is not None and (least < _FIRST[one["type"]] or most > _LAST[one["type"]]):
        raise invalid_query(f"{one['type']} value out of range: date or time overflow in field {one['name']}")


def _kind(tree: exp.Expression) -> str:
    if isinstance(tree, exp.Query):
        return "SELECT"
    if type(tree) in _KINDS:
        return _KINDS[type(tree)]
    if isinstance(tree, (exp.Create, exp.Drop)):
        verb = "CREATE" if isinstance(tree, exp.Create) else "DROP"
        kind = str(tree.args.get("kind")).upper()
        if kind not in {"TABLE", "VIEW", "SCHEMA"}:
            raise not_emulated(f"{verb} {kind}")
        query = isinstance(tree, exp.Create) and kind == "TABLE" and tree.args.get("expression") is not None
        return f"{verb}_{kind}" + ("_AS_SELECT" if query else "")
    if isinstance(tree, exp.Command):
        raise not_emulated(f"the statement {str(tree.this).upper()}")
    raise not_emulated(f"the statement {type(tree).__name__.upper()}")


def _mentioned(tree: exp.Expression) -> frozenset[str] | None:
    if any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)):
        return None
    parts = ("this", "table", "db", "catalog")
    names = {
        column.args[part].name.lower()
        for column in tree.find_all(exp.Column)
        for part in parts
        if isinstance(column.args.get(part), exp.Identifier)
    }
    return frozenset(
        names | {one.name.lower() for join in tree.find_all(exp.Join) for one in join.args.get("using") or ()}
    )
