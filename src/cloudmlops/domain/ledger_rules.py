"""What may be said next, given a ledger's fold: pure functions that return a statement or raise a refusal.

Each returns None where the ledger already says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from cloudmlops.domain.access import Role
from cloudmlops.domain.actors import Actor
from cloudmlops.domain.ledger import EntryKind, Evidence, Fold, Registration, Statement, VersionState
from cloudmlops.domain.models import Stage, check_move
from cloudmlops.domain.policies import Policy, Proposal
from cloudmlops.errors import ConflictError, InvalidMoveError, InvalidRequestError, NotFoundError

Holders = Mapping[Role, frozenset[str]]
_NOBODY: Final[Holders] = MappingProxyType({})


def live_version(fold: Fold, version: str) -> VersionState:
    """Return a version's state; raise `NotFoundError` unless it is registered and not deleted."""
    if not isinstance(version, str):
        raise InvalidRequestError(
            f"version {version!r} of model {fold.model!r} is {type(version).__name__}, not text",
            hint=f'Write "{version}".',
        )
    state = fold.versions.get(version)
    if state is not None and state.live:
        return state
    about = f"{fold.model}@{version}"
    live = [known.version for known in fold.versions.values() if known.live]
    if state is None:
        what = f"model {fold.model!r} has no version {version!r}" if live else f"there is no model {fold.model!r}"
    elif state.deleted is not None:
        what = f"{about} was deleted by {state.deleted}"
    else:
        what = f"{about} was reserved by {state.reserved} but never finished registering"
    raise NotFoundError(
        what, hint=f"Its versions: {', '.join(live[-20:])}." if live else "Register a version first.", resource=about
    )


def check_expected(fold: Fold, expected: str | None) -> None:
    """Raise `ConflictError`, with who and when, unless the version in production is the expected one."""
    if expected is None or expected == (fold.production or ""):
        return
    now = f"version {fold.production}" if fold.production else "no version"
    since = f", by {fold.production_since}" if fold.production_since else ""
    raise ConflictError(
        f"{now} of model {fold.model!r} is in production, not {expected or 'none'!r} as expected{since}",
        hint="Look at the history, decide again, and pass what is in production now as `expect`.",
        resource=fold.model,
    )


def reserving(fold: Fold, request: str, *, effect: str | None) -> Statement:
    """Reserve the next version."""
    # Counted over all ever reserved, so that a number is never used twice.
    version = str(len(fold.versions) + 1)
    return Statement(kind=EntryKind.REGISTERING, version=version, request=request, effect=effect)


def registering(fold: Fold, version: str, registration: Registration) -> Statement | None:
    """Say that a reserved version exists; None when another retry said so."""
    state = fold.versions[version]
    if state.deleted is not None:
        raise ConflictError(f"{fold.model}@{version} was deleted by {state.deleted} while it was being registered")
    if state.registration is not None:
        return None
    return Statement(kind=EntryKind.REGISTERED, version=version, request=state.request, registration=registration)


def approving(
    fold: Fold, version: str, to: Stage, *, actor: Actor, reason: str, effect: str | None = None
) -> Statement | None:
    """Approve a version for a stage; None when the same actor approved it before."""
    if to is Stage.NONE:
        raise InvalidMoveError(f"nothing is promoted to {to.value!r}", hint="Approve for candidate, staging, …")
    state = live_version(fold, version)
    if any(given.actor.id == actor.id and given.stage is to for given in state.approvals):
        return None
    registrars = {mark.actor.id for mark in (state.reserved, state.registered) if mark is not None}
    if actor.id in registrars:
        raise InvalidRequestError(
            f"{actor} registered {fold.model}@{version}, so an approval of theirs would not count",
            hint="Ask somebody else to approve it.",
        )
    return Statement(kind=EntryKind.APPROVED, version=version, approved_stage=to, reason=reason, effect=effect)


def moving(
    fold: Fold,
    version: str,
    to: Stage,
    *,
    actor: Actor,
    reason: str,
    evidence: Evidence | None = None,
    expected: str | None = None,
    policies: Sequence[Policy] = (),
    holders: Holders = _NOBODY,
    effect: str | None = None,
) -> Statement:
    """Move a version to a stage; to production it displaces the one that is there.

    `holders` says who of those who approved holds the roles that the policies ask for.
    """
    state = live_version(fold, version)
    check_expected(fold, expected)
    check_move(fold.model, version, state.stage, to)
    given = evidence or Evidence()
    proposal = Proposal(fold=fold, state=state, to=to, actor=actor, evidence=given, holders=holders)
    unmet = [f"{policy.name}: {why}" for policy in policies if (why := policy.unmet(proposal)) is not None]
    if unmet:
        raise InvalidMoveError(
            f"{fold.model}@{version} may not move to {to.value!r}: {len(unmet)} of {len(policies)} policies unmet",
            faults=unmet,
            hint="Give the evidence that is missing, or ask others for `models.approve`; then promote again.",
        )
    changes = [(version, state.stage, to)]
    if to is Stage.PRODUCTION and fold.production is not None:
        changes.append((fold.production, Stage.PRODUCTION, Stage.ARCHIVED))
    return Statement(
        kind=EntryKind.MOVED,
        version=version,
        changes=tuple(changes),
        reason=reason,
        evidence=evidence,
        approvals=tuple(approval.sequence for approval in proposal.counted_approvals()),
        policies=tuple(policy.name for policy in policies),
        expected=expected,
        effect=effect,
    )


def rolling_back(fold: Fold, *, reason: str, expected: str | None = None, effect: str | None = None) -> Statement:
    """Bring back the last displaced version that was not itself rolled back from; archive the current one."""
    if not fold.versions:
        raise NotFoundError(f"there is no model {fold.model!r}", hint="Register a version first.", resource=fold.model)
    check_expected(fold, expected)
    if not fold.displaced:
        raise InvalidMoveError(
            f"model {fold.model!r} has no version to roll back to: none was displaced from production, "
            "or all were rolled back from",
            hint="Promote the version that you want instead; `history` shows what was in production when.",
        )
    back = fold.versions[fold.displaced[-1]]
    if back.deleted is not None:
        raise InvalidMoveError(
            f"cannot roll back to {fold.model}@{back.version}: it was deleted by {back.deleted}",
            hint="Promote another version through its stages.",
        )
    changes = [(back.version, back.stage, Stage.PRODUCTION)]
    if fold.production is not None:
        changes.append((fold.production, Stage.PRODUCTION, Stage.ARCHIVED))
    return Statement(
        kind=EntryKind.MOVED,
        version=back.version,
        changes=tuple(changes),
        reason=reason,
        expected=expected,
        rolled_back=fold.production,
        effect=effect,
    )


def tagging(fold: Fold, version: str, tags: Mapping[str, str], untagged: Sequence[str] = ()) -> Statement | None:
    """Set and remove free tags, leaving others alone; None when that changes nothing."""
    state = live_version(fold, version)
    new = {name: value for name, value in tags.items() if state.tags.get(name) != value}
    gone = tuple(name for name in untagged if name in state.tags)
    if not new and not gone:
        return None
    return Statement(kind=EntryKind.TAGGED, version=version, tags=new, untagged=gone)


def deleting(fold: Fold, version: str, *, reason: str = "") -> Statement | None:
    """Take a version out of use; None when it is deleted already. One in production is refused."""
    state = fold.versions.get(version)
    if state is None:
        live_version(fold, version)
    elif state.deleted is not None:
        return None
    if fold.production == version:
        raise InvalidMoveError(
            f"{fold.model}@{version} is in production and cannot be deleted",
            hint="Promote another version, roll back, or archive it first.",
        )
    return Statement(kind=EntryKind.DELETED, version=version, reason=reason)
