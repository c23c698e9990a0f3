"""Vertex AI put together."""

from __future__ import annotations

from dataclasses import replace

from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.aiplatform.common import common_handlers
from cloudmlops.emulators.google.aiplatform.dispatch import Check, Dispatcher, Mutated
from cloudmlops.emulators.google.aiplatform.endpoints.fleet import fleet_of
from cloudmlops.emulators.google.aiplatform.endpoints.handlers import endpoint_handlers
from cloudmlops.emulators.google.aiplatform.features.handlers import feature_handlers
from cloudmlops.emulators.google.aiplatform.handling import Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.metadata import metadata_handlers
from cloudmlops.emulators.google.aiplatform.model_copies import model_copy_handlers
from cloudmlops.emulators.google.aiplatform.models import model_handlers
from cloudmlops.emulators.google.aiplatform.names import Projects
from cloudmlops.emulators.google.aiplatform.operations import Operations
from cloudmlops.emulators.google.aiplatform.pipelines.handlers import close_pipelines, pipeline_handlers
from cloudmlops.emulators.google.aiplatform.resources import Resources
from cloudmlops.emulators.google.aiplatform.service import Principal, aiplatform_service


def vertex_of(surroundings: Surroundings) -> Vertex:
    """Return what the handlers work on."""
    return Vertex(
        surroundings=surroundings,
        resources=Resources(surroundings.state, surroundings.clock),
        operations=Operations(surroundings.state, surroundings.clock),
        projects=Projects(surroundings.state),
    )


def handlers_of(vertex: Vertex) -> Handlers:
    """Return the handlers of all methods that have rules of their own."""
    return {
        **common_handlers(vertex),
        **model_handlers(vertex),
        **model_copy_handlers(vertex),
        **metadata_handlers(vertex),
        **feature_handlers(vertex),
        **endpoint_handlers(vertex),
        **pipeline_handlers(vertex),
    }


def aiplatform(vertex: Vertex, *, mutated: Mutated, check: Check, principal: Principal) -> Service:
    """Return the service."""
    dispatcher = Dispatcher(vertex, handlers_of(vertex), mutated=mutated, check=check)
    service = aiplatform_service(vertex.surroundings, dispatcher, principal)
    return replace(service, resume=dispatcher.take_up, close=lambda: _close(vertex))


def _close(vertex: Vertex) -> None:
    vertex.operations.close()
    close_pipelines(vertex)
    fleet_of(vertex.surroundings.state).close()
