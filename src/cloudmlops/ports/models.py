"""What a provider supplies for models: a record of each version, where native tools see the ledger's truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cloudmlops.domain.ledger import Registration
from cloudmlops.domain.models import Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class NewVersion:
    """A version that is to exist at the provider."""

    model: str
    version: str
    request: str
    """The same key is the same version: a retry finds what an earlier try made."""
    registration: Registration


@dataclass(frozen=True, kw_only=True, slots=True)
class Projection:
    """What native tools should see of a version."""

    version: str
    stage: Stage
    revision: int
    """Sequence of the ledger's entry that moved it last; a provider keeps it beside the stage."""
    tags: Mapping[str, str] = field(default_factory=dict)
    head: int = field(default=0, compare=False)
    """Sequence of the ledger's last entry when this was drawn; 0 when that is not known."""
    head_digest: str = field(default="", compare=False)
    """Digest of entry `head`: whoever changes that entry must change this record, too."""
    native: str = field(default="", compare=False)
    """The provider's own name of the version: finds a record that lost what is ours; empty when that is not known."""
    faults: Sequence[str] = ()
    """What else is wrong with what is shown, in words; to draw it again sets that right."""


class ModelsPort(Protocol):
    """The provider's part of models."""

    def create(self, new: NewVersion) -> str:
        """Make the version, unless one of that request key is there; return the provider's own name of it."""
        ...

    def project(self, model: str, projections: Sequence[Projection]) -> None:
        """Show stage, revision and tags of these versions, together or one by one; the same twice is no error."""
        ...

    def projected(self, model: str) -> Mapping[str, Projection]:
        """Read what is shown of each version; empty when there is no such model."""
        ...

    def delete(self, model: str, version: str) -> None:
        """Remove the provider's record; absent is no error."""
        ...

    def stamped(self) -> Sequence[str]:
        """Return the models that an object store is stamped on, sorted."""
        ...

    def store(self, model: str) -> str | None:
        """Return the address of the object store that is stamped on the model; None when there is none yet."""
        ...

    def stamp(self, model: str, store: str) -> None:
        """Stamp the address of the object store that holds the model's ledger."""
        ...
