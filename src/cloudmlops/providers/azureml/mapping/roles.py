"""What Azure's roles grant: their definitions, and the rules by which they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_ML: Final = "Microsoft.MachineLearningServices/workspaces"
_AUTHORIZATION: Final = "Microsoft.Authorization"
CONTAINERS: Final = "Microsoft.Storage/storageAccounts/blobServices/containers"
_DATA: Final = f"{CONTAINERS}/blobs/"
EVENTS: Final = "Microsoft.EventGrid/events/"
"""How the actions on data begin that verbs need, on blobs and on events; all others are on resources."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """A role: what it grants and what of that it leaves out, for resources and for data."""

    id: str
    """A UUID."""
    name: str
    actions: Sequence[str] = ()
    not_actions: Sequence[str] = ()
    data_actions: Sequence[str] = ()
    not_data_actions: Sequence[str] = ()

    def grants(self, action: str) -> bool:
        """Say whether it grants an action.

        `*` is any text, case makes no difference, and what is left out is so in this role alone (learn.microsoft.com,
        "Understand Azure role definitions").
        """
        data = action.startswith((_DATA, EVENTS))
        given, taken = (self.data_actions, self.not_data_actions) if data else (self.actions, self.not_actions)
        return _any_matches(given, action) and not _any_matches(taken, action)


READER: Final = Definition(id="acdd72a7-3385-48ef-bd42-f606fba81ae7", name="Reader", actions=("*/read",))
BLOB_READER: Final = Definition(
    id="2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    name="Storage Blob Data Reader",
    actions=(f"{CONTAINERS}/read", "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"),
    data_actions=(f"{_DATA}read",),
)
DATA_SCIENTIST: Final = Definition(
    id="f6c7c914-8db3-469d-8ca1-694a8f32e121",
    name="AzureML Data Scientist",
    actions=(f"{_ML}/*/read", f"{_ML}/*/action", f"{_ML}/*/delete", f"{_ML}/*/write"),
    not_actions=(
        f"{_ML}/delete",
        f"{_ML}/write",
        f"{_ML}/computes/*/write",
        f"{_ML}/computes/*/delete",
        f"{_ML}/computes/listKeys/action",
        f"{_ML}/listKeys/action",
        f"{_ML}/hubs/write",
        f"{_ML}/hubs/delete",
        f"{_ML}/featurestores/write",
        f"{_ML}/featurestores/delete",
    ),
)
BLOB_CONTRIBUTOR: Final = Definition(
    id="ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    name="Storage Blob Data Contributor",
    actions=(
        f"{CONTAINERS}/delete",
        f"{CONTAINERS}/read",
        f"{CONTAINERS}/write",
        "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
    ),
    data_actions=(f"{_DATA}delete", f"{_DATA}read", f"{_DATA}write", f"{_DATA}move/action", f"{_DATA}add/action"),
)
COMPUTE_OPERATOR: Final = Definition(
    id="e503ece1-11d0-4e8e-8e2c-7a6c3bf38815",
    name="AzureML Compute Operator",
    actions=(f"{_ML}/computes/*", f"{_ML}/notebooks/vm/*"),
)
EVENT_SENDER: Final = Definition(
    id="d5a91429-5739-47e2-a06b-3470a27159e7",
    name="EventGrid Data Sender",
    actions=(
        f"{_AUTHORIZATION}/*/read",
        "Microsoft.EventGrid/topics/read",
        "Microsoft.EventGrid/domains/read",
        "Microsoft.EventGrid/partnerNamespaces/read",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
        "Microsoft.EventGrid/namespaces/read",
    ),
    data_actions=(f"{EVENTS}send/action",),
)
EVENT_RECEIVER: Final = Definition(
    id="78cbd9e7-9798-4e2e-9b5a-547d9ebb31fb",
    name="EventGrid Data Receiver",
    actions=(
        f"{_AUTHORIZATION}/*/read",
        "Microsoft.EventGrid/namespaces/topics/eventSubscriptions/read",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
    ),
    data_actions=(f"{EVENTS}receive/action",),
)
_ROLES_ADMINISTRATOR: Final = Definition(
    id="f58310d9-a9f6-439a-9e8d-f62e7b41a168",
    name="Role Based Access Control Administrator",
    actions=(
        f"{_AUTHORIZATION}/roleAssignments/write",
        f"{_AUTHORIZATION}/roleAssignments/delete",
        "*/read",
        "Microsoft.Support/*",
    ),
)
_CONTRIBUTOR: Final = Definition(
    id="b24988ac-6180-42a0-ab88-20f7382dd24c",
    name="Contributor",
    actions=("*",),
    not_actions=(
        f"{_AUTHORIZATION}/*/Delete",
        f"{_AUTHORIZATION}/*/Write",
        f"{_AUTHORIZATION}/elevateAccess/Action",
    ),
)
FROM_LEAST: Final = (
    READER,
    BLOB_READER,
    DATA_SCIENTIST,
    BLOB_CONTRIBUTOR,
    COMPUTE_OPERATOR,
    EVENT_SENDER,
    EVENT_RECEIVER,
    _ROLES_ADMINISTRATOR,
    _CONTRIBUTOR,
)
"""Built-in roles by their ids and documented actions (learn.microsoft.com, "Azure built-in roles"), the least first."""


def roles_with(actions: Iterable[str]) -> Sequence[str]:
    """Return the names of the built-in roles that grant some actions: the least one for each."""
    least = [next((role.name for role in FROM_LEAST if role.grants(action)), "") for action in actions]
    return [name for name in dict.fromkeys(least) if name]


def granted(roles: Iterable[Definition], action: str) -> bool:
    """Say whether one of some roles grants an action."""
    return any(role.grants(action) for role in roles)


def includes(roles: Iterable[Definition], definition: Definition) -> bool:
    """Say whether some roles together grant all that a role does.

    A role that leaves out a part of an action's pattern does not grant it, unless the other leaves that out as well.
    """
    held = tuple(roles)
    return all(
        any(_covers(role.actions, role.not_actions, wanted, definition.not_actions) for role in held)
        for wanted in definition.actions
    ) and all(
        any(_covers(role.data_actions, role.not_data_actions, wanted, definition.not_data_actions) for role in held)
        for wanted in definition.data_actions
    )


def _covers(given: Iterable[str], taken: Iterable[str], wanted: str, spared: Sequence[str]) -> bool:
    return _any_matches(given, wanted) and not any(
        _overlap(one.lower(), wanted.lower()) and not _any_matches(spared, one) for one in taken
    )


@lru_cache(maxsize=4096)
def _overlap(one: str, other: str) -> bool:
    """Say whether some text fits two patterns."""
    if not one or not other:
        return set(one + other) <= {"*"}
    if one[0] == "*":
        return _overlap(one[1:], other) or _overlap(one, other[1:])
    if other[0] == "*":
        return _overlap(other, one)
    return one[0] == other[0] and _overlap(one[1:], other[1:])


def _any_matches(patterns: Iterable[str], action: str) -> bool:
    return any(_compiled(pattern).fullmatch(action) is not None for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE | re.DOTALL)
