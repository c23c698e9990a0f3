"""Vertex AI put together."""

from __future__ import annotations

from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.aiplatform.common import common_handlers
from cloudmlops.emulators.google.aiplatform.dispatch import Check, Dispatcher, Mutated
from cloudmlops.emulators.google.aiplatform.handling import Vertex
from cloudmlops.emulators.google.aiplatform.models import model_handlers
from cloudmlops.emulators.google.aiplatform.names import Projects
from cloudmlops.emulators.google.aiplatform.operations import Operations
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


def aiplatform(vertex: Vertex, *, mutated: Mutated, check: Check, principal: Principal) -> Service:
    """Return the service with all its handlers."""
    handlers = {**common_handlers(vertex), **model_handlers(vertex)}
    dispatcher = Dispatcher(vertex, handlers, mutated=mutated, check=check)
    return aiplatform_service(vertex.surroundings, dispatcher, principal)
