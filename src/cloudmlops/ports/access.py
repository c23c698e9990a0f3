"""What a provider supplies for access."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from cloudmlops.domain.access import Grant, Lack, Permission, Role


class AccessPort(Protocol):
    """The provider's part of access."""

    @property
    def permissions(self) -> Mapping[str, Sequence[Permission]]:
        """What each verb needs, such as `models.promote`."""
        ...

    def lacking(self, permissions: Collection[Permission]) -> Mapping[Permission, Lack]:
        """Return those of some permissions that the caller lacks, or may lack; nothing is created to find out."""
        ...

    def holders(self, role: Role, principals: Collection[str]) -> frozenset[str]:
        """Return those of some actors, by their ids, who hold a role, however they came by it."""
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
