"""The way out: requests to webhooks, which are on this machine or are refused by name."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from cloudmlops.emulators.azure.eventgrid.retrying import RESPONSE_TIMEOUT, TIMED_OUT, UNREACHABLE
from cloudmlops.emulators.core.faults import Refused

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a webhook answered."""

    status: int
    """Of HTTP, or `TIMED_OUT` or `UNREACHABLE`."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""


def check_webhook(url: str) -> None:
    """Let webhooks of this machine through.

    Raises:
        Refused: The address is of another one, or is not plain HTTP, or is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused("INVALID_ARGUMENT", f"The specified endpoint URL '{url}' is not valid.", reason="InvalidRequest")
    if parts.hostname not in _LOOPBACK or parts.scheme != "http":
        raise Refused(
            "UNIMPLEMENTED",
            f"The emulator delivers to webhooks of this machine only, at http://127.0.0.1:PORT/…, and not to {url}",
        )


class Webhooks:
    """Sends requests, and lets go of all when the emulator ends."""

    def __init__(self) -> None:
        self.timeout = RESPONSE_TIMEOUT
        """How long is waited for an answer, in real time: it is the receiver that is slow."""
        self._open: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the emulator ends: what is not reached now says nothing of a webhook."""
        return self._closed

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send a request; what goes wrong is a status too."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=self.timeout.total_seconds()
        )
        with self._lock:
            if self._closed:
                return Reply(status=UNREACHABLE)
            self._open.add(connection)
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        until = time.monotonic() + self.timeout.total_seconds()
        try:
            connection.request(method, path, body, dict(headers))
            _hurry(connection, until)
            response = connection.getresponse()
            _hurry(connection, until)
            content = response.read()
        except TimeoutError:
            return Reply(status=TIMED_OUT)
        except (OSError, http.client.HTTPException, ValueError):  # the last for what cannot be said in a header
            return Reply(status=UNREACHABLE)
        finally:
            connection.close()
            with self._lock:
                self._open.discard(connection)
        said = {name.lower(): value for name, value in response.getheaders()}
        return Reply(status=response.status, body=content, headers=said)

    def close(self) -> None:
        """Cut what is under way."""
        with self._lock:
            self._closed = True
            under_way = tuple(self._open)
        for connection in under_way:
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Wait as long as Event Grid does again."""
        self.timeout = RESPONSE_TIMEOUT


def _hurry(connection: http.client.HTTPConnection, until: float) -> None:
    """Give what comes next no more than the time that is left."""
    if connection.sock is not None:
        connection.sock.settimeout(max(0.001, until - time.monotonic()))
