"""What this package answers."""

from __future__ import annotations

from cloudmlops.emulators.google.aiplatform.endpoints.batch import batch_handlers
from cloudmlops.emulators.google.aiplatform.endpoints.deploying import deploying_handlers
from cloudmlops.emulators.google.aiplatform.endpoints.predicting import predicting_handlers
from cloudmlops.emulators.google.aiplatform.handling import Handlers, Vertex


def endpoint_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of endpoints, predictions and batch prediction."""
    return {**deploying_handlers(vertex), **predicting_handlers(vertex), **batch_handlers(vertex)}
