"""The process that carries one run: `python -m cloudmlops.providers.local.running.run_process` with what `Launch` says.

It holds the run's lease, forks the zygote before it opens anything, starts steps as they become ready, and records each
transition before anything follows from it. It waits on file descriptors only: for the zygote's news, for signals, for
the next deadline. When it dies, at any point, its steps die too, the lease is free, and a resume goes on from the
records.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloudmlops.ports.clock import SystemClock
from cloudmlops.providers.local.running.attempts import Failure, failure, result
from cloudmlops.providers.local.running.descendants import adopt_descendants, end_children
from cloudmlops.providers.local.running.execution import Execution, parallelism
from cloudmlops.providers.local.running.leases import Lease
from cloudmlops.providers.local.running.run_store import RunStore
from cloudmlops.providers.local.running.zygote import Zygote
from cloudmlops.runtime.untracked import untracked

if TYPE_CHECKING:
    from cloudmlops.providers.local.running.attempts import Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What a run's process is told on its command line."""

    database: str
    run: str
    folder: str
    """Of the run."""
    target: str
    objects: str
    """The object store that keeps copies of artifacts; empty is none but the folder."""
    root: str
    """Where the imports of the pipeline's modules start."""
    modules: tuple[str, ...]
    lease: int
    """The descriptor of the run's lease, locked by whoever started this process."""
    channel: int
    """A socket to the starter; it closes when the run has ended."""
    attached: bool
    """Whether the run is to be interrupted when the starter is gone."""
    announce: bool
    """Whether to publish the run's end: nobody waits for it."""

    def command(self) -> list[str]:
        """Return the command that starts the process."""
        return [sys.executable, "-P", "-m", "cloudmlops.providers.local.running.run_process", json.dumps(asdict(self))]


def main() -> None:
    """Carry the run that the command line names to its end."""
    launch = Launch(**json.loads(sys.argv[1]))
    os.environ |= untracked(os.environ)  # the zygote imports what its steps are from
    channel = socket.socket(fileno=launch.channel)
    os.pwrite(launch.lease, str(os.getpid()).encode(), 0)
    for descriptor in (launch.lease, launch.channel):
        os.set_inheritable(descriptor, False)
    ours, theirs = socket.socketpair()
    adopt_descendants()  # if the zygote is killed
    zygote = os.fork()
    lease = Lease(launch.lease)  # the zygote's, too, which ends its steps when this process is gone
    if zygote == 0:
        ours.close()
        channel.close()
        try:
            Zygote(theirs, root=launch.root).run(list(launch.modules))
        except BaseException:  # noqa: BLE001 nothing may return into what this process was forked from
            traceback.print_exc()
        finally:
            os._exit(0)
    theirs.close()
    store = RunStore(Path(launch.database))
    request = store.request(launch.run)
    if request is None:
        raise SystemExit(f"there is no run {launch.run!r} in {launch.database}")
    execution = Execution(
        store, Path(launch.folder), request, target=launch.target, clock=SystemClock(), objects=launch.objects
    )
    carrier = Carrier(execution, ours, channel if launch.attached else None, lambda: store.asked_to_cancel(launch.run))
    ended = carrier.run()
    ours.close()
    os.waitpid(zygote, 0)
    end_children()
    if ended:
        execution.end(cancelled=carrier.cancelled)
    store.close()
    if ended and launch.announce and request.announce:
        # This lets go of the lease: before, whoever resumes the run would take this process for a part of it.
        os.execv(request.announce[0], [*request.announce, launch.run])  # noqa: S606 the starter's own command
    lease.release()
    channel.close()
    os._exit(0)  # nothing is left to tidy up, and somebody may be waiting


class Carrier:
    """The loop that starts attempts and hears how they ended."""

    def __init__(
        self,
        execution: Execution,
        zygote: socket.socket,
        starter: socket.socket | None,
        asked_to_cancel: Callable[[], bool],
    ) -> None:
        self.cancelled = False
        self._execution = execution
        self._zygote = zygote
        self._starter = starter
        self._asked_to_cancel = asked_to_cancel
        self._running: dict[str, Attempt] = {}
        self._queue: deque[Attempt] = deque()
        self._timed_out: set[str] = set()
        self._due: list[tuple[float, str, str]] = []  # (when, "retry" or "timeout", step or attempt key)
        self._received = b""

    def run(self) -> bool:
        """Go on until the run has ended: True; or until this process is to stop, and the run to be resumed: False."""
        wakeup = _signals()
        self._execution.begin()
        if self._asked_to_cancel():
            self.cancelled = True
            return True
        with selectors.DefaultSelector() as selector:
            for one in (self._zygote, wakeup, *([self._starter] if self._starter else [])):
                selector.register(one, selectors.EVENT_READ)
            self._fill()
            while self._running or self._due_retries():
                ready = {key.fileobj for key, _ in selector.select(self._pause())}
                if wakeup in ready:
                    wakeup.recv(4096)
                    if not self._asked_to_cancel():
                        return False
                    self._cancel()
                if self._starter in ready:
                    return False
                if self._zygote in ready and not self._hear():
                    return False  # the zygote was killed, and its steps with it
                self._meet_deadlines()
                self._fill()
        return True

    def _fill(self) -> None:
        if self.cancelled:
            return
        self._queue.extend(self._execution.ready())
        while self._queue and len(self._running) < parallelism():
            self._start(self._queue.popleft())

    def _start(self, attempt: Attempt) -> None:
        self._running[attempt.key] = attempt
        timeout = self._execution.request.graph.by_name[attempt.step].options.timeout
        if timeout is not None:
            heapq.heappush(self._due, (time.monotonic() + timeout.total_seconds(), "timeout", attempt.key))
        self._send({"start": asdict(attempt)})

    def _hear(self) -> bool:
        data = self._zygote.recv(65536)
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            self._ended(self._running.pop(message["ended"]), message["status"])
        return bool(data)

    def _ended(self, attempt: Attempt, status: int) -> None:
        folder = Path(attempt.folder)
        if (outputs := result(folder)) is not None:
            self._execution.succeeded(attempt.step, outputs)
        elif self.cancelled:
            self._execution.cancelled(attempt.step)
        else:
            why = failure(folder, status)
            if attempt.key in self._timed_out:
                timeout = self._execution.request.graph.by_name[attempt.step].options.timeout
                why = Failure(error=f"it ran longer than its timeout of {timeout} and was killed")
            if (delay := self._execution.failed(attempt.step, why)) is not None:
                heapq.heappush(self._due, (time.monotonic() + delay.total_seconds(), "retry", attempt.step))

    def _due_retries(self) -> bool:
        return any(what == "retry" for _, what, _ in self._due)

    def _pause(self) -> float | None:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _meet_deadlines(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, what, subject = heapq.heappop(self._due)
            if what == "retry":
                self._execution.again(subject)
            elif subject in self._running:
                self._timed_out.add(subject)
                self._send({"kill": subject})

    def _cancel(self) -> None:
        self.cancelled = True
        self._due = []
        for key in self._running:
            self._send({"kill": key})

    def _send(self, message: dict[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the zygote is gone; the loop sees it
            self._zygote.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def _signals() -> socket.socket:
    wakeup, woken = socket.socketpair()
    wakeup.setblocking(False)
    woken.setblocking(False)
    _KEPT.append(woken)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return wakeup


_KEPT: Final[list[socket.socket]] = []
"""Ends of sockets that only the kernel writes to."""


if __name__ == "__main__":
    main()
