"""A Redis in this process, for where the system has none: fakeredis, which runs scripts by the same Lua."""

from __future__ import annotations

import socket
import threading
from typing import Any, Final

from fakeredis import TcpFakeServer

_RELEASE: Final = (7,)
"""Whose behaviour it shows."""


class Substitute:
    """It answers on loopback until it is closed."""

    def __init__(self, host: str) -> None:
        """Start.

        Raises:
            OSError: There is no port.
        """
        self._server = _Prompt((host, 0), server_type="redis", server_version=_RELEASE)
        self._server.daemon_threads = True
        self.address: tuple[str, int] = (host, self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="redis-substitute", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; what it held is gone."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Prompt(TcpFakeServer):
    """Sends answers at once: it writes the answers of a pipeline one by one, which the system would hold back."""

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address
