"""A warm process from which each step is forked: the pipeline's modules are imported once a run, not once a step.

It has one thread and speaks lines of JSON over a socket to the run's process: `{"start": attempt}` and
`{"kill": key}` come in, `{"ended": key, "status": …}` goes out. When the socket closes, the run's process is gone: all
steps are killed and the zygote ends. When the zygote itself is killed, the kernel kills its steps.

Whatever a step started, in whichever session, is its descendant while it lives and the zygote's child afterwards: the
attempt has ended when those are gone, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
import warnings

from cloudmlops.domain.source import importing_steps
from cloudmlops.providers.local.running.attempts import Attempt, attempt_from_json, carry_out
from cloudmlops.providers.local.running.descendants import (
    adopt_descendants,
    die_with_parent,
    end_children,
    kill_group,
    outlive_parent,
)
from cloudmlops.providers.local.running.processes import children
from cloudmlops.providers.local.running.step_process import StepLaunch


class Zygote:
    """The forking process's loop."""

    def __init__(self, connection: socket.socket, *, root: str) -> None:
        self._connection = connection
        self._root = root
        self._forks = True
        self._running: dict[int, str] = {}
        self._started_by_modules: set[int] = set()
        self._received = b""

    def run(self, modules: list[str]) -> None:
        """Import the modules, then serve until the other side is gone."""
        die_with_parent()
        adopt_descendants()
        sys.path.insert(0, self._root)
        _import(modules)
        self._started_by_modules = children()
        self._forks = threading.active_count() == 1 and not _has_used_a_remote_store()
        outlive_parent()  # from here on the closed socket says so, and there are steps to end first
        wakeup, woken = socket.socketpair()
        for one in (wakeup, woken):
            one.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if wakeup in ready:
                    with contextlib.suppress(BlockingIOError):
                        wakeup.recv(4096)
                self._reap()
                if self._connection in ready and not self._serve():
                    break
        self._end()

    def _serve(self) -> bool:
        data = self._connection.recv(65536)
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "start" in message:
                self._start(attempt_from_json(json.dumps(message["start"])))
            else:
                self._kill(message["kill"])
        return bool(data)

    def _start(self, attempt: Attempt) -> None:
        with warnings.catch_warnings():
            # Native pools of numpy and its like are made for forks; with threads of Python's own, an exec follows.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            self._become(attempt)
        self._running[child] = attempt.key

    def _become(self, attempt: Attempt) -> None:
        """Turn this forked process into the step's; never returns."""
        status = 1
        try:
            os.setsid()  # a process group of its own, so that a timeout ends what the step has started, too
            die_with_parent()
            adopt_descendants()  # not the zygote: it could not tell whose they are
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            self._connection.close()
            if not self._forks:
                StepLaunch(attempt=attempt, root=self._root).replace_this_process()
            status = 0 if carry_out(attempt) else 1
        except BaseException:  # noqa: BLE001 nothing may return into the zygote's loop
            traceback.print_exc()
        finally:
            _leave(status)

    def _kill(self, key: str) -> None:
        for child, running in self._running.items():
            if running == key:
                kill_group(child)

    def _reap(self) -> None:
        while True:
            try:
                # Without reaping it: the group's number is not given away while its leader waits.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            if ended.si_pid in self._running:
                kill_group(ended.si_pid)
            _, status = os.waitpid(ended.si_pid, 0)
            if (key := self._running.pop(ended.si_pid, None)) is not None:
                end_children(self._running.keys() | self._started_by_modules)
                self._tell({"ended": key, "status": os.waitstatus_to_exitcode(status)})

    def _tell(self, message: dict[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the run's process is gone; our loop sees it
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def _end(self) -> None:
        for child in self._running:
            kill_group(child)
        end_children()


def _import(modules: list[str]) -> None:
    for module in modules:
        # The step that needs a module which cannot be imported fails with that error, in its own log.
        with contextlib.suppress(BaseException), importing_steps():
            __import__(module)


def _has_used_a_remote_store() -> bool:
    remote = sys.modules.get("cloudmlops.storage.remote")  # nobody has used one where nobody has loaded this
    return remote is not None and remote.in_use()


def _leave(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
