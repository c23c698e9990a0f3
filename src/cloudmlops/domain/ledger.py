"""The ledger of one model: entries that are only ever appended, and what they add up to.

An entry is written once and holds the digest of the one before, so that nothing can be changed in silence. The fold of
all entries is the truth about versions, stages, tags and approvals; vendors' tags are drawn from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from cloudmlops.domain.actors import Actor
from cloudmlops.domain.models import FeatureServiceRef, ModelVersion, Stage, may_move
from cloudmlops.errors import UnexpectedReplyError

NO_DIGEST: Final = ""
"""What the first entry holds as the digest of the one before."""

Change = tuple[str, Stage, Stage]
"""(version, from, to)."""


class EntryKind(StrEnum):
    """What an entry is about."""

    REGISTERING = "registering"
    """A version is reserved; its files are on their way."""
    REGISTERED = "registered"
    APPROVED = "approved"
    MOVED = "moved"
    TAGGED = "tagged"
    DELETED = "deleted"
    REPAIRED = "repaired"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Why a version may be promoted."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    baseline: Mapping[str, float] = field(default_factory=dict)
    """The same metrics of what it must beat."""
    run: str | None = None
    """The run that measured them."""
    reports: tuple[str, ...] = ()
    """Addresses of reports for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """What is known of a version from the day it was registered on."""

    artifact_uri: str
    manifest: str
    """SHA-256, in hexadecimal, of the list of the artifact's files and their digests."""
    native: str = ""
    """The provider's own name of the version."""
    run: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    features: FeatureServiceRef | None = None
    signature: Mapping[str, object] = field(default_factory=dict)
    """Inputs, outputs and params as MLflow writes them; empty when the model has no signature."""
    card: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """What an entry says, before it has a place in the ledger."""

    kind: EntryKind
    version: str | None = None
    """The version it is about."""
    changes: tuple[Change, ...] = ()
    reason: str = ""
    evidence: Evidence | None = None
    approvals: tuple[int, ...] = ()
    """Sequences of the approvals that a move relied on."""
    policies: tuple[str, ...] = ()
    """Names of the policies that a move satisfied."""
    expected: str | None = None
    """The version that the caller expected in production; empty for none, None when not stated."""
    rolled_back: str | None = None
    """The version that a rollback took out of production."""
    approved_stage: Stage | None = None
    request: str | None = None
    """Key of a registration: the same key is the same version."""
    effect: str | None = None
    """Key of an event handler's effect: the same key is the same entry."""
    registration: Registration | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    untagged: tuple[str, ...] = ()
    quarantined: int | None = None
    """Sequence of a damaged entry that counts as void from here on."""
    quarantined_digest: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry(Statement):
    """One line of the ledger."""

    sequence: int
    """1 for the first."""
    entry_id: str
    """Random: whoever finds its own id under a sequence knows that its write succeeded."""
    previous: str
    """Digest of the entry before."""
    at: datetime
    """Time-zone aware, UTC; never before the entry before."""
    actor: Actor
    digest: str = ""
    """SHA-256 of the entry's bytes, in hexadecimal; not part of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """Somebody's consent to have a version in a stage."""

    sequence: int
    actor: Actor
    stage: Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Who did something, when and why, in which entry."""

    sequence: int
    actor: Actor
    at: datetime
    reason: str = ""

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.actor} at {self.at:%Y-%m-%d %H:%M:%S} UTC (entry {self.sequence}{why})"


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionState:
    """One version, as the entries so far leave it."""

    version: str
    request: str
    reserved: Mark
    registered: Mark | None = None
    registration: Registration | None = None
    """None while it is being registered."""
    stage: Stage = Stage.NONE
    moved: int = 0
    """Sequence of the entry that moved it last, or registered it."""
    tags: Mapping[str, str] = field(default_factory=dict)
    approvals: tuple[Approval, ...] = ()
    deleted: Mark | None = None

    @property
    def live(self) -> bool:
        """Whether it is registered and not deleted."""
        return self.registration is not None and self.deleted is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """What the first `sequence` entries of a model's ledger add up to."""

    model: str
    sequence: int = 0
    digest: str = NO_DIGEST
    """Of entry `sequence`."""
    at: datetime | None = None
    """Time of entry `sequence`."""
    versions: Mapping[str, VersionState] = field(default_factory=dict)
    """Every version ever reserved, in order."""
    production: str | None = None
    production_since: Mark | None = None
    """Who changed last what is in production."""
    displaced: tuple[str, ...] = ()
    """Versions that another one displaced from production, the last at the end, without those rolled back from."""
    requests: Mapping[str, str] = field(default_factory=dict)
    """Request key to version."""
    effects: Mapping[str, int] = field(default_factory=dict)
    """Effect key to the sequence of its entry."""

    def last_moved_to(self, stage: Stage) -> VersionState | None:
        """Find the live version that entered `stage` last, of those that are in it."""
        if stage is Stage.PRODUCTION:
            return self.versions[self.production] if self.production is not None else None
        there = [state for state in self.versions.values() if state.live and state.stage is stage]
        return max(there, key=lambda state: state.moved, default=None)


def model_version(model: str, state: VersionState) -> ModelVersion:
    """Return a registered version as a user sees it."""
    if (known := state.registration) is None or state.registered is None:
        raise ValueError(f"{model}@{state.version} is not registered yet")
    return ModelVersion(
        model=model,
        version=state.version,
        stage=state.stage,
        artifact_uri=known.artifact_uri,
        registered_at=state.registered.at,
        registered_by=state.registered.actor,
        run=known.run,
        metrics=known.metrics,
        tags=state.tags,
        features=known.features,
        card=known.card,
        signature=known.signature,
    )


def placed(said: Statement, fold: Fold, *, entry_id: str, actor: Actor, now: datetime) -> Entry:
    """Give a statement its place after the last entry of `fold`."""
    said_fields = {name: getattr(said, name) for name in Statement.__slots__}
    skipped = 1 if said.quarantined is not None else 0
    return Entry(
        **said_fields,
        sequence=fold.sequence + 1 + skipped,
        entry_id=entry_id,
        previous=fold.digest,
        # Clocks of two machines differ; the ledger's own time never runs backwards, so that `at` has one answer.
        at=max(now.astimezone(UTC), fold.at) if fold.at else now.astimezone(UTC),
        actor=actor,
    )


def check_link(model: str, sequence: int, digest: str, entry: Entry) -> None:
    """Raise `UnexpectedReplyError`, naming the entry, unless `entry` continues the one with `sequence` and `digest`."""
    follows = entry.sequence == sequence + (2 if entry.quarantined == sequence + 1 else 1)
    if not follows or entry.previous != digest:
        raise UnexpectedReplyError(
            f"entry {entry.sequence} of the ledger of model {model!r} does not continue entry {sequence}: "
            "the chain of digests is broken",
            hint="One of the two was changed after it was written. Restore it from a backup of the object store; "
            f"`cloudmlops models verify {model}` names every fault.",
            resource=f"{model}#{entry.sequence}",
        )


def extended(fold: Fold, entries: Iterable[Entry]) -> Fold:
    """Return the fold after `entries`; raise `UnexpectedReplyError` at the first that does not continue it."""
    folding = Folding(fold)
    for entry in entries:
        folding.add(entry)
    return folding.fold()


class Folding:
    """A fold while entries are added: its mappings are copied once, not once an entry."""

    def __init__(self, fold: Fold) -> None:
        self._start = fold
        self._versions = dict(fold.versions)
        self._requests = dict(fold.requests)
        self._effects = dict(fold.effects)
        self._displaced = list(fold.displaced)
        self._production = fold.production
        self._production_since = fold.production_since
        self._sequence = fold.sequence
        self._digest = fold.digest
        self._at = fold.at

    def fold(self) -> Fold:
        """Return the fold of all entries added so far; add no more after that."""
        return Fold(
            model=self._start.model,
            sequence=self._sequence,
            digest=self._digest,
            at=self._at,
            versions=self._versions,
            production=self._production,
            production_since=self._production_since,
            displaced=tuple(self._displaced),
            requests=self._requests,
            effects=self._effects,
        )

    def add(self, entry: Entry) -> None:
        """Add the next entry; raise `UnexpectedReplyError`, naming it, when it does not fit the ones before."""
        check_link(self._start.model, self._sequence, self._digest, entry)
        try:
            self._apply(entry)
        except KeyError as error:
            raise self._nonsense(entry, f"it speaks of version {error.args[0]!r}, which nobody reserved") from None
        self._sequence, self._digest, self._at = entry.sequence, entry.digest, entry.at
        if entry.effect is not None:
            self._effects.setdefault(entry.effect, entry.sequence)

    def _apply(self, entry: Entry) -> None:
        match entry.kind:
            case EntryKind.REGISTERING:
                self._reserve(entry)
            case EntryKind.REGISTERED:
                known = self._known(entry)
                self._put(
                    known,
                    registration=entry.registration,
                    registered=_mark(entry),
                    moved=entry.sequence,
                    tags=entry.registration.tags if entry.registration else {},
                )
            case EntryKind.APPROVED:
                known = self._known(entry)
                stage = entry.approved_stage or Stage.NONE
                approval = Approval(sequence=entry.sequence, actor=entry.actor, stage=stage)
                self._put(known, approvals=(*known.approvals, approval))
            case EntryKind.MOVED:
                self._move(entry)
            case EntryKind.TAGGED:
                known = self._known(entry)
                kept = {name: value for name, value in known.tags.items() if name not in entry.untagged}
                self._put(known, tags=kept | dict(entry.tags))
            case EntryKind.DELETED:
                self._put(self._known(entry), deleted=_mark(entry))
            case EntryKind.REPAIRED:
                return

    def _known(self, entry: Entry) -> VersionState:
        return self._versions[entry.version or ""]

    def _put(self, state: VersionState, **changed: object) -> None:
        self._versions[state.version] = replace(state, **changed)  # type: ignore[arg-type]

    def _reserve(self, entry: Entry) -> None:
        version, request = entry.version or "", entry.request or ""
        if version in self._versions:
            raise self._nonsense(entry, f"it reserves version {version!r} a second time")
        self._versions[version] = VersionState(version=version, request=request, reserved=_mark(entry))
        self._requests[request] = version

    def _move(self, entry: Entry) -> None:
        before = self._production
        displaced = self._displaced[-1] if self._displaced else None
        for version, start, end in entry.changes:
            state = self._versions[version]
            if state.stage is not start:
                raise self._nonsense(entry, f"it moves version {version!r} from {start}, but it was in {state.stage}")
            if not may_move(start, end) and (version, end) != (displaced, Stage.PRODUCTION):
                raise self._nonsense(entry, f"it moves version {version!r} from {start} to {end}, which nobody may")
            self._put(state, stage=end, moved=entry.sequence)
            if end is Stage.PRODUCTION:
                self._production = version
            elif version == self._production:
                self._production = None
        there = [version for version, _, end in entry.changes if end is Stage.PRODUCTION]
        if before is not None and before not in there and self._versions[before].stage is Stage.PRODUCTION:
            there.append(before)
        if there and there != [self._production]:
            raise self._nonsense(entry, f"it leaves versions {', '.join(map(repr, there))} in production")
        if self._production == before:
            return
        self._production_since = _mark(entry)
        if self._production in self._displaced:
            self._displaced.remove(self._production)
        if before is not None and self._production is not None and entry.rolled_back != before:
            self._displaced.append(before)

    def _nonsense(self, entry: Entry, what: str) -> UnexpectedReplyError:
        return UnexpectedReplyError(
            f"entry {entry.sequence} of the ledger of model {self._start.model!r} contradicts the ones before: {what}",
            hint="It was not written by this library, or was changed. Restore it from a backup of the object store.",
            resource=f"{self._start.model}#{entry.sequence}",
        )


def _mark(entry: Entry) -> Mark:
    return Mark(sequence=entry.sequence, actor=entry.actor, at=entry.at, reason=entry.reason)
