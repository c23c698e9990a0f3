"""Definitions of features: what they are keyed by, where they come from, and which of them a model uses."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, Self

from cloudmlops.domain.feature_columns import column_faults, mapping_faults, refuse, type_faults
from cloudmlops.domain.feature_types import KEY_TYPES, REQUEST_TYPES, FeatureType, type_name, type_named
from cloudmlops.domain.names import name_faults
from cloudmlops.domain.on_demand import OnDemandFeature

Nulls = Literal["row", "last_value"]
_LONGEST: Final = timedelta(days=36_525_000)  # so that no sum of times leaves 64 bits


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing that has features, identified by one or more typed key columns."""

    name: str
    _: KW_ONLY
    keys: Mapping[str, FeatureType]
    """Column to type: int, str, bool, date or bytes; several columns are one tuple, never a joined string."""

    def __post_init__(self) -> None:
        """Refuse a wrong definition, listing all faults."""
        refuse(f"entity {self.name!r}", mapping_faults("keys", self.keys) or self._faults())

    def __eq__(self, other: object) -> bool:
        # As it is written: the order of keys is part of what they mean.
        return isinstance(other, Entity) and _entity_record(self) == _entity_record(other)

    def __hash__(self) -> int:
        return hash(self.name)

    def _faults(self) -> list[str]:
        faults = name_faults("entity", self.name)
        if not self.keys:
            faults.append("an entity needs at least one key column")
        faults += column_faults("key column", self.keys)
        faults += type_faults("key column", self.keys, KEY_TYPES)
        return faults


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """A Parquet file, a folder or glob of them, or such an address in an object store (`s3://bucket/weather/`)."""

    uri: str

    def __init__(self, uri: str | Path) -> None:
        object.__setattr__(self, "uri", str(uri))


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table that the platform keeps, by name; `platform.features.write_table` makes one."""

    table: str


@dataclass(frozen=True, slots=True)
class SqlSource:
    """A query in a stated dialect, dry-run when the view is applied."""

    query: str
    _: KW_ONLY
    dialect: str = "duckdb"


Source = ParquetSource | TableSource | SqlSource


@dataclass(frozen=True, slots=True)
class FeatureView:
    """Features of one entity over time, from one source."""

    name: str
    _: KW_ONLY
    entity: Entity
    source: Source
    timestamp: str
    """The column that says from when on a row's values were known; time-zone aware."""
    features: Mapping[str, FeatureType]
    """Column to type: int, float, bool, str, bytes, date, datetime, or a list of one of these."""
    created: str | None = None
    """A column that decides between rows of the same key and timestamp: the greatest wins."""
    ttl: timedelta | None = None
    """How long a value holds after its timestamp, inclusive; None is for ever."""
    source_delay: timedelta = timedelta(0)
    """How long after its timestamp a row reaches the source."""
    nulls: Nulls = "row"
    """`row` takes the newest row as it is; `last_value` takes per feature the newest value that is not null."""
    prefix: str = ""
    """Put before the names of this view's output columns; set by `renamed`."""
    renamed_keys: Mapping[str, str] = field(default_factory=dict)
    """Key column to the column of entity rows that holds it, where the two differ; set by `renamed`."""

    def __post_init__(self) -> None:
        """Refuse a wrong definition, listing all faults."""
        refuse(f"feature view {self.name!r}", list(self._misplaced()) or list(self._faults()))

    def __eq__(self, other: object) -> bool:
        # As it is written: the order of features decides between rows of the same time.
        return isinstance(other, FeatureView) and _view_record(self) == _view_record(other)

    def __hash__(self) -> int:
        return hash((self.name, self.prefix))

    @property
    def columns(self) -> tuple[str, ...]:
        """The output columns, one a feature, in order."""
        return tuple(self.prefix + name for name in self.features)

    @property
    def join_keys(self) -> Mapping[str, FeatureType]:
        """The columns of entity rows that hold the key, in the entity's order."""
        return {self.renamed_keys.get(name, name): kind for name, kind in self.entity.keys.items()}

    @property
    def stored(self) -> FeatureView:
        """The view under its own column names, as it is registered and materialised."""
        return replace(self, prefix="", renamed_keys={}) if self.prefix or self.renamed_keys else self

    @property
    def layout(self) -> str:
        """What the rows of an online store are made of, as text: with another layout they are other rows.

        The source and its columns, the key, the features and the rule for nulls, each in order; not how long a value
        holds, which is asked when reading.
        """
        record = _view_record(self)
        parts = ("source", "timestamp", "created", "features", "nulls")
        return json.dumps([record["entity"]["keys"], *(record[part] for part in parts)])

    def renamed(self, *, prefix: str, keys: Mapping[str, str]) -> Self:
        """Use the same view a second time: `weather.renamed(prefix="dest_", keys={"origin": "dest"})`.

        Args:
            prefix: Put before the names of the features.
            keys: Key column of the entity to the column of entity rows that holds it here.

        Raises:
            InvalidRequestError: `keys` names a column that is no key.
        """
        return replace(self, prefix=self.prefix + prefix, renamed_keys={**self.renamed_keys, **keys})

    def _misplaced(self) -> Iterable[str]:
        if not isinstance(self.entity, Entity):
            yield f"entity is a {type(self.entity).__name__}, not an Entity"
        if not isinstance(self.source, Source):
            yield f"source is a {type(self.source).__name__}, not a ParquetSource, TableSource or SqlSource"
        yield from mapping_faults("features", self.features)
        yield from mapping_faults("renamed_keys", self.renamed_keys)
        lengths: dict[str, object] = {"source_delay": self.source_delay}
        if self.ttl is not None:
            lengths["ttl"] = self.ttl
        for name, length in lengths.items():
            if not isinstance(length, timedelta):
                yield f"{name} is {length!r}, not a timedelta such as timedelta(hours=3)"

    def _faults(self) -> Iterable[str]:
        yield from name_faults("feature view", self.name)
        if isinstance(self.source, TableSource):
            yield from name_faults("table", self.source.table)
        if isinstance(self.source, SqlSource) and not str(self.source.query).strip():
            yield "the query of its source is empty"
        if not self.features:
            yield "a feature view needs at least one feature"
        yield from column_faults("feature", self.features)
        yield from column_faults("column", self.columns)
        yield from column_faults("key column", self.join_keys)
        yield from type_faults("feature", self.features, None)
        taken = [*self.entity.keys, self.timestamp, *([self.created] if self.created else [])]
        yield from (f"column {name!r} is both a feature and a key or time" for name in self.features if name in taken)
        yield from (f"column {name!r} is used twice" for name, count in Counter(taken).items() if count > 1)
        yield from (
            f"{name!r} is no key of entity {self.entity.name!r}" for name in self.renamed_keys.keys() - self.entity.keys
        )
        if len(self.join_keys) < len(self.entity.keys):
            yield "two keys are renamed to the same column"
        if self.ttl is not None and self.ttl < timedelta(0):
            yield f"ttl is negative: {self.ttl}"
        elif self.ttl is not None and self.ttl > _LONGEST:
            yield f"ttl is longer than {_LONGEST.days:,} days; None is for ever"
        if not timedelta(0) <= self.source_delay <= _LONGEST:
            yield f"source_delay is negative or too long: {self.source_delay}"
        if self.nulls not in ("row", "last_value"):
            yield f"nulls is {self.nulls!r}, not 'row' or 'last_value'"


@dataclass(frozen=True, slots=True)
class FeatureService:
    """The features that a model uses, by name."""

    name: str
    _: KW_ONLY
    views: Sequence[FeatureView]
    on_demand: Sequence[OnDemandFeature] = ()
    request: Mapping[str, FeatureType] = field(default_factory=dict)
    """Columns that come with each request, and with each entity row in training."""

    def __post_init__(self) -> None:
        """Refuse a wrong definition, listing all faults."""
        object.__setattr__(self, "views", tuple(self.views))
        object.__setattr__(self, "on_demand", tuple(self.on_demand))
        refuse(f"feature service {self.name!r}", list(self._misplaced()) or list(self._faults()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureService) and _service_record(self) == _service_record(other)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def identity(self) -> tuple[object, ...]:
        """What it computes in this process: its definition, and the functions that its on-demand features call."""
        # Two functions of one name are told apart by themselves, as after a redefinition in a notebook.
        return json.dumps(_service_record(self)), *(id(feature.function) for feature in self.on_demand)

    @property
    def join_keys(self) -> Mapping[str, FeatureType]:
        """The key columns that entity rows need, for all views."""
        return {name: kind for view in self.views for name, kind in view.join_keys.items()}

    @property
    def columns(self) -> Mapping[str, FeatureType]:
        """The feature columns it yields: those of the views in order, then the on-demand ones."""
        named = {view.prefix + name: kind for view in self.views for name, kind in view.features.items()}
        return named | {feature.name: feature.dtype for feature in self.on_demand}

    @property
    def schema_hash(self) -> str:
        """SHA-256, in hexadecimal, of what the service takes and yields and of the rules by which it does.

        Where the data lies is no part of it.
        """
        described = _service_record(self)
        for view in described["views"]:
            del view["source"], view["timestamp"], view["created"]
        for feature in described["on_demand"]:
            del feature["function"]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def _misplaced(self) -> Iterable[str]:
        for view in self.views:
            if not isinstance(view, FeatureView):
                yield f"views holds a {type(view).__name__}, not a FeatureView"
        for feature in self.on_demand:
            if not isinstance(feature, OnDemandFeature):
                yield f"on_demand holds a {type(feature).__name__}; decorate the function with @on_demand"
        yield from mapping_faults("request", self.request)

    def _faults(self) -> Iterable[str]:
        yield from name_faults("feature service", self.name)
        if not self.views and not self.on_demand:
            yield "a feature service needs a view or an on-demand feature"
        yield from column_faults("request column", self.request)
        yield from type_faults("request column", self.request, REQUEST_TYPES)
        kinds: dict[str, FeatureType] = {}
        stored: dict[str, FeatureView] = {}
        for view in self.views:
            for name, kind in view.join_keys.items():
                if kinds.setdefault(name, kind) != kind:
                    yield f"key {name!r} is {type_name(kinds[name])} in one view and {type_name(kind)} in another"
            if stored.setdefault(view.name, view.stored) != view.stored:
                yield f"two different views are named {view.name!r}"
        for name, kind in self.request.items():
            if kinds.get(name, kind) != kind:
                yield f"column {name!r} is a key of type {type_name(kinds[name])} and a request column of another"
        yields = [column for view in self.views for column in view.columns]
        yields += [feature.name for feature in self.on_demand]
        for name, count in Counter(yields).items():
            if count > 1:
                yield f"column {name!r} is yielded {count} times; view.renamed(prefix=…, keys=…) tells them apart"
            if name in kinds or name in self.request:
                yield f"column {name!r} is both a feature and a key or request column"
        known = {*kinds, *self.request, *(column for view in self.views for column in view.columns)}
        for feature in self.on_demand:
            for name in feature.inputs:
                if name not in known:
                    yield f"on-demand feature {feature.name!r} needs {name!r}, no key, request column or earlier one"
            known.add(feature.name)


def as_service(wanted: FeatureService | FeatureView) -> FeatureService:
    """Return a view as the service that yields just its features."""
    return wanted if isinstance(wanted, FeatureService) else FeatureService(wanted.name, views=[wanted])


def service_to_json(service: FeatureService) -> str:
    """Write a service, its views and their entities as JSON; on-demand functions as `module:name`.

    Raises:
        InvalidRequestError: An on-demand function lies in no module, so no other process could find it.
    """
    refuse(
        f"feature service {service.name!r}",
        [
            f"on-demand feature {feature.name!r} is not a top-level function of an importable module"
            for feature in service.on_demand
            if feature.reference is None
        ],
        hint="Move the function to the top level of a module that serving can import.",
    )
    return json.dumps(_service_record(service), indent=2)


def service_from_json(text: str) -> FeatureService:
    """Read what `service_to_json` wrote; functions are imported when they are first called."""
    record = json.loads(text)
    return FeatureService(
        record["name"],
        views=[_view(view) for view in record["views"]],
        on_demand=[
            OnDemandFeature(
                feature["name"],
                inputs=tuple(feature["inputs"]),
                dtype=type_named(feature["dtype"]),
                reference=feature["function"],
            )
            for feature in record["on_demand"]
        ],
        request=_types(record["request"]),
    )


def view_to_json(view: FeatureView) -> str:
    """Write a view and its entity as JSON."""
    return json.dumps(_view_record(view), indent=2)


def view_from_json(text: str) -> FeatureView:
    """Read what `view_to_json` wrote."""
    return _view(json.loads(text))


def entity_to_json(entity: Entity) -> str:
    """Write an entity as JSON."""
    return json.dumps(_entity_record(entity), indent=2)


def entity_from_json(text: str) -> Entity:
    """Read what `entity_to_json` wrote."""
    return _entity(json.loads(text))


def _service_record(service: FeatureService) -> dict[str, Any]:
    return {
        "name": service.name,
        "views": [_view_record(view) for view in service.views],
        "on_demand": [
            {
                "name": feature.name,
                "inputs": list(feature.inputs),
                "dtype": type_name(feature.dtype),
                "function": feature.reference,
            }
            for feature in service.on_demand
        ],
        "request": _type_names(service.request),
    }


def _view_record(view: FeatureView) -> dict[str, Any]:
    return {
        "name": view.name,
        "entity": _entity_record(view.entity),
        "source": _source_record(view.source),
        "timestamp": view.timestamp,
        "created": view.created,
        # Lists of pairs, not objects: their order breaks ties, and sort_keys must not lose it.
        "features": list(_type_names(view.features).items()),
        "ttl_us": None if view.ttl is None else microseconds(view.ttl),
        "source_delay_us": microseconds(view.source_delay),
        "nulls": view.nulls,
        "prefix": view.prefix,
        "renamed_keys": dict(view.renamed_keys),
    }


def _view(record: Mapping[str, Any]) -> FeatureView:
    return FeatureView(
        record["name"],
        entity=_entity(record["entity"]),
        source=_source(record["source"]),
        timestamp=record["timestamp"],
        created=record["created"],
        features=_types(dict(record["features"])),
        ttl=None if record["ttl_us"] is None else timedelta(microseconds=record["ttl_us"]),
        source_delay=timedelta(microseconds=record["source_delay_us"]),
        nulls=record["nulls"],
        prefix=record["prefix"],
        renamed_keys=record["renamed_keys"],
    )


def _entity_record(entity: Entity) -> dict[str, Any]:
    return {"name": entity.name, "keys": list(_type_names(entity.keys).items())}


def _entity(record: Mapping[str, Any]) -> Entity:
    return Entity(record["name"], keys=_types(dict(record["keys"])))


def _source_record(source: Source) -> dict[str, str]:
    match source:
        case ParquetSource(uri=uri):
            # A path is written whole, so that a process in another folder finds the data.
            return {"kind": "parquet", "uri": uri if "://" in uri else str(Path(uri).expanduser().absolute())}
        case TableSource(table=table):
            return {"kind": "table", "table": table}
        case SqlSource(query=query, dialect=dialect):
            return {"kind": "sql", "query": query, "dialect": dialect}


def _source(record: Mapping[str, str]) -> Source:
    match record["kind"]:
        case "parquet":
            return ParquetSource(record["uri"])
        case "table":
            return TableSource(record["table"])
        case _:
            return SqlSource(record["query"], dialect=record["dialect"])


def microseconds(length: timedelta) -> int:
    """Return a length of time in whole microseconds, exactly."""
    return length // timedelta(microseconds=1)


def _type_names(types: Mapping[str, FeatureType]) -> dict[str, str | None]:
    return {name: type_name(kind) for name, kind in types.items()}


def _types(names: Mapping[str, str]) -> dict[str, FeatureType]:
    return {name: type_named(kind) for name, kind in names.items()}
