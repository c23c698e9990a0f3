"""Vertex AI on both wires."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import grpc
from google.protobuf.message import Message
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cloudmlops.emulators.core.calls import Dropped
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.rpc import peer_address, refuse
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.aiplatform import rest
from cloudmlops.emulators.google.aiplatform.catalogue import Method, Version, method_of_path
from cloudmlops.emulators.google.aiplatform.dispatch import SERVICE, Dispatcher
from cloudmlops.emulators.google.aiplatform.handling import Forwarded
from cloudmlops.emulators.google.wire import refusal

DOMAIN: Final = "aiplatform.googleapis.com"
"""Of the details of its errors."""
HOSTS = (DOMAIN, "*-aiplatform.googleapis.com", "*.prediction.vertexai.goog")
PATHS = ("/v1", "/v1beta1", "/ui")
METHODS = ("/google.cloud.aiplatform.", "/google.longrunning.Operations/", "/google.cloud.location.Locations/")
"""Beginnings of the paths of its gRPC methods."""
Principal = Callable[[str], str]
"""Returns who an `Authorization` header stands for."""
_refusal: Final = refusal(DOMAIN)
_log: Final = logging.getLogger("cloudmlops.emulators")


def aiplatform_service(surroundings: Surroundings, dispatcher: Dispatcher, principal: Principal) -> Service:
    """Put a dispatcher on the wires."""
    return Service(
        name=SERVICE,
        hosts=HOSTS,
        paths=PATHS,
        http=_Rest(surroundings, dispatcher, principal),
        rpc=_Rpc(surroundings, dispatcher, principal),
    )


class _Rpc(grpc.GenericRpcHandler):
    """Answers any method of Vertex AI; any other path is left to others."""

    def __init__(self, surroundings: Surroundings, dispatcher: Dispatcher, principal: Principal) -> None:
        self._surroundings = surroundings
        self._dispatcher = dispatcher
        self._principal = principal

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = method_of_path(handler_call_details.method)
        if method is None:
            return None
        kinds: dict[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler[Any, Any]]] = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }
        act = self._streamed(method) if method.responses_stream else self._single(method)
        return kinds[method.requests_stream, method.responses_stream](
            act,
            request_deserializer=method.request.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _single(self, method: Method) -> Callable[[Any, grpc.ServicerContext], Any]:
        def act(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return self._answer(method, request, context)
            except Refused as refused:
                refuse(context, refused, domain=DOMAIN)
            except Dropped:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was cut")
            except Exception as error:  # noqa: BLE001 a mistake of ours, told to the client and the log
                refuse(context, _mistake(method.path, error), domain=DOMAIN)

        return act

    def _streamed(self, method: Method) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
        def act(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            try:
                replies = self._answer(method, request, context)
                yield from replies if not isinstance(replies, Message) else (replies,)
            except Refused as refused:
                refuse(context, refused, domain=DOMAIN)
            except Dropped:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was cut")
            except grpc.RpcError:
                raise  # of the client's own stream, which it has ended
            except Exception as error:  # noqa: BLE001 a mistake of ours, told to the client and the log
                refuse(context, _mistake(method.path, error), domain=DOMAIN)

        return act

    def _answer(self, method: Method, request: Any, context: grpc.ServicerContext) -> Message | Iterable[Message]:
        sent = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
        reply = self._dispatcher.answer(
            method,
            request,
            transport="grpc",
            principal=self._principal(sent.get("authorization", "")),
            drop=lambda: self._surroundings.drop(peer_address(context)),
        )
        if isinstance(reply, Forwarded):
            raise TypeError("an answer over gRPC is a message")
        return reply


class _Rest:
    """The ASGI application."""

    def __init__(self, surroundings: Surroundings, dispatcher: Dispatcher, principal: Principal) -> None:
        self._surroundings = surroundings
        self._dispatcher = dispatcher
        self._principal = principal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        try:
            response = await run_in_threadpool(self._answer, request, body)
        except Dropped:
            return
        except Refused as refused:
            response = _refused(refused)
        except Exception as error:  # noqa: BLE001 a mistake of ours, told to the client and the log
            response = _refused(_mistake(f"{request.method} {request.url.path}", error))
        await response(scope, receive, send)

    def _answer(self, request: Request, body: bytes) -> Response:
        path = unquote(request.scope["raw_path"].decode("ascii"))
        query = parse_qs(request.url.query, keep_blank_values=True)
        version: Version = "v1beta1" if path.startswith("/v1beta1/") else "v1"
        found = rest.find(version, request.method, path)
        if found is None:
            raise Refused("UNIMPLEMENTED", f"{request.method} {path} is not emulated.")
        replies = self._dispatcher.answer(
            found.route.method,
            rest.read(found, query, body, content_type=request.headers.get("content-type", "")),
            transport="rest",
            principal=self._principal(request.headers.get("authorization", "")),
            drop=lambda: self._surroundings.drop(tuple(request.scope["client"])),
            host=request.url.hostname or "",
        )
        if isinstance(replies, Forwarded):
            return Response(replies.data, replies.status, dict(replies.headers), replies.content_type)
        if isinstance(replies, Message):
            content = rest.written(replies, query)
        else:
            content = b"[" + b",".join(rest.written(reply, query) for reply in replies) + b"]"
        return Response(content, media_type="application/json; charset=UTF-8")


def _refused(refused: Refused) -> Response:
    answer = _refusal(refused)
    return Response(answer.body, answer.status, dict(answer.headers))


def _mistake(asked: str, error: Exception) -> Refused:
    _log.error("%s failed", asked, exc_info=error)
    return Refused("INTERNAL", f"the emulator itself failed: {error!r}")
