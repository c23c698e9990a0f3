"""The ledger is the outbox: what its entries mean to others is published from the entries themselves.

    outbox/models/NAME.json   the sequence of the last entry whose events are out

The cursor moves after the events are durable, so a crash publishes again and never forgets; an event's meaning is its
model and sequence, so that published twice is published once. A cursor that is lost costs a second publishing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from cloudmlops.domain.events import Event, ModelRegistered, StageChanged
from cloudmlops.domain.ledger import Entry, EntryKind
from cloudmlops.errors import CloudMLOpsError, NotFoundError
from cloudmlops.services.context import ServiceContext

_SAVE_EVERY: Final = 8
"""Entries between two writings of a cursor: looking at a few entries again is cheaper than writing each time."""
_log: Final = logging.getLogger("cloudmlops.events")


class Entries(Protocol):
    """What the outbox asks of the ledger."""

    def names(self) -> Iterable[str]:
        """Yield the names of all models."""
        ...

    def entries(self, name: str, *, after: int = 0) -> Iterable[Entry]:
        """Yield a model's entries with a greater sequence than `after`, in order."""
        ...


class Outbox:
    """Publishes what ledger entries mean, each entry at least once."""

    def __init__(self, context: ServiceContext, ledger: Entries) -> None:
        self._context = context
        self._ledger = ledger
        self._cursors: dict[str, int] = {}

    def flush(self, model: str) -> int:
        """Publish what is not out yet of one model's ledger; return how many entries that was."""
        start = sequence = self._cursor(model)
        for entry in self._ledger.entries(model, after=start):
            for event in events_of(model, entry, platform=self._context.backends.registry_address):
                self._context.publish(event)
            sequence = entry.sequence
        if sequence > start:
            self._cursors[model] = sequence
        if sequence // _SAVE_EVERY > start // _SAVE_EVERY:
            self._context.backends.objects.hint(_key(model), json.dumps({"sequence": sequence}).encode())
        return sequence - start

    def flush_all(self) -> int:
        """Publish what is not out yet of any ledger; one that cannot be read is logged and left for `models.verify`."""
        published = 0
        for model in self._ledger.names():
            try:
                published += self.flush(model)
            except CloudMLOpsError as error:
                _log.error("the events of model %r stay in its ledger: %s", model, error)
        return published

    def _cursor(self, model: str) -> int:
        if model not in self._cursors:
            try:
                self._cursors[model] = int(json.loads(self._context.backends.objects.get(_key(model)))["sequence"])
            except (NotFoundError, ValueError, KeyError, TypeError, OverflowError):
                return 0  # a hint may be missing or damaged: all is published again, which changes nothing
        return self._cursors[model]


def events_of(model: str, entry: Entry, *, platform: str) -> Iterator[Event]:
    """Yield what a ledger entry means to others: a registration, moved versions, or nothing."""
    if entry.kind is EntryKind.REGISTERED and entry.version is not None:
        yield ModelRegistered(
            platform=platform,
            time=entry.at,
            model=model,
            version=entry.version,
            run=entry.registration.run if entry.registration else None,
        )
    if entry.changes:
        yield StageChanged(
            platform=platform,
            time=entry.at,
            model=model,
            sequence=entry.sequence,
            changes=entry.changes,
            actor=str(entry.actor),
            reason=entry.reason,
        )


def _key(model: str) -> str:
    return f"outbox/models/{model}.json"
