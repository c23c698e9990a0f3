"""Where a run came from: enough to say which code and data made a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cloudmlops.domain.actors import Actor


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRef:
    """A pipeline run, and where it applies the step, by name."""

    id: str
    pipeline: str = ""
    step: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """What a run was made from."""

    git_commit: str | None
    """None outside a git checkout."""
    git_dirty: bool
    source_digest: str
    """SHA-256 of the first-party modules, in hexadecimal."""
    parameters: Mapping[str, object]
    python: str
    packages: Mapping[str, str]
    """Installed distribution to its version."""
    actor: Actor
    started_at: datetime
    """Time-zone aware, UTC."""
    image: str | None = None
    input_digests: Mapping[str, str] = field(default_factory=dict)
