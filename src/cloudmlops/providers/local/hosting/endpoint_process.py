"""An endpoint's supervisor as seen by other processes: started, given orders, ended."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from cloudmlops import errors
from cloudmlops.errors import CloudMLOpsError, ConfigurationError, UnavailableError
from cloudmlops.providers.local.hosting.endpoint_state import EndpointRecord, supervised

_FRONT: Final = "cloudmlops.providers.local.hosting.front"


def ensure_running(folder: Path) -> None:
    """Start the endpoint's supervisor unless it lives; the caller holds the endpoint's `changing` lock.

    Raises:
        ConfigurationError: It cannot listen; the message says where and why.
    """
    if supervised(folder):
        return
    command = [sys.executable, "-P", "-m", _FRONT, str(folder)]
    # A step that deploys is gone when the endpoint serves: what is read there is not part of its run.
    variables = {name: value for name, value in os.environ.items() if name != "CLOUDMLOPS_RUN"}
    done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message, _, hint = done.stderr.strip().partition("\n")
        raise ConfigurationError(message, hint=hint.strip())


def give_order(folder: Path, verb: str, **arguments: object) -> Any:
    """Give the supervisor an order, wait until it is carried out, and return its answer.

    Raises:
        UnavailableError: It does not live, or ended meanwhile.
        CloudMLOpsError: Whatever the supervisor refused with.
    """
    try:
        answer = json.loads(_exchange(folder, json.dumps({"verb": verb, **arguments}).encode() + b"\n"))
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"the supervisor of endpoint {folder.name!r} does not answer: {error}",
            hint=f"Try again: the next deploy, shift or prediction starts it. Its log is {folder / 'endpoint.log'}.",
            provider="local",
            operation=f"endpoints.{verb}",
            resource=folder.name,
            retryable=True,
        ) from error
    if (fault := answer.get("error")) is not None:
        kind: type[CloudMLOpsError] = getattr(errors, fault["kind"])
        raise kind(fault["message"], hint=fault["hint"])
    return answer["value"]


def end(folder: Path) -> None:
    """End the supervisor and its workers, if it lives; returns when they are gone."""
    if not supervised(folder):
        return
    try:
        give_order(folder, "stop")
    except UnavailableError:
        record = EndpointRecord.read(folder)
        if record is not None and record.pid and supervised(folder):
            os.kill(record.pid, signal.SIGTERM)
    with (folder / "supervisor.lock").open("r") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # granted when it has ended


def _exchange(folder: Path, line: bytes) -> bytes:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            # A socket's path is at most 107 bytes long and a platform's folder may lie deep: this names it in few.
            client.connect(f"/proc/self/fd/{descriptor}/control.sock")
            client.sendall(line)
            with client.makefile("rb") as answer:
                return answer.readline()
    finally:
        os.close(descriptor)
