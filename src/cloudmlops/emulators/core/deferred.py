"""Services that are built when they are first asked, or beside the start: no service waits for another's packages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
from starlette.concurrency import run_in_threadpool

from cloudmlops.emulators.core.service import Service


def deferred(
    name: str,
    build: Callable[[], Service],
    *,
    hosts: tuple[str, ...],
    paths: tuple[str, ...] = (),
    methods: tuple[str, ...] = (),
) -> Service:
    """Return a service that is built at its first call.

    Args:
        name: Of the service.
        build: Makes it; heavy packages are imported here.
        hosts: Of the service that is built.
        paths: Of the service that is built; none where it does not speak HTTP.
        methods: Beginnings of the paths of its gRPC methods; none where it does not speak gRPC.
    """
    return _Later(name, build, hosts, paths).described(methods)


def begun(
    name: str,
    build: Callable[[], Service],
    *,
    hosts: tuple[str, ...],
    paths: tuple[str, ...] = (),
    methods: tuple[str, ...] = (),
) -> Service:
    """Return a service that is being built: what comes next need not wait for it, and a call that comes early does.

    The arguments are those of `deferred`.
    """
    later = _Later(name, build, hosts, paths)
    later.begin()
    return later.described(methods)


class _Later:
    def __init__(self, name: str, build: Callable[[], Service], hosts: tuple[str, ...], paths: tuple[str, ...]) -> None:
        self._name = name
        self._build = build
        self._told = (hosts, paths)
        self._lock = threading.Lock()
        self._service: Service | None = None
        self._beginner: threading.Thread | None = None
        self._answering = threading.Event()
        self._resumed = False

    def described(self, methods: tuple[str, ...]) -> Service:
        hosts, paths = self._told
        speaks_http = bool(paths) or not methods
        return Service(
            name=self._name,
            hosts=hosts,
            paths=paths,
            http=self.http if speaks_http else None,
            rpc=_Rpc(self, methods) if methods else None,
            ready=self.ready,
            resume=self.resume,
            close=self.close,
        )

    def begin(self) -> None:
        self._beginner = threading.Thread(target=self._begin, name=f"building-{self._name}", daemon=True)
        self._beginner.start()

    def _begin(self) -> None:
        with suppress(Exception):  # whoever waits for it tries again and is told
            self.service()
        self._answering.wait()
        if self._service is not None:
            self.service()

    def ready(self) -> None:
        if self._beginner is not None:
            self._beginner.join()
            self.service()

    def resume(self) -> None:
        self._answering.set()

    def service(self) -> Service:
        with self._lock:
            if self._service is None:
                built = self._build()
                if (built.hosts, built.paths) != self._told:
                    raise RuntimeError(
                        f"{self._name} answers at {built.hosts} and {built.paths}, and not at {self._told}"
                    )
                self._service = built
            service = self._service
            first = self._answering.is_set() and not self._resumed
            self._resumed = self._resumed or first
        if first:
            service.resume()
        return service

    async def http(self, scope: Any, receive: Any, send: Any) -> None:
        service = self._service
        if service is None:
            service = await run_in_threadpool(self.service)
        if service.http is None:
            raise RuntimeError(f"{self._name} does not speak HTTP")
        await service.http(scope, receive, send)

    def close(self) -> None:
        self._resumed = True  # or never
        self._answering.set()
        if self._beginner is not None:
            self._beginner.join()
        with self._lock:
            if self._service is not None:
                self._service.close()


class _Rpc(grpc.GenericRpcHandler):
    def __init__(self, later: _Later, methods: tuple[str, ...]) -> None:
        self._later = later
        self._methods = methods

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        if not str(handler_call_details.method).startswith(self._methods):
            return None
        handler = self._later.service().rpc
        return handler.service(handler_call_details) if handler is not None else None
