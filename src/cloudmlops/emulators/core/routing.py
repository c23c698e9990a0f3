"""Which service a request is for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from cloudmlops.emulators.core.service import AsgiApp, Service

LOOPBACK_NAMES: Final = frozenset({"", "127.0.0.1", "localhost", "::1"})


def services_of_host(services: Sequence[Service], host: str) -> list[Service]:
    """Return the services behind a host name; none when it is not emulated."""
    name = host.lower()
    return [known for known in services if any(fnmatchcase(name, pattern) for pattern in known.hosts)]


def service_of_path(services: Sequence[Service], path: str) -> Service | None:
    """Return the service that a path of the plain address belongs to: the longest beginning that fits wins."""
    fitting = [(len(beginning), known) for known in services for beginning in known.paths if _begins(path, beginning)]
    return max(fitting, key=lambda found: found[0])[1] if fitting else None


def _begins(path: str, beginning: str) -> bool:
    """Say whether a path begins so; a `*` stands for a part without slashes or for some of one, `$` for the end."""
    wanted = beginning.strip("/").removesuffix("$").split("/") if beginning != "/" else []
    given = path.strip("/").split("/")
    if len(given) < len(wanted) or (beginning.endswith("$") and len(given) > len(wanted)):
        return False
    return all(map(fnmatchcase, given, wanted))


_PORT: Final = re.compile(r":\d+$")


class Router:
    """The ASGI application of all services together."""

    def __init__(
        self, services: Sequence[Service], control: AsgiApp, control_path: str, *, refuse: Callable[[str], None]
    ) -> None:
        """Prepare.

        Args:
            services: Of all clouds.
            control: Answers below `control_path`, where no service has a path of its own.
            control_path: Of the plain address.
            refuse: Is told each host that is not emulated.
        """
        self._services = services
        self._control = control
        self._control_path = control_path
        self._refuse = refuse

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        name = _PORT.sub("", host).strip("[]")
        plain = name in LOOPBACK_NAMES
        known = list(self._services) if plain else services_of_host(self._services, name)
        if not known:
            self._refuse(name)
            await _answer_error(send, 403, "PERMISSION_DENIED", f"{name} is not emulated, and nothing else is reached")
            return
        service = service_of_path(known, path)
        if plain and path.startswith(self._control_path) and (service is None or "/" in service.paths):
            await self._control(scope, receive, send)
            return
        if service is None and not plain:
            service = known[0]
        if service is None or service.http is None:
            await _answer_error(send, 501, "UNIMPLEMENTED", f"{scope['method']} {host}{path} is not emulated")
            return
        await service.http(scope, receive, send)


async def _answer_error(send: Any, status: int, code: str, message: str) -> None:
    body = json.dumps({"error": {"code": status, "status": code, "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
