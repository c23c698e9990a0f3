"""Which of Azure's built-in roles make up a neutral one, and on what each is given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.access import Role
from cloudmlops.errors import InvalidRequestError
from cloudmlops.providers.azureml.mapping.access import Where
from cloudmlops.providers.azureml.mapping.roles import (
    BLOB_CONTRIBUTOR,
    BLOB_READER,
    COMPUTE_OPERATOR,
    DATA_SCIENTIST,
    EVENT_RECEIVER,
    EVENT_SENDER,
    READER,
    Definition,
)

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.settings import AzureMLSettings

Part = tuple[Where, Definition]
Parts = Mapping[Role, Sequence[Part]]
Held = frozenset[tuple[str, str]]
"""What somebody holds: scopes, in small letters, and the ids of definitions."""
_SEES: Final[Sequence[Part]] = ((Where.WORKSPACE, READER), (Where.ACCOUNT, READER))
"""Sees also who has which roles, which `check_access` reads."""
PARTS: Final[Parts] = {
    Role.READER: (*_SEES, (Where.ACCOUNT, BLOB_READER)),
    Role.APPROVER: (*_SEES, (Where.ACCOUNT, BLOB_CONTRIBUTOR)),
    Role.DEPLOYER: (*_SEES, (Where.WORKSPACE, DATA_SCIENTIST), (Where.ACCOUNT, BLOB_CONTRIBUTOR)),
    Role.TRAINER: (
        *_SEES,
        (Where.WORKSPACE, COMPUTE_OPERATOR),
        (Where.WORKSPACE, DATA_SCIENTIST),
        (Where.ACCOUNT, BLOB_CONTRIBUTOR),
    ),
}
"""Azure's built-in roles. A neutral one is held by whoever holds all of its parts, and not those of a larger one: Azure
has no role that trains without deploying. They are given in this order and taken in the other: what lacks the last part
is no neutral role, so who was given only some of a trainer's is not taken for an approver."""
_OF_TOPIC: Final[Parts] = {
    Role.DEPLOYER: ((Where.TOPIC, EVENT_SENDER), (Where.TOPIC, EVENT_RECEIVER)),
    Role.TRAINER: ((Where.TOPIC, EVENT_SENDER),),
}
"""What belongs to a role besides, where events go to a topic."""
_OF_FEATURE_STORE: Final[Parts] = {
    Role.TRAINER: (
        (Where.FEATURE_STORE, READER),
        (Where.FEATURE_STORE, DATA_SCIENTIST),
        (Where.FEATURE_ACCOUNT, READER),
        (Where.FEATURE_ACCOUNT, BLOB_CONTRIBUTOR),
    ),
}
"""What belongs to a role besides, where another workspace shows the feature sets."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def parts_of(settings: AzureMLSettings) -> Parts:
    """Return what makes up each neutral role on a platform."""
    besides = [*([_OF_TOPIC] if settings.topic else []), *([_OF_FEATURE_STORE] if settings.feature_store else [])]
    return {role: (*(part for more in besides for part in more.get(role, ())), *parts) for role, parts in PARTS.items()}


def in_order(made_of: Sequence[Part], scopes: Mapping[Where, str]) -> list[Part]:
    """Return a role's parts as they are given; of two places that are the same one, the later."""
    placed_at = {(scopes[where].lower(), definition.id): (where, definition) for where, definition in made_of[::-1]}
    return [*placed_at.values()][::-1]


def names_of(made_of: Iterable[Part]) -> str:
    """Return Azure's names of some parts, for people."""
    return ", ".join(f"{definition.name} on the {where}" for where, definition in made_of) or "nothing"


def placed(parts: Parts, scopes: Mapping[Where, str]) -> Mapping[Role, Held]:
    """Return what makes up each neutral role, by the ids of scopes and definitions: two scopes may be the same one."""
    return {
        role: frozenset((scopes[where].lower(), definition.id) for where, definition in made_of)
        for role, made_of in parts.items()
    }


def is_principal(actor: str) -> bool:
    """Say whether an actor may be one that Entra knows."""
    return _UUID.fullmatch(actor) is not None


def checked_principal(principal: str) -> str:
    """Return a principal as assignments have it.

    Raises:
        InvalidRequestError: It is none that a role may be given to.
    """
    if not _UUID.fullmatch(principal):
        raise InvalidRequestError(
            f"{principal!r} is no principal that a role can be given to",
            hint="Write the object id in Entra of a user, group, service principal or managed identity: "
            "`az ad user show --id ada@example.com --query id`.",
        )
    return principal.lower()


def held_by(assigned: Iterable[tuple[str, str, str]]) -> dict[str, Held]:
    """Collect what is held by whom, from principals, scopes and ids of definitions."""
    held: dict[str, Held] = {}
    for principal, scope, definition in assigned:
        held[principal] = held.get(principal, frozenset()) | {(scope.lower(), definition)}
    return held
