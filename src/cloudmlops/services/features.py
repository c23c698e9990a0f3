"""What a user does with features: define them, train on history, read them online."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cloudmlops.domain.feature_columns import EVENT_TIME
from cloudmlops.domain.features import (
    Entity,
    FeatureService,
    FeatureView,
    as_service,
    entity_from_json,
    entity_to_json,
    service_from_json,
    service_to_json,
    view_from_json,
    view_to_json,
)
from cloudmlops.domain.names import name_faults
from cloudmlops.errors import InvalidEntitiesError, InvalidRequestError, NotFoundError
from cloudmlops.ports.features import Table
from cloudmlops.services.context import ServiceContext
from cloudmlops.services.feature_rows.entity_rows import arrow_table, checked_entities, checked_rows
from cloudmlops.services.feature_rows.online import FeatureReader, OnlineFeatures
from cloudmlops.services.feature_rows.skew import Skew, compared
from cloudmlops.services.telemetry import span

Definition = Entity | FeatureView | FeatureService

_log: Final = logging.getLogger("cloudmlops.features")
_REGISTRY: Final = "features/registry/"
_REMEMBERED: Final = 256
"""Prepared readers that are kept."""
_FOLDERS: Final[Mapping[type[Definition], str]] = {Entity: "entities", FeatureView: "views", FeatureService: "services"}


class Features:
    """The feature store; the port does the provider's part."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._port = context.backends.features
        self._readers: dict[tuple[object, ...], FeatureReader] = {}
        self._latest: dict[int, tuple[object, FeatureReader]] = {}
        """Readers by the object that they were asked for with, which is quicker to recognise than what it says."""

    def apply(self, definitions: Sequence[Definition] | Definition) -> builtins.list[str]:
        """Check definitions against their sources and register them, with the views and entities that they use.

        A service keeps the views that it was applied with: one that is not among the definitions goes on reading an
        earlier definition of a view, also online.

        Args:
            definitions: Services, views or entities.

        Returns:
            The registered services that use another definition of one of these views; a warning is logged for them.

        Raises:
            InvalidEntitiesError: A source cannot be read or does not have the columns; all faults are listed.
            InvalidRequestError: Two definitions share a name, or an on-demand function lies in no module.
        """
        given = [definitions] if isinstance(definitions, Definition) else list(definitions)
        with span("features.apply", definitions=", ".join(definition.name for definition in given)):
            wanted = _with_parts(given)
            views = [definition for definition in wanted if isinstance(definition, FeatureView)]
            faults = [
                f"feature view {view.name!r}: {fault}" for view in views for fault in self._port.source_faults(view)
            ]
            if faults:
                raise InvalidEntitiesError(
                    "sources do not fit their feature views",
                    faults=faults,
                    hint="Mend the data, or change the views' columns and types.",
                )
            texts = {_place(type(definition), definition.name): _to_json(definition) for definition in wanted}
            for view in views:
                self._port.register(view)
            for key, text in texts.items():
                self._context.backends.objects.put(key, text.encode())
            if behind := self._behind(views):
                _log.warning(
                    "services that keep an earlier definition of a view until they are applied: %s", ", ".join(behind)
                )
            return behind

    def get(self, name: str) -> FeatureService:
        """Return a registered service.

        Raises:
            NotFoundError: There is none of that name.
        """
        return service_from_json(self._registered(FeatureService, name))

    def view(self, name: str) -> FeatureView:
        """Return a registered view.

        Raises:
            NotFoundError: There is none of that name.
        """
        return view_from_json(self._registered(FeatureView, name))

    def list(self) -> list[Definition]:
        """Return all that is registered: entities, views, then services, each by name."""
        objects = self._context.backends.objects
        read: Mapping[str, Callable[[str], Definition]] = {
            "entities": entity_from_json,
            "views": view_from_json,
            "services": service_from_json,
        }
        return [
            parse(objects.get(key).decode())
            for folder, parse in read.items()
            for key in objects.list(f"{_REGISTRY}{folder}/")
        ]

    def training_table(self, features: FeatureService | FeatureView | str, entities: Any) -> Table:
        """Join to each entity row the feature values known at its time, and add the on-demand features.

        Args:
            features: A service, a view, or the name of a registered one; f features.
            entities: (n, c) Arrow table, or a data frame: the join keys, the request columns, `event_time` (aware), and
                whatever else is to be kept, such as labels.

        Returns:
            (n, c + f) Arrow table in the order of `entities`; a value not yet known at `event_time` is null.

        Raises:
            InvalidEntitiesError: Columns are missing or of other types, or `event_time` is null or has no time zone.
        """
        service = self._service(features)
        with span("features.training_table", service=service.name):
            columns = {**service.join_keys, **service.request, EVENT_TIME: datetime}
            table = arrow_table(entities, columns)
            keys, request = checked_entities(service, table)
            joined = self._port.join(service.views, keys)
            for name, column in zip(joined.column_names, joined.columns, strict=True):
                table = table.append_column(name, column)
            if service.on_demand:
                from cloudmlops.services.feature_rows.on_demand import add_to_table

                columns = {name: keys[name] for name in service.join_keys} | request
                columns |= dict(zip(joined.column_names, joined.columns, strict=True))
                for name, column in add_to_table(service, columns).items():
                    table = table.append_column(name, column)
            return table

    def materialize(
        self, features: FeatureService | FeatureView | str, *, at: datetime | None = None, rebuild: bool = False
    ) -> Mapping[str, int]:
        """Write what is known of each entity at a time to the online store, where it is newer than what is there.

        It may be killed at any moment and called again; the outcome is the same. Of rows with the same time the one
        with the greatest `created` stays: without it a corrected row takes no sure effect, unless by `rebuild`.

        Args:
            features: A service, a view, or the name of a registered one.
            at: Time-zone aware, not in the future; now by default.
            rebuild: Put what the source says in the place of what is stored, whole or not at all: corrections and
                removed rows take effect, and what was pushed and is not in the source is gone.

        Returns:
            View to the number of entities that have a value.
        """
        service = self._service(features)
        now = self._context.backends.feature_time()
        when = now if at is None else _aware(at)
        if when > now:
            raise InvalidRequestError(
                f"{service.name!r} cannot be materialised as of {when.isoformat()}: now is {now.isoformat()}",
                hint="What is not known yet would take the place of what is; leave `at` out for now.",
            )
        with span("features.materialize", service=service.name, at=when.isoformat()):
            stored = {view.name: view.stored for view in service.views}
            return {name: self._port.materialize(view, at=when, rebuild=rebuild) for name, view in stored.items()}

    def push(self, view: FeatureView | str, rows: Any) -> None:
        """Write rows straight to the online store, where they are newer than what is there.

        Args:
            view: A view, or the name of a registered one.
            rows: Arrow table, data frame or list of dictionaries, with the view's columns.

        Raises:
            InvalidEntitiesError: Columns are missing or of other types, or a row lies in the future.
            InvalidRequestError: The view has a source delay, so that its rows are not known yet.
        """
        known = (self.view(view) if isinstance(view, str) else view).stored
        with span("features.push", view=known.name):
            if known.source_delay > timedelta(0):
                raise InvalidRequestError(
                    f"feature view {known.name!r} has a source delay of {known.source_delay}, so rows cannot be pushed",
                    hint="Materialise it, or define a view without source_delay for what is pushed.",
                )
            columns = {**known.entity.keys, **known.features, known.timestamp: datetime}
            if known.created is not None:
                columns[known.created] = datetime
            table = checked_rows(known, arrow_table(rows, columns))
            if not table.num_rows:
                return
            self._refuse_future(known, table)
            self._port.push(known, table)

    def reader(self, features: FeatureService | FeatureView | str) -> FeatureReader:
        """Prepare an online read: a function from entity rows to their features, for callers that read often."""
        known = self._latest.get(id(features))
        if known is not None and known[0] is features and not isinstance(features, str):
            return known[1]
        service = self._service(features)
        key = service.identity
        if (reader := self._readers.get(key)) is None:
            reader = FeatureReader(service, open_view=self._port.reader, now=self._context.backends.feature_time)
            _remember(self._readers, key, reader)
        _remember(self._latest, id(features), (features, reader))
        return reader

    def online(self, features: FeatureService | FeatureView | str, rows: Sequence[Mapping[str, Any]]) -> OnlineFeatures:
        """Read the features of entities as of now.

        Args:
            features: A service, a view, or the name of a registered one, which is looked up at each call.
            rows: Each with the join keys and request columns.

        Raises:
            InvalidEntitiesError: A column is missing or of another type; all faults are listed.
        """
        with span("features.online"):
            return self.reader(features)(rows)

    def skew(self, features: FeatureService | FeatureView | str, sample: Any) -> Skew:
        """Recompute served features from history and report how many differ.

        Args:
            features: A service, a view, or the name of a registered one.
            sample: What was served: an `OnlineFeatures`, or a table of join keys, request columns, `event_time` (the
                time of serving) and the served values. Or a list of dictionaries with keys alone: they are read now.
        """
        service = self._service(features)
        with span("features.skew", service=service.name):
            served = self._served(service, sample)
            columns = [name for name in served.column_names if name in service.columns]
            if not columns:
                raise InvalidEntitiesError(
                    f"the sample holds none of the features of {service.name!r}",
                    faults=[
                        f"wanted are: {', '.join(service.columns)}",
                        f"there are: {', '.join(served.column_names)}",
                    ],
                )
            served = _conformed(service, served, columns)
            recomputed = self.training_table(service, served.drop_columns(columns))
            return compared(served, recomputed, columns=columns, keys=list(service.join_keys))

    def write_table(self, name: str, table: Any) -> None:
        """Keep a table on the platform for `TableSource(name)`, replacing the one that had the name.

        Args:
            name: A lower-case name.
            table: Arrow table, data frame or list of dictionaries.
        """
        with span("features.write_table", table=name):
            if faults := name_faults("table", name):
                raise InvalidRequestError(f"table {name!r} cannot be kept", faults=faults)
            self._port.write_table(name, arrow_table(table))

    def _service(self, features: FeatureService | FeatureView | str) -> FeatureService:
        if not isinstance(features, str):
            return as_service(features)
        try:
            return self.get(features)
        except NotFoundError:
            if self._context.backends.objects.exists(_place(FeatureView, features)):
                return as_service(self.view(features))
            raise

    def _behind(self, views: Sequence[FeatureView]) -> builtins.list[str]:
        applied = {view.name: view for view in views}
        registered = [definition for definition in self.list() if isinstance(definition, FeatureService)]
        return [
            service.name
            for service in registered
            if any(applied.get(view.name, view.stored) != view.stored for view in service.views)
        ]

    def _registered(self, kind: type[Definition], name: str) -> str:
        try:
            return self._context.backends.objects.get(_place(kind, name)).decode()
        except NotFoundError as error:
            known = [definition.name for definition in self.list() if isinstance(definition, kind)]
            what = "feature service" if kind is FeatureService else "feature view"
            raise NotFoundError(
                f"no {what} is named {name!r}",
                hint=f"Registered: {', '.join(known) or 'none'}. Register one with platform.features.apply([…]).",
                operation="features.get",
                resource=name,
            ) from error

    def _refuse_future(self, view: FeatureView, table: Any) -> None:
        import pyarrow.compute as pc

        now = self._context.backends.feature_time()
        newest = pc.max(table[view.timestamp]).as_py()
        if newest is not None and newest > now:
            raise InvalidEntitiesError(
                f"rows for {view.name!r} lie in the future: {view.timestamp} is {newest.isoformat()}, "
                f"now is {now.isoformat()}",
                hint="Push a row when its values are known.",
            )

    def _served(self, service: FeatureService, sample: Any) -> Any:
        import pyarrow as pa

        if isinstance(sample, OnlineFeatures):
            return _served_table(service, sample)
        if isinstance(sample, Sequence) and not any(EVENT_TIME in row for row in sample):
            return _served_table(service, self.reader(service)(sample))
        table: pa.Table = arrow_table(sample)
        return table


def _conformed(service: FeatureService, served: Any, columns: Sequence[str]) -> Any:
    """Return the sample with its features in their declared types."""
    from cloudmlops.materializers.feature_columns import conformed

    faults = []
    for name in columns:
        try:
            column = conformed(served[name], service.columns[name])
            served = served.set_column(served.column_names.index(name), name, column)
        except ValueError as error:
            faults.append(f"column {name!r} {error}")
    if faults:
        raise InvalidEntitiesError(f"the sample does not fit {service.name!r}", faults=faults)
    return served


def _remember(cache: dict[Any, Any], key: object, value: object) -> None:
    if len(cache) >= _REMEMBERED:
        cache.clear()
    cache[key] = value


def _served_table(service: FeatureService, served: OnlineFeatures) -> Any:
    import pyarrow as pa

    from cloudmlops.materializers.feature_columns import TIME, arrow_type

    kinds = {**service.join_keys, **service.request}
    columns = {name: pa.array(values, arrow_type(kinds[name])) for name, values in served.asked.items()}
    columns[EVENT_TIME] = pa.array([served.at] * len(served), TIME)
    for name, kind in service.columns.items():
        columns[name] = pa.array([row[name] for row in served.values()], arrow_type(kind))
    return pa.table(columns)


def _with_parts(given: Iterable[Definition]) -> list[Definition]:
    parts = [part for definition in given for part in _parts(definition)]
    wanted: dict[tuple[type[Definition], str], Definition] = {}
    faults = [
        f"two different definitions of {_FOLDERS[type(part)]} are named {part.name!r}"
        for part in parts
        if wanted.setdefault((type(part), part.name), part) != part
    ]
    if faults:
        raise InvalidRequestError("definitions contradict each other", faults=list(dict.fromkeys(faults)))
    return list(wanted.values())


def _parts(definition: Definition) -> list[Definition]:
    views: list[FeatureView] = []
    if isinstance(definition, FeatureService):
        views = [view.stored for view in definition.views]
    elif isinstance(definition, FeatureView):
        views = [definition.stored]
    whole = [] if isinstance(definition, FeatureView) else [definition]
    return [*whole, *views, *(view.entity for view in views)]


def _place(kind: type[Definition], name: str) -> str:
    return f"{_REGISTRY}{_FOLDERS[kind]}/{name}.json"


def _to_json(definition: Definition) -> str:
    match definition:
        case Entity():
            return entity_to_json(definition)
        case FeatureView():
            return view_to_json(definition.stored)
        case FeatureService():
            return service_to_json(definition)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise InvalidRequestError(
            f"the time {at.isoformat()} has no time zone", hint="Write datetime(2013, 7, 1, tzinfo=UTC)."
        )
    return at.astimezone(UTC)
