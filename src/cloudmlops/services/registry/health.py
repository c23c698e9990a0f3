"""Whether a ledger is whole and the provider shows what it says; and setting right what can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import takewhile
from typing import Final

from cloudmlops.domain.actors import Actor
from cloudmlops.domain.ledger import Entry, EntryKind, Fold, Folding, Statement, extended
from cloudmlops.domain.ledger_json import digest_of
from cloudmlops.errors import NotFoundError, UnexpectedReplyError
from cloudmlops.ports.models import ModelsPort, Projection
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.services.registry.ledger import CHECKPOINT_EVERY, Ledger, next_entry
from cloudmlops.services.registry.projection import project, projection_of

Shown = Mapping[str, Projection]
"""What the provider shows, by version."""
_MORE_LOOKS: Final = 2
"""How often a ledger is read again because it went on while it was compared."""


class Fault(StrEnum):
    """What can be wrong with a model's records."""

    DAMAGED_ENTRY = "damaged-entry"
    BROKEN_CHAIN = "broken-chain"
    MISSING_ENTRY = "missing-entry"
    CHECKPOINT = "checkpoint"
    PROJECTION = "projection"
    CHANGED_ENTRY = "changed-entry"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong."""

    fault: Fault
    message: str
    sequence: int | None = None
    """Of the entry that is concerned."""
    version: str | None = None
    """The version whose projection disagrees."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What a look at all of a model's records found."""

    model: str
    entries: int
    """Entries read and found whole, one after the other from the first."""
    digest: str
    """Of the last of them: keep it elsewhere, and nobody can rewrite the history before it unseen."""
    problems: tuple[Problem, ...] = ()
    repaired: tuple[str, ...] = ()
    """What `repair` did, in words."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(name: str, *, ledger: Ledger, port: ModelsPort) -> Verification:
    """Read every entry of a model's ledger, its checkpoints and what the provider shows.

    Raises:
        NotFoundError: There is no such model.
    """
    fold, problems = _compared(name, ledger, port)
    # What disagrees with a ledger that goes on meanwhile may only be newer than what was read of it.
    for _ in range(_MORE_LOOKS):
        if not problems or ledger.raw(name, fold.sequence + 1) is None:
            break
        fold, problems = _compared(name, ledger, port)
    return Verification(model=name, entries=fold.sequence, digest=fold.digest, problems=tuple(problems))


def repair(name: str, actor: Actor, *, ledger: Ledger, objects: ObjectStore, port: ModelsPort) -> Verification:
    """Set aside a damaged last entry, write head and checkpoints again, and draw the provider's records again.

    What cannot be set right, such as a broken link in the middle, stays among the problems.
    """
    done: list[str] = []
    fold, _, problems = _read_all(name, ledger)
    last = fold.sequence + 1
    if problems and problems[0].fault is Fault.DAMAGED_ENTRY and ledger.raw(name, last + 1) is None:
        done.append(_set_aside(last, fold, actor, ledger, objects))
    fold, digests, problems = _read_all(name, ledger)
    if not problems:
        again = _redone(fold, digests, ledger, port)
        if again:
            said = Statement(kind=EntryKind.REPAIRED, reason="; ".join(again))
            ledger.append(name, actor, lambda _: said)
        done += again
    return replace(verify(name, ledger=ledger, port=port), repaired=tuple(done))


def _compared(name: str, ledger: Ledger, port: ModelsPort) -> tuple[Fold, list[Problem]]:
    fold, digests, problems = _read_all(name, ledger)
    if problems:
        return fold, problems
    if fold.sequence == 0:
        raise NotFoundError(f"there is no model {name!r}", hint="Register a version first.", resource=name)
    shown = port.projected(name)
    found = [
        *_lost(ledger, fold, shown),
        *_changed(fold, digests, shown),
        *_wrong_checkpoints(fold, digests, ledger),
        *_wrong_projections(fold, shown),
    ]
    return fold, found


def _read_all(name: str, ledger: Ledger) -> tuple[Fold, dict[int, str], list[Problem]]:
    """Fold the entries from the first on, up to one that is damaged or does not continue the one before.

    Returns:
        The fold, each entry's digest by its sequence, and what is wrong.
    """
    digests: dict[int, str] = {}
    folding = Folding(Fold(model=name))
    sequence = 0
    read = ledger.reader(name)
    while True:
        try:
            entry = next_entry(name, sequence, read)
        except UnexpectedReplyError as error:
            damage = Problem(fault=Fault.DAMAGED_ENTRY, message=error.message, sequence=sequence + 1)
            return folding.fold(), digests, [damage]
        if entry is None:
            return folding.fold(), digests, []
        try:
            folding.add(entry)
        except UnexpectedReplyError as error:
            broken = Problem(fault=Fault.BROKEN_CHAIN, message=error.message, sequence=entry.sequence)
            return folding.fold(), digests, [broken]
        sequence = entry.sequence
        digests[sequence] = entry.digest


def _lost(ledger: Ledger, fold: Fold, shown: Shown) -> Iterator[Problem]:
    hinted = max([ledger.hinted_end(fold.model), *(record.head for record in shown.values())])
    if hinted > fold.sequence and ledger.raw(fold.model, fold.sequence + 1) is None:
        message = f"entries {fold.sequence + 1} to {hinted} of the ledger of model {fold.model!r} are missing"
        yield Problem(fault=Fault.MISSING_ENTRY, message=message, sequence=fold.sequence + 1)


def _changed(fold: Fold, digests: Mapping[int, str], shown: Shown) -> Iterator[Problem]:
    """Compare entries with the digests that the provider's records were drawn with: nothing follows the last entry."""
    drawn = {record.head: record.head_digest for record in shown.values() if 0 < record.head <= fold.sequence}
    for sequence in sorted(drawn):
        if digests.get(sequence) != drawn[sequence]:
            message = (
                f"entry {sequence} of the ledger of model {fold.model!r} is not the one that the provider's record "
                "was drawn from"
            )
            yield Problem(fault=Fault.CHANGED_ENTRY, message=message, sequence=sequence)


def _wrong_checkpoints(fold: Fold, digests: Mapping[int, str], ledger: Ledger) -> Iterator[Problem]:
    """Fold on from the last checkpoint to the end and compare; earlier ones serve nobody any more."""
    last = fold.sequence - fold.sequence % CHECKPOINT_EVERY
    while last and last not in digests:
        last -= CHECKPOINT_EVERY  # a void entry has none
    if last == 0:
        return
    kept = ledger.checkpoint(fold.model, last)
    try:
        ends_as = kept and extended(kept, _until(ledger, fold.model, fold.sequence, after=last))
    except UnexpectedReplyError:
        ends_as = None
    if ends_as != fold:
        message = f"the checkpoint of entry {last} of model {fold.model!r} is missing or not what the entries add up to"
        yield Problem(fault=Fault.CHECKPOINT, message=message, sequence=last)


def _wrong_projections(fold: Fold, shown: Shown) -> Iterator[Problem]:
    for state in fold.versions.values():
        about = f"{fold.model}@{state.version}"
        found = shown.get(state.version)
        if state.deleted is not None and found is not None:
            message = f"{about} is deleted, but the provider still has a record of it"
        elif state.live and found != projection_of(state, fold):
            seen = f"stage {found.stage.value!r} of entry {found.revision}" if found else "no record"
            truth = f"the ledger says {state.stage.value!r} since entry {state.moved}"
            message = f"the provider shows {seen} for {about}; {truth}"
            if found and found.faults:
                message = f"the provider's record of {about} is not right: {'; '.join(found.faults)}; {truth}"
            elif found and (found.stage, found.revision) == (state.stage, state.moved):
                message = f"the provider shows tags {dict(found.tags)} for {about}; the ledger has {dict(state.tags)}"
        else:
            continue
        yield Problem(fault=Fault.PROJECTION, message=message, version=state.version)


def _until(ledger: Ledger, name: str, last: int, *, after: int = 0) -> Iterator[Entry]:
    return takewhile(lambda entry: entry.sequence <= last, ledger.entries(name, after=after))


def _set_aside(sequence: int, fold: Fold, actor: Actor, ledger: Ledger, objects: ObjectStore) -> str:
    """Keep a copy of the damaged last entry, and declare it void by an entry of its own."""
    data = ledger.raw(fold.model, sequence) or b""
    digest = digest_of(data)
    copy = f"ledger/quarantine/models/{fold.model}/{sequence:012d}-{digest[:12]}"
    objects.put(copy, data)
    what = f"entry {sequence} was damaged and is void; its bytes are kept under {copy}"
    ledger.declare_void(
        fold,
        actor,
        Statement(kind=EntryKind.REPAIRED, reason=what, quarantined=sequence, quarantined_digest=digest),
    )
    return what


def _redone(fold: Fold, digests: Mapping[int, str], ledger: Ledger, port: ModelsPort) -> list[str]:
    done = []
    shown = port.projected(fold.model)
    for lost in _lost(ledger, fold, shown):
        ledger.write_head(fold.model, fold.sequence)
        done.append(f"{lost.message} and given up: entry {fold.sequence} is the last one")
    done += [f"{changed.message}: it counts as it is now" for changed in _changed(fold, digests, shown)]
    for wrong in _wrong_checkpoints(fold, digests, ledger):
        ledger.write_checkpoint(extended(Fold(model=fold.model), _until(ledger, fold.model, wrong.sequence or 0)))
        done.append(f"{wrong.message}: it was written again")
    ledger.forget(fold.model)
    disagreeing = [problem.version for problem in _wrong_projections(fold, shown) if problem.version is not None]
    disagreeing += [
        record.version
        for record in shown.values()
        if record.head and record.head_digest != digests.get(record.head)
        if record.version in fold.versions and record.version not in disagreeing
    ]
    for version in disagreeing:
        if not fold.versions[version].live:
            port.delete(fold.model, version)
    if disagreeing and project(port, ledger, fold, disagreeing):
        done.append(f"the provider's records of versions {', '.join(disagreeing)} were drawn again")
    return done
