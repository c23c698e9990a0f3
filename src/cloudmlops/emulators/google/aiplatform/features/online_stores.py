"""Online stores, feature views and their syncs: FeatureOnlineStoreAdminService."""

from __future__ import annotations

from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message, methods
from cloudmlops.emulators.google.aiplatform.features.cron import Cron
from cloudmlops.emulators.google.aiplatform.features.registry import check_id, check_table
from cloudmlops.emulators.google.aiplatform.features.stored_rows import StoredRows
from cloudmlops.emulators.google.aiplatform.features.syncing import Syncing
from cloudmlops.emulators.google.aiplatform.generic import generic_handler, masked
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handler, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.models import check_labels
from cloudmlops.emulators.google.aiplatform.names import location_of

_SERVICE: Final = "FeatureOnlineStoreAdminService"
_DEFAULT_CPU: Final = 50
_CPU: Final = (10, 80)
_MOST_TIMES_MIN: Final = 10


class OnlineStores:
    """What is checked and done beside the plain methods."""

    def __init__(self, vertex: Vertex, syncing: Syncing, rows: StoredRows) -> None:
        self._vertex = vertex
        self._syncing = syncing
        self._rows = rows
        self._store = message("FeatureOnlineStore")
        self._view = message("FeatureView")

    def handlers(self) -> Handlers:
        """What is answered."""
        return {
            f"{_SERVICE}.CreateFeatureOnlineStore": self.create_store,
            f"{_SERVICE}.UpdateFeatureOnlineStore": self.update_store,
            f"{_SERVICE}.DeleteFeatureOnlineStore": self.delete_store,
            f"{_SERVICE}.CreateFeatureView": self.create_view,
            f"{_SERVICE}.UpdateFeatureView": self.update_view,
            f"{_SERVICE}.DeleteFeatureView": self.delete_view,
            f"{_SERVICE}.SyncFeatureView": self.sync,
        }

    def create_store(self, request: Any, asking: Asking) -> Any:
        check_id("feature_online_store_id", request.feature_online_store_id, longest=60)
        store = request.feature_online_store
        self._check_store(store)
        name = f"{request.parent}/featureOnlineStores/{request.feature_online_store_id}"
        store.state = self._store.State.Value("STABLE")
        store.bigtable.ClearField("bigtable_metadata")
        if store.bigtable.enable_direct_bigtable_access:
            store.bigtable.bigtable_metadata.CopyFrom(self._rows.metadata(name))
        if self._vertex.resources.exists(name):
            raise Refused("ALREADY_EXISTS", f"FeatureOnlineStore {name} already exists.")
        return self._vertex.operations.begin(asking.method, name, lambda: self._vertex.resources.create(name, store))

    def update_store(self, request: Any, asking: Asking) -> Any:
        given = request.feature_online_store
        resources = self._vertex.resources

        def changed() -> Any:
            kept = resources.get(given.name, self._store)
            resources.check_etag(kept, given.etag)
            masked(kept, given, request.update_mask)
            self._check_store(kept)
            if kept.bigtable.enable_direct_bigtable_access:
                kept.bigtable.bigtable_metadata.CopyFrom(self._rows.metadata(kept.name))
            return kept

        def work() -> Any:
            with resources.transaction():
                return resources.put(given.name, changed())

        changed()
        return self._vertex.operations.begin(asking.method, given.name, work)

    def delete_store(self, request: Any, asking: Asking) -> Any:
        views = self._vertex.resources.list(request.name, "featureViews", self._view)
        operation = _plain(self._vertex, "DeleteFeatureOnlineStore")(request, asking)
        for view in views:
            self._forget(view.name)
        return operation

    def create_view(self, request: Any, asking: Asking) -> Any:
        check_id("feature_view_id", request.feature_view_id, longest=60)
        view = request.feature_view
        self._check_view(request.parent, view)
        operation = _plain(self._vertex, "CreateFeatureView")(request, asking)
        name = f"{request.parent}/featureViews/{request.feature_view_id}"
        if operation.done:
            self._begin(name, at_once=request.run_sync_immediately)
        else:
            clock = self._vertex.surroundings.clock
            clock.after(self._vertex.operations.takes, lambda: self._begin(name, at_once=request.run_sync_immediately))
        return operation

    def update_view(self, request: Any, asking: Asking) -> Any:
        self._check_view(request.feature_view.name.partition("/featureViews/")[0], request.feature_view, new=False)
        operation = _plain(self._vertex, "UpdateFeatureView")(request, asking)
        self._syncing.schedule(request.feature_view.name)
        return operation

    def delete_view(self, request: Any, asking: Asking) -> Any:
        operation = _plain(self._vertex, "DeleteFeatureView")(request, asking)
        self._forget(request.name)
        return operation

    def sync(self, request: Any, _: Asking) -> Any:
        return message("SyncFeatureViewResponse")(feature_view_sync=self._syncing.begin(request.feature_view))

    def _begin(self, name: str, *, at_once: bool) -> None:
        self._syncing.schedule(name)
        if at_once:
            self._syncing.begin(name)

    def _forget(self, name: str) -> None:
        """Remove the rows of a view that is gone; they stay when it is not, because it still holds syncs."""
        if not self._vertex.resources.exists(name):
            self._syncing.schedule(name)
            self._rows.forget(name)

    def _check_store(self, store: Any) -> None:
        check_labels(store.labels)
        kind = store.WhichOneof("storage_type")
        if kind == "optimized":
            raise Refused("UNIMPLEMENTED", "FeatureOnlineStore.optimized is not emulated: it ends on 2027-02-17.")
        if kind is None:
            raise Refused("INVALID_ARGUMENT", "FeatureOnlineStore.storage_type is required.")
        scaling = store.bigtable.auto_scaling
        scaling.cpu_utilization_target = scaling.cpu_utilization_target or _DEFAULT_CPU
        if scaling.min_node_count < 1:
            raise Refused("INVALID_ARGUMENT", "auto_scaling.min_node_count must be at least 1.")
        if not scaling.min_node_count <= scaling.max_node_count <= _MOST_TIMES_MIN * scaling.min_node_count:
            raise Refused("INVALID_ARGUMENT", "auto_scaling.max_node_count must be min_node_count to 10 times that.")
        if not _CPU[0] <= scaling.cpu_utilization_target <= _CPU[1]:
            raise Refused("INVALID_ARGUMENT", "auto_scaling.cpu_utilization_target must be 10 to 80.")

    def _check_view(self, store: str, view: Any, *, new: bool = True) -> None:
        check_labels(view.labels)
        for field in ("index_config", "optimized_config"):
            if view.HasField(field):
                raise Refused("UNIMPLEMENTED", f"FeatureView.{field} is not emulated.")
        if view.sync_config.continuous:
            raise Refused("UNIMPLEMENTED", "FeatureView.sync_config.continuous is not emulated.")
        if view.sync_config.cron:
            Cron(view.sync_config.cron)
        source = view.WhichOneof("source")
        if source == "vertex_rag_source":
            raise Refused("UNIMPLEMENTED", "FeatureView.vertex_rag_source is not emulated.")
        if source == "big_query_source":
            check_table(view.big_query_source.uri)
            if not view.big_query_source.entity_id_columns:
                raise Refused("INVALID_ARGUMENT", "FeatureView.big_query_source.entity_id_columns is required.")
        elif source == "feature_registry_source":
            self._check_registered(store, view.feature_registry_source)
        elif new:
            raise Refused("INVALID_ARGUMENT", "FeatureView.source is required.")

    def _check_registered(self, store: str, registry: Any) -> None:
        parent = location_of(store)
        if registry.project_number:
            parent = f"projects/{registry.project_number}/{parent.split('/', 2)[2]}"
        if not registry.feature_groups:
            raise Refused("INVALID_ARGUMENT", "FeatureView.feature_registry_source.feature_groups is required.")
        for group in registry.feature_groups:
            name = f"{parent}/featureGroups/{group.feature_group_id}"
            self._vertex.resources.get(name, message("FeatureGroup"))
            for feature in group.feature_ids:
                self._vertex.resources.get(f"{name}/features/{feature}", message("Feature"))


def _plain(vertex: Vertex, name: str) -> Handler:
    handler = generic_handler(vertex, methods("v1", _SERVICE)[name])
    if handler is None:
        raise TypeError(f"{name} is no plain method")
    return handler
