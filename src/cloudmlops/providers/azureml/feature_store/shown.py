"""What Azure ML's feature store shows of views: an entity and a feature set for each definition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.features import Entity, FeatureView, ParquetSource, TableSource
from cloudmlops.providers.azureml import datastores
from cloudmlops.providers.azureml.mapping import features as mapping
from cloudmlops.providers.azureml.sdk import ml, quiet
from cloudmlops.storage.opening import open_store

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from cloudmlops.providers.azureml.backends import AzureMLBackends
    from cloudmlops.providers.azureml.feature_store.tables import Tables

_OPERATION: Final = "features.apply"
_FOLDER: Final = "features/sets"


class Shown:
    """Entities and feature sets of one feature store, or of none."""

    def __init__(self, backends: AzureMLBackends, tables: Tables) -> None:
        self._backends = backends
        self._wire = backends.wire
        self._settings = backends.settings
        self._tables = tables
        self._looking = RLock()
        self._there: set[tuple[str, ...]] = set()

    def show(self, view: FeatureView) -> None:
        """Make the entity and the feature set of a view, unless they are there."""
        with self._looking:
            store = self._store
        if store is None:
            return
        entity = view.entity
        self._ensure(
            (entity.name, mapping.entity_version(entity)), store.feature_store_entities, lambda: _entity(entity)
        )
        self._ensure((view.name, mapping.set_version(view)), store.feature_sets, lambda: self._set(store, view))

    @cached_property
    def _store(self) -> MLClient | None:
        """The client of the workspace that shows feature sets."""
        if named := self._settings.feature_store:
            return self._wire.client_of(named)
        name = self._settings.workspace
        found = self._wire.ask(lambda: self._wire.client.feature_stores.get(name), operation=_OPERATION, resource=name)
        return None if found is None else self._wire.client

    def _ensure(self, asset: tuple[str, str], kind: Any, make: Callable[[], Any]) -> None:
        """Make a version of an asset unless it is there.

        What is looked up and missing is logged by the SDK as an error: all are listed instead.
        """
        key = (type(kind).__name__, *asset)
        if key in self._there:
            return
        name, version = asset
        view = ml().constants.ListViewType.ALL
        with quiet():
            if not (
                name in {one.name for one in self._list(lambda: kind.list(list_view_type=view), name)}
                and version in {one.version for one in self._list(lambda: kind.list(name, list_view_type=view), name)}
            ):
                made = make()
                self._wire.finish(lambda: kind.begin_create_or_update(made), operation=_OPERATION, resource=name)
        self._there.add(key)

    def _list(self, call: Callable[[], Any], name: str) -> Iterator[Any]:
        return self._wire.list(call, operation=_OPERATION, resource=name)

    def _set(self, store: MLClient, view: FeatureView) -> Any:
        place, version = datastores.default(self._wire, store, operation=_OPERATION), mapping.set_version(view)
        folder = place.store(f"{self._settings.prefix}/{_FOLDER}/{view.name}/{version}")
        objects = open_store(folder, tokens=self._wire.storage_token, timeout=self._settings.timeout)
        for name, text in mapping.specification(view, self._path(view)).items():
            objects.put(name, text.encode())
        entities = ml().entities
        return entities.FeatureSet(
            name=view.name,
            version=version,
            entities=[mapping.entity_id(view.entity)],
            specification=entities.FeatureSetSpecification(
                path=place.native_uri(self._settings, folder, workspace=str(store.workspace_name))
            ),
            # What is kept offline and online is kept by this library.
            materialization_settings=entities.MaterializationSettings(offline_enabled=False, online_enabled=False),
            tags={mapping.STORE_TAG: self._backends.place.store(self._settings.prefix)},
        )

    def _path(self, view: FeatureView) -> str:
        match view.source:
            case TableSource(table=name):
                return self._tables.uri(name)
            case ParquetSource(uri=uri):
                return uri if "://" in uri else Path(uri).expanduser().absolute().as_uri()
        return ""


def _entity(entity: Entity) -> Any:
    entities = ml().entities
    columns = [entities.DataColumn(name=name, type=mapping.column_type(kind)) for name, kind in entity.keys.items()]
    return entities.FeatureStoreEntity(name=entity.name, version=mapping.entity_version(entity), index_columns=columns)
