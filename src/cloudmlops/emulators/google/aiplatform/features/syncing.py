"""Sync: from BigQuery to Bigtable, on demand and by cron on the emulator's clock."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any, Final

from google.rpc import code_pb2

from cloudmlops.emulators.core.clock import Timer
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.features.cron import Cron
from cloudmlops.emulators.google.aiplatform.features.registry import ENTITY_ID, TIMESTAMP
from cloudmlops.emulators.google.aiplatform.features.source_rows import Column, EntityRow, Source, SourceRows
from cloudmlops.emulators.google.aiplatform.features.stored_rows import SYNCED, StoredRows, storage_type
from cloudmlops.emulators.google.aiplatform.handling import Vertex
from cloudmlops.emulators.google.aiplatform.names import location_of, new_id

_log: Final = logging.getLogger("cloudmlops.emulators")


class Syncing:
    """Runs the syncs of all feature views."""

    def __init__(self, vertex: Vertex, rows: StoredRows) -> None:
        self._vertex = vertex
        self._rows = rows
        self._sources = SourceRows(vertex.surroundings, vertex.projects.id)
        self._timers: dict[str, Timer] = {}
        self._resume()

    def begin(self, view: str) -> str:
        """Begin a sync, which ends after the time that operations take; return its name.

        Raises:
            Refused: One is running.
        """
        resources, clock = self._vertex.resources, self._vertex.surroundings.clock
        with resources.transaction():
            resources.get(view, message("FeatureView"))
            if any(not sync.run_time.HasField("end_time") for sync in self._syncs(view)):
                raise Refused("FAILED_PRECONDITION", f"A sync of {view} is running already.")
            sync = message("FeatureViewSync")()
            sync.run_time.start_time.FromDatetime(clock.now().replace(tzinfo=None))
            name = f"{view}/featureViewSyncs/{new_id()}"
            resources.create(name, sync)
        operations = self._vertex.operations
        if operations.stuck:
            return name
        if operations.takes:
            clock.after(operations.takes, lambda: self._run(name))
        else:
            self._run(name)
        return name

    def done(self, view: str) -> bool:
        """Say whether a sync of a view has succeeded."""
        return any(sync.run_time.HasField("end_time") and not sync.final_status.code for sync in self._syncs(view))

    def schedule(self, view: str) -> None:
        """Let a view be synced when its configuration says, from now on."""
        if (timer := self._timers.pop(view, None)) is not None:
            timer.cancel()
        found = self._vertex.resources.find(view, message("FeatureView"))
        if found is None or not found.sync_config.cron:
            return
        clock = self._vertex.surroundings.clock
        when = Cron(found.sync_config.cron).after(clock.now())
        if when is not None:
            self._timers[view] = clock.at(when, lambda: self._scheduled(view))

    def _scheduled(self, view: str) -> None:
        try:
            self.begin(view)
        except Refused as refused:
            _log.info("a scheduled sync is left out: %s", refused.message)
        self.schedule(view)

    def _resume(self) -> None:
        """Schedule anew what a kept state holds, and let what was running when it was left run again."""
        stores = "projects/-/locations/-/featureOnlineStores/-"
        for view in self._vertex.resources.list(stores, "featureViews", message("FeatureView")):
            self.schedule(view.name)
            for sync in self._syncs(view.name):
                if not sync.run_time.HasField("end_time"):
                    # Rows are written under their own times: to write them twice is to write them once.
                    self._vertex.operations.left.append(partial(self._run, sync.name))

    def _end(self, sync: Any) -> None:
        sync.run_time.end_time.FromDatetime(self._vertex.surroundings.clock.now().replace(tzinfo=None))
        if self._vertex.resources.exists(sync.name):
            self._vertex.resources.keep(sync.name, sync)

    def _run(self, name: str) -> None:
        resources = self._vertex.resources
        view = name.partition("/featureViewSyncs/")[0]
        sync: Any = resources.find(name, message("FeatureViewSync"))
        if sync is None:
            return  # deleted meanwhile
        try:
            sync.sync_summary.row_synced = self._move(view)
        except Refused as refused:
            sync.final_status.code = code_pb2.Code.Value(refused.code)
            sync.final_status.message = refused.message
        except Exception as error:  # noqa: BLE001 told to the client as the sync's status
            if self._vertex.surroundings.clock.stopped:
                return  # it is the emulator's end that is the reason: the next one with this state runs it again
            _log.exception("sync %s failed", name)
            sync.final_status.code = code_pb2.INTERNAL
            sync.final_status.message = f"{type(error).__name__}: {error}"
        self._end(sync)

    def _move(self, view: str) -> int:
        """Move all rows; those that the source no longer has stay where they are."""
        found = self._vertex.resources.get(view, message("FeatureView"))
        now = self._vertex.surroundings.clock.now()
        rows = self._sources.read(list(self._sources_of(found)))
        self._rows.prepare(view)
        self._rows.write(view, SYNCED, [(key, _stored(row, now)) for key, row in rows.items()])
        return len(rows)

    def _sources_of(self, view: Any) -> Iterator[Source]:
        if view.WhichOneof("source") == "big_query_source":
            given = view.big_query_source
            yield Source(uri=given.uri, identity=list(given.entity_id_columns), timestamp=None, features=None)
            return
        resources = self._vertex.resources
        registry = view.feature_registry_source
        parent = location_of(view.name)
        if registry.project_number:
            parent = f"projects/{registry.project_number}/{parent.split('/', 2)[2]}"
        for wanted in registry.feature_groups:
            name = f"{parent}/featureGroups/{wanted.feature_group_id}"
            table = resources.get(name, message("FeatureGroup")).big_query
            features = [
                resources.get(f"{name}/features/{identity}", message("Feature")) for identity in wanted.feature_ids
            ]
            yield Source(
                uri=table.big_query_source.input_uri,
                identity=list(table.entity_id_columns) or [ENTITY_ID],
                timestamp=None if table.static_data_source else table.time_series.timestamp_column or TIMESTAMP,
                features=[
                    Column(feature=feature.name.rpartition("/")[2], column=feature.version_column_name)
                    for feature in features
                ],
                dense=table.dense or table.static_data_source,
            )

    def _syncs(self, view: str) -> list[Any]:
        return self._vertex.resources.list(view, "featureViewSyncs", message("FeatureViewSync"))


def _stored(row: EntityRow, now: datetime) -> Any:
    storage = storage_type()()
    storage.feature_timestamp.FromDatetime((row.when or now).replace(tzinfo=None))
    for name, value in row.values.items():
        data = storage.feature_data.add(name=name)
        if value is not None:
            data.values.append(value)
    return storage
