"""Keep stand-ins running: Terraform, attached to them, starts none, which takes longer than what it asks them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tools.tfcheck.mirror import ROOT

_LOCKED: Final = re.compile(r'^provider "([^"]+)" \{\s+version\s+= "([^"]+)"', re.MULTILINE)


class Attached:
    """Stand-ins of the versions that Terraform chose, each started when it is first wanted. Use as a context manager.

    `terraform init` is not to be attached: it chooses versions, as it would without this, and notes them in its lock.
    """

    def __init__(self, mirror: Path) -> None:
        """Prepare; nothing is started.

        Args:
            mirror: What `lay_out` made.
        """
        self._mirror = mirror
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], tuple[subprocess.Popen[str], str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, _ in self._running.values():
            process.terminate()
        for process, _ in self._running.values():
            process.communicate()

    def variables(self, folder: Path) -> Mapping[str, str]:
        """Return the variables with which Terraform uses what runs, in a folder that is initialised."""
        lock = folder / ".terraform.lock.hcl"
        chosen = _LOCKED.findall(lock.read_text(encoding="utf-8")) if lock.exists() else []
        told = {source: self._address(source, version) for source, version in chosen}
        return {"TF_REATTACH_PROVIDERS": json.dumps(told)} if told else {}

    def _address(self, source: str, version: str) -> Mapping[str, object]:
        with self._lock:
            if (source, version) not in self._running:
                self._running[source, version] = self._started(source, version)
            process, socket = self._running[source, version]
        return {
            "Protocol": "grpc",
            "ProtocolVersion": 5,
            "Pid": process.pid,
            "Test": True,  # Terraform leaves it running
            "Addr": {"Network": "unix", "String": socket},
        }

    def _started(self, source: str, version: str) -> tuple[subprocess.Popen[str], str]:
        (schema,) = (self._mirror / source / version).glob("*/schema.json")
        command = [sys.executable, "-m", "tools.tfcheck.standin", "--stay", str(schema), str(schema.with_suffix(".pb"))]
        path = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=path, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        *_, socket, _ = process.stdout.readline().split("|")
        return process, socket
