"""The peers' virtual environments: where they lie, what they hold, and how a program runs in one."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

OURS: Final = "cloudmlops"
"""Not a peer: the environment that runs the benchmark, with cloudmlops in it."""

ROOT: Final = Path(__file__).resolve().parents[1]
_LIST: Final = Path(__file__).with_name("peers.toml")

_QUIET: Final[Mapping[str, str]] = {
    # No peer may call home, colour its output, or ask anybody anything.
    "AUTO_OPEN_DASHBOARD": "false",
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "FEAST_USAGE": "False",
    "METAFLOW_USER": "bench",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "NO_COLOR": "1",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TERM": "dumb",
    "USER": "bench",
    "USERNAME": "bench",
    "ZENML_ANALYTICS_OPT_IN": "false",
    "ZENML_ENABLE_RICH_TRACEBACK": "false",
    "ZENML_LOGGING_VERBOSITY": "ERROR",
}
_PASSED_ON: Final = ("LANG", "LC_ALL")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One peer's virtual environment, there or not."""

    name: str
    requirements: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return folder() / self.name

    @property
    def stamp(self) -> Path:
        """Holds the requirements once they are all installed."""
        return self.folder / "installed.txt"

    @property
    def complaint(self) -> Path:
        """Holds the reason why the installation failed."""
        return folder() / f"{self.name}.failed.txt"

    @property
    def python(self) -> str:
        return self.tool("python")

    @cached_property
    def missing(self) -> str | None:
        """Why it cannot be measured; None if it can."""
        if self.name == OURS:
            return None
        if self.stamp.exists() and self.stamp.read_text() == "\n".join(self.requirements):
            return None
        if self.complaint.exists():
            return f"{self.name} could not be installed: {self.complaint.read_text().strip()}"
        return f"{self.name} is not installed: run make bench-setup"

    def tool(self, name: str) -> str:
        """The path of a program in this environment."""
        if self.name != OURS:
            return str(self.folder / "bin" / name)
        return sys.executable if name == "python" else str(Path(sys.executable).with_name(name))

    def environment(self, home: Path) -> dict[str, str]:
        """The variables for a program of this peer: telemetry off, and all its state below `home`."""
        (home / "dagster").mkdir(parents=True, exist_ok=True)
        (home / "tmp").mkdir(exist_ok=True)
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {
            **passed_on,
            **_QUIET,
            "DAGSTER_HOME": str(home / "dagster"),
            "HOME": str(home),
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(home / "metaflow"),
            "PATH": os.pathsep.join([str(Path(self.python).parent), os.environ.get("PATH", os.defpath)]),
            "PREFECT_HOME": str(home / "prefect"),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(home / "tmp"),
            "ZENML_CONFIG_PATH": str(home / "zenml"),
        }


def folder() -> Path:
    """Where the environments lie: `CLOUDMLOPS_BENCH_PEERS`, else `.peers` in the repository."""
    return Path(os.environ.get("CLOUDMLOPS_BENCH_PEERS") or ROOT / ".peers").absolute()


def listed() -> dict[str, Peer]:
    """All peers of `peers.toml`, by name."""
    entries = tomllib.loads(_LIST.read_text())
    return {name: Peer(name=name, requirements=tuple(entry["requirements"])) for name, entry in entries.items()}


def peer(name: str) -> Peer:
    """One peer, or cloudmlops' own environment."""
    return Peer(name=OURS) if name == OURS else listed()[name]
