"""What a feature view's sync reads: rows of emulated BigQuery, over its wire, as one row an entity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.names import Projects
from cloudmlops.emulators.google.tokens import Tokens

_LONGEST_KEY_BYTES: Final = 4096
_IDENTITIES: Final = {"STRING", "INTEGER"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A feature and where it comes from."""

    feature: str
    column: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One table or view, and how its rows become features."""

    uri: str
    """Such as `bq://project.dataset.table`."""
    identity: Sequence[str]
    timestamp: str | None
    """The column of times; None for a source that has one row an entity."""
    features: Sequence[Column] | None
    """None takes every other column, under its own name."""
    dense: bool = True
    """Whether the newest row counts as it is; else each feature's newest value that is not null."""


@dataclass(kw_only=True, slots=True)
class EntityRow:
    """What is to be served of an entity."""

    when: datetime | None = None
    values: dict[str, Any] = field(default_factory=dict)
    """Feature to `FeatureValue`; None for null."""


class SourceRows:
    """Reads sources."""

    def __init__(self, surroundings: Surroundings, project_id: Callable[[str], str]) -> None:
        self._surroundings = surroundings
        self._project_id = project_id

    def read(self, sources: Iterable[Source]) -> dict[str, EntityRow]:
        """Return the rows by row key, those of several sources joined by it.

        Raises:
            Refused: A table or column is missing, a type cannot be served, or an entity has two rows where one is
                promised.
        """
        found: dict[str, EntityRow] = {}
        for source in sources:
            for key, row in self._rows(source).items():
                known = found.setdefault(key, EntityRow())
                known.values |= row.values
                if row.when is not None:
                    known.when = row.when if known.when is None else max(known.when, row.when)
        return found

    def _rows(self, source: Source) -> dict[str, EntityRow]:
        from google.api_core.exceptions import GoogleAPICallError

        project, dataset, table = source.uri.removeprefix("bq://").rsplit(".", 2)
        client = self._client(project)
        try:
            # By a query, for a source may be a view.
            given = client.query(
                f"SELECT * FROM `{self._project_id(project)}.{dataset}.{table}`",  # noqa: S608 checked at creation
                project=self._project_id(project),
            ).result()
            kinds = {column.name: column for column in given.schema}
            columns = _columns(source, kinds)
            rows = list(given)
        except GoogleAPICallError as error:
            code = {404: "NOT_FOUND", 403: "PERMISSION_DENIED"}.get(int(error.code or 0), "FAILED_PRECONDITION")
            raise Refused(code, f"{source.uri} cannot be read: {error.message}") from error
        finally:
            client.close()
        converted = [(column.feature, column.column, converter(kinds[column.column])) for column in columns]
        if source.timestamp is not None:
            rows = [row for row in rows if row[source.timestamp] is not None]
            rows.sort(key=lambda row: row[source.timestamp])
        found: dict[str, EntityRow] = {}
        for row in rows:
            identity = [row[name] for name in source.identity]
            if None in identity:
                continue
            key = ":".join(map(str, identity))
            if not 0 < len(key.encode()) <= _LONGEST_KEY_BYTES:
                raise Refused("INVALID_ARGUMENT", f"The entity id {key[:50]!r} is empty or longer than 4 KiB.")
            if key in found and source.timestamp is None:
                raise Refused("INVALID_ARGUMENT", f"{source.uri} has several rows of the entity {key!r}.")
            known = found.setdefault(key, EntityRow())
            values = {name: convert(row[column]) for name, column, convert in converted}
            if not source.dense:
                values = {
                    name: value for name, value in values.items() if value is not None or name not in known.values
                }
            known.values |= values
            known.when = row[source.timestamp] if source.timestamp is not None else None
        return found

    def _client(self, project: str) -> Any:
        from google.cloud import bigquery
        from google.oauth2.credentials import Credentials

        state = self._surroundings.state
        return bigquery.Client(
            project="emulated",
            credentials=Credentials(Tokens(state).agent("aiplatform", Projects(state).number(project))),
            client_options={"api_endpoint": f"http://{self._surroundings.address()}"},
        )


def _columns(source: Source, kinds: Mapping[str, Any]) -> Sequence[Column]:
    wanted = [*source.identity, *([source.timestamp] if source.timestamp else [])]
    features = source.features
    if features is None:
        features = [Column(feature=name, column=name) for name in kinds if name not in wanted]
    missing = [name for name in (*wanted, *(column.column for column in features)) if name not in kinds]
    if missing:
        raise Refused("INVALID_ARGUMENT", f"{source.uri} has no column {', '.join(missing)}.")
    for name in source.identity:
        if kinds[name].field_type not in _IDENTITIES:
            raise Refused("INVALID_ARGUMENT", f"The entity id column {name} is {kinds[name].field_type}.")
    if source.timestamp and kinds[source.timestamp].field_type != "TIMESTAMP":
        raise Refused("INVALID_ARGUMENT", f"The column {source.timestamp} is no TIMESTAMP.")
    return features


def converter(column: Any) -> Callable[[Any], Any]:
    """Return what makes a `FeatureValue` of a column's value.

    Raises:
        Refused: The column's type cannot be served here.
    """
    repeated = column.mode == "REPEATED"
    scalars = {
        "BOOLEAN": "bool",
        "FLOAT": "double",
        "INTEGER": "int64",
        "STRING": "string",
        **({} if repeated else {"BYTES": "bytes"}),
    }
    name = scalars.get(column.field_type)
    if name is None:
        kind = f"ARRAY<{column.field_type}>" if repeated else column.field_type
        raise Refused("UNIMPLEMENTED", f"Serving the column {column.name} of type {kind} is not emulated.")
    value = message("FeatureValue")
    if repeated:
        array = value.DESCRIPTOR.fields_by_name[f"{name}_array_value"].message_type._concrete_class  # noqa: SLF001 the only way from a descriptor to its class
        return lambda items: value(**{f"{name}_array_value": array(values=items or ())})
    return lambda item: None if item is None else value(**{f"{name}_value": item})
