"""Definitions of features: what they are keyed by, where they come from, and which of them a model uses."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, Self, overload

from cloudmlops.domain.feature_types import (
    KEY_TYPES,
    OUTPUT_TYPES,
    REQUEST_TYPES,
    FeatureType,
    type_name,
    type_named,
)
from cloudmlops.domain.names import name_faults
from cloudmlops.errors import ConfigurationError, InvalidRequestError

EVENT_TIME: Final = "event_time"
"""The column of entity rows that says as of when their features are wanted."""

Nulls = Literal["row", "last_value"]
_LONGEST: Final = timedelta(days=36_525_000)  # so that no sum of times leaves 64 bits
_COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing that has features, identified by one or more typed key columns."""

    name: str
    _: KW_ONLY
    keys: Mapping[str, FeatureType]
    """Column to type: int, str, bool, date or bytes; several columns are one tuple, never a joined string."""

    def __post_init__(self) -> None:
        """Refuse a wrong definition, listing all faults."""
        _refuse(f"entity {self.name!r}", _mapping_faults("keys", self.keys) or self._faults())

    def __eq__(self, other: object) -> bool:
        # As it is written: the order of keys is part of what they mean.
        return isinstance(other, Entity) and _entity_record(self) == _entity_record(other)

    def __hash__(self) -> int:
        return hash(self.name)

    def _faults(self) -> list[str]:
        faults = name_faults("entity", self.name)
        if not self.keys:
            faults.append("an entity needs at least one key column")
        faults += _column_faults("key column", self.keys)
        faults += _type_faults("key column", self.keys, KEY_TYPES)
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
        _refuse(f"feature view {self.name!r}", list(self._misplaced()) or list(self._faults()))

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
        yield from _mapping_faults("features", self.features)
        yield from _mapping_faults("renamed_keys", self.renamed_keys)
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
        yield from _column_faults("feature", self.features)
        yield from _column_faults("column", self.columns)
        yield from _column_faults("key column", self.join_keys)
        yield from _type_faults("feature", self.features, None)
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
class OnDemandFeature:
    """A feature computed when it is asked for, by one function in training and in serving.

    The function takes arrays of n values, named like the columns it needs, and returns n values. Numbers and bools come
    as float64 (null is NaN), date and datetime as datetime64[D] and [us] in UTC (null is NaT), all else as objects
    (null is None). NaN in the result is null.
    """

    name: str
    _: KW_ONLY
    inputs: tuple[str, ...]
    dtype: FeatureType = float
    reference: str | None = None
    """`module:name`, where another process finds the function; None when it lies in no module."""
    loaded: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def function(self) -> Callable[..., Any]:
        """The function, imported at first use.

        Raises:
            ConfigurationError: It cannot be imported.
        """
        if self.loaded is None:
            object.__setattr__(self, "loaded", _imported(self.reference or "", self.name))
        function: Callable[..., Any] = self.loaded  # type: ignore[assignment]  # set above
        return function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, as without the decorator."""
        return self.function(*args, **kwargs)


@overload
def on_demand(function: Callable[..., Any], /) -> OnDemandFeature: ...
@overload
def on_demand(
    *, dtype: FeatureType = float, name: str | None = None
) -> Callable[[Callable[..., Any]], OnDemandFeature]: ...
def on_demand(
    function: Callable[..., Any] | None = None, /, *, dtype: FeatureType = float, name: str | None = None
) -> OnDemandFeature | Callable[[Callable[..., Any]], OnDemandFeature]:
    """Make a feature of a function over arrays; its parameters name the columns that it needs.

    Args:
        function: Takes and returns arrays of one value a row.
        dtype: The type of its result: float, int, bool or str.
        name: The feature's name; that of the function by default.

    Raises:
        InvalidRequestError: A parameter cannot be passed by name, or `dtype` is another type.
    """

    def wrapped(function: Callable[..., Any]) -> OnDemandFeature:
        called = name or function.__name__
        parameters = inspect.signature(function).parameters.values()
        faults = [
            f"parameter {parameter} cannot name a column"
            for parameter in parameters
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        ]
        if not parameters:
            faults.append("the function takes no column")
        faults += _column_faults("feature", [called])
        faults += _type_faults("result", {called: dtype}, OUTPUT_TYPES)
        _refuse(f"on-demand feature {called!r}", faults)
        return OnDemandFeature(
            called,
            inputs=tuple(parameter.name for parameter in parameters),
            dtype=dtype,
            reference=_reference(function),
            loaded=function,
        )

    return wrapped if function is None else wrapped(function)


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
        _refuse(f"feature service {self.name!r}", list(self._misplaced()) or list(self._faults()))

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
        yield from _mapping_faults("request", self.request)

    def _faults(self) -> Iterable[str]:
        yield from name_faults("feature service", self.name)
        if not self.views and not self.on_demand:
            yield "a feature service needs a view or an on-demand feature"
        yield from _column_faults("request column", self.request)
        yield from _type_faults("request column", self.request, REQUEST_TYPES)
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
    _refuse(
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


def _mapping_faults(name: str, given: object) -> list[str]:
    if isinstance(given, Mapping):
        return []
    return [f"{name} is {given!r}, not a mapping of columns to types such as {{'origin': str}}"]


def _column_faults(kind: str, names: Iterable[object]) -> list[str]:
    faults = [
        f"{kind} {name!r} must be letters, digits and '_', not beginning with a digit"
        for name in names
        if not isinstance(name, str) or not _COLUMN.fullmatch(name)
    ]
    return faults + [f"{kind} {name!r} is a reserved name" for name in names if name == EVENT_TIME]


def _type_faults(kind: str, types: Mapping[str, FeatureType], allowed: frozenset[str] | None) -> list[str]:
    listed = ", ".join(sorted(allowed)) if allowed else "int, float, bool, str, bytes, date, datetime or a list of one"
    return [
        f"{kind} {name!r} is of type {getattr(of, '__name__', repr(of))}; allowed: {listed}"
        for name, of in types.items()
        if (known := type_name(of)) is None or (allowed is not None and known not in allowed)
    ]


def _refuse(what: str, faults: Sequence[str], *, hint: str = "") -> None:
    if faults:
        raise InvalidRequestError(f"{what} is wrong", faults=list(dict.fromkeys(faults)), hint=hint)


def _reference(function: Callable[..., Any]) -> str | None:
    if "<" in function.__qualname__:
        return None  # a lambda, or local to another function
    module = function.__module__
    if module == "__main__":
        main = sys.modules["__main__"]
        spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        # A script's folder is on the path, so the script can be imported under its own name.
        module = spec.name.removesuffix(".__main__") if spec else Path(path).stem if path else ""
    return f"{module}:{function.__qualname__}" if module else None


def _imported(reference: str, name: str) -> Callable[..., Any]:
    module, _, attribute = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"on-demand feature {name!r} cannot be loaded from {reference!r}: {error}",
            hint=f"Put the module {module!r} on the path (PYTHONPATH), or install the project that holds it.",
        ) from error
    function: Callable[..., Any] = found.function if isinstance(found, OnDemandFeature) else found
    return function
