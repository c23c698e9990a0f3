"""What every service of Vertex AI answers beside its own methods: operations and locations."""

from __future__ import annotations

from typing import Any

from google.cloud.location import locations_pb2

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.handling import Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.names import LOCATIONS


def common_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of operations and locations."""
    operations = vertex.operations
    return {
        "Operations.GetOperation": lambda request, _: operations.get(vertex.projects.canonical(request.name)),
        "Operations.WaitOperation": lambda request, _: operations.get(vertex.projects.canonical(request.name)),
        "Operations.ListOperations": lambda request, _: operations.list(request),
        "Operations.CancelOperation": lambda request, _: operations.cancel(request.name),
        "Operations.DeleteOperation": lambda request, _: operations.delete(request.name),
        "Locations.GetLocation": lambda request, _: _location(request.name),
        "Locations.ListLocations": lambda request, _: locations_pb2.ListLocationsResponse(
            locations=[_location(f"{request.name}/locations/{known}") for known in sorted(LOCATIONS)]
        ),
    }


def _location(name: str) -> Any:
    identity = name.rpartition("/")[2]
    if identity not in LOCATIONS:
        raise Refused("NOT_FOUND", f"The location {name} does not exist.")
    return locations_pb2.Location(name=name, location_id=identity)
