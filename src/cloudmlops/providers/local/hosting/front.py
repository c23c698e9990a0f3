"""`python -m cloudmlops.providers.local.hosting.front FOLDER`: one endpoint's address, in a process of its own.

It goes into the background, keeps the workers (`supervisor.py`) and passes each request to one of them. The process
that started it waits until it listens: exit code 0, or 1 with the reason on standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import CloudMLOpsError, ConfigurationError
from cloudmlops.providers.local.hosting.endpoint_state import EndpointRecord
from cloudmlops.providers.local.hosting.forwarding import OverdueError
from cloudmlops.providers.local.hosting.ownership import owner_is_gone

if TYPE_CHECKING:
    from cloudmlops.providers.local.hosting.supervisor import Supervisor

_log = logging.getLogger("cloudmlops.endpoints")

_BODY_LIMIT: Final = 64 * 1024 * 1024
_WATCH_S: Final = 1.0
"""How often it looks whether its folder, and the owner of a `:memory:` platform, are still there."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def main() -> None:
    """Start the endpoint whose folder is named; return when it listens, leaving it in the background."""
    folder = Path(sys.argv[1])
    ready, told = os.pipe()
    if os.fork():
        os.close(told)
        reason = b"".join(iter(lambda: os.read(ready, 4096), b"")).decode()
        if reason != "ok":
            sys.stderr.write(reason or f"the endpoint's process ended; its log is {folder / 'endpoint.log'}")
        os._exit(reason != "ok")
    os.close(ready)
    os.setsid()
    os.chdir(folder)
    log = os.open("endpoint.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, standard in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, standard)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with Path("supervisor.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            record = EndpointRecord.read(folder)
            if record is None:
                raise ConfigurationError(f"{folder} holds no endpoint")
            listener = _listener(record)
        except CloudMLOpsError as error:
            os.write(told, str(error).encode())
            sys.exit(1)

        import uvloop

        Path("control.sock").unlink(missing_ok=True)
        uvloop.run(_run(folder, record, listener, told))
        Path("control.sock").unlink(missing_ok=True)


async def _run(folder: Path, record: EndpointRecord, listener: socket.socket, told: int) -> None:
    import uvicorn

    from cloudmlops.providers.local.hosting.supervisor import Supervisor

    record.port = listener.getsockname()[1]
    record.pid = os.getpid()
    record.write(folder)
    supervisor = Supervisor(folder, record)
    supervisor.revive()
    control = await asyncio.start_unix_server(
        lambda reader, writer: _take_order(supervisor, reader, writer), "control.sock"
    )
    config = uvicorn.Config(
        Front(supervisor),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=30,
    )
    listener.listen(config.backlog)
    server = uvicorn.Server(config)
    # Uvicorn would handle signals itself and end the process before the workers.
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.ended.set)
    watching = asyncio.create_task(_watch(folder, supervisor))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    os.write(told, b"ok")
    os.close(told)
    _log.info("endpoint %s listens on %s:%d", record.name, record.host, record.port)
    await supervisor.ended.wait()
    watching.cancel()
    server.should_exit = True
    await serving
    await supervisor.stop()
    control.close()


class Front:
    """Passes each request to a worker and its answer back."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] == "/healthz":
            ready = self._supervisor.ready
            await _answer(send, 200 if ready else 503, b'{"status":"ok"}' if ready else b'{"status":"not ready"}')
            return
        if (meant := dict(scope["headers"]).get(b"x-cloudmlops-endpoint")) not in (
            None,
            self._supervisor.name.encode(),
        ):
            reason = f"this is endpoint {self._supervisor.name!r}, not {meant!r}: its address has changed hands"
            await _answer(send, 421, _reason(reason))
            return
        if scope["method"] == "HEAD":
            # Whoever reads a worker's answer to HEAD must know that its content-length announces nothing.
            await _answer(send, 405, _reason("HEAD is answered at /healthz alone"), (b"allow", b"POST"))
            return
        if (body := await _whole(receive)) is None:
            await _answer(send, 413, _reason(f"the body is larger than {_BODY_LIMIT} bytes"), (b"connection", b"close"))
            return
        try:
            outcome = await self._supervisor.forward(_head(scope, len(body)), body)
        except OverdueError as error:
            await _answer(send, 504, _reason(str(error)))
            return
        if isinstance(outcome, str) and self._supervisor.empty:
            await _answer(send, 404, _reason(outcome))
            return
        if isinstance(outcome, str):
            await _answer(send, 503, _reason(outcome), (b"retry-after", b"1"))
            return
        reply, name = outcome
        headers = [
            *reply.headers,
            (b"content-length", b"%d" % len(reply.body)),
            (b"x-cloudmlops-deployment", name.encode()),
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})


_PASSED_ON: Final = frozenset(
    {b"content-type", b"content-encoding", b"accept", b"authorization", b"traceparent", b"tracestate", b"x-request-id"}
)


def _head(scope: Message, length: int) -> bytes:
    path = scope["raw_path"]
    if scope["query_string"]:
        path += b"?" + scope["query_string"]
    passed = b"".join(b"%s: %s\r\n" % header for header in scope["headers"] if header[0] in _PASSED_ON)
    return b"%s %s HTTP/1.1\r\nhost: worker\r\ncontent-length: %d\r\n%s\r\n" % (
        scope["method"].encode(),
        path,
        length,
        passed,
    )


async def _whole(receive: Receive) -> bytes | None:
    """Return the request's body; None when it is too large."""
    message = await receive()
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        return body if len(body) <= _BODY_LIMIT else None
    parts = [message["body"]]
    size = len(parts[0])
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _BODY_LIMIT:
            return None
    return b"".join(parts)


def _reason(text: str) -> bytes:
    return json.dumps({"error": {"reason": text}}).encode()


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    common = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*common, *headers]})
    await send({"type": "http.response.body", "body": body})


async def _take_order(supervisor: Supervisor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry out one order, a JSON object in a line, and answer likewise."""
    from cloudmlops.providers.local.hosting.supervisor import fault_of

    try:
        order = json.loads(await reader.readline())
        try:
            answer = {"value": await supervisor.obey(order)}
        except CloudMLOpsError as error:
            answer = {"error": fault_of(error)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
    except ConnectionError as error:
        _log.warning("who gave an order left before the answer: %s", error)
    finally:
        writer.close()


async def _watch(folder: Path, supervisor: Supervisor) -> None:
    """End the endpoint when its folder is gone, or when the process that owns a `:memory:` platform is."""
    inode = _inode(folder)
    while True:
        await asyncio.sleep(_WATCH_S)
        if _inode(folder) != inode or owner_is_gone(folder.parent.parent):
            _log.warning("%s, or who owns it, is gone: the endpoint ends", folder)
            supervisor.ended.set()
            return


def _inode(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return None


def _listener(record: EndpointRecord) -> socket.socket:
    reason: str | None = None
    for port in dict.fromkeys((record.port, record.port if record.fixed_port else 0)):
        listener = socket.socket(socket.AF_INET6 if ":" in record.host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((record.host, port))
        except OSError as error:
            listener.close()
            reason = error.strerror
        else:
            return listener
    raise ConfigurationError(
        f"endpoint {record.name!r} cannot listen on {record.host} port {record.port}: {reason}",
        hint="Stop what listens there, or give another port; without one the system chooses a free port.",
    )


if __name__ == "__main__":
    main()
