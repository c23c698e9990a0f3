"""Features on this machine: Parquet for history, SQLite for reading online."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from cloudmlops.domain.feature_types import type_name
from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import to_microseconds
from cloudmlops.errors import UnavailableError
from cloudmlops.ports.features import FeaturesPort, OnlineReader, Table
from cloudmlops.providers.local.feature_store.online_store import OnlineStore, key_column
from cloudmlops.providers.packed_rows import RowPacking

if TYPE_CHECKING:
    from cloudmlops.providers.local.backends import LocalBackends

_ROWS_AT_ONCE: Final = 1_000_000


class LocalFeatures(FeaturesPort):
    """The local provider's part of features."""

    def __init__(self, backends: LocalBackends) -> None:
        self._tables = backends.folder / "features" / "offline"
        self._durable = backends.durable
        self._store = OnlineStore(backends.folder / "online.db", durable=backends.durable)

    def source_faults(self, view: FeatureView) -> list[str]:
        from cloudmlops.providers.local.feature_store.sources import source_faults

        return source_faults(view, tables=self._tables)

    def register(self, view: FeatureView) -> None:
        """Do nothing: the definition itself is all that there is to see."""

    def join(self, views: Sequence[FeatureView], entities: Table) -> Table:
        import pyarrow as pa

        from cloudmlops.providers.local.feature_store.history import joined_columns
        from cloudmlops.providers.local.feature_store.sources import open_source

        columns: dict[str, pa.ChunkedArray] = {}
        for view in views:
            source = open_source(view, tables=self._tables)
            columns |= zip(view.columns, joined_columns(view, source, entities), strict=True)
        return pa.table(columns)

    def materialize(self, view: FeatureView, *, at: datetime, rebuild: bool) -> int:
        from cloudmlops.providers.local.feature_store.history import latest_rows
        from cloudmlops.providers.local.feature_store.sources import open_source

        source = open_source(view, tables=self._tables)
        rows, keys = latest_rows(view, source, at=to_microseconds(at))

        def packed() -> Iterator[tuple[Any, ...]]:
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                part = rows[start : start + _ROWS_AT_ONCE]
                columns = source.features(list(view.features), part)
                yield from _packed(view, source.keys_in(part), source.times_in(part), source.created(part), columns)

        self._store.write(view, packed(), instead=rebuild)
        return keys

    def push(self, view: FeatureView, rows: Table) -> None:
        created = rows[view.created] if view.created else None
        keys = [rows[name] for name in view.entity.keys]
        columns = [rows[name] for name in view.features]
        self._store.write(view, _packed(view, keys, rows[view.timestamp], created, columns))

    def reader(self, view: FeatureView) -> OnlineReader:
        return self._store.reader(view)

    def write_table(self, name: str, table: Table) -> None:
        import pyarrow.parquet as pq

        draft = self._tables / f".{name}-{uuid4().hex}.draft"
        try:
            self._tables.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, draft)
            if self._durable:
                _sync(draft)
            draft.replace(self._tables / f"{name}.parquet")
        except OSError as error:
            raise UnavailableError(
                f"table {name!r} cannot be kept: {error}",
                hint="Nothing was written. Free space on the disk, then try again.",
                provider="local",
                operation="features.write_table",
                resource=name,
            ) from error
        finally:
            draft.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the online store."""
        self._store.close()


def _packed(
    view: FeatureView, keys: Sequence[Any], times: Any, created: Any, columns: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    stored = []
    for kind, key in zip(view.entity.keys.values(), keys, strict=True):
        values = key.to_pylist() if type_name(kind) in ("str", "bytes", "bool", "date") else key.to_numpy().tolist()
        convert = key_column(type_name(kind) or "")
        stored.append(values if convert is None else map(convert, values))
    records = RowPacking(view).pack_columns(
        times.combine_chunks(),
        None if created is None else created.combine_chunks(),
        [column.combine_chunks() for column in columns],
    )
    packed = zip(*stored, records, strict=True)
    if len(keys) == 1 and not keys[0].null_count:
        return iter(sorted(packed, key=itemgetter(0)))  # SQLite fills a table much faster in the order of its keys
    return packed


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
