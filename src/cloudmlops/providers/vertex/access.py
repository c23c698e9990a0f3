"""Permissions and roles of the project."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.access import Grant, Permission, Role
from cloudmlops.errors import ConflictError
from cloudmlops.ports.access import AccessPort
from cloudmlops.providers.vertex.buckets import check_bucket
from cloudmlops.providers.vertex.mapping import access as mapping
from cloudmlops.providers.vertex.mapping.events import full_name
from cloudmlops.providers.vertex.rest import IAM, PUBSUB, RESOURCE_MANAGER, STORAGE, Rest

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends

_CHECK: Final = "access.check"
_MOST_ASKED: Final = 100
"""Permissions that one call may ask about."""
_CHANGES: Final = 8
"""How often a policy is changed again that somebody else changes meanwhile."""
_WITH_CONDITIONS: Final = 3
"""Version of policies with conditions; asked for an earlier one, the service leaves the conditions out."""


class VertexAccess(AccessPort):
    """IAM of one project, and of the bucket, topic, subscription and service account that it is connected with."""

    def __init__(self, backends: VertexBackends) -> None:
        self._backends = backends
        self._settings = backends.settings
        self._permissions = mapping.permissions_of(backends.settings)

    @property
    def permissions(self) -> Mapping[str, Sequence[Permission]]:
        return self._permissions

    def held(self, permissions: Collection[Permission]) -> frozenset[Permission]:
        """Ask each resource for what concerns it."""
        asked: dict[str, list[str]] = {}
        for name in sorted({permission.name for permission in permissions}):
            asked.setdefault(self._resource(name), []).append(name)
        granted = {
            name
            for resource, names in asked.items()
            for start in range(0, len(names), _MOST_ASKED)
            for name in self._tested(resource, names[start : start + _MOST_ASKED])
        }
        return frozenset(permission for permission in permissions if permission.name in granted)

    def holders(self, role: Role, principals: Collection[str]) -> frozenset[str]:
        """Read who holds all IAM roles of a role on the project by name; members of groups are not looked up."""
        having = {one.principal.partition(":")[2].lower() for one in self.list() if one.role is role}
        return frozenset(one for one in principals if one.lower() in having)

    def grant(self, role: Role, principal: str) -> None:
        """Add the role's IAM roles to the project's policy, without conditions."""
        name = mapping.checked_principal(principal)
        self._change(lambda policy: mapping.with_role(policy, role, name), "access.grant", name)

    def revoke(self, role: Role, principal: str) -> None:
        """Take the role's IAM roles out of the project's policy, but for those that another role of his needs."""
        name = mapping.checked_principal(principal)
        self._change(lambda policy: mapping.without_role(policy, role, name), "access.revoke", name)

    def list(self) -> Sequence[Grant]:
        """Read who holds all IAM roles of a role on the project."""
        return mapping.grants(self._policy("access.list"))

    def close(self) -> None:
        """Close connections."""
        if "_rest" in self.__dict__:
            self._rest.close()

    @cached_property
    def _rest(self) -> Rest:
        return Rest(self._backends.wire)

    def _resource(self, permission: str) -> str:
        """Return the path of the narrowest resource that a permission may be granted on; a grant above counts there."""
        settings = self._settings
        if permission.startswith("storage."):
            return f"/storage/v1/b/{settings.bucket}/iam/testPermissions"
        if permission.startswith("pubsub.topics."):
            return f"/v1/{full_name(settings.project, 'topics', settings.topic)}:testIamPermissions"
        if permission.startswith("pubsub.subscriptions."):
            return f"/v1/{full_name(settings.project, 'subscriptions', settings.subscription)}:testIamPermissions"
        if permission.startswith("iam.serviceAccounts."):
            return f"/v1/projects/-/serviceAccounts/{settings.service_account}:testIamPermissions"
        return f"/v3/projects/{settings.project}:testIamPermissions"

    def _tested(self, path: str, names: Sequence[str]) -> Sequence[str]:
        about: dict[str, Any] = {"operation": _CHECK, "resource": self._settings.address, "again": True}
        if path.startswith("/storage/"):
            # First, for what is not there has no permissions, and in another region they are of no use.
            check_bucket(self._backends.wire, _CHECK)
            answered = self._rest.ask("GET", STORAGE, path, query=[("permissions", name) for name in names], **about)
        else:
            host = RESOURCE_MANAGER if path.startswith("/v3/") else IAM if "/serviceAccounts/" in path else PUBSUB
            answered = self._rest.ask("POST", host, path, body={"permissions": names}, **about)
        granted: Sequence[str] = answered.get("permissions", ())
        return granted

    def _policy(self, operation: str) -> mapping.Policy:
        return self._rest.ask(
            "POST",
            RESOURCE_MANAGER,
            f"/v3/projects/{self._settings.project}:getIamPolicy",
            body={"options": {"requestedPolicyVersion": _WITH_CONDITIONS}},
            operation=operation,
            resource=self._settings.project,
            again=True,
        )

    def _change(
        self, changed: Callable[[mapping.Policy], mapping.Policy | None], operation: str, principal: str
    ) -> None:
        """Read the policy, change it, and write it back, unless somebody else did so meanwhile: then again."""
        for tries_left in reversed(range(_CHANGES)):
            policy = changed(self._policy(operation))
            if policy is None:
                return
            try:
                # The etag makes it safe to repeat: what took hold before its answer was lost is a conflict the second
                # time, and nothing is left to change when the policy is read again.
                self._rest.ask(
                    "POST",
                    RESOURCE_MANAGER,
                    f"/v3/projects/{self._settings.project}:setIamPolicy",
                    body={"policy": {**policy, "version": _WITH_CONDITIONS}},
                    operation=operation,
                    resource=principal,
                    again=True,
                )
            except ConflictError:
                if not tries_left:
                    raise
            else:
                return
