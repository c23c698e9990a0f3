"""What a handler of a method is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.aiplatform.catalogue import Method
from cloudmlops.emulators.google.aiplatform.names import Projects
from cloudmlops.emulators.google.aiplatform.operations import Operations
from cloudmlops.emulators.google.aiplatform.resources import Resources


@dataclass(frozen=True, kw_only=True, slots=True)
class Vertex:
    """What all handlers work on."""

    surroundings: Surroundings
    resources: Resources
    operations: Operations
    projects: Projects


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """Who asks what, beside the request itself."""

    method: Method
    """The method as it was called: its version says how operations are to be packed."""
    principal: str
    """E-mail address of the caller, as the token says."""
    host: str = ""
    """The name that the call was sent to; empty over gRPC."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forwarded:
    """What a user's container answered, passed back as it is: over REST with its status, over gRPC as a body."""

    code: str
    """Of `google.rpc.Code`, for gRPC."""
    status: int
    content_type: str
    data: bytes
    headers: Mapping[str, str]


Handler = Callable[[Any, Asking], Any]
"""Takes the request's message (v1 where v1 has the method) and returns the response's, or an iterable of them."""
Handlers = Mapping[str, Handler]
"""By `Service.Method`."""
Reply = Message | Iterable[Message]
