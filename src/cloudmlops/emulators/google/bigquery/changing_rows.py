"""Statements that change rows: INSERT, UPDATE, DELETE, MERGE, TRUNCATE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.catalog import Catalog, fields_of
from cloudmlops.emulators.google.bigquery.dialect.building import only
from cloudmlops.emulators.google.bigquery.dialect.sources import resolved_target
from cloudmlops.emulators.google.bigquery.dialect.translating import UNTYPED, Statement, Translator
from cloudmlops.emulators.google.bigquery.fields import STANDARD, Field, duckdb_type, quoted
from cloudmlops.emulators.google.bigquery.jobs import Job, Outcome
from cloudmlops.emulators.google.bigquery.names import TableName
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated
from cloudmlops.emulators.google.bigquery.warehouse import fill_arrays, place

_WIDENED: Final = {("INTEGER", "FLOAT"), ("INTEGER", "NUMERIC"), ("NUMERIC", "FLOAT"), ("DATE", "DATETIME")}
_WRITTEN: Final = {("STRING", kind) for kind in ("DATE", "DATETIME", "TIMESTAMP", "TIME", "BYTES")} | {
    ("FLOAT", "NUMERIC")
}
"""What a literal becomes."""


class RowChanges:
    """What the statements of data manipulation do; each is one transaction."""

    def __init__(self, catalog: Catalog, translator: Translator, job: Job) -> None:
        self._catalog = catalog
        self._translator = translator
        self._job = job

    def insert(self, statement: Statement) -> Outcome:
        tree = statement.tree
        only(tree, "this", "expression")
        schema = tree.this if isinstance(tree.this, exp.Schema) else None
        name, fields = self._target(schema.this if schema else tree.this, reading=False)
        columns = [part.name for part in schema.expressions] if schema else [field["name"] for field in fields]
        targets = [_named(fields, column) for column in columns]
        query = tree.args["expression"]
        literals: list[bool] = []
        if isinstance(query, exp.Values):
            query, literals = _values(query, len(columns))
        sql = self._translator.select(query)
        made = self._translator.described(sql)
        if len(made) != len(columns):
            raise invalid_query(f"Inserted row has wrong column count; Has {len(made)}, expected {len(columns)}")
        _check_types(made, targets, literals or _literal_columns(query))
        names = ", ".join(quoted(column) for column in columns)
        return self._changed(statement, name, f"INSERT INTO {place(name)} ({names}) {sql}", "insertedRowCount")

    def update(self, statement: Statement) -> Outcome:
        tree = statement.tree
        only(tree, "this", "expressions", "from_", "where")
        name, fields = self._target(tree.this)
        alias = tree.this.alias or tree.this.name
        if tree.args.get("where") is None:
            raise invalid_query("UPDATE must have a WHERE clause")
        if tree.args.get("from_") is not None:
            raise not_emulated("UPDATE … FROM; MERGE is, so write it as one: UPDATE … FROM")
        changes = self._assignments(tree.expressions, fields, alias)
        condition = self._condition(tree.args["where"].this)
        self._check_assigned(changes, [resolved_target(name, alias)])
        sets = ", ".join(f"{quoted(field['name'])} = {self._sql(value)}" for field, value in changes)
        sql = f"UPDATE {place(name)} AS {quoted(alias)} SET {sets} WHERE {self._sql(condition)}"  # noqa: S608
        return self._changed(statement, name, sql, "updatedRowCount")

    def delete(self, statement: Statement) -> Outcome:
        tree = statement.tree
        only(tree, "this", "where")
        name, _ = self._target(tree.this)
        alias = tree.this.alias or tree.this.name
        if tree.args.get("where") is None:
            raise invalid_query("DELETE must have a WHERE clause")
        condition = self._condition(tree.args["where"].this)
        sql = f"DELETE FROM {place(name)} AS {quoted(alias)} WHERE {self._sql(condition)}"  # noqa: S608
        return self._changed(statement, name, sql, "deletedRowCount")

    def truncate(self, statement: Statement) -> Outcome:
        tree = statement.tree
        only(tree, "expressions")
        name, _ = self._target(tree.expressions[0], reading=False)
        return self._changed(statement, name, f"DELETE FROM {place(name)}", "deletedRowCount")  # noqa: S608

    def merge(self, statement: Statement) -> Outcome:
        tree = statement.tree
        only(tree, "this", "using", "on", "whens", "using_cond")
        name, fields = self._target(tree.this)
        alias = tree.this.alias or tree.this.name
        target = resolved_target(name, alias)
        holder = exp.Select(expressions=[exp.Star()]).from_(tree.args["using"], copy=False)
        rewritten = self._translator.rewritten(holder)
        source = rewritten.args["from_"].this
        if not source.alias:
            source.set("alias", exp.TableAlias(this=exp.to_identifier("__source", quoted=True)))
        condition = self._condition(tree.args["on"])
        whens = tree.args["whens"].expressions
        parts = [self._when(when, fields, target, source) for when in whens]
        both = f"{self._sql(target)} JOIN {self._sql(source)} ON {self._sql(condition)}"
        with self._catalog.warehouse.changing(self._job.cursor) as cursor:
            if any(when.args.get("matched") for when in whens):
                twice = cursor.execute(
                    f"SELECT 1 FROM (SELECT {quoted(alias)}.rowid AS r FROM {both}) GROUP BY r "  # noqa: S608
                    "HAVING count(*) > 1 LIMIT 1"
                ).fetchall()
                if twice:
                    raise invalid_query("UPDATE/MERGE must match at most one source row for each target row")
            sql = f"MERGE INTO {self._sql(target)} USING {self._sql(source)} ON {self._sql(condition)} " + " ".join(
                parts
            )
            changed = int(cursor.execute(sql).fetchall()[0][0])
            fill_arrays(cursor, place(name), fields)
        return self._outcome(statement, name, changed, "updatedRowCount")

    def _when(
        self, when: exp.Expression, fields: Sequence[Field], target: exp.Expression, source: exp.Expression
    ) -> str:
        only(when, "matched", "source", "condition", "then")
        head = (
            "WHEN MATCHED"
            if when.args.get("matched")
            else ("WHEN NOT MATCHED BY SOURCE" if when.args.get("source") else "WHEN NOT MATCHED")
        )
        if when.args.get("condition") is not None:
            head += f" AND {self._sql(self._condition(when.args['condition']))}"
        then = when.args["then"]
        if isinstance(then, exp.Update):
            changes = self._assignments(then.expressions, fields, target.alias)
            self._check_assigned(changes, [target, source])
            sets = ", ".join(f"{quoted(field['name'])} = {self._sql(value)}" for field, value in changes)
            return f"{head} THEN UPDATE SET {sets}"
        if isinstance(then, exp.Insert):
            return f"{head} THEN {self._merged_insert(then, fields, source)}"
        if isinstance(then, exp.Var) and then.name.upper() == "DELETE":
            return f"{head} THEN DELETE"
        raise not_emulated(f"WHEN … THEN {then.sql(dialect='bigquery')}")

    def _merged_insert(self, then: exp.Expression, fields: Sequence[Field], source: exp.Expression) -> str:
        columns = [field["name"] for field in fields]
        if isinstance(then.this, exp.Var) and then.this.name.upper() == "ROW":
            names = ", ".join(map(quoted, columns))
            values = ", ".join(f"{quoted(source.alias)}.{quoted(column)}" for column in columns)
            return f"INSERT ({names}) VALUES ({values})"  # noqa: S608 quoted
        if isinstance(then.this, exp.Tuple):
            columns = [part.name for part in then.this.expressions]
        elif then.this is not None:
            raise not_emulated(f"INSERT {then.this.sql(dialect='bigquery')} in MERGE")
        given = then.args.get("expression")
        if not isinstance(given, exp.Tuple) or len(given.expressions) != len(columns):
            raise invalid_query(f"INSERT of MERGE has the wrong column count; expected {len(columns)}")
        made = [self._translator.queries.expressions.of(self._resolved(value)) for value in given.expressions]
        targets = [_named(fields, column) for column in columns]
        self._check_assigned(list(zip(targets, made, strict=True)), [source])
        names, values = ", ".join(map(quoted, columns)), ", ".join(map(self._sql, made))
        return f"INSERT ({names}) VALUES ({values})"  # noqa: S608 translated

    def _assignments(
        self, nodes: Sequence[exp.Expression], fields: Sequence[Field], alias: str
    ) -> list[tuple[Field, exp.Expression]]:
        changes = []
        for node in nodes:
            if not isinstance(node, exp.EQ) or not isinstance(node.this, exp.Column) or node.this.args.get("db"):
                raise not_emulated(f"SET {node.sql(dialect='bigquery')}")
            if node.this.table and node.this.table.lower() != alias.lower():
                raise not_emulated(f"SET of a field: {node.this.sql(dialect='bigquery')}")
            value = self._resolved(node.expression)
            changes.append((_named(fields, node.this.name), self._translator.queries.expressions.of(value)))
        return changes

    def _check_assigned(
        self, changes: Sequence[tuple[Field, exp.Expression]], sources: Sequence[exp.Expression]
    ) -> None:
        """Find out what types are assigned."""
        select = exp.Select(
            expressions=[
                exp.alias_(value.copy(), f"c{place_}", quoted=True) for place_, (_, value) in enumerate(changes)
            ]
        )
        for number, source in enumerate(sources):
            select = (
                select.from_(source.copy(), copy=False)
                if not number
                else select.join(source.copy(), join_type="cross", copy=False)
            )
        made = self._translator.described(self._sql(select))
        literals = [_is_literal(value) for _, value in changes]
        _check_types(made, [field for field, _ in changes], literals)

    def _condition(self, node: exp.Expression) -> exp.Expression:
        return self._translator.queries.expressions.condition(self._resolved(node))

    def _resolved(self, node: exp.Expression) -> exp.Expression:
        holder = exp.Paren(this=node)
        self._translator.sources.resolve(holder)
        return holder.this

    def _target(self, node: exp.Expression, *, reading: bool = True) -> tuple[TableName, list[dict[str, Any]]]:
        if not isinstance(node, exp.Table):
            raise not_emulated("this target")
        name = self._translator.sources.name(node)
        self._translator.caller.need("bigquery.tables.updateData", name)
        if reading:
            self._translator.caller.need_to_query(name)
        table = self._catalog.table(name)
        if table["type"] != "TABLE":
            raise invalid_query(f"Cannot change rows of {name}: it is a {table['type']}")
        return name, fields_of(table)

    def _changed(self, statement: Statement, name: TableName, sql: str, counter: str) -> Outcome:
        with self._catalog.warehouse.changing(self._job.cursor) as cursor:
            changed = int(cursor.execute(sql).fetchall()[0][0])
            fill_arrays(cursor, place(name), fields_of(self._catalog.table(name)))
        return self._outcome(statement, name, changed, counter)

    def _outcome(self, statement: Statement, name: TableName, changed: int, counter: str) -> Outcome:
        self._catalog.touch(name)
        counts = {"insertedRowCount": "insertedRowsCount", "deletedRowCount": "deletedRowsCount"}
        told = {counts[counter]: str(changed)} if counter in counts else {}
        self._job.changes.append(("tableDataChange", name, told))
        statistics: dict[str, Any] = {"numDmlAffectedRows": str(changed)}
        if statement.kind != "MERGE":
            statistics["dmlStats"] = {counter: str(changed)}
        return Outcome(statement=statement.kind, changed_rows=changed, statistics=statistics)

    def _sql(self, node: exp.Expression) -> str:
        return self._translator.sql(node)


def _named(fields: Sequence[Field], name: str) -> Field:
    for field in fields:
        if field["name"].lower() == name.lower():
            return field
    raise invalid_query(f"Column {name} is not present in the table")


def _values(node: exp.Values, width: int) -> tuple[exp.Expression, list[bool]]:
    """VALUES as a query, and which of its columns are literals in all rows."""
    rows = []
    literals = [True] * width
    for row in node.expressions:
        values = row.expressions if isinstance(row, exp.Tuple) else [row]
        if len(values) != width:
            raise invalid_query(f"Inserted row has wrong column count; Has {len(values)}, expected {width}")
        literals = [known and _is_literal(value) for known, value in zip(literals, values, strict=True)]
        rows.append(
            exp.Select(expressions=[exp.alias_(value.copy(), f"c{place_}") for place_, value in enumerate(values)])
        )
    return _union(rows), literals


def _union(rows: Sequence[exp.Expression]) -> exp.Expression:
    """All rows; halved again and again, so that it is not deep."""
    if len(rows) == 1:
        return rows[0]
    middle = len(rows) // 2
    return exp.Union(this=_union(rows[:middle]), expression=_union(rows[middle:]), distinct=False)


def _literal_columns(query: exp.Expression) -> list[bool]:
    if not isinstance(query, exp.Select):
        return []
    return [_is_literal(part.unalias()) for part in query.expressions]


def _is_literal(node: exp.Expression) -> bool:
    inner = node.this if isinstance(node, (exp.Cast, exp.Neg, exp.Paren)) else node
    return isinstance(inner, (exp.Literal, exp.Null, exp.RawString))


def _check_types(made: Sequence[Mapping[str, Any]], targets: Sequence[Field], literals: Sequence[bool]) -> None:
    for place_, (one, target) in enumerate(zip(made, targets, strict=True)):
        if one["type"] == UNTYPED:
            continue
        written = place_ < len(literals) and literals[place_]
        pair = (one["type"], target["type"])
        same = duckdb_type({**one, "mode": one["mode"]}) == duckdb_type(target)
        lists = (one["mode"] == "REPEATED") != (target.get("mode") == "REPEATED")
        if same or (not lists and (pair in _WIDENED or (written and pair in _WRITTEN))):
            continue
        if not lists and pair == ("RECORD", "RECORD") and len(one["fields"]) == len(target["fields"]):
            raise not_emulated(f"a STRUCT whose fields are named or typed otherwise than those of {target['name']}")
        raise invalid_query(
            f"Value of type {STANDARD.get(one['type'], one['type'])} cannot be assigned to {target['name']}, which has "
            f"type {STANDARD.get(target['type'], target['type'])}"
        )
