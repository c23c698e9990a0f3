"""Query jobs: what is read from their configuration, and how they are checked, run and written to a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.bigquery.callers import Caller
from cloudmlops.emulators.google.bigquery.catalog import Catalog
from cloudmlops.emulators.google.bigquery.dialect.translating import Translator
from cloudmlops.emulators.google.bigquery.files import Loaded
from cloudmlops.emulators.google.bigquery.jobs import Job, Jobs, Outcome
from cloudmlops.emulators.google.bigquery.loading import write_rows
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName
from cloudmlops.emulators.google.bigquery.refusals import invalid, invalid_query, not_emulated
from cloudmlops.emulators.google.bigquery.statements import Statements

_OF_QUERY: Final = {
    "query",
    "queryParameters",
    "parameterMode",
    "defaultDataset",
    "useLegacySql",
    "destinationTable",
    "writeDisposition",
    "createDisposition",
    "maximumBytesBilled",
    "useQueryCache",
    "priority",
    "timePartitioning",
    "clustering",
    "allowLargeResults",
}
_REFUSED: Final = {
    "userDefinedFunctionResources",
    "tableDefinitions",
    "schemaUpdateOptions",
    "rangePartitioning",
    "createSession",
    "continuous",
    "scriptOptions",
    "connectionProperties",
}


def query_configuration(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job's configuration that a `QueryRequest` stands for."""
    query = {key: value for key, value in request.items() if key in _OF_QUERY | _REFUSED}
    query.setdefault("useLegacySql", True)
    result: dict[str, Any] = {"query": query}
    for key in ("dryRun", "labels"):
        if key in request:
            result[key] = request[key]
    return result


class Queries:
    """What query jobs do."""

    def __init__(self, catalog: Catalog, jobs: Jobs, clock: Clock) -> None:
        self._catalog = catalog
        self._jobs = jobs
        self._clock = clock

    def make(self, project: str, configuration: dict[str, Any], *, reference: Mapping[str, Any], caller: Caller) -> Job:
        """Make a query job.

        Raises:
            Refused: It asks for what is not emulated, or a job of that name is there.
        """
        query = configuration["query"]
        for refused in sorted(_REFUSED & {key for key, value in query.items() if value}):
            raise not_emulated(f"{refused} of a query job")
        if query.get("useLegacySql", True):
            raise not_emulated("legacy SQL (useLegacySql)")
        if not str(query.get("query", "")).strip():
            raise invalid("Required parameter is missing: query")
        configuration = {"jobType": "QUERY", **configuration}
        dry = bool(configuration.get("dryRun"))
        beside = query.get("destinationTable") or query.get("defaultDataset")
        return self._jobs.make(
            project,
            configuration,
            lambda job: self._work(job, query, dry=dry, located=str(reference.get("location") or "")),
            reference=reference,
            caller=caller,
            beside=DatasetName.of(beside, project=project) if beside else None,
        )

    def fields_of_query(self, text: str, project: str, caller: Caller) -> list[dict[str, Any]]:
        """Return the columns of a query, which is not run.

        Raises:
            Refused: It cannot be run, or not by the caller.
        """
        with self._catalog.warehouse.reading() as cursor:
            translator = Translator(self._catalog, cursor, now=self._clock.now(), project=project, caller=caller)
            statement = translator.translate(text)
            if statement.kind != "SELECT":
                raise invalid_query("a view is a SELECT")
            return translator.fields(statement.sql)

    def _check_location(self, located: str, datasets: Iterable[DatasetName]) -> None:
        """Let a job that is asked for in a location read only what lies there."""
        for dataset in sorted(datasets):
            if located and self._catalog.dataset(dataset)["location"].lower() != located.lower():
                raise Refused(
                    "NOT_FOUND", f"Not found: Dataset {dataset} was not found in location {located}", reason="notFound"
                )

    def _work(self, job: Job, query: Mapping[str, Any], *, dry: bool, located: str) -> Outcome:
        default = query.get("defaultDataset")
        translator = Translator(
            self._catalog,
            job.cursor,
            now=self._clock.now(),
            project=job.project,
            caller=job.caller,
            default=DatasetName.of(default, project=job.project) if default else None,
            parameters=query.get("queryParameters") or (),
        )
        statement = translator.translate(str(query["query"]))
        read = {name.parent for name in statement.reads}
        self._check_location(located, read)
        if not located:
            job.location = self._catalog.location_of(min(read)) if read else job.location
        statements = Statements(self._catalog, translator, job)
        outcome = statements.run(statement, dry=True) if dry else None
        counted = translator.bytes_read(statement)
        most = int(query.get("maximumBytesBilled") or 0)
        if most and counted > most:
            raise invalid_query(f"Query exceeded limit for bytes billed: {most}. {counted} or higher required.")
        statistics: dict[str, Any] = {
            "totalBytesProcessed": str(counted),
            "query": {
                "statementType": statement.kind,
                "totalBytesProcessed": str(counted),
                "totalBytesBilled": "0" if dry else str(counted),
                "cacheHit": False,
                "referencedTables": [name.reference() for name in sorted(statement.reads)],
            },
        }
        if outcome is not None:
            statistics["query"]["schema"] = {"fields": outcome.fields}
            outcome.statistics = statistics
            return outcome
        outcome = statements.run(statement)
        outcome.statistics = {**statistics, "query": {**statistics["query"], **outcome.statistics}}
        destination = query.get("destinationTable")
        if destination:
            if statement.kind != "SELECT" or outcome.rows is None:
                raise not_emulated(f"a destinationTable of a {statement.kind} statement")
            name = TableName.of(destination, project=job.project)
            write_rows(
                self._catalog,
                job,
                name,
                Loaded(rows=outcome.rows, fields=[dict(one) for one in outcome.fields]),
                str(query.get("writeDisposition") or "WRITE_EMPTY"),
                create=str(query.get("createDisposition") or "CREATE_IF_NEEDED"),
                given={key: query[key] for key in ("timePartitioning", "clustering") if query.get(key)},
            )
            outcome.destination = name.reference()
        elif statement.kind == "SELECT":
            outcome.destination = {
                "projectId": job.project,
                "datasetId": "_anonymous",
                "tableId": f"anon_{job.id}".replace("-", "_"),
            }
        return outcome
