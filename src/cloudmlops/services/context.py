"""What every service is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cloudmlops.domain.actors import Actor
from cloudmlops.domain.events import Event
from cloudmlops.domain.lineage import RunRef
from cloudmlops.ports.backends import Backends


@dataclass(frozen=True, kw_only=True)
class ServiceContext:
    """One platform as one caller sees it."""

    backends: Backends
    actor: Actor
    publish: Callable[[Event], None]
    """Durable when it returns; the same event twice is one."""
    run: RunRef | None = None
    """The run that this process is a step of."""
