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
    role: Role
    native_role: str = field(default="", compare=False)
    """The provider's own role that has it, where that is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingPermission:
    """A verb that would be refused, and what would let it pass."""

    verb: str
    """Such as `models.promote`."""
    permission: Permission


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A role held by somebody."""

    principal: str
    role: Role
