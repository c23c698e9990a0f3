"""Neutral roles as sets of a provider's own: who holds all parts of one holds it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from collections.abc import Set as AbstractSet
from typing import TypeVar

from cloudmlops.domain.access import Grant, Role

Part = TypeVar("Part", bound=Hashable)
"""What a provider gives: an IAM role on the project, or a role's definition at a scope."""


def roles_of(held: AbstractSet[Part], parts: Mapping[Role, frozenset[Part]]) -> list[Role]:
    """Return the neutral roles that somebody with some parts has: of those that include each other, the largest."""
    having = [role for role in Role if parts[role] <= held]
    return [role for role in having if not any(parts[role] < parts[other] for other in having)]


def to_take(held: frozenset[Part], role: Role, parts: Mapping[Role, frozenset[Part]]) -> frozenset[Part]:
    """Return the parts that go with a role of somebody's, who keeps what other roles of his need."""
    others = [parts[other] for other in roles_of(held, parts) if other is not role]
    return (parts[role] & held) - frozenset[Part]().union(*others)


def grants(held: Mapping[str, frozenset[Part]], parts: Mapping[Role, frozenset[Part]]) -> list[Grant]:
    """Return who holds which role, by principal."""
    return [Grant(principal=one, role=role) for one, has in sorted(held.items()) for role in roles_of(has, parts)]
