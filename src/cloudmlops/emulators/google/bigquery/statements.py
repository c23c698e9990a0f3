"""What each kind of statement does."""

from __future__ import annotations

from cloudmlops.emulators.google.bigquery.catalog import Catalog
from cloudmlops.emulators.google.bigquery.dialect.translating import Statement, Translator
from cloudmlops.emulators.google.bigquery.jobs import Job, Outcome
from cloudmlops.emulators.google.bigquery.refusals import not_emulated


class Statements:
    """Runs the statements of one job."""

    def __init__(self, catalog: Catalog, translator: Translator, job: Job) -> None:
        self._catalog = catalog
        self._translator = translator
        self._job = job

    def run(self, statement: Statement) -> Outcome:
        """Run a statement.

        Raises:
            Refused: It fails, or is of a kind that is not emulated.
        """
        if statement.kind == "SELECT":
            return self._select(statement)
        raise not_emulated(f"statement {statement.kind}")

    def _select(self, statement: Statement) -> Outcome:
        fields, rows = statement.rows(self._job.cursor)
        return Outcome(fields=fields, rows=rows, statement=statement.kind)
