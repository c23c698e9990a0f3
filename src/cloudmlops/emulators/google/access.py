"""Who may do what: everything, until a test denies it; and the policies that are kept for reading."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.aiplatform.names import Projects

_POLICY_FIELDS: Final = {"version", "bindings", "etag", "auditConfigs"}
_AGENTS: Final = "@gcp-sa-"
"""In the addresses of Google's own service agents, such as the one that reads the sources of feature views."""


class Access:
    """Permissions. Roles are not resolved: a policy is kept as it was set, what is denied is told by `deny`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._denied = state.table("denied_permissions")
        self._policies = state.table("access_policies")
        self._projects = Projects(state)

    def deny(self, permission: str, *, principal: str = "*", resource: str = "*") -> None:
        """Take a permission away.

        Args:
            permission: Such as `aiplatform.models.upload`; a pattern with `*`.
            principal: E-mail address of who is concerned, a pattern. Google's own service agents are only concerned by
                one that names them: what a caller lacks, they do not.
            resource: Name of what is concerned with all that lies in it, such as `projects/p/locations/us-central1`, a
                pattern. The project may be written by its id or by its number, whatever the caller wrote.

        Raises:
            Refused: No permission is called so, or nobody or nothing is meant.
        """
        if "*" not in permission and permission.count(".") < 2:
            told = f"{permission!r} is no permission's name; one is SERVICE.RESOURCE.VERB, or a pattern with *"
            raise Refused("INVALID_ARGUMENT", told)
        if not principal or not resource:
            raise Refused("INVALID_ARGUMENT", "a principal or a resource that is empty is none; all are *")
        self._denied.put(json.dumps([permission, principal, resource]), b"")

    def allow(self, permission: str = "*", *, principal: str = "*", resource: str = "*") -> None:
        """Take back what was denied in the same words; without words, all."""
        if (permission, principal, resource) != ("*", "*", "*"):
            self._denied.delete(json.dumps([permission, principal, resource]))
            return
        with self._state.transaction():
            for key in self._rules():
                self._denied.delete(key)

    def granted(self, principal: str, permission: str, resource: str) -> bool:
        """Say whether somebody may do something."""
        rules = self._rules()
        if not rules:
            return True
        names = self._names(resource)
        return not any(_concerns(json.loads(rule), permission, principal, names) for rule in rules)

    def _rules(self) -> list[str]:
        return [key for key, _ in self._denied.items()]

    def _names(self, resource: str) -> set[str]:
        """Return the names of a resource and of all that it lies in, with the project's id and with its number."""
        names = set()
        for name in (self._projects.by_id(resource), self._projects.by_number(resource)):
            names.add(name)
            # An object's name may have slashes, and what they seem to lie in is none.
            within = name.partition("/objects/")[0].split("/")
            names.update("/".join(within[:end]) for end in range(2, len(within) + 1, 2))
        return names

    def check(self, principal: str, permission: str, resource: str, *, message: str = "") -> None:
        """Let somebody do something.

        Args:
            principal: E-mail address of who asks.
            permission: Such as `aiplatform.models.upload`.
            resource: Such as `projects/p/locations/us-central1`.
            message: The service's own words; else those that most have.

        Raises:
            Refused: It was denied.
        """
        if not self.granted(principal, permission, resource):
            whole = f"//{permission.partition('.')[0]}.googleapis.com/{self._projects.by_id(resource)}"
            raise Refused(
                "PERMISSION_DENIED",
                message or f"Permission '{permission}' denied on resource '{whole}' (or it may not exist).",
                reason="IAM_PERMISSION_DENIED",
            )

    def tested(self, principal: str, permissions: Iterable[str], resource: str) -> list[str]:
        """Return those of some permissions that somebody has.

        Raises:
            Refused: One is not a permission's name.
        """
        asked = list(permissions)
        if faulty := [name for name in asked if name.count(".") < 2 or "*" in name]:
            raise Refused("INVALID_ARGUMENT", f"Permission {faulty[0]} is not valid for this resource.")
        return [permission for permission in asked if self.granted(principal, permission, resource)]

    def logs_data(self, service: str, project: str) -> bool:
        """Say whether a project has it written who changed data of a service, such as `storage.googleapis.com`.

        That is off until the `auditConfigs` of the project's policy turn it on, as for the service itself.
        """
        for config in self.policy(f"projects/{self._projects.id(project)}").get("auditConfigs", []):
            kinds = {kind.get("logType") for kind in config.get("auditLogConfigs", [])}
            if config.get("service") in (service, "allServices") and "DATA_WRITE" in kinds:
                return True
        return False

    def log_data(self, service: str, project: str) -> None:
        """Let a project have it written who changes data of a service: what setting its policy would do."""
        resource = f"projects/{self._projects.id(project)}"
        with self._state.transaction():
            known = self.policy(resource)
            config = {"service": service, "auditLogConfigs": [{"logType": "DATA_WRITE"}]}
            self.set_policy(resource, {**known, "auditConfigs": [*known.get("auditConfigs", []), config]})

    def policy(self, resource: str) -> dict[str, Any]:
        """Return the policy of a resource; before one was set it is empty."""
        data = self._policies.get(resource)
        policy = json.loads(data) if data is not None else {"version": 1}
        return {**policy, "etag": _etag(policy)}

    def set_policy(self, resource: str, policy: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a policy.

        Raises:
            Refused: It is malformed, or another was set since the one that it was made from.
        """
        if unknown := set(policy) - _POLICY_FIELDS:
            raise Refused(
                "INVALID_ARGUMENT", f"Invalid JSON payload received. Unknown name \"{min(unknown)}\" at 'policy'"
            )
        for binding in policy.get("bindings", []):
            if not binding.get("role") or any(
                ":" not in member and not member.startswith("all") for member in binding.get("members", [])
            ):
                raise Refused("INVALID_ARGUMENT", f"Invalid binding {json.dumps(binding)} of a policy.")
        with self._state.transaction():
            known = self.policy(resource)
            if policy.get("etag") and policy["etag"] != known["etag"]:
                raise Refused(
                    "ABORTED",
                    "There were concurrent policy changes. "
                    "Please retry the whole read-modify-write with exponential backoff.",
                )
            kept = {"version": 1, **{name: value for name, value in policy.items() if name != "etag"}}
            self._policies.put(resource, json.dumps(kept).encode())
        return self.policy(resource)


def _concerns(rule: Iterable[str], permission: str, principal: str, names: Iterable[str]) -> bool:
    """Say whether a rule takes a permission on something from somebody."""
    what, whom, where = rule
    if _AGENTS in principal and _AGENTS not in whom:
        return False
    return (
        fnmatchcase(permission, what)
        and fnmatchcase(principal, whom)
        and any(fnmatchcase(name, where) for name in names)
    )


def _etag(policy: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).digest()
    return base64.b64encode(digest[:8]).decode()
