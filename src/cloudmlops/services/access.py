"""What a user does with access: ask what is missing before starting, and give and take roles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudmlops.domain.access import Grant, MissingPermission, Role
from cloudmlops.domain.capabilities import Capability
from cloudmlops.errors import InvalidRequestError
from cloudmlops.services.context import ServiceContext
from cloudmlops.services.telemetry import span


class Access:
    """Roles on one platform."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context

    def check(self, verbs: Iterable[str]) -> tuple[MissingPermission, ...]:
        """Return what the caller lacks for `verbs`, such as `models.promote`; empty when all of them would pass.

        What could not be found out is among it, and says why (`unknown`). What only some calls of a verb need says
        which these are (`permission.when`).

        Raises:
            InvalidRequestError: A verb is unknown; all such are listed.
        """
        port = self._context.backends.access
        wanted = list(verbs)
        if unknown := [verb for verb in wanted if verb not in port.permissions]:
            raise InvalidRequestError(
                "access was asked for verbs that do not exist",
                faults=[repr(verb) for verb in unknown],
                hint=f"Known verbs: {', '.join(sorted(port.permissions))}.",
            )
        with span("access.check", verbs=",".join(wanted)):
            lacking = port.lacking({permission for verb in wanted for permission in port.permissions[verb]})
            return tuple(
                MissingPermission(verb=verb, permission=permission, resource=lack.resource, unknown=lack.unknown)
                for verb in wanted
                for permission in port.permissions[verb]
                if (lack := lacking.get(permission)) is not None
            )

    def grant(self, role: Role | str, principal: str) -> None:
        """Give `principal` a role; `UnsupportedError` where the provider has no access control."""
        self._context.backends.capabilities.require(Capability.ACCESS_CONTROL)
        with span("access.grant", role=role, principal=principal):
            self._context.backends.access.grant(Role(role), principal)

    def revoke(self, role: Role | str, principal: str) -> None:
        """Take a role from `principal`; `UnsupportedError` where the provider has no access control."""
        self._context.backends.capabilities.require(Capability.ACCESS_CONTROL)
        with span("access.revoke", role=role, principal=principal):
            self._context.backends.access.revoke(Role(role), principal)

    def list(self) -> Sequence[Grant]:
        """List who holds which role; `UnsupportedError` where the provider has no access control."""
        self._context.backends.capabilities.require(Capability.ACCESS_CONTROL)
        with span("access.list"):
            return self._context.backends.access.list()
