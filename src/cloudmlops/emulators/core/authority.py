"""The certificate authority of one emulator: believed by its own children only."""

from __future__ import annotations

import ssl
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Final

import trustme

# gRPC offers h2 alone; whoever offers both, such as curl, asks our HTTP server, which speaks HTTP/1.1.
_WITH_HTTP2: Final = ["http/1.1", "h2"]
_PLAIN: Final = ["http/1.1"]


class Authority:
    """Issues a certificate for each host that a child asks for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = RLock()
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}

    @cached_property
    def _own(self) -> trustme.CA:
        return trustme.CA()

    @property
    def bundle(self) -> Path:
        """A file with this authority, in PEM.

        It holds no other: behind the redirect none can be met, and most SDKs read the whole file for each connection.
        """
        with self._lock:
            return self._bundle

    @cached_property
    def _bundle(self) -> Path:
        path = self._folder / "ca.pem"
        path.write_bytes(self._own.cert_pem.bytes())
        return path

    def context(self, host: str, *, http2: bool) -> ssl.SSLContext:
        """Return what a server for `host` shows; `http2` for those that speak gRPC."""
        with self._lock:
            known = self._contexts.get((host, http2))
            if known is None:
                known = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._own.issue_cert(host).configure_cert(known)
                known.set_alpn_protocols(_WITH_HTTP2 if http2 else _PLAIN)
                self._contexts[host, http2] = known
            return known
