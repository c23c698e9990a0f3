"""Rows online: a hash an entity in Redis, whose fields are the rows that are kept of it, each named by its rank."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import redis
from redis.exceptions import NoScriptError

from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow, rank
from cloudmlops.errors import InvalidEntitiesError
from cloudmlops.providers.azureml.feature_store.online_keys import ViewKeys, platform_id
from cloudmlops.providers.azureml.feature_store.online_ranks import RowRanks
from cloudmlops.providers.azureml.feature_store.online_scripts import KEEP_GREATEST, KEEP_LAST_VALUES, SERVE
from cloudmlops.providers.azureml.feature_store.redis_connection import RedisConnection
from cloudmlops.providers.packed_rows import HEADER_BYTES, RowPacking

if TYPE_CHECKING:
    from cloudmlops.ports.features import OnlineReader, Table
    from cloudmlops.providers.azureml.wire import Wire

_REPLY = TypeVar("_REPLY")
_ROWS_AT_ONCE: Final = 50_000
_KEYS_A_PIPELINE: Final = 1_000
_MILLISECOND: Final = timedelta(milliseconds=1)
_NEVER: Final = -1
_Change = tuple[bytes, list[bytes]]
"""An entity; rank and packed row, by turns, of each row that arrives of it."""


class OnlineStore:
    """Rows of all views of one platform, shared by threads and processes."""

    def __init__(self, wire: Wire) -> None:
        self._settings = wire.settings
        self._platform = platform_id(wire.settings)
        self._redis = RedisConnection(wire)

    def write(
        self, view: FeatureView, tables: Iterable[Table], *, instead: bool = False, operation: str = "features.push"
    ) -> None:
        """Write rows where they are greater, by rule 3, than what is stored. May be killed at any moment and repeated.

        Args:
            view: The view, under its own names.
            tables: Arrow tables with the view's columns in their declared types: keys, timestamp, created time if it
                has one, features. A row whose key has a null part is nobody's.
            instead: Remove what is stored: readers see all of it until all rows are written, then the rows alone.
            operation: The verb that it is done for.
        """
        keys = ViewKeys(self._platform, view)
        script = _Script(KEEP_GREATEST if view.nulls == "row" else KEEP_LAST_VALUES)
        options = [b"%d" % self._forgotten_after(view)]
        if view.nulls == "last_value":
            options += [b"%d" % len(view.features), b"%d" % HEADER_BYTES]
        work = _Work(self._redis, view, keys, script, options, operation)
        if instead:
            work.replace(_changes(view, keys, tables))
        else:
            work.add(_changes(view, keys, tables))

    def reader(self, view: FeatureView) -> OnlineReader:
        """Prepare reading a view; a rebuild by another process is seen with the next call."""
        layout = ViewKeys(self._platform, view)
        unpack = RowPacking(view).unpack
        known = 0

        def rows(stored: list[bytes]) -> Sequence[FeatureRow]:
            if len(stored) == 1:
                return unpack(stored[0])
            found = sorted(unpack(b"".join(stored)), key=lambda row: rank(view, row), reverse=True)
            return found[:1] if view.nulls == "row" else found

        def read(keys: Sequence[Any]) -> list[Sequence[FeatureRow]]:
            nonlocal known
            entities = _entities(view, layout, keys)
            while True:
                generation, found = known, []
                for start in range(0, len(entities), _KEYS_A_PIPELINE):
                    part = entities[start : start + _KEYS_A_PIPELINE]
                    served, stored = self._stored(view, layout, generation, part)
                    if served != generation:
                        known = served
                        break  # all again: an answer is of one generation
                    found += [rows(one) if one else () for one in stored]
                else:
                    return found

        return read

    def close(self) -> None:
        """Close connections."""
        self._redis.close()

    def _forgotten_after(self, view: FeatureView) -> int:
        """Return after how many milliseconds Redis may forget a row, counted from its time; -1 is never."""
        if view.ttl is None or self._settings.redis_forget_after is None:
            return _NEVER
        return -(-(view.ttl + self._settings.redis_forget_after) // _MILLISECOND)

    def _stored(
        self, view: FeatureView, layout: ViewKeys, generation: int, entities: Sequence[bytes | None]
    ) -> tuple[int, list[list[bytes]]]:
        """Return what is stored of entities, and the generation that was served after it was read."""
        beginning = layout.rows(generation)

        def call(client: redis.Redis) -> list[Any]:
            with client.pipeline(transaction=False) as pipeline:
                for entity in entities:
                    if entity is not None:
                        pipeline.hvals(beginning + entity)
                # Last: what is served then was served all the time before, so that nothing was removed meanwhile.
                pipeline.get(layout.generation)
                return _answered(pipeline)

        *values, generation = self._redis.ask(call, operation="features.online", resource=view.name)
        stored = iter(values)
        return int(generation or 0), [[] if entity is None else next(stored) for entity in entities]


class _Script:
    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class _Work:
    """Writing into one view."""

    def __init__(
        self,
        connection: RedisConnection,
        view: FeatureView,
        keys: ViewKeys,
        script: _Script,
        options: Sequence[bytes],
        operation: str,
    ) -> None:
        self._redis = connection
        self._view = view
        self._keys = keys
        self._script = script
        self._options = options
        self._operation = operation

    def add(self, changes: Iterator[_Change]) -> None:
        """Write into what is served."""
        generation = self._begun()
        while batch := list(islice(changes, _KEYS_A_PIPELINE)):
            while (now := self._write(generation, batch)) != generation:
                # It was replaced while we wrote: what we wrote is nowhere, and must not stay there.
                self._forget(generation, batch)
                generation = now

    def replace(self, changes: Iterator[_Change]) -> None:
        """Write into a generation that nobody sees, then serve it and remove the former ones."""
        self._begun()
        generation = self._ask(lambda client: client.incr(self._keys.rebuilds))
        while batch := list(islice(changes, _KEYS_A_PIPELINE)):
            self._write(generation, batch)
        self._ask(lambda client: client.eval(SERVE, 1, self._keys.generation, generation))
        self._remove_former()

    def _begun(self) -> int:
        """Let Redis know the script; return the generation that is served."""

        def call(client: redis.Redis) -> int:
            client.script_load(self._script.text)
            return int(client.get(self._keys.generation) or 0)

        return self._ask(call)

    def _write(self, generation: int, batch: Sequence[_Change]) -> int:
        """Write rows; return the generation that was served afterwards."""
        beginning = self._keys.rows(generation)

        def call(client: redis.Redis) -> int:
            with client.pipeline(transaction=False) as pipeline:
                for entity, rows in batch:
                    pipeline.evalsha(self._script.digest, 1, beginning + entity, *self._options, *rows)
                pipeline.get(self._keys.generation)
                try:
                    *_, served = _answered(pipeline)
                except NoScriptError:
                    client.script_load(self._script.text)
                    raise
                return int(served or 0)

        return self._ask(call)

    def _forget(self, generation: int, batch: Sequence[_Change]) -> None:
        beginning = self._keys.rows(generation)

        def call(client: redis.Redis) -> None:
            with client.pipeline(transaction=False) as pipeline:
                for entity, _ in batch:
                    pipeline.unlink(beginning + entity)
                _answered(pipeline)

        self._ask(call)

    def _remove_former(self) -> None:
        """Remove what generations hold that are before the served one, also those that were begun and never served."""

        def call(client: redis.Redis) -> None:
            served = int(client.get(self._keys.generation) or 0)
            # Others may write into them still, or remove the same: until there is nothing to be found.
            while self._remove_some(client, served):
                pass

        self._ask(call)

    def _remove_some(self, client: redis.Redis, served: int) -> bool:
        removed, cursor = False, 0
        while True:
            cursor, listed = client.scan(cursor, match=self._keys.root + b"*", count=_KEYS_A_PIPELINE)
            found: list[Any] = list(listed)
            with client.pipeline(transaction=False) as pipeline:
                for key in found:
                    generation = self._keys.generation_of(key)
                    if generation is not None and generation < served:
                        pipeline.unlink(key)
                        removed = True
                _answered(pipeline)
            if not cursor:
                return removed

    def _ask(self, call: Callable[[redis.Redis], _REPLY]) -> _REPLY:
        return self._redis.ask(call, operation=self._operation, resource=self._view.name)


def _answered(pipeline: Any) -> list[Any]:
    """Return the answers; redis itself would quote keys and rows in the message of a refusal."""
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _entities(view: FeatureView, layout: ViewKeys, keys: Sequence[Any]) -> list[bytes | None]:
    try:
        return [layout.entity(key) for key in keys]
    except UnicodeEncodeError as error:
        raise InvalidEntitiesError(
            f"entity rows do not fit {view.name!r}", faults=[f"a key is no Unicode text: {error.reason}"]
        ) from error


def _changes(view: FeatureView, layout: ViewKeys, tables: Iterable[Table]) -> Iterator[_Change]:
    """Yield each entity of up to `_ROWS_AT_ONCE` rows with its rows."""
    packing, ranks = RowPacking(view), RowRanks(view)
    for table in tables:
        for start in range(0, table.num_rows, _ROWS_AT_ONCE):
            part = table.slice(start, _ROWS_AT_ONCE)
            columns = [_whole(part[name]) for name in view.features]
            created = _whole(part[view.created]) if view.created else None
            packed = packing.pack_columns(_whole(part[view.timestamp]), created, columns)
            ranked = ranks.rank_columns(columns, packed)
            keys = [part[name].to_pylist() for name in view.entity.keys]
            rows: dict[bytes, list[bytes]] = {}
            entities = _entities(view, layout, keys[0] if len(keys) == 1 else list(zip(*keys, strict=True)))
            for entity, of, row in zip(entities, ranked, packed, strict=True):
                if entity is not None:
                    rows.setdefault(entity, []).extend((of, row))
            yield from rows.items()


def _whole(column: Any) -> Any:
    import pyarrow as pa

    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
