"""What one handler has yet to do, as one worker sees it: a cursor into the inbox's log, and what is open behind it.

    inbox/cursors/HANDLER.json   up to this place everything is settled for the handler

The cursor only saves reading: a worker that finds an older one, or none, looks again at what is settled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cloudmlops.errors import NotFoundError
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.services.delivery.attempts import Item, Waiting
from cloudmlops.services.delivery.handlers import Handler
from cloudmlops.services.delivery.inbox import Arrival, Inbox


@dataclass(kw_only=True, slots=True)
class Work:
    """One arrival for one handler."""

    arrival: Arrival
    item: Item
    waiting: Waiting | None = None
    """Why it was not to be had when last looked at."""

    def is_due(self, now: datetime) -> bool:
        return self.waiting is None or self.waiting.until <= now


class Backlog:
    """A handler's open work in order of arrival."""

    def __init__(self, handler: Handler, *, inbox: Inbox, objects: ObjectStore) -> None:
        self.handler = handler
        self._inbox = inbox
        self._objects = objects
        self._read: int | None = None
        """The last place looked at; None before the first look."""
        self._saved = 0
        self._open: dict[int, Work] = {}

    def take_in(self) -> None:
        """Read what arrived since the last look."""
        if self._read is None:
            self._read = self._saved = saved_cursor(self._objects, self.handler.name)
        for arrival in self._inbox.after(self._read):
            self._read = arrival.place
            if self._concerns(arrival):
                item = Item(handler=self.handler.name, key=arrival.event.key, round=arrival.round, place=arrival.place)
                self._open[arrival.place] = Work(arrival=arrival, item=item)

    def open(self) -> Iterator[Work]:
        """Yield open work, oldest first; it may be settled meanwhile."""
        yield from list(self._open.values())

    def settle(self, work: Work) -> None:
        """Take work off the list."""
        self._open.pop(work.arrival.place, None)

    def save(self) -> None:
        """Write the cursor if it moved."""
        settled = min(self._open, default=(self._read or 0) + 1) - 1
        if settled > self._saved:
            self._objects.hint(_cursor_key(self.handler.name), json.dumps({"place": settled}).encode())
            self._saved = settled

    def _concerns(self, arrival: Arrival) -> bool:
        return arrival.handler in (None, self.handler.name) and self.handler.wants(arrival.event)


def saved_cursor(objects: ObjectStore, handler: str) -> int:
    """Return the place up to which a handler is done; 0 when it has never worked here."""
    try:
        return int(json.loads(objects.get(_cursor_key(handler)))["place"])
    except (NotFoundError, ValueError, KeyError, TypeError):
        return 0  # a hint may be missing or damaged: the handler then looks at everything again


def _cursor_key(handler: str) -> str:
    return f"inbox/cursors/{handler}.json"
