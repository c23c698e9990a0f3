"""How a gRPC service is written: methods to functions of a message, which return a message or refuse."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from cloudmlops.emulators.core.calls import Dropped
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings

_DETAILS: Final = "grpc-status-details-bin"
_log: Final = logging.getLogger("cloudmlops.emulators")


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who called, and with what beside the message."""

    metadata: Mapping[str, str]
    """Names in lower case; what is binary is left out."""

    @property
    def authorization(self) -> str | None:
        """The header of that name."""
        return self.metadata.get("authorization")


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One method with one request and one response."""

    request: type[Message]
    act: Callable[[Any, Caller], Message]
    resource: Callable[[Any], str] = lambda _: ""
    """Name of what a request concerns."""


def unary_handler(
    surroundings: Surroundings, service: str, methods: Mapping[str, Method], *, domain: str
) -> grpc.GenericRpcHandler:
    """Make the handler of a service.

    Args:
        surroundings: Of the emulator.
        service: Its name, in calls and faults.
        methods: By their whole path, such as `/google.pubsub.v1.Publisher/Publish`.
        domain: Of the details of its errors, such as `pubsub.googleapis.com`.
    """
    return _Handler(surroundings, service, methods, domain)


def refuse(context: grpc.ServicerContext, refused: Refused, *, domain: str) -> NoReturn:
    """End a call with what a service refuses it with: code, message, reason, and when to ask again."""
    code = grpc.StatusCode[refused.code]
    details: list[Message] = []
    if refused.reason:
        details.append(ErrorInfo(reason=refused.reason, domain=domain))
    if refused.retry_after_seconds is not None:
        wait = Duration()
        wait.FromMilliseconds(round(refused.retry_after_seconds * 1000))
        details.append(RetryInfo(retry_delay=wait))
    if details:
        status = Status(code=code.value[0], message=refused.message)
        for detail in details:
            packed = Packed()
            packed.Pack(detail)
            status.details.append(packed)
        context.set_trailing_metadata(((_DETAILS, status.SerializeToString()),))
    context.abort(code, refused.message)
    raise AssertionError("a call that was aborted goes no further")


def peer_address(context: grpc.ServicerContext) -> tuple[str, int]:
    """Return where a call comes from, as `Surroundings.drop` wants it."""
    _, host, port = context.peer().split(":", 2)
    return host, int(port)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, surroundings: Surroundings, service: str, methods: Mapping[str, Method], domain: str) -> None:
        self._surroundings = surroundings
        self._service = service
        self._domain = domain
        self._handlers = {path: self._handler(path, method) for path, method in methods.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handlers.get(handler_call_details.method)

    def _handler(self, path: str, method: Method) -> Any:
        family, _, name = path.rpartition("/")
        operation = f"{family.rpartition('.')[2]}.{name}"

        def respond(request: Any, context: grpc.ServicerContext) -> Message:
            caller = Caller(
                metadata={key.lower(): value for key, value in context.invocation_metadata() if isinstance(value, str)}
            )
            try:
                with self._surroundings.calls.answering(
                    self._service,
                    operation,
                    transport="grpc",
                    drop=lambda: self._surroundings.drop(peer_address(context)),
                    resource=method.resource(request),
                    request=MessageToDict(request),
                ):
                    return method.act(request, caller)
            except Refused as refused:
                refuse(context, refused, domain=self._domain)
            except Dropped:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection is cut")
                raise
            except Exception as error:  # noqa: BLE001 a mistake of ours, told to the client and the log
                _log.exception("%s failed", path)
                refuse(context, Refused("INTERNAL", f"the emulator itself failed: {error!r}"), domain=self._domain)

        return grpc.unary_unary_rpc_method_handler(
            respond,
            request_deserializer=method.request.FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )
