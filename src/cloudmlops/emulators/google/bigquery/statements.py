"""What each kind of statement does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.catalog import Catalog
from cloudmlops.emulators.google.bigquery.changing_rows import RowChanges
from cloudmlops.emulators.google.bigquery.defining import Definitions
from cloudmlops.emulators.google.bigquery.dialect.translating import Statement, Translator
from cloudmlops.emulators.google.bigquery.jobs import Job, Outcome


class Statements:
    """Runs the statement of one job."""

    def __init__(self, catalog: Catalog, translator: Translator, job: Job) -> None:
        self._translator = translator
        definitions = Definitions(catalog, translator, job)
        rows = RowChanges(catalog, translator, job)
        self._known: Final[dict[str, Callable[[Statement], Outcome]]] = {
            "SELECT": self._select,
            "INSERT": rows.insert,
            "UPDATE": rows.update,
            "DELETE": rows.delete,
            "MERGE": rows.merge,
            "TRUNCATE_TABLE": rows.truncate,
            "CREATE_TABLE": definitions.create_table,
            "CREATE_TABLE_AS_SELECT": definitions.create_table,
            "CREATE_VIEW": definitions.create_view,
            "CREATE_SCHEMA": definitions.create_schema,
            "DROP_TABLE": definitions.drop_table,
            "DROP_VIEW": definitions.drop_view,
            "DROP_SCHEMA": definitions.drop_schema,
            "ALTER_TABLE": definitions.alter_table,
        }

    def run(self, statement: Statement, *, dry: bool = False) -> Outcome:
        """Run a statement.

        Args:
            statement: What was translated.
            dry: Whether it is only to be checked: a query is planned, and nothing is changed.

        Raises:
            Refused: It fails, or uses what is not emulated.
        """
        if dry and statement.kind == "SELECT":
            return Outcome(fields=self._translator.fields(statement.sql), statement=statement.kind)
        if dry:
            return self._dry(statement)
        return self._known[statement.kind](statement)

    def _select(self, statement: Statement) -> Outcome:
        fields, rows = self._translator.rows(statement.sql)
        return Outcome(fields=fields, rows=rows, statement=statement.kind)

    def _dry(self, statement: Statement) -> Outcome:
        """Check the query inside a statement, if it has one."""
        query: Any = statement.tree.args.get("expression")
        fields: list[dict[str, Any]] = []
        if isinstance(query, exp.Query):
            fields = self._translator.fields(self._translator.select(query.copy()))
            statement.reads = self._translator.sources.reads
        return Outcome(fields=fields, statement=statement.kind)
