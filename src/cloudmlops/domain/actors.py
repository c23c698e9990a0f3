"""Who did something."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """How far a name can be trusted."""

    USER = "user"
    """A person, known to the operating system or from a verified token."""
    SERVICE = "service"
    """A program's own identity: a managed identity or a service account."""
    SELF_DECLARED = "self-declared"
    """A name that the caller gave and nobody checked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Somebody who registers, approves, promotes or runs."""

    id: str
    """An Entra object id, a Google principal, an operating-system user, or the declared name."""
    kind: ActorKind = ActorKind.USER

    def __str__(self) -> str:
        return f"{self.id} (self-declared)" if self.kind is ActorKind.SELF_DECLARED else self.id
