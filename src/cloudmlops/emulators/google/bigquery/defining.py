"""Statements that define: CREATE, DROP and ALTER."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlglot import exp
from sqlglot.tokens import TokenType

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigquery.callers import resource_of
from cloudmlops.emulators.google.bigquery.catalog import Catalog, fields_of
from cloudmlops.emulators.google.bigquery.dialect.building import only
from cloudmlops.emulators.google.bigquery.dialect.operators import type_word
from cloudmlops.emulators.google.bigquery.dialect.reading import GoogleSql
from cloudmlops.emulators.google.bigquery.dialect.translating import Statement, Translator
from cloudmlops.emulators.google.bigquery.fields import checked, duckdb_type, quoted
from cloudmlops.emulators.google.bigquery.files import Loaded
from cloudmlops.emulators.google.bigquery.jobs import Job, Outcome, table_event
from cloudmlops.emulators.google.bigquery.labels import check_labels
from cloudmlops.emulators.google.bigquery.loading import write_rows
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated
from cloudmlops.emulators.google.bigquery.warehouse import fill_arrays, place

_TYPES: Final = {
    "int64": "INTEGER",
    "float64": "FLOAT",
    "bool": "BOOLEAN",
}


class Definitions:
    """What CREATE, DROP and ALTER do."""

    def __init__(self, catalog: Catalog, translator: Translator, job: Job) -> None:
        self._catalog = catalog
        self._translator = translator
        self._job = job

    def create_table(self, statement: Statement) -> Outcome:
        tree = statement.tree
        only(tree, "this", "kind", "replace", "exists", "expression", "properties")
        schema = tree.this if isinstance(tree.this, exp.Schema) else None
        name = self._translator.sources.name(schema.this if schema else tree.this)
        self._check_creation(statement, name, "bigquery.tables.update", "bigquery.tables.updateData")
        given = _properties(tree.args.get("properties"))
        fields = checked([_field(part) for part in schema.expressions]) if schema else []
        loaded = None
        query = tree.args.get("expression")
        if query is not None:
            if schema:
                raise not_emulated("a list of columns with CREATE TABLE … AS SELECT")
            made, rows = self._translator.rows(self._translator.select(query.copy()))
            loaded, fields = Loaded(rows=rows, fields=made), made
        with self._catalog.warehouse.writing:
            there = self._catalog.find(name)
            if there is not None and tree.args.get("exists"):
                return self._outcome(statement, name, "SKIP")
            if there is not None and not tree.args.get("replace"):
                raise Refused("ALREADY_EXISTS", f"Already Exists: Table {name}", reason="duplicate")
            if there is not None and there["type"] != "TABLE":
                raise invalid_query(
                    f"{name} is not allowed for this operation because it is currently a {there['type']}."
                )
            if loaded is not None:
                if there is not None:
                    self._catalog.note_table(name, {}, fields=fields_of(there))
                write_rows(self._catalog, self._job, name, loaded, "WRITE_TRUNCATE", given=given)
            else:
                if not fields:
                    raise invalid_query("CREATE TABLE without columns and without a query")
                if there is not None:
                    self._catalog.drop(name)
                self._catalog.create_table(name, given, fields=fields)
                self._job.changes.append(table_event("tableCreation", name))
        outcome = self._outcome(statement, name, "REPLACE" if there is not None else "CREATE")
        outcome.destination = name.reference()
        return outcome

    def create_view(self, statement: Statement) -> Outcome:
        tree = statement.tree
        only(tree, "this", "kind", "replace", "exists", "expression", "properties")
        if isinstance(tree.this, exp.Schema):
            raise not_emulated("a list of columns in CREATE VIEW")
        name = self._translator.sources.name(tree.this)
        self._check_creation(statement, name, "bigquery.tables.update")
        given = _properties(tree.args.get("properties"))
        query = tree.args["expression"]
        unqualified = [table for table in query.find_all(exp.Table) if isinstance(table.this, exp.Identifier)]
        fields = self._translator.fields(self._translator.select(query.copy()))
        if any(not table.db for table in unqualified) and not list(query.find_all(exp.With)):
            raise invalid_query("a table in a view must be qualified with a dataset (e.g. dataset.table).")
        given["view"] = {"query": _text_after_as(statement.text), "useLegacySql": False}
        with self._catalog.warehouse.writing:
            there = self._catalog.find(name)
            if there is not None and tree.args.get("exists"):
                return self._outcome(statement, name, "SKIP")
            if there is not None:
                if not tree.args.get("replace"):
                    raise Refused("ALREADY_EXISTS", f"Already Exists: Table {name}", reason="duplicate")
                if there["type"] != "VIEW":
                    raise invalid_query(f"{name} is not allowed for this operation because it is currently a TABLE.")
                self._catalog.drop(name)
            self._catalog.create_view(name, given, fields=fields)
            self._job.changes.append(table_event("tableCreation", name))
        return self._outcome(statement, name, "REPLACE" if there is not None else "CREATE")

    def create_schema(self, statement: Statement) -> Outcome:
        tree = statement.tree
        only(tree, "this", "kind", "exists", "properties")
        name = self._dataset(tree.this)
        self._need("bigquery.datasets.create", name.project)
        given = _properties(tree.args.get("properties"))
        try:
            self._catalog.create_dataset(name, given)
            self._job.changes.append(("datasetCreation", name, {"dataset": {"datasetName": resource_of(name)}}))
        except Refused as refused:
            if refused.code != "ALREADY_EXISTS" or not tree.args.get("exists"):
                raise
        return Outcome(statement=statement.kind)

    def drop_table(self, statement: Statement) -> Outcome:
        return self._drop(statement, "TABLE")

    def drop_view(self, statement: Statement) -> Outcome:
        return self._drop(statement, "VIEW")

    def drop_schema(self, statement: Statement) -> Outcome:
        tree = statement.tree
        name = self._dataset(_dropped(tree))
        self._need("bigquery.datasets.delete", name)
        if tree.args.get("cascade"):
            self._need("bigquery.tables.delete", name)
        try:
            self._catalog.delete_dataset(name, with_tables=bool(tree.args.get("cascade")))
            self._job.changes.append(("datasetDeletion", name, {}))
        except Refused as refused:
            if refused.code != "NOT_FOUND" or not tree.args.get("exists"):
                raise
        return Outcome(statement=statement.kind)

    def alter_table(self, statement: Statement) -> Outcome:
        tree = statement.tree
        only(tree, "this", "kind", "exists", "actions")
        name = self._translator.sources.name(tree.this)
        self._need("bigquery.tables.get", name)
        self._need("bigquery.tables.update", name)
        with self._catalog.warehouse.writing:
            made = self._catalog.table(name)
            if made["type"] != "TABLE":
                raise not_emulated(f"ALTER of a {made['type']}")
            fields = fields_of(made)
            with self._catalog.warehouse.changing(self._job.cursor) as cursor:
                for action in tree.args["actions"]:
                    fields = _altered(cursor, name, fields, action)
            self._catalog.change_table(name, {**made, "schema": {"fields": fields}})
            self._job.changes.append(table_event("tableChange", name))
        return self._outcome(statement, name, "REPLACE")

    def _drop(self, statement: Statement, kind: str) -> Outcome:
        name = self._translator.sources.name(_dropped(statement.tree))
        self._need("bigquery.tables.delete", name)
        self._need("bigquery.tables.get", name)
        with self._catalog.warehouse.writing:
            there = self._catalog.find(name)
            if there is None:
                if statement.tree.args.get("exists"):
                    return self._outcome(statement, name, "SKIP")
                self._catalog.table(name)
            elif there["type"] != kind:
                raise invalid_query(f"{name} is not a {kind}: it is a {there['type']}")
            else:
                self._catalog.drop(name)
                self._job.changes.append(("tableDeletion", name, {}))
        return self._outcome(statement, name, "DROP")

    def _need(self, permission: str, on: str | DatasetName | TableName) -> None:
        self._translator.caller.need(permission, on)

    def _check_creation(self, statement: Statement, name: TableName, *for_replacing: str) -> None:
        self._need("bigquery.tables.create", name.parent)
        if statement.tree.args.get("replace"):
            for permission in for_replacing:
                self._need(permission, name)

    def _dataset(self, node: exp.Expression) -> DatasetName:
        if not isinstance(node, exp.Table):
            raise not_emulated("this name of a dataset")
        if node.db:
            return DatasetName(node.catalog or self._translator.project, node.db)
        return DatasetName(self._translator.project, node.name)

    @staticmethod
    def _outcome(statement: Statement, name: TableName, operation: str) -> Outcome:
        return Outcome(
            statement=statement.kind,
            statistics={"ddlOperationPerformed": operation, "ddlTargetTable": name.reference()},
        )


def _dropped(tree: exp.Expression) -> exp.Table:
    named = tree.args.get("tables") or [tree.this]
    if len(named) != 1 or not isinstance(named[0], exp.Table):
        raise not_emulated("DROP of several")
    return named[0]


def _altered(
    cursor: Any, name: TableName, fields: list[dict[str, Any]], action: exp.Expression
) -> list[dict[str, Any]]:
    known = {field["name"].lower() for field in fields}
    if isinstance(action, exp.ColumnDef):
        field = checked([_field(action)])[0]
        if field["name"].lower() in known:
            if action.args.get("exists"):
                return fields
            raise invalid_query(f"Column already exists: {field['name']}")
        if field["mode"] == "REQUIRED":
            raise invalid_query(f"Cannot add a REQUIRED column {field['name']} to an existing table")
        cursor.execute(f"ALTER TABLE {place(name)} ADD COLUMN {quoted(field['name'])} {duckdb_type(field)}")
        fill_arrays(cursor, place(name), [field])
        return [*fields, field]
    if isinstance(action, exp.Drop) and str(action.args.get("kind")).upper() == "COLUMN":
        named = [table.name for table in action.args.get("tables") or ([action.this] if action.this else [])]
        for column in named:
            if column.lower() not in known:
                if action.args.get("exists"):
                    continue
                raise invalid_query(f"Column not found: {column}")
            cursor.execute(f"ALTER TABLE {place(name)} DROP COLUMN {quoted(column)}")
        gone = {column.lower() for column in named}
        return [field for field in fields if field["name"].lower() not in gone]
    raise not_emulated(f"ALTER TABLE … {action.sql(dialect='bigquery')}")


def _field(node: exp.Expression) -> dict[str, Any]:
    """The field of a column's definition."""
    if not isinstance(node, exp.ColumnDef):
        raise not_emulated(f"{node.sql(dialect='bigquery')} in CREATE TABLE")
    field = _typed(node.name, node.args["kind"])
    for constraint in node.args.get("constraints") or ():
        kind = constraint.args.get("kind")
        if isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null"):
            field["mode"] = "REQUIRED"
        elif isinstance(kind, exp.Properties):
            for option in kind.expressions:
                if option.this.name.lower() != "description":
                    raise not_emulated(f"option {option.this.name} of a column")
                field["description"] = option.args["value"].name
        else:
            raise not_emulated(f"{constraint.sql(dialect='bigquery')} of a column")
    return field


def _typed(name: str, kind: exp.DataType) -> dict[str, Any]:
    if kind.this is exp.DataType.Type.ARRAY:
        return {**_typed(name, kind.expressions[0]), "mode": "REPEATED"}
    if kind.this is exp.DataType.Type.STRUCT:
        return {"name": name, "type": "RECORD", "fields": [_field(part) for part in kind.expressions]}
    word = type_word(kind)
    return {"name": name, "type": _TYPES.get(word, word.upper())}


def _properties(node: exp.Expression | None) -> dict[str, Any]:
    """What PARTITION BY, CLUSTER BY and OPTIONS say, as a resource has it."""
    given: dict[str, Any] = {}
    for part in node.expressions if node is not None else ():
        if isinstance(part, exp.PartitionedByProperty):
            given["timePartitioning"] = _partitioning(part.this)
        elif isinstance(part, (exp.ClusterProperty, exp.Cluster)):
            given["clustering"] = {"fields": [column.name for column in part.expressions]}
        elif type(part) is exp.Property:
            given |= _option(part.name.lower(), part.args["value"])
        else:
            raise not_emulated(f"{part.sql(dialect='bigquery')} of a table")
    return given


def _option(name: str, value: exp.Expression) -> Mapping[str, Any]:
    if name == "description" and isinstance(value, exp.Literal):
        return {"description": value.name}
    if name == "friendly_name" and isinstance(value, exp.Literal):
        return {"friendlyName": value.name}
    if name == "location" and isinstance(value, exp.Literal):
        return {"location": value.name}
    if name == "labels" and isinstance(value, exp.Array):
        pairs = [pair.expressions for pair in value.expressions]
        labels = {key.name: label.name for key, label in pairs}
        check_labels(labels)
        return {"labels": labels}
    raise not_emulated(f"option {name}")


def _partitioning(node: exp.Expression) -> dict[str, str]:
    if isinstance(node, exp.Column):
        return {"type": "DAY", "field": node.name}
    if isinstance(node, exp.Date) and isinstance(node.this, exp.Column):
        return {"type": "DAY", "field": node.this.name}
    if isinstance(node, (exp.DateTrunc, exp.TimestampTrunc, exp.DatetimeTrunc)) and isinstance(node.this, exp.Column):
        return {"type": node.args["unit"].name.upper(), "field": node.this.name}
    raise not_emulated(f"PARTITION BY {node.sql(dialect='bigquery')}")


def _text_after_as(text: str) -> str:
    """The query of a CREATE VIEW, as it was written."""
    depth = 0
    for token in GoogleSql().tokenize(text):
        if token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
        elif token.token_type is TokenType.ALIAS and not depth:
            return text[token.end + 1 :].strip().rstrip(";").strip()
    raise invalid_query("Syntax error: CREATE VIEW without AS")
