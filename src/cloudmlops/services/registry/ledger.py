"""The ledger in the object store: appended by create-if-absent, read without ever listing.

ledger/models/NAME/000000000042.json              an entry
ledger/models/NAME/head.json                      a hint where the end is
ledger/models/NAME/checkpoints/000000000100.json  the fold and the digest of the first 100 entries
ledger/names/NAME                                 the models that there are
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from cloudmlops.domain.actors import Actor
from cloudmlops.domain.ledger import Entry, Fold, Statement, check_link, extended, placed
from cloudmlops.domain.ledger_json import digest_of, entry_from_json, entry_to_json, fold_from_json, fold_to_json
from cloudmlops.errors import NotFoundError, ServiceError, UnavailableError, UnexpectedReplyError
from cloudmlops.ports.clock import Clock
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.services.registry.reading_ahead import Read, ReadAhead

CHECKPOINT_EVERY: Final = 100
HEAD_EVERY: Final = 8
"""Entries between two hints: looking a few places ahead costs a reader less than a hint each time costs writers."""
_NAMES: Final = "ledger/names/"
_log = logging.getLogger("cloudmlops.ledger")

Plan = Callable[[Fold], Statement | None]
"""What to say, given the fold; None when it is said already; raises a refusal. Asked again after every collision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Appended:
    """What came of an append."""

    fold: Fold
    """After the entry."""
    entry: Entry | None
    """None when there was nothing to write."""


def folder(name: str) -> str:
    """Return where a model's entries lie."""
    return f"ledger/models/{name}"


def entry_key(name: str, sequence: int) -> str:
    """Return where an entry lies."""
    return f"ledger/models/{name}/{sequence:012d}.json"


def checkpoint_key(name: str, sequence: int) -> str:
    """Return where the checkpoint of an entry lies."""
    return f"ledger/models/{name}/checkpoints/{sequence:012d}.json"


class Ledger:
    """The ledgers of all models in one object store."""

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        # A fold never becomes wrong, only old: entries do not change. Reading goes on from it.
        self._folds: dict[str, Fold] = {}

    def names(self) -> Iterator[str]:
        """Yield the models that have a ledger, sorted."""
        for key in self._objects.list(_NAMES):
            yield key.removeprefix(_NAMES)

    def read(self, name: str) -> Fold:
        """Return the fold of all entries; an empty one when there are none.

        Raises:
            UnexpectedReplyError: An entry, named, is damaged, missing or does not continue the one before.
        """
        if (known := self._folds.get(name)) is not None:
            try:
                return self._read_on(name, known)
            except UnexpectedReplyError:
                # The last entry that this process knows may have been declared void since.
                self.forget(name)
        return self._read_on(name, None)

    def _read_on(self, name: str, fold: Fold | None) -> Fold:
        hinted = 0
        if fold is None:
            hinted = self.hinted_end(name)
            fold = self._leap(name, Fold(model=name), hinted)
        while True:
            fold, full = self._walk(name, fold)
            if not full:
                break
            fold = self._leap(name, fold, self.hinted_end(name))
        _check_end(name, fold.sequence, hinted)
        self._keep(name, fold)
        return fold

    def check_end(self, name: str, sequence: int) -> None:
        """Raise `UnexpectedReplyError` when entry `sequence` is the last one but there were more."""
        _check_end(name, sequence, self.hinted_end(name))

    def forget(self, name: str) -> None:
        """Read a model's ledger from the store again the next time."""
        self._folds.pop(name, None)

    def append(self, name: str, actor: Actor, plan: Plan) -> Appended:
        """Append what `plan` says of the current fold, exactly once, after every other writer's entries.

        Raises:
            UnexpectedReplyError: The ledger is damaged.
            UnavailableError: The store did not answer, and the entry is not there.
        """
        entry_id = secrets.token_hex(16)
        while True:
            fold = self._read_to_write(name)
            if (said := plan(fold)) is None:
                return Appended(fold=fold, entry=None)
            entry = placed(said, fold, entry_id=entry_id, actor=actor, now=self._clock.now())
            data = entry_to_json(entry)
            if entry.sequence == 1:
                self._objects.create(_NAMES + name, b"")
            if self._created(name, entry, data):
                entry = replace(entry, digest=digest_of(data))
                fold = extended(fold, [entry])
                self._keep(name, fold)
                self._leave_hints(fold)
                return Appended(fold=fold, entry=entry)

    def _read_to_write(self, name: str) -> Fold:
        """Read like `read`, and a last entry that was known before once more: nothing continues a damaged one."""
        known = self._folds.get(name)
        fold = self.read(name)
        if known is None or fold.sequence != known.sequence:
            return fold
        data = self.raw(name, fold.sequence)
        if data is not None and digest_of(data) == fold.digest:
            return fold
        _log.warning("model %s: entry %d is not as this process read it; reading all again", name, fold.sequence)
        self.forget(name)
        again = self.read(name)
        _check_end(name, again.sequence, fold.sequence)
        return again

    def entries(self, name: str, after: int = 0) -> Iterator[Entry]:
        """Yield the entries that follow entry `after`, in order, each checked against the one before.

        Raises:
            UnexpectedReplyError: An entry is damaged or does not continue the one before.
        """
        sequence = after
        digest = self._digest_at(name, after) if after else ""
        read = self.reader(name)
        while (entry := next_entry(name, sequence, read)) is not None:
            check_link(name, sequence, digest, entry)
            yield entry
            sequence, digest = entry.sequence, entry.digest

    def reader(self, name: str) -> Read:
        """Return what reads a model's entries one after the other."""
        read = partial(self.raw, name)
        # On this machine a file is read before a thread could be told to.
        return read if self._objects.uri.startswith("file:") else ReadAhead(read)

    def raw(self, name: str, sequence: int) -> bytes | None:
        """Return an entry's bytes; None when there is none."""
        try:
            return self._objects.get(entry_key(name, sequence))
        except NotFoundError:
            return None

    def declare_void(self, fold: Fold, actor: Actor, said: Statement) -> None:
        """Append, after a damaged last entry, the statement that it counts for nothing; `fold` ends before it."""
        entry = placed(said, fold, entry_id=secrets.token_hex(16), actor=actor, now=self._clock.now())
        self._created(fold.model, entry, entry_to_json(entry))
        self.write_head(fold.model, entry.sequence)

    def write_checkpoint(self, fold: Fold) -> None:
        """Keep a fold, so that nobody needs to read the entries before it."""
        self._objects.put(checkpoint_key(fold.model, fold.sequence), fold_to_json(fold))

    def write_head(self, name: str, sequence: int) -> None:
        """Leave a hint where the ledger ends."""
        self._objects.hint(f"{folder(name)}/head.json", json.dumps({"sequence": sequence}).encode())

    def _created(self, name: str, entry: Entry, data: bytes) -> bool:
        """Write an entry if its place is free; True when the entry in that place is ours."""
        try:
            if self._objects.create(entry_key(name, entry.sequence), data):
                return True
        except UnavailableError:
            # The answer was lost, perhaps not the write: what lies there tells.
            there = self.raw(name, entry.sequence)
            if there is None:
                raise
            return there == data
        return self.raw(name, entry.sequence) == data

    def _leave_hints(self, fold: Fold) -> None:
        try:
            if fold.sequence % HEAD_EVERY == 0:
                self.write_head(fold.model, fold.sequence)
            if fold.sequence % CHECKPOINT_EVERY == 0:
                self.write_checkpoint(fold)
        except ServiceError as error:
            # The entry stands. Without hints the next reader only reads more.
            _log.warning("model %s: entry %d is written, its hints are not: %s", fold.model, fold.sequence, error)

    def _keep(self, name: str, fold: Fold) -> None:
        known = self._folds.get(name)
        if known is None or known.sequence < fold.sequence:
            self._folds[name] = fold

    def _walk(self, name: str, fold: Fold) -> tuple[Fold, bool]:
        """Add at most as many entries as a checkpoint spans; say whether there may be more."""
        found: list[Entry] = []
        sequence = fold.sequence
        read = self.reader(name)
        while len(found) < CHECKPOINT_EVERY and (entry := next_entry(name, sequence, read)) is not None:
            found.append(entry)
            sequence = entry.sequence
        return (extended(fold, found) if found else fold), len(found) == CHECKPOINT_EVERY

    def _leap(self, name: str, fold: Fold, hinted: int) -> Fold:
        """Return the fold of the last checkpoint that lies after `fold`; `fold` itself when there is none."""
        end = self._gallop(name, max(fold.sequence, hinted))
        last = end - end % CHECKPOINT_EVERY
        for sequence in range(last, fold.sequence, -CHECKPOINT_EVERY):
            if (checkpoint := self.checkpoint(name, sequence)) is not None:
                return checkpoint
        return fold

    def _gallop(self, name: str, sequence: int) -> int:
        """Return the last entry seen when asking 1, 2, 4, … entries ahead until there is none."""
        step = 1
        while self.raw(name, sequence + step) is not None:
            sequence += step
            step *= 2
        return sequence

    def hinted_end(self, name: str) -> int:
        """Return where the ledger ended at least when the hint was left; 0 without one."""
        try:
            return max(0, int(json.loads(self._objects.get(f"{folder(name)}/head.json"))["sequence"]))
        except NotFoundError:
            return 0
        except (KeyError, TypeError, ValueError, OverflowError):
            _log.warning("model %s: head.json is damaged; looking for the end from the start", name)
            return 0

    def checkpoint(self, name: str, sequence: int) -> Fold | None:
        """Read a checkpoint; None when there is none that fits the entry of that sequence."""
        try:
            fold = fold_from_json(self._objects.get(checkpoint_key(name, sequence)))
        except NotFoundError:
            return None
        except UnexpectedReplyError as error:
            _log.warning("model %s, entry %d: %s; reading the entries instead", name, sequence, error)
            return None
        data = self.raw(name, sequence)
        if data is None or fold.sequence != sequence or fold.digest != digest_of(data):
            _log.warning("model %s: the checkpoint of entry %d is of another history", name, sequence)
            return None
        return fold

    def _digest_at(self, name: str, sequence: int) -> str:
        if (data := self.raw(name, sequence)) is None:
            raise NotFoundError(f"the ledger of model {name!r} has no entry {sequence}", resource=f"{name}#{sequence}")
        return digest_of(data)


def _check_end(name: str, sequence: int, hinted: int) -> None:
    if sequence < hinted:
        raise UnexpectedReplyError(
            f"entry {sequence + 1} of the ledger of model {name!r} is missing: there were {hinted}",
            hint=f"Restore it from a backup, or accept the loss with `cloudmlops models repair {name}`.",
            resource=f"{name}#{sequence + 1}",
        )


def next_entry(name: str, sequence: int, read: Read) -> Entry | None:
    """Read the entry after `sequence`, passing over one that a later entry declares void; None at the end.

    Raises:
        UnexpectedReplyError: It is damaged, or is not the entry that its place says.
    """
    wanted = sequence + 1
    if (data := read(wanted)) is None:
        return None
    try:
        return _read(name, wanted, data)
    except UnexpectedReplyError:
        if (after := read(wanted + 1)) is None:
            raise
        entry = _read(name, wanted + 1, after)
        if entry.quarantined != wanted or entry.quarantined_digest != digest_of(data):
            raise
        return entry


def _read(name: str, sequence: int, data: bytes) -> Entry:
    about = f"entry {sequence} of the ledger of model {name!r}"
    try:
        entry = entry_from_json(data)
    except UnexpectedReplyError as error:
        raise UnexpectedReplyError(
            f"{about} is damaged: {error.message}",
            hint=f"The last one is set aside by `cloudmlops models repair {name}`; another must come from a backup.",
            resource=f"{name}#{sequence}",
        ) from error
    if entry.sequence != sequence:
        raise UnexpectedReplyError(
            f"{about} says that it is entry {entry.sequence}",
            hint="It was copied or renamed. Restore the right one from a backup.",
            resource=f"{name}#{sequence}",
        )
    return entry
