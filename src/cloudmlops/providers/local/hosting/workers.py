"""The worker processes of a deployment: started, watched, started again, drained."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final

from cloudmlops.providers.local.hosting.forwarding import BrokenOffError, Connection, NotSentError, Reply

_log = logging.getLogger("cloudmlops.endpoints")

_HEALTH: Final = b"GET /healthz HTTP/1.1\r\nhost: worker\r\n\r\n"
_PREDICTED: Final = 200
_PROBE_EVERY_S: Final = 10.0
_HANGS_S: Final = 30.0
"""Long predictions run beside the answers for health, so a worker that is silent for so long will stay so."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 30.0
_PROVEN_S: Final = 60.0
"""A worker that has served for so long has proven itself: the next pause is the first one again."""


class Worker:
    """One replica: a process that serves the model on a Unix socket, and connections to it.

    Args:
        socket: Where it listens, relative to the working folder: a socket's path is at most 107 bytes long.
        command: What to start, after the interpreter; the worker adds its socket and its lifeline.
        log: Where its output goes.
        deadline_s: So long it may take for a request.
    """

    def __init__(self, socket: Path, *, command: list[str], log: Path, deadline_s: float) -> None:
        self._socket = socket
        self._command = command
        self._log = log
        self._deadline_s = deadline_s
        self._predicted_at = 0.0
        """When it answered with a prediction last, by the event loop's clock."""
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: int | None = None
        self._idle: list[Connection] = []
        self._stopping = False
        self.healthy = False
        self.in_flight = 0
        self.quiet = asyncio.Event()
        """Set while no request is in flight."""
        self.quiet.set()
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The process; None while there is none."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the process and wait until it is healthy; ConnectionError when it ends before that."""
        self._socket.unlink(missing_ok=True)
        # Its end of this pipe closes when we die, however we die; then it ends itself.
        theirs, self._lifeline = os.pipe()
        try:
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *self._command,
                    "--uds",
                    str(self._socket),
                    "--lifeline",
                    str(theirs),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs],
                )
        finally:
            os.close(theirs)
        if self._stopping:  # told meanwhile, when there was nothing to end yet
            await self.stop(grace_s=0)
        await self._until_healthy(self._process)

    async def supervise(self) -> None:
        """Start the process again, after a pause, whenever it ends by itself; returns when it is stopped."""
        pause = _FIRST_PAUSE_S
        while not self._stopping and self._process is not None:
            began = asyncio.get_running_loop().time()
            code = await self._ended(self._process)
            self._lost()
            if self._stopping:
                return
            if asyncio.get_running_loop().time() - began > _PROVEN_S:
                pause = _FIRST_PAUSE_S
            _log.warning(
                "worker %s (pid %d) ended with %d; next start in %.1f s", self._socket, self._process.pid, code, pause
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            if self._stopping:
                return
            self.restarts += 1
            try:
                await self.start()
            except ConnectionError as error:
                _log.warning("worker %s did not come back: %s", self._socket, error)

    async def exchange(self, head: bytes, body: bytes) -> Reply:
        """Pass on a request and return the answer.

        Raises:
            NotSentError: Nothing of it went out.
            BrokenOffError: The worker died over it.
            OverdueError: There is no answer yet; a worker that hangs over it is ended, so that another takes its place.
        """
        self.in_flight += 1
        self.quiet.clear()
        try:
            connection = await self._connection()
            answer = connection.ask(head, body)
            timer = asyncio.get_running_loop().call_later(self._deadline_s, self._overdue, connection, answer)
            try:
                reply = await answer
            except asyncio.CancelledError:
                connection.close()
                raise
            finally:
                timer.cancel()
            self._note(reply)
            if connection.usable:
                self._idle.append(connection)
            return reply
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.quiet.set()

    async def stop(self, *, grace_s: float) -> None:
        """End the process: SIGTERM, then SIGKILL after `grace_s`."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            _signal(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), grace_s)
            except TimeoutError:
                _signal(process, signal.SIGKILL)
                await process.wait()
        self._lost()
        self._socket.unlink(missing_ok=True)

    async def _until_healthy(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None and not self._stopping:
            try:
                connection = await Connection.open(str(self._socket))
                reply = await connection.exchange(_HEALTH, b"")
            except (NotSentError, BrokenOffError):
                await asyncio.sleep(0.02)
                continue
            self._idle.append(connection)
            if reply.status == 200:
                self.healthy = True
                return
        raise ConnectionError(f"it ended with exit code {process.returncode} before it was healthy")

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Wait until the process ends and return its exit code; one that hangs is killed."""
        while True:
            try:
                return await asyncio.wait_for(process.wait(), _PROBE_EVERY_S)
            except TimeoutError:
                if not await self._answers():
                    _log.warning("worker %s (pid %d) hangs and is killed", self._socket, process.pid)
                    _signal(process, signal.SIGKILL)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(_HANGS_S):
                connection = await Connection.open(str(self._socket))
                try:
                    return (await connection.exchange(_HEALTH, b"")).status == 200
                finally:
                    connection.close()
        except (TimeoutError, NotSentError, BrokenOffError):
            return False

    def _note(self, reply: Reply) -> None:
        if reply.status == _PREDICTED:
            self._predicted_at = asyncio.get_running_loop().time()

    def _overdue(self, connection: Connection, answer: asyncio.Future[Reply]) -> None:
        if answer.done():
            return
        late = connection.give_up()

        def ended(late: asyncio.Future[Reply]) -> None:
            if late.exception() is None:
                self._note(late.result())
            connection.close()

        late.add_done_callback(ended)
        self._end_if_it_hangs(late)

    def _end_if_it_hangs(self, late: asyncio.Future[Reply]) -> None:
        """Kill the worker once it has not predicted anything for as long as it may take.

        It predicts in the order of requests: while it answers those that came before an overdue one it is only slow.
        """
        if late.done() or self._stopping or self._process is None:
            return
        loop = asyncio.get_running_loop()
        if (left := self._predicted_at + self._deadline_s - loop.time()) > 0:
            loop.call_later(left, self._end_if_it_hangs, late)
            return
        _log.warning("worker %s (pid %d) hangs over a request and is killed", self._socket, self._process.pid)
        self.healthy = False
        _signal(self._process, signal.SIGKILL)

    async def _connection(self) -> Connection:
        while self._idle:
            if (connection := self._idle.pop()).usable:
                return connection
        return await Connection.open(str(self._socket))

    def _lost(self) -> None:
        self.healthy = False
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        _log.debug("process %d had ended before %s", process.pid, number.name)
