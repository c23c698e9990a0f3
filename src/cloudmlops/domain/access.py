"""Who may do what, in words that every provider maps to its own roles."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """A neutral role; Entra and IAM have roles that it is mapped to."""

    TRAINER = "trainer"
    """Runs pipelines, reads features, registers model versions."""
    DEPLOYER = "deployer"
    """Promotes, deploys and shifts traffic."""
    APPROVER = "approver"
    """Approves versions and may do nothing else to them."""
    READER = "reader"
    """Reads everything, changes nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Permission:
    """One of the provider's own permissions, and the role that holds it."""

    name: str
    role: Role | None
    """None: no neutral role has it, for it is the provider's own affair; `native_role` says whom to ask for what."""
    scope: str = ""
    """What kind of thing it is asked of, such as `workspace`, `bucket` or `topic`."""
    when: str = ""
    """What of the arguments, or of what is there already, makes it needed; empty: it always is."""
    native_role: str = field(default="", compare=False)
    """The provider's own role that has it, where that is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """That a permission is not held, or not known to be."""

    resource: str = ""
    """What it was asked of, by the provider's own name; empty where that is not known, or clear."""
    unknown: str = ""
    """Why nobody can tell whether it is held; empty: it is not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingPermission:
    """A verb that would be refused, or may be, and what would let it pass."""

    verb: str
    """Such as `models.promote`."""
    permission: Permission
    resource: str = ""
    """What it is wanted of, by the provider's own name; empty where that is not known, or clear."""
    unknown: str = ""
    """Why nobody can tell whether it is missing; empty: it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A role held by somebody."""

    principal: str
    role: Role
