"""Starting processes, with the kernel's own account of what they took."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ProcessFailedError(Exception):
    """A measured program ended with an error, or too late."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One process that has ended well."""

    wall_s: float
    cpu_s: float
    """Of the process and the children that it waited for."""
    peak_mib: float
    """The largest resident set; never below that of the process which started it."""
    output: str


def run(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, stdin: str = "", timeout_s: float = 300
) -> Finished:
    """Run a program to its end.

    Raises:
        ProcessFailedError: It ended with an error or was stopped after `timeout_s`.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        given.write(stdin.encode())
        given.seek(0)
        begun = time.perf_counter()
        try:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=given, stdout=output, stderr=errors, start_new_session=True
            )
        except FileNotFoundError as error:
            raise ProcessFailedError(f"there is no program {Path(command[0]).name}") from error
        stopper = threading.Timer(timeout_s, os.killpg, (process.pid, signal.SIGKILL))
        stopper.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begun
        stopper.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it left behind in its group, such as a peer's own server
        output.seek(0)
        errors.seek(0)
        if process.returncode == -signal.SIGKILL and wall_s >= timeout_s:
            raise ProcessFailedError(f"stopped after {wall_s:.0f} s")
        if process.returncode != 0:
            raise ProcessFailedError(_last_line(errors.read()) or f"ended with code {process.returncode}")
        return Finished(
            wall_s=wall_s,
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_mib=usage.ru_maxrss / 1024,
            output=output.read().decode(errors="replace"),
        )


@contextlib.contextmanager
def server(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, address: str, body: bytes
) -> Iterator[float]:
    """Run a server; yields the seconds from its start to its first good answer to `body`, and ends it afterwards."""
    with tempfile.TemporaryFile() as log:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            while not _answers(address, body):
                if process.poll() is not None or time.perf_counter() - begun > 90:
                    log.seek(0)
                    raise ProcessFailedError(_last_line(log.read()) or "did not answer within 90 s")
                time.sleep(0.005)
            yield time.perf_counter() - begun
        finally:
            _end(process)


@contextlib.contextmanager
def announced(command: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Iterator[dict[str, Any]]:
    """Run a program that prints one line of JSON when it is ready, and ends when its stdin does; yields that line."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        try:
            assert process.stdout
            if not (line := process.stdout.readline()):
                process.wait()
                log.seek(0)
                raise ProcessFailedError(_last_line(log.read()) or "ended without a word")
            yield json.loads(line)
        finally:
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(address: str, body: bytes) -> bool:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return b"predictions" in reply.read()
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # also what it started and left behind
    process.wait()


def _last_line(text: bytes) -> str:
    """What a traceback ends with, in short."""
    lines = text.decode(errors="replace").strip().splitlines()
    return re.sub(r"^(\w+\.)+", "", lines[-1])[:100] if lines else ""
