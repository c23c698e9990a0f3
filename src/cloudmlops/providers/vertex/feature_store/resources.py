"""The feature store's resources of one platform: made when they are missing, synced, waited for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from google.cloud.aiplatform_v1 import FeatureOnlineStoreAdminServiceClient, FeatureRegistryServiceClient
from google.cloud.aiplatform_v1.types import (
    BatchCreateFeaturesRequest,
    CreateFeatureGroupRequest,
    CreateFeatureOnlineStoreRequest,
    CreateFeatureRequest,
    CreateFeatureViewRequest,
    DeleteFeatureGroupRequest,
    DeleteFeatureViewRequest,
    EncryptionSpec,
    Feature,
    FeatureGroup,
    FeatureOnlineStore,
    FeatureView,
    FeatureViewSync,
    GetFeatureGroupRequest,
    GetFeatureOnlineStoreRequest,
    GetFeatureViewRequest,
    GetFeatureViewSyncRequest,
    ListFeaturesRequest,
    ListFeatureViewSyncsRequest,
    SyncFeatureViewRequest,
    UpdateFeatureGroupRequest,
)

from cloudmlops.errors import ConflictError, NotFoundError, ServiceError, UnsupportedError, WaitTimeoutError
from cloudmlops.providers.prices import said
from cloudmlops.providers.vertex.errors import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloudmlops.providers.vertex.wire import Wire

SUNSET: Final = "2027-02-17"
"""Legacy feature stores and online stores of optimized type are gone from this day on."""
_VIEW_LABEL: Final = "cloudmlops-view"
_NODES: Final = (1, 3)
_PRICES: Final = "https://cloud.google.com/vertex-ai/pricing#featurestore"
_log: Final = logging.getLogger("cloudmlops.vertex")
_BEGINNINGS: Final = 5
"""How often a sync is begun that was refused although none runs."""
_FIRST_LOOK_SECONDS: Final = 0.02
_LONGEST_LOOK_SECONDS: Final = 10.0
_LONGEST_SYNC: Final = timedelta(hours=2)


class Resources:
    """Feature groups, features, the online store, feature views."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._parent = wire.settings.parent
        self.store_name = f"{self._parent}/featureOnlineStores/{wire.settings.online_store}"

    def view_name(self, identity: str) -> str:
        """Return the full name of a feature view."""
        return f"{self.store_name}/featureViews/{identity}"

    def ensure_group(
        self, identity: str, group: FeatureGroup, features: Mapping[str, str], *, view: str, operation: str
    ) -> None:
        """Make a feature group with its features, or bring it to what it should be.

        Args:
            identity: Of the group.
            group: As it should be.
            features: Feature id to column.
            view: The view that it is shown for.
            operation: The verb that it is asked for.

        Raises:
            ConflictError: Other tools have made one of that name.
        """
        client = self._wire.client(FeatureRegistryServiceClient)
        name = f"{self._parent}/featureGroups/{identity}"
        group.labels[_VIEW_LABEL] = view
        try:
            known = self._ask(client.get_feature_group, GetFeatureGroupRequest(name=name), view, operation)
        except NotFoundError:
            request = CreateFeatureGroupRequest(parent=self._parent, feature_group=group, feature_group_id=identity)
            self._make(client.create_feature_group, request, view, operation)
        else:
            if _VIEW_LABEL not in known.labels:
                raise _not_ours(identity, view, operation)
            if known.big_query != group.big_query:
                group.name = name
                change = UpdateFeatureGroupRequest(feature_group=group, update_mask={"paths": ["big_query", "labels"]})
                self._make(client.update_feature_group, change, view, operation)
        there = {
            feature.name.rpartition("/")[2]
            for feature in self._wire.list(
                client.list_features, ListFeaturesRequest(parent=name), operation=operation, resource=view
            )
        }
        missing = [
            CreateFeatureRequest(parent=name, feature=Feature(version_column_name=column), feature_id=feature)
            for feature, column in features.items()
            if feature not in there
        ]
        if missing:
            request = BatchCreateFeaturesRequest(parent=name, requests=missing)
            self._make(client.batch_create_features, request, view, operation)

    def ensure_store(self, *, operation: str) -> FeatureOnlineStore:
        """Return the online store, made when it is missing; the log tells that it costs from then on.

        Raises:
            UnsupportedError: It is of another type.
        """
        client = self._wire.client(FeatureOnlineStoreAdminServiceClient)
        store = self._wire.settings.online_store
        try:
            found = self.store(operation=operation)
        except NotFoundError:
            scaling = FeatureOnlineStore.Bigtable.AutoScaling(min_node_count=_NODES[0], max_node_count=_NODES[1])
            wanted = FeatureOnlineStore(bigtable=FeatureOnlineStore.Bigtable(auto_scaling=scaling))
            if key := self._wire.settings.encryption_key:
                wanted.encryption_spec = EncryptionSpec(kms_key_name=key)
            request = CreateFeatureOnlineStoreRequest(
                parent=self._parent,
                feature_online_store=wanted,
                feature_online_store_id=store,
            )
            _log.warning(
                "feature online store %r is made: it keeps from %d to %d nodes of Bigtable though nothing is read, %s. "
                "Prices: %s",
                store,
                *_NODES,
                said(None),
                _PRICES,
            )
            self._make(client.create_feature_online_store, request, store, operation)
            return self.store(operation=operation)
        if FeatureOnlineStore.pb(found).WhichOneof("storage_type") != "bigtable":
            raise UnsupportedError(
                f"the online store {store!r} is of optimized type, which ends on {SUNSET}",
                hint="Name another in the setting online_store; one of Bigtable type is made at the first apply.",
            )
        return found

    def store(self, *, operation: str) -> FeatureOnlineStore:
        """Return the online store.

        Raises:
            NotFoundError: There is none.
        """
        client = self._wire.client(FeatureOnlineStoreAdminServiceClient)
        request = GetFeatureOnlineStoreRequest(name=self.store_name)
        found: FeatureOnlineStore = self._ask(
            client.get_feature_online_store, request, self._wire.settings.online_store, operation
        )
        return found

    def ensure_view(self, identity: str, group: str, features: Sequence[str], *, view: str, operation: str) -> None:
        """Make the feature view that serves a group's features, unless it is there."""
        client = self._wire.client(FeatureOnlineStoreAdminServiceClient)
        name = self.view_name(identity)
        try:
            self._ask(client.get_feature_view, GetFeatureViewRequest(name=name), view, operation)
        except NotFoundError:
            source = FeatureView.FeatureRegistrySource(
                feature_groups=[
                    FeatureView.FeatureRegistrySource.FeatureGroup(feature_group_id=group, feature_ids=features)
                ]
            )
            request = CreateFeatureViewRequest(
                parent=self.store_name,
                feature_view=FeatureView(feature_registry_source=source, labels={_VIEW_LABEL: view}),
                feature_view_id=identity,
            )
            self._make(client.create_feature_view, request, view, operation)

    def delete_view(self, identity: str, *, view: str, operation: str) -> None:
        """Remove a feature view with its rows, if it is there."""
        client = self._wire.client(FeatureOnlineStoreAdminServiceClient)
        try:
            begun = self._ask(
                client.delete_feature_view, DeleteFeatureViewRequest(name=self.view_name(identity)), view, operation
            )
            self._wire.finish(begun.operation, operation=operation, resource=view)
        except NotFoundError:
            return

    def delete_group(self, identity: str, *, view: str, operation: str) -> None:
        """Remove a feature group with its features, if it is there."""
        client = self._wire.client(FeatureRegistryServiceClient)
        request = DeleteFeatureGroupRequest(name=f"{self._parent}/featureGroups/{identity}", force=True)
        try:
            begun = self._ask(client.delete_feature_group, request, view, operation)
            self._wire.finish(begun.operation, operation=operation, resource=view)
        except NotFoundError:
            return

    def sync(self, identity: str, *, view: str, operation: str) -> None:
        """Bring the rows of a feature view to what its source says now, and wait until they are.

        One that runs already may have begun before the source was changed: its end is waited for first.
        """
        name = self.view_name(identity)
        deadline = time.monotonic() + _LONGEST_SYNC.total_seconds()
        while (begun := self._begun(name, view, operation)) is None:
            if (running := self._running(name, view, operation)) is not None:
                self._ended(running, deadline, view, operation)
        sync = self._ended(begun, deadline, view, operation)
        if sync.final_status.code:
            raise ServiceError(
                f"the sync of feature view {view!r} failed: {sync.final_status.message}",
                hint="What is served is as it was. Look at the feature view in the console, then materialise again.",
                provider=PROVIDER,
                operation=operation,
                resource=view,
            )

    def synced(self, identity: str, *, view: str, operation: str) -> bool:
        """Say whether a feature view was synced, so that it can be read; one that is not there was not."""
        try:
            return any(
                sync.run_time.HasField("end_time") and not sync.final_status.code
                for sync in self._syncs(self.view_name(identity), view, operation)
            )
        except NotFoundError:
            return False

    def _begun(self, name: str, view: str, operation: str) -> str | None:
        """Begin a sync and return its name; None while another runs."""
        client = self._wire.client(FeatureOnlineStoreAdminServiceClient)
        request = SyncFeatureViewRequest(feature_view=name)
        for left in reversed(range(_BEGINNINGS)):
            try:
                begun = self._wire.ask(
                    client.sync_feature_view, request, operation=operation, resource=view, again=False
                )
            except ServiceError as error:
                if self._running(name, view, operation) is not None:
                    return None
                # A failed precondition, and nothing runs: the one that ran may have ended since.
                if type(error) is not ServiceError or not left:
                    raise
            else:
                return str(begun.feature_view_sync)
        return None

    def _running(self, name: str, view: str, operation: str) -> str | None:
        return next(
            (sync.name for sync in self._syncs(name, view, operation) if not sync.run_time.HasField("end_time")), None
        )

    def _syncs(self, name: str, view: str, operation: str) -> Sequence[FeatureViewSync]:
        client = self._wire.client(FeatureOnlineStoreAdminServiceClient)
        request = ListFeatureViewSyncsRequest(parent=name)
        return list(self._wire.list(client.list_feature_view_syncs, request, operation=operation, resource=view))

    def _ended(self, name: str, deadline: float, view: str, operation: str) -> FeatureViewSync:
        client = self._wire.client(FeatureOnlineStoreAdminServiceClient)
        pause = _FIRST_LOOK_SECONDS
        while True:
            sync: FeatureViewSync = self._ask(
                client.get_feature_view_sync, GetFeatureViewSyncRequest(name=name), view, operation
            )
            if sync.run_time.HasField("end_time"):
                return sync
            if time.monotonic() > deadline:
                raise WaitTimeoutError(
                    f"the sync of feature view {view!r} has not ended after {_LONGEST_SYNC}",
                    hint="It goes on; materialise again later.",
                )
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_SECONDS)

    def _ask(self, method: Callable[..., Any], request: Any, view: str, operation: str) -> Any:
        return self._wire.ask(method, request, operation=operation, resource=view, again=True)

    def _make(self, method: Callable[..., Any], request: Any, view: str, operation: str) -> None:
        try:
            begun = self._wire.ask(method, request, operation=operation, resource=view, again=False)
            self._wire.finish(begun.operation, operation=operation, resource=view)
        except ConflictError:
            return  # somebody else made it meanwhile


def _not_ours(group: str, view: str, operation: str) -> ConflictError:
    return ConflictError(
        f"the feature group {group!r}, which would show the view {view!r}, was not made by this library",
        hint=f"Give the view another name. Whoever gives it the label {_VIEW_LABEL} lets this library change it.",
        provider=PROVIDER,
        operation=operation,
        resource=view,
    )
