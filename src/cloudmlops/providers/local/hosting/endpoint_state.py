"""What an endpoint's folder holds, and who may change it.

change.lock      held by a process while it changes the endpoint, so that two shells queue
supervisor.lock  held by the supervisor for as long as it lives: the kernel lets go when it dies, however it dies
state.json       what is deployed, how traffic is split, where it listens; replaced whole
control.sock     where the supervisor takes orders
endpoint.log     the supervisor's own log
DEPLOYMENT/      model/, worker.log and the workers' sockets
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from cloudmlops.errors import UnexpectedReplyError

KEPT_CHANGES: Final = 1000
KEPT_FORMER: Final = 100


@dataclass(frozen=True, kw_only=True)
class DeploymentRecord:
    """One deployment, as it is written down."""

    name: str
    model: str
    version: str
    deployed_as: str
    replicas: int
    machine: str | None
    traffic_percent: int | None
    created_at: str
    actor: str
    target: str
    """The platform whose features complete requests that carry keys alone."""
    prediction_timeout_s: float = 60.0
    """So long it may take for a request."""
    healthy: bool = False
    """Whether it was healthy once: only then is it part of the endpoint."""
    announced: bool = False
    failure: str = ""
    """Why it is no longer there, if not by an order."""


@dataclass(kw_only=True)
class EndpointRecord:
    """One endpoint, as it is written down."""

    name: str
    host: str
    port: int
    """0 before the supervisor first listened."""
    fixed_port: bool
    """Whether the port was asked for, so that no other will do."""
    pid: int = 0
    """The supervisor's, for people; whether it lives is told by its lock."""
    traffic: dict[str, int] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    deployments: list[DeploymentRecord] = field(default_factory=list)
    former: list[DeploymentRecord] = field(default_factory=list)
    """The last that failed or were undeployed: an act of deploying is not done twice, and its end can be asked for."""

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read an endpoint's record; None when there is none.

        Raises:
            UnexpectedReplyError: The file is damaged.
        """
        try:
            text = (folder / "state.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            values = json.loads(text)
            for part in ("deployments", "former"):
                values[part] = [DeploymentRecord(**record) for record in values[part]]
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise UnexpectedReplyError(
                f"{folder / 'state.json'} is damaged: {error!r}",
                hint="Remove the endpoint's folder and deploy again.",
            ) from error

    def write(self, folder: Path) -> None:
        """Replace the record; a reader sees the old or the new one."""
        temporary = folder / f"state.{os.getpid()}.tmp"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / "state.json")

    @property
    def exists(self) -> bool:
        """Whether there is an endpoint: not if all that was ever tried there failed."""
        return bool(self.deployments or self.history)

    def find(self, name: str) -> DeploymentRecord | None:
        """Return the deployment of that name; None when there is none."""
        return next((record for record in self.deployments if record.name == name), None)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Hold an endpoint's folder against other processes that would change it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "change.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def supervised(folder: Path) -> bool:
    """Say whether the endpoint's supervisor lives."""
    try:
        with (folder / "supervisor.lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
