"""Whether roles grant an action: pure rules.

Patterns are compared without regard to case, and `*` stands for any text, slashes too (learn.microsoft.com, "Understand
Azure role definitions"). What one role's notActions take away, another role may still grant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from cloudmlops.emulators.azure.rbac.roles import Role


def granted(roles: Iterable[Role], action: str, *, data: bool = False) -> bool:
    """Say whether one of some roles grants an action.

    Args:
        roles: Those that somebody has at a scope or above it.
        action: Such as `Microsoft.MachineLearningServices/workspaces/models/versions/write`.
        data: Whether it is an action on data.
    """
    return any(_grants(role, action, data=data) for role in roles)


def scopes_above(scope: str) -> list[str]:
    """Return a scope and all that it lies in, in lower case, the root `/` last.

    >>> scopes_above("/subscriptions/S/resourceGroups/G")
    ['/subscriptions/s/resourcegroups/g', '/subscriptions/s', '/']
    """
    parts = scope.lower().strip("/").split("/")
    found = []
    while len(parts) >= 2:
        found.append("/" + "/".join(parts))
        within_provider = "providers" in parts and len(parts) - parts.index("providers") > 4
        parts = parts[:-2] if within_provider or "providers" not in parts else parts[: parts.index("providers")]
    return [*found, "/"]


def _grants(role: Role, action: str, *, data: bool) -> bool:
    given, taken = (role.data_actions, role.not_data_actions) if data else (role.actions, role.not_actions)
    return any(_matches(one, action) for one in given) and not any(_matches(one, action) for one in taken)


def _matches(pattern: str, action: str) -> bool:
    return _compiled(pattern).fullmatch(action) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE | re.DOTALL)
