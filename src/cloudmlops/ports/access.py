"""What a provider supplies for access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from cloudmlops.domain.access import Grant, Permission, Role


class AccessPort(Protocol):
    """The provider's part of access."""

    @property
    def permissions(self) -> Mapping[str, Sequence[Permission]]:
        """What each verb needs, such as `models.promote`."""
        ...

    def holds(self, permission: Permission) -> bool:
        """Say whether the caller has a permission; nothing is created to find out."""
        ...

    def grant(self, role: Role, principal: str) -> None:
        """Give somebody a role."""
        ...

    def revoke(self, role: Role, principal: str) -> None:
        """Take a role away; one that is not held is no error."""
        ...

    def list(self) -> Sequence[Grant]:
        """List the roles that are held."""
        ...
