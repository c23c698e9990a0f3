"""The feature store's handlers put together."""

from __future__ import annotations

from cloudmlops.emulators.google.aiplatform.features.online_stores import OnlineStores
from cloudmlops.emulators.google.aiplatform.features.registry import Registry
from cloudmlops.emulators.google.aiplatform.features.serving import Serving
from cloudmlops.emulators.google.aiplatform.features.stored_rows import StoredRows
from cloudmlops.emulators.google.aiplatform.features.syncing import Syncing
from cloudmlops.emulators.google.aiplatform.handling import Handlers, Vertex


def feature_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of the feature store that are not plain get, list, update, delete."""
    rows = StoredRows(vertex.surroundings)
    syncing = Syncing(vertex, rows)
    return {
        **Registry(vertex).handlers(),
        **OnlineStores(vertex, syncing, rows).handlers(),
        **Serving(vertex, syncing, rows).handlers(),
    }
