"""Permissions and roles of the project."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.access import Grant, Lack, Permission, Role
from cloudmlops.errors import ConflictError
from cloudmlops.ports.access import AccessPort
from cloudmlops.providers.vertex.buckets import check_bucket
from cloudmlops.providers.vertex.mapping import access as mapping
from cloudmlops.providers.vertex.mapping.access import Scope
from cloudmlops.providers.vertex.mapping.events import full_name
from cloudmlops.providers.vertex.rest import IAM, PUBSUB, RESOURCE_MANAGER, STORAGE, Rest

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends

_CHECK: Final = "access.check"
_MOST_ASKED: Final = 100
"""Permissions that one call may ask about."""
_CHANGES: Final = 8
"""How often a policy is changed again that somebody else changes meanwhile."""
_HOSTS: Final = {
    Scope.PROJECT: (RESOURCE_MANAGER, "v3"),
    Scope.TOPIC: (PUBSUB, "v1"),
    Scope.SUBSCRIPTION: (PUBSUB, "v1"),
    Scope.ACCOUNT: (IAM, "v1"),
}
"""Who is asked about permissions on what, and the version of its interface."""
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

    def lacking(self, permissions: Collection[Permission]) -> Mapping[Permission, Lack]:
        """Ask each resource for what concerns it."""
        asked: dict[Scope, list[str]] = {}
        for name in sorted({permission.name for permission in permissions}):
            asked.setdefault(mapping.scope_of(name), []).append(name)
        granted = {
            name
            for scope, names in asked.items()
            for start in range(0, len(names), _MOST_ASKED)
            for name in self._tested(scope, names[start : start + _MOST_ASKED])
        }
        return {
            permission: Lack(resource=self._resource(mapping.scope_of(permission.name)))
            for permission in permissions
            if permission.name not in granted
        }

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

    def _resource(self, scope: Scope) -> str:
        """Return Google's own name of what is asked."""
        settings = self._settings
        match scope:
            case Scope.BUCKET:
                return f"b/{settings.bucket}"
            case Scope.TOPIC:
                return full_name(settings.project, "topics", settings.topic)
            case Scope.SUBSCRIPTION:
                return full_name(settings.project, "subscriptions", settings.subscription)
            case Scope.ACCOUNT:
                return f"projects/-/serviceAccounts/{settings.service_account}"
            case Scope.PROJECT:
                return f"projects/{settings.project}"

    def _tested(self, scope: Scope, names: Sequence[str]) -> Sequence[str]:
        about: dict[str, Any] = {"operation": _CHECK, "resource": self._settings.address, "again": True}
        resource = self._resource(scope)
        if scope is Scope.BUCKET:
            # First, for what is not there has no permissions, and in another region they are of no use.
            check_bucket(self._backends.wire, _CHECK)
            query = [("permissions", name) for name in names]
            answered = self._rest.ask(
                "GET", STORAGE, f"/storage/v1/{resource}/iam/testPermissions", query=query, **about
            )
        else:
            host, version = _HOSTS[scope]
            path = f"/{version}/{resource}:testIamPermissions"
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
