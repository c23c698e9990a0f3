"""Which service a request is for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from cloudmlops.emulators.core.service import AsgiApp, Service


def service_of_host(services: Sequence[Service], host: str) -> Service | None:
    """Return the service behind a host name; None when it is not emulated."""
    name = host.lower()
    return next((known for known in services if any(fnmatchcase(name, pattern) for pattern in known.hosts)), None)


def service_of_path(services: Sequence[Service], path: str) -> Service | None:
    """Return the service that a path of the plain address belongs to: the longest beginning wins."""
    fitting = [
        (len(beginning), known)
        for known in services
        for beginning in known.paths
        if beginning == "/" or path == beginning or path.startswith(beginning.rstrip("/") + "/")
    ]
    return max(fitting, key=lambda found: found[0])[1] if fitting else None


class Router:
    """The ASGI application of all services together."""

    def __init__(self, services: Sequence[Service], control: AsgiApp, control_path: str) -> None:
        self._services = services
        self._control = control
        self._control_path = control_path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        if path.startswith(self._control_path):
            await self._control(scope, receive, send)
            return
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        name = host.rpartition(":")[0] if ":" in host else host
        service = service_of_host(self._services, name) or service_of_path(self._services, path)
        if service is None or service.http is None:
            await _not_emulated(send, f"{scope['method']} {host}{path} is not emulated")
            return
        await service.http(scope, receive, send)


async def _not_emulated(send: Any, message: str) -> None:
    body = json.dumps({"error": {"code": 501, "status": "UNIMPLEMENTED", "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 501, "headers": headers})
    await send({"type": "http.response.body", "body": body})
