"""From a call on either wire to its handler and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.message import Message

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import Method, method_of_path, methods
from cloudmlops.emulators.google.aiplatform.checking import check
from cloudmlops.emulators.google.aiplatform.generic import generic_handler
from cloudmlops.emulators.google.aiplatform.handling import Asking, Forwarded, Handler, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.sunsets import not_emulated
from cloudmlops.emulators.google.aiplatform.unfinished import Asked, answering

SERVICE: Final = "aiplatform"
_LARGEST_KEPT: Final = 1 << 16
_log: Final = logging.getLogger("cloudmlops.emulators")
_READING: Final = (
    "Get",
    "List",
    "Search",
    "Query",
    "Fetch",
    "Predict",
    "RawPredict",
    "Explain",
    "Wait",
    "Read",
    "Check",
)
Mutated = Callable[[Method, Message, Message | Refused, Asking], None]
"""Is told of every call that changed something, or was to: method, request, and response or refusal."""
Check = Callable[[str, Method, Message], None]
"""Refuses what the caller may not do: principal, method, request."""


def reads(method: Method) -> bool:
    """Say whether a method changes nothing."""
    return method.name.startswith(_READING) or all(rule.verb == "GET" for rule in method.rules or ())


class Dispatcher:
    """Finds handlers, and lets every call go through faults, checks and the record."""

    def __init__(self, vertex: Vertex, handlers: Handlers, *, mutated: Mutated, check: Check) -> None:
        self._vertex = vertex
        self._handlers = handlers
        self._mutated = mutated
        self._check = check
        self._found: dict[str, tuple[Handler | None, Method]] = {}

    def answer(
        self,
        method: Method,
        request: Any,
        *,
        transport: str,
        principal: str,
        drop: Callable[[], None],
        host: str = "",
    ) -> Message | Forwarded | Iterable[Message]:
        """Answer one call, in the types of the method as it was called.

        Raises:
            Refused: The service says no, or a fault does.
            Dropped: A fault cuts the connection.
        """
        recorded = _recorded(method, request)
        calls = self._vertex.surroundings.calls
        with calls.answering(
            SERVICE, method.key, transport=transport, drop=drop, resource=_resource(recorded), request=recorded
        ):
            handler, native = self._handler(method)
            if handler is None:
                raise Refused("UNIMPLEMENTED", not_emulated(method))
            asking = Asking(method=method, principal=principal, host=host)
            prepared = self._prepared(native)
            if method.requests_stream:
                return _each(handler(self._checked(map(prepared, request), asking), asking), method)
            asked = prepared(request)
            try:
                self._check(principal, method, asked)
                reply = handler(asked, asking) if reads(method) else self._begun(handler, asked, asking)
            except Refused as refused:
                if not reads(method):
                    self._mutated(method, asked, refused, asking)
                raise
            if method.responses_stream:
                return _each(reply, method)
            if isinstance(reply, Forwarded):
                return reply if transport == "rest" else _body(reply)
            response = _as(reply, method.response)
            if not reads(method):
                self._mutated(method, asked, response, asking)
            return response

    def take_up(self) -> None:
        """Go on with the operations that were under way when an emulator with this state ended."""
        self._vertex.operations.take_up(self._again)

    def _begun(self, handler: Handler, asked: Message, asking: Asking) -> Any:
        """Ask a handler that may begin an operation."""
        sent = asked.SerializeToString()
        with answering(Asked(path=asking.method.path, request=sent, principal=asking.principal, host=asking.host)):
            return handler(asked, asking)

    def _again(self, call: Asked) -> None:
        method = method_of_path(call.path)
        handler, native = self._handler(method) if method is not None else (None, None)
        if method is None or native is None or handler is None:
            raise Refused("UNIMPLEMENTED", f"{call.path} is not emulated any more.")
        asking = Asking(method=method, principal=call.principal, host=call.host)
        handler(native.request.FromString(call.request), asking)

    def emulated(self, method: Method) -> str:
        """Say how a method is answered: by `rules` of its own, by the `generic` ones of resources, or not at all."""
        if method.key in self._handlers:
            return "rules"
        return "generic" if self._handler(method)[0] is not None else ""

    def _prepared(self, native: Method) -> Callable[[Message], Message]:
        def prepare(request: Message) -> Message:
            asked = _as(request, native.request)
            self._vertex.projects.canonicalise(asked)
            if native.service not in ("Operations", "Locations"):
                check(native, asked)
            return asked

        return prepare

    def _checked(self, requests: Iterable[Message], asking: Asking) -> Iterator[Message]:
        """Let each message of a stream go through the check, for each may name another resource."""
        for request in requests:
            self._check(asking.principal, asking.method, request)
            yield request

    def _handler(self, method: Method) -> tuple[Handler | None, Method]:
        """Return the handler, and the method whose types it speaks: v1's where v1 has it."""
        known = self._found.get(method.path)
        if known is None:
            native = method if method.version == "v1" else methods("v1", method.service).get(method.name, method)
            handler = self._handlers.get(method.key) or generic_handler(self._vertex, native, self._handlers)
            known = self._found[method.path] = (handler, native)
        return known


def _body(forwarded: Forwarded) -> Message:
    """Return a container's answer as gRPC has it."""
    if forwarded.code != "OK":
        raise Refused(forwarded.code, forwarded.data.decode(errors="replace"))
    return HttpBody(content_type=forwarded.content_type, data=forwarded.data)


def _each(replies: Iterable[Message], method: Method) -> Iterator[Message]:
    for reply in replies:
        yield _as(reply, method.response)


def _as(message: Message, kind: type[Message]) -> Message:
    """Return a message as the same one of another version: they are the same on the wire."""
    return message if isinstance(message, kind) else kind.FromString(message.SerializeToString())


def _recorded(method: Method, request: Any) -> dict[str, Any]:
    """Return what is kept of a request: of large predictions the endpoint alone, for many calls are kept.

    Raises:
        Refused: It has what cannot be, such as a mask whose paths are not written as fields are.
    """
    if method.requests_stream:
        return {}
    if method.service == "PredictionService" and request.ByteSize() > _LARGEST_KEPT:
        return {"endpoint": request.endpoint, "left_out": f"a request of {request.ByteSize()} bytes"}
    try:
        recorded: dict[str, Any] = json_format.MessageToDict(request, preserving_proto_field_name=True)
    except json_format.SerializeToJsonError as error:
        raise Refused("INVALID_ARGUMENT", f"Invalid request: {error}") from error
    return recorded


def _resource(recorded: dict[str, Any]) -> str:
    for field in ("name", "parent", "endpoint", "feature_view", "model"):
        if isinstance(value := recorded.get(field), str):
            return value
    return ""
