"""A Redis in this process, for where the system has none: fakeredis, which runs scripts by the same Lua."""

from __future__ import annotations

import re
import socket
import threading
from typing import Any, Final

from fakeredis import TcpFakeServer
from redis.exceptions import RedisError, ResponseError

_RELEASE: Final = (7,)
"""Whose behaviour it shows."""
_CODE: Final = re.compile(r"[A-Z]{2,} ")


class Substitute:
    """It answers on loopback until it is closed."""

    def __init__(self, host: str) -> None:
        """Start.

        Raises:
            OSError: There is no port.
        """
        self._server = _Server((host, 0), server_type="redis", server_version=_RELEASE)
        self._server.daemon_threads = True
        handler: Any = self._server.RequestHandlerClass
        self._server.RequestHandlerClass = type("_Handler", (_Handling, handler), {})
        self.address: tuple[str, int] = (host, self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="redis-substitute", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; what it held is gone."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(TcpFakeServer):
    """Sends answers at once: it writes the answers of a pipeline one by one, which the system would hold back."""

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address


class _Handling:
    """Goes on after an error, as Redis does; fakeredis hangs up."""

    def setup(self) -> None:
        super().setup()  # type: ignore[misc] # of fakeredis's handler, beside which this stands
        self.current_client: Any = _Client(self.current_client)
        self.writer: Any = _Writer(self.writer)


class _Client:
    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def read_response(self) -> Any:
        try:
            return self._client.read_response()
        except RedisError as error:
            return error


class _Writer:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def dump(self, value: Any) -> None:
        """Send an answer; an error that begins with a code as it is, where fakeredis sends `ERR` before it."""
        if type(value) is ResponseError and _CODE.match(str(value)):
            self._writer.write(f"-{value}\r\n".encode())
            self._writer.writer.flush()
        else:
            self._writer.dump(value)
