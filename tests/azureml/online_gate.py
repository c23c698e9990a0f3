"""A cache as Azure has it: TLS, tokens of Entra as passwords, and connections that end with their token.

It stands before a Redis, to which it hands on what a proven caller asks.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import jwt
import trustme

from cloudmlops.emulators.azure.entra.tokens import Tokens
from cloudmlops.emulators.core.faults import Refused

AUDIENCE = "https://redis.azure.com"


@dataclass(eq=False)
class Caller:
    """One connection."""

    near: ssl.SSLSocket
    far: socket.socket
    tokens: list[str] = field(default_factory=list)
    ended: bool = False
    """Whether it was ended because of its token."""

    def cut(self) -> None:
        for end in (self.near, self.far):
            with suppress(OSError):  # it has ended already
                end.shutdown(socket.SHUT_RDWR)


class Gate:
    """Who comes in, as whom, and until when."""

    def __init__(self, entra: Tokens, upstream: str, folder: Path, *, user: str, name: str = "localhost") -> None:
        self._entra = entra
        self._upstream = (urlsplit(upstream).hostname, urlsplit(upstream).port)
        self.user = user
        """Object id of the only one who has an access policy."""
        authority = trustme.CA()
        self.bundle = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.bundle))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rediss://localhost:{self._listener.getsockname()[1]}"
        self.callers: list[Caller] = []
        self.changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for caller in self.callers:
            caller.cut()
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[..., None], *given: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def tokens(self) -> set[str]:
        """Return all tokens that were taken."""
        return {token for caller in self.callers for token in caller.tokens}

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            near = self._context.wrap_socket(connection, server_side=True)
        except OSError:  # it does not trust us
            connection.close()
            return
        with near, socket.create_connection(self._upstream) as far:
            caller = Caller(near, far)
            self.callers.append(caller)
            answering = self._start(self._answer, caller)
            try:
                with suppress(OSError), near.makefile("rb") as asked:  # of one that was cut
                    while command := _command(asked):
                        self._ask(caller, *command)
            finally:
                caller.cut()
                answering.join()

    def _answer(self, caller: Caller) -> None:
        try:
            while data := caller.far.recv(65536):
                caller.near.sendall(data)
        except OSError:
            return

    def _ask(self, caller: Caller, words: list[bytes], raw: bytes) -> None:
        if words[0].upper() == b"AUTH":
            caller.near.sendall(self._authenticated(caller, words[1].decode(), words[2].decode()))
        elif not caller.tokens:
            caller.near.sendall(b"-NOAUTH Authentication required.\r\n")
        else:
            caller.far.sendall(raw)

    def _authenticated(self, caller: Caller, user: str, token: str) -> bytes:
        try:
            known = self._entra.caller(f"Bearer {token}", audiences=(AUDIENCE,))
        except Refused:
            return b"-WRONGPASS invalid username-password pair\r\n"
        if not user == known.object_id == self.user:
            return b"-WRONGPASS invalid username-password pair\r\n"
        caller.tokens.append(token)
        left = jwt.decode(token, options={"verify_signature": False})["exp"] - time.time()
        timer = threading.Timer(left, self._end, args=(caller, token))
        timer.daemon = True
        timer.start()
        with self.changed:
            self.changed.notify_all()
        return b"+OK\r\n"

    def _end(self, caller: Caller, token: str) -> None:
        if caller.tokens[-1] == token:
            caller.ended = True
            caller.cut()
            with self.changed:
                self.changed.notify_all()


def _command(asked: IO[bytes]) -> tuple[list[bytes], bytes] | None:
    """Read one command: its words, and all its bytes."""
    first = asked.readline()
    if not first:
        return None
    raw, words = [first], []
    for _ in range(int(first[1:])):
        length = asked.readline()
        word = asked.read(int(length[1:]) + 2)
        raw += [length, word]
        words.append(word[:-2])
    return words, b"".join(raw)
