"""How functions of a request answer gRPC calls: by their whole path, through faults and the record of calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NoReturn
from urllib.parse import unquote

import grpc
from google.protobuf.json_format import MessageToDict

from cloudmlops.emulators.core.calls import Dropped
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.rpc import refuse
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.audit import Audit
from cloudmlops.emulators.google.bigtable.permissions import PERMISSIONS, Permissions

SERVICE: Final = "bigtable"
_DOMAIN: Final = "bigtable.googleapis.com"
_ADMINISTERING: Final = ("Create", "Update", "PartialUpdate", "Delete", "ModifyColumnFamilies")
"""How the names of methods begin that are in the log of administration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One RPC."""

    path: str
    """Such as `/google.bigtable.v2.Bigtable/MutateRow`."""
    request: Any
    """Class of its message."""
    response: Any
    act: Callable[[Any], Any]
    """Takes the request, returns the response or an iterator of responses, or raises `Refused`."""
    streams: bool = False
    """Whether it answers with many responses."""

    @property
    def operation(self) -> str:
        """Such as `Bigtable.MutateRow`."""
        service, _, name = self.path.rpartition("/")
        return f"{service.rpartition('.')[2]}.{name}"


class Handlers(grpc.GenericRpcHandler):
    """Finds the function of an RPC."""

    def __init__(
        self, surroundings: Surroundings, methods: list[Method], families: tuple[str, ...], audit: Audit | None
    ) -> None:
        self._surroundings = surroundings
        self._families = families
        self._permissions = Permissions(surroundings.state)
        self._audit = audit
        self._handlers = {method.path: self._handler(method) for method in methods}

    @property
    def paths(self) -> Collection[str]:
        """Of all methods that are answered."""
        return self._handlers.keys()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        path = handler_call_details.method
        found = self._handlers.get(path)
        if found is None and path.startswith(self._families):
            return self._handler(Method(path=path, request=None, response=None, act=_refusal(path)))
        return found

    def _handler(self, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
        readers = {
            "request_deserializer": method.request.FromString if method.request else None,
            "response_serializer": method.response.SerializeToString if method.response else None,
        }
        if method.streams:
            return grpc.unary_stream_rpc_method_handler(
                lambda asked, context: self._stream(method, asked, context), **readers
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda asked, context: self._answer(method, asked, context), **readers
        )

    def _answer(self, method: Method, asked: Any, context: grpc.ServicerContext) -> Any:
        try:
            with self._answering(method, asked, context):
                return self._written(method, asked, context)
        except Refused as refused:
            refuse(context, refused, domain=_DOMAIN)
        except Dropped:
            context.abort(grpc.StatusCode.UNAVAILABLE, "connection cut")

    def _stream(self, method: Method, asked: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            with self._answering(method, asked, context):
                self._check(method, asked, context)
                yield from method.act(asked)
        except Refused as refused:
            refuse(context, refused, domain=_DOMAIN)
        except Dropped:
            context.abort(grpc.StatusCode.UNAVAILABLE, "connection cut")

    def _written(self, method: Method, asked: Any, context: grpc.ServicerContext) -> Any:
        """Answer, and write what was administered, or was refused; rows are not written about."""
        administers = method.operation.partition(".")[2].startswith(_ADMINISTERING)
        if self._audit is None or not administers or method.operation not in PERMISSIONS:
            self._check(method, asked, context)
            return method.act(asked)
        told = {
            "service_name": "bigtableadmin.googleapis.com",
            "method_name": method.path.strip("/").replace("/", "."),
            "resource_name": _resource(asked),
            "request": MessageToDict(asked),
            "principal": self._permissions.principal(context.invocation_metadata()),
            "permission": PERMISSIONS[method.operation][0],
        }
        with self._audit.trying(**told):
            self._check(method, asked, context)
            answer = method.act(asked)
        self._audit.mutated(response=MessageToDict(answer), **told)
        return answer

    def _check(self, method: Method, asked: Any, context: grpc.ServicerContext) -> None:
        if not isinstance(asked, bytes):
            principal = self._permissions.principal(context.invocation_metadata())
            self._permissions.check(principal, method.operation, _resource(asked))

    def _answering(self, method: Method, asked: Any, context: grpc.ServicerContext) -> Any:
        named = method.path if isinstance(asked, bytes) else _resource(asked)
        return self._surroundings.calls.answering(
            SERVICE,
            method.operation,
            transport="grpc",
            drop=lambda: self._surroundings.drop(_peer(context.peer())),
            resource=named,
            request={} if isinstance(asked, bytes) else Sent(asked),
        )


class Sent(Mapping[str, Any]):
    """A request as JSON, made when somebody reads it."""

    def __init__(self, message: Any) -> None:
        self._message = message

    @cached_property
    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = MessageToDict(self._message)
        return content

    def __getitem__(self, name: str) -> Any:
        return self._content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return repr(self._content)


def _resource(asked: Any) -> str:
    """Return the name of what a request concerns, itself or in the message that it is to be changed to."""
    for field in ("table_name", "name", "parent"):
        if field in asked.DESCRIPTOR.fields_by_name:
            return str(getattr(asked, field))
    for field in ("table", "instance", "app_profile"):
        if field in asked.DESCRIPTOR.fields_by_name:
            return str(getattr(asked, field).name)
    return ""


def _peer(peer: str) -> tuple[str, int]:
    """Take the address out of such as `ipv4:127.0.0.1:41233`."""
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    return host.strip("[]"), int(port or 0)


def _refusal(path: str) -> Callable[[Any], Any]:
    def act(_: Any) -> NoReturn:
        raise Refused("UNIMPLEMENTED", f"{path} is not emulated")

    return act
