"""Queries as sources: translated by sqlglot, run on DuckDB over the platform's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from cloudmlops.domain.features import SqlSource
from cloudmlops.errors import InvalidEntitiesError, UnsupportedError
from cloudmlops.providers.azureml.feature_store.engine import holding


def in_dialect(query: SqlSource, dialect: str) -> str:
    """Return a query in another dialect; as it was written where that is its own.

    Raises:
        InvalidEntitiesError: It is none in the dialect that it says, or says what the other one has not.
        UnsupportedError: sqlglot, which translates it, is not installed.
    """
    text = query.query.strip().rstrip(";")
    if query.dialect == dialect:
        return text
    try:
        import sqlglot  # type: ignore[import-not-found,unused-ignore]  # optional
    except ImportError as error:
        raise UnsupportedError(
            f"a query in dialect {query.dialect!r} needs sqlglot, which is not installed",
            hint="pip install sqlglot, or write the query for DuckDB and leave dialect out.",
        ) from error
    try:
        raised = sqlglot.ErrorLevel.RAISE
        return str(sqlglot.transpile(text, read=query.dialect, write=dialect, unsupported_level=raised)[0])
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        raise InvalidEntitiesError(
            "the query of a feature view cannot be translated",
            faults=[f"no valid {query.dialect} query, or none that {dialect} has: {error}"],
        ) from error


def tables_of(query: SqlSource) -> Sequence[str]:
    """Return the names of the tables that a query reads.

    Raises:
        InvalidEntitiesError: It cannot be parsed.
    """
    text = in_dialect(query, "duckdb")
    with holding({}) as connection:
        try:
            return sorted(connection.get_table_names(text))
        except duckdb.Error as error:
            raise _fails(text, error) from error


def run(query: SqlSource, tables: Mapping[str, pa.Table]) -> pa.Table:
    """Return what a query answers.

    Args:
        query: It.
        tables: The tables that it reads; without rows for a dry run.

    Raises:
        InvalidEntitiesError: It fails.
    """
    text = in_dialect(query, "duckdb")
    with holding(tables) as connection:
        try:
            return connection.sql(text).to_arrow_table()
        except duckdb.Error as error:
            raise _fails(text, error) from error


def _fails(text: str, error: duckdb.Error) -> InvalidEntitiesError:
    return InvalidEntitiesError(
        "the query of a feature view fails",
        faults=[f"the query fails: {error}"],
        hint=f"The query, in DuckDB's dialect: {text}",
    )
