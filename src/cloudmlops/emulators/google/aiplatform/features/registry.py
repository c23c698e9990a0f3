"""Feature groups and features: FeatureRegistryService."""

from __future__ import annotations

import re
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message, methods
from cloudmlops.emulators.google.aiplatform.generic import generic_handler
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handler, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.models import check_labels

ENTITY_ID: Final = "entity_id"
TIMESTAMP: Final = "feature_timestamp"
"""The columns of a feature group's table when it names none."""
_TABLE: Final = re.compile(r"bq://[^.\s]+(?::[^.\s]+)?\.[^.\s]+\.[^.\s]+")


class Registry:
    """What is checked beside the plain create."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex
        self._create_group = _plain(vertex, "CreateFeatureGroup")
        self._create_feature = _plain(vertex, "CreateFeature")

    def handlers(self) -> Handlers:
        """What is answered."""
        return {
            "FeatureRegistryService.CreateFeatureGroup": self.create_group,
            "FeatureRegistryService.CreateFeature": self.create_feature,
            "FeatureRegistryService.BatchCreateFeatures": self.create_features,
        }

    def create_group(self, request: Any, asking: Asking) -> Any:
        check_id("feature_group_id", request.feature_group_id, longest=128)
        group = request.feature_group
        check_labels(group.labels)
        if group.WhichOneof("source") != "big_query":
            raise Refused("INVALID_ARGUMENT", "FeatureGroup.big_query is required.")
        check_table(group.big_query.big_query_source.input_uri)
        return self._create_group(request, asking)

    def create_feature(self, request: Any, asking: Asking) -> Any:
        self._checked(request)
        return self._create_feature(request, asking)

    def create_features(self, request: Any, asking: Asking) -> Any:
        """Create several, all or none."""
        for one in request.requests:
            if one.parent and one.parent != request.parent:
                raise Refused("INVALID_ARGUMENT", f"The parent {one.parent} is not the batch's: {request.parent}.")
            self._checked(one)
        self._vertex.resources.get(request.parent, message("FeatureGroup"))
        response = message("BatchCreateFeaturesResponse")

        def work() -> Any:
            with self._vertex.resources.transaction():
                made = [
                    self._vertex.resources.create(f"{request.parent}/features/{one.feature_id}", one.feature)
                    for one in request.requests
                ]
            return response(features=made)

        return self._vertex.operations.begin(asking.method, request.parent, work)

    def _checked(self, request: Any) -> None:
        check_id("feature_id", request.feature_id, longest=128)
        check_labels(request.feature.labels)
        request.feature.version_column_name = request.feature.version_column_name or request.feature_id


def check_id(field: str, value: str, *, longest: int) -> None:
    """Refuse an id outside the service's rule."""
    if not re.fullmatch(rf"[a-z_][a-z0-9_]{{0,{longest - 1}}}", value):
        raise Refused(
            "INVALID_ARGUMENT",
            f"{field} {value!r} is invalid: up to {longest} characters of [a-z0-9_], the first of which is no number.",
        )


def check_table(uri: str) -> None:
    """Refuse what is no table or view of BigQuery."""
    if not _TABLE.fullmatch(uri):
        raise Refused("INVALID_ARGUMENT", f"The BigQuery URI {uri!r} is invalid: bq://PROJECT.DATASET.TABLE is wanted.")


def _plain(vertex: Vertex, name: str) -> Handler:
    handler = generic_handler(vertex, methods("v1", "FeatureRegistryService")[name])
    if handler is None:
        raise TypeError(f"{name} is no plain method")
    return handler
