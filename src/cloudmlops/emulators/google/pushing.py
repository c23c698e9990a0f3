"""Pushes over HTTP: sent at once, sent again with backoff on the clock until the target answers 2xx."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.tokens import Tokens

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_TIMEOUT_SECONDS: Final = 60
_THREADS: Final = 8
_log: Final = logging.getLogger("cloudmlops.emulators")


@dataclass(frozen=True, kw_only=True, slots=True)
class Push:
    """What is to be delivered, until it is."""

    tag: str
    """Name of the trigger or the subscription that it belongs to."""
    url: str
    body: str
    since: str
    """When it was first sent, ISO 8601."""
    headers: Mapping[str, str] = field(default_factory=dict)
    account: str = ""
    """E-mail address in whose name it is sent; empty for no token."""
    audience: str = ""
    content: str = ""
    """What it was made of, for who takes it back."""
    attempts: int = 0
    least_wait_seconds: float = 10.0
    most_wait_seconds: float = 600.0
    kept_seconds: float = 86400.0


def check_target(url: str) -> None:
    """Let a push go to this machine only.

    Raises:
        Refused: The address is of another one, or is not plain HTTP.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused("INVALID_ARGUMENT", f"Invalid push endpoint given (endpoint={url}).")
    if parts.hostname not in LOOPBACK_HOSTS or parts.scheme != "http":
        raise Refused(
            "UNIMPLEMENTED",
            f"The emulator pushes to this machine only, over http://127.0.0.1:PORT/…, and not to {url}.",
        )


class Pusher:
    """Delivers at least once; what is pending survives a restart with the state."""

    def __init__(self, surroundings: Surroundings, tokens: Tokens) -> None:
        self._clock = surroundings.clock
        self._state = surroundings.state
        self._pending = surroundings.state.table("pending_pushes")
        self._tokens = tokens
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="emulated-push")
        self._open: set[http.client.HTTPConnection] = set()
        self._changed = threading.Condition()
        self._closed = False

    def resume(self) -> None:
        """Go on with what was pending when the state was last closed."""
        waiting = self._pending.items()
        for key, _ in waiting:
            self._submit(key)

    def send(self, push: Push) -> None:
        """Deliver, for as long as it takes."""
        key = f"{push.tag}|{uuid4().hex}"
        self._keep(key, push)
        self._submit(key)

    def pending(self, tag: str = "") -> list[Push]:
        """Return what is not delivered yet, of one trigger or subscription or of all."""
        beginning = f"{tag}|" if tag else ""
        return [Push(**json.loads(data)) for _, data in self._pending.items(beginning)]

    def take_back(self, tag: str) -> list[Push]:
        """Deliver nothing more of a trigger or subscription, and return what was pending."""
        with self._state.transaction():
            taken = self._pending.items(f"{tag}|")
            for key, _ in taken:
                self._pending.delete(key)
        self._notify()
        return [Push(**json.loads(data)) for _, data in taken]

    def wait_until_delivered(self, timeout: timedelta) -> bool:
        """Wait until nothing is pending; False when something still is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending.items(), timeout.total_seconds())

    def close(self) -> None:
        """Cut what is under way."""
        with self._changed:
            self._closed = True
            under_way = tuple(self._open)
        for connection in under_way:
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _submit(self, key: str) -> Future[None] | None:
        with self._changed:
            return None if self._closed else self._threads.submit(self._attempt, key)

    def _due(self, key: str) -> None:
        attempt = self._submit(key)
        if attempt is not None and self._clock.frozen:
            # Time was moved by hand: what is due is done before the clock goes on.
            attempt.result()

    def _attempt(self, key: str) -> None:
        data = self._pending.get(key)
        if data is None:
            return
        push = Push(**json.loads(data))
        status = self._post(push)
        if 200 <= status < 300:
            self._pending.delete(key)
            self._notify()
            return
        if self._closed:
            return
        waited = self._clock.now() - datetime.fromisoformat(push.since)
        if waited > timedelta(seconds=push.kept_seconds):
            _log.warning("a push to %s was given up after %s", push.url, waited)
            self._pending.delete(key)
            self._notify()
            return
        # Whoever sees the attempt may rely on the next one's time.
        with self._state.transaction():
            if self._pending.get(key) is None:
                return
            wait = min(push.most_wait_seconds, push.least_wait_seconds * 2 ** min(push.attempts, 30))
            self._clock.after(timedelta(seconds=wait), lambda: self._due(key))
            self._keep(key, replace(push, attempts=push.attempts + 1))

    def _post(self, push: Push) -> int:
        """Return the status; 0 for no answer."""
        parts = urlsplit(push.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_SECONDS)
        with self._changed:
            if self._closed:
                return 0
            self._open.add(connection)
        headers = dict(push.headers)
        if push.account:
            headers["authorization"] = f"Bearer {self._tokens.identity(push.account, push.audience or push.url)}"
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        try:
            connection.request("POST", path, push.body.encode(), headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
            with self._changed:
                self._open.discard(connection)
        return response.status

    def _keep(self, key: str, push: Push) -> None:
        self._pending.put(key, json.dumps(asdict(push)).encode())

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
