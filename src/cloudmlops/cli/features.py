"""`cloudmlops features`: list, show, apply, materialize, online, skew."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudmlops.cli.session import Session, session_options
from cloudmlops.domain.feature_columns import EVENT_TIME
from cloudmlops.domain.feature_types import type_name
from cloudmlops.domain.features import Entity, FeatureService, FeatureView
from cloudmlops.errors import ConfigurationError, InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloudmlops.services.features import Definition

_KINDS: Final = {Entity: "entity", FeatureView: "view", FeatureService: "service"}


@click.group()
def features() -> None:
    """List, materialise and read features."""


@features.command("list")
@session_options
def list_features(session: Session) -> None:
    """List entities, views and services."""
    session.table("Features", ["kind", "name", "keys", "columns"], map(_row, session.platform.features.list()))


@features.command()
@click.argument("name")
@session_options
def show(session: Session, *, name: str) -> None:
    """Show a service, view or entity."""
    found = [definition for definition in session.platform.features.list() if definition.name == name]
    if not found:
        raise NotFoundError(f"nothing named {name!r} is registered", hint="`cloudmlops features list` shows what is.")
    # The service rather than a view of the same name: it is what a model uses.
    session.record(f"{_KINDS[type(found[-1])]} {name}", _details(found[-1]))


@features.command()
@click.argument("definitions", metavar="MODULE:OBJECT", nargs=-1, required=True)
@session_options
def apply(session: Session, *, definitions: Sequence[str]) -> None:
    """Check definitions against their sources and register them.

    OBJECT is a service, view or entity, or a list of them, such as `features:flight_delay`.
    """
    found = [definition for name in definitions for definition in _load(name)]
    behind = session.platform.features.apply(found)
    session.table("Applied", ["kind", "name", "keys", "columns"], map(_row, found))
    if behind:
        session.note(f"Services that keep an earlier definition of a view until they are applied: {', '.join(behind)}")


@features.command()
@click.argument("name")
@click.option("--at", metavar="TIME", help="As of then, such as 2013-07-01T00:00+00:00; now by default.")
@click.option("--rebuild", is_flag=True, help="In the place of all that is stored: corrections take effect.")
@session_options
def materialize(session: Session, *, name: str, at: str | None, rebuild: bool) -> None:
    """Write what is known of each entity to the online store, for the service or view NAME."""
    written = session.platform.features.materialize(name, at=_moment(at), rebuild=rebuild)
    session.table("Materialised", ["view", "entities"], [{"view": view, "entities": n} for view, n in written.items()])


@features.command()
@click.argument("name")
@click.argument("rows", metavar="JSON|FILE|-")
@session_options
def online(session: Session, *, name: str, rows: str) -> None:
    """Read the features of entities, for the service or view NAME.

    Give one entity or a list: '{"origin": "JFK"}', a file with the like, or - for standard input.
    """
    asked = _entities(rows)
    service = session.platform.features.reader(name).service
    read = session.platform.features.online(service, _typed(service, asked))
    told = [
        {
            **asked[number],
            "feature": feature,
            "value": value.value,
            "status": value.status,
            "event_time": value.event_time,
        }
        for number in range(len(read))
        for feature, value in read.row(number).items()
    ]
    session.table(name, [*(asked[0] if asked else ()), "feature", "value", "status", "event_time"], told)


@features.command()
@click.argument("name")
@click.argument("sample", metavar="JSON|FILE|-")
@session_options
def skew(session: Session, *, name: str, sample: str) -> None:
    """Recompute served features from history, for the service or view NAME.

    SAMPLE is a Parquet file of served rows with keys, event_time and values; or keys as for `online`, read now.
    """
    served: Any
    if sample.endswith(".parquet"):
        import pyarrow.parquet as pq

        try:
            served = pq.read_table(sample)
        except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
            raise InvalidRequestError(
                f"the sample {sample} cannot be read: {error}", hint="Name a Parquet file of served rows."
            ) from error
    else:
        served = _typed(session.platform.features.reader(name).service, _entities(sample))
    found = session.platform.features.skew(name, served)
    session.record(
        f"skew of {name}",
        {"rows": found.rows, "differing": found.differing, "share": found.share, "features": found.features},
    )


def _row(definition: Definition) -> Mapping[str, object]:
    keys, columns = _columns(definition)
    return {"kind": _KINDS[type(definition)], "name": definition.name, "keys": _types(keys), "columns": _types(columns)}


def _columns(definition: Definition) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    match definition:
        case Entity():
            return definition.keys, {}
        case FeatureView():
            return definition.join_keys, definition.features
        case FeatureService():
            return definition.join_keys, definition.columns


def _details(definition: Definition) -> Mapping[str, object]:
    row = dict(_row(definition))
    match definition:
        case FeatureView():
            row |= {
                "entity": definition.entity.name,
                "source": str(definition.source),
                "timestamp": definition.timestamp,
                "created": definition.created,
                "ttl": definition.ttl and str(definition.ttl),
                "source_delay": str(definition.source_delay),
                "nulls": definition.nulls,
            }
        case FeatureService():
            row |= {
                "request": _types(definition.request),
                "views": [view.name for view in definition.views],
                "on_demand": [feature.reference or feature.name for feature in definition.on_demand],
                "schema_hash": definition.schema_hash,
            }
    return row


def _types(columns: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: type_name(kind) for name, kind in columns.items()}


def _load(name: str) -> list[Definition]:
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ConfigurationError(
            f"{name!r} names no object", hint="Write MODULE:OBJECT, such as features:flight_delay."
        )
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:
        # Whatever its code raises, such as a SyntaxError, is about the module and not about us.
        raise ConfigurationError(
            f"{name!r} cannot be loaded: {type(error).__name__}: {error}",
            hint="Run the command in the folder that holds the module.",
        ) from error
    listed = list(found) if isinstance(found, list | tuple) else [found]
    if wrong := [item for item in listed if not isinstance(item, tuple(_KINDS))]:
        raise ConfigurationError(
            f"{name!r} is a {type(wrong[0]).__name__}", hint="Name an Entity, FeatureView or FeatureService."
        )
    return listed


def _entities(text: str) -> list[dict[str, Any]]:
    if not text.lstrip().startswith(("{", "[")):
        try:
            with click.open_file(text, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRequestError(
                f"{text!r} is neither JSON nor a file that can be read: {error}",
                hint='Write {"origin": "JFK"}, a list, or the name of a file with the like.',
            ) from error
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"entities are not JSON: {error}", hint='Write {"origin": "JFK"}, or a list.'
        ) from error
    listed = rows if isinstance(rows, list) else [rows]
    if wrong := [
        f"row {number} is a {type(row).__name__}" for number, row in enumerate(listed) if type(row) is not dict
    ]:
        raise InvalidRequestError(
            "entities are JSON objects", hint='Write {"origin": "JFK"}, or a list.', faults=wrong[:10]
        )
    return listed


def _typed(service: FeatureService, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    from cloudmlops.services.feature_rows.json_rows import row_reader

    return list(map(row_reader({**service.join_keys, **service.request, EVENT_TIME: datetime}), rows))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequestError(f"{text!r} is no time", hint="Write 2013-07-01T00:00+00:00.") from error
