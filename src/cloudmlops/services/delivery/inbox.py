"""The durable inbox: every event once, in order of arrival, in the platform's object store and without a database.

    inbox/log/000000000042.json   what arrived 42nd: an event, or the wish to handle one again (`Again`)
    inbox/events/KEY.json         the place in the log of the event with this meaning
    inbox/head.json               a hint: some place at or before the end of the log

The log is written create-if-absent, place after place without a gap, so that a reader needs no listing: it asks for the
next place until there is none. An event is first appended to the log and then entered under its key. A crash between
the two leaves it in the log but not acknowledged, so that it is delivered again and appended a second time; whoever
reads the log goes by keys and takes both for one.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from threading import Lock
from typing import Any, Final
from uuid import uuid4

from cloudmlops.domain.events import Event
from cloudmlops.errors import NotFoundError, UnexpectedReplyError
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.services.delivery import envelopes

_LOG: Final = "inbox/log/"
_HEAD: Final = "inbox/head.json"
_HINT_EVERY: Final = 32
"""Places between two writings of the hint."""
_CACHED: Final = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """One place of the log: an event that arrived, or that is to be handled again."""

    place: int
    """Counted from 1."""
    received_at: datetime
    event: Event
    round: str = ""
    """Empty when the event first arrives; each replay is a round of its own."""
    handler: str | None = None
    """Whose replay it is; None is every handler's."""


class Inbox:
    """Stores events durably and hands them out in order of arrival."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._end = 0
        self._cache: OrderedDict[int, Arrival | None] = OrderedDict()
        self._lock = Lock()

    def store(self, event: Event, *, at: datetime, formerly: str = "") -> bool:
        """Keep an event; on return it survives a crash. False when it was known already.

        Args:
            event: What happened.
            at: The time of arrival, UTC.
            formerly: The key that it may have been stored under before, where that is another one.
        """
        key = event.key
        if any(self._objects.exists(_event_key(one)) for one in dict.fromkeys([key, formerly or key])):
            return False
        place = self._append({"event": envelopes.to_json(envelopes.to_envelope(event))}, at)
        # Lost with the machine's power, it lets the event in once more: handled under the same key, it is still one.
        self._objects.hint(_event_key(key), json.dumps({"place": place}).encode())
        return True

    def store_again(self, place: int, *, handler: str | None, at: datetime) -> str:
        """Ask that the event at a place be handled once more, by one handler or by all; return the round's name."""
        round_ = uuid4().hex[:12]
        self._append({"again": place, "round": round_, "handler": handler}, at)
        return round_

    def at(self, place: int) -> Arrival | None:
        """Read one place; None where an operator emptied it with `{}`; `NotFoundError` beyond the end."""
        with self._lock:
            if place in self._cache:
                return self._cache[place]
        arrival = self._arrival(place, self._read(place))
        with self._lock:
            self._cache[place] = arrival
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return arrival

    def after(self, place: int) -> Iterator[Arrival]:
        """Yield what arrived after a place, oldest first, up to the end of the log."""
        for later in count(place + 1):
            try:
                arrival = self.at(later)
            except NotFoundError:
                return
            if arrival is not None:
                yield arrival

    def end(self) -> int:
        """Return the last place of the log, 0 when it is empty: from the hint by doubling steps, then by halving."""
        low = self._end or self._hint()
        step = 1
        while self._objects.exists(_place_key(low + step)):
            low += step
            step *= 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            if self._objects.exists(_place_key(middle)):
                low = middle
            else:
                high = middle
        self._end = low
        return low

    def backwards(self) -> Iterator[Arrival]:
        """Yield what arrived, latest first."""
        for place in range(self.end(), 0, -1):
            if (arrival := self.at(place)) is not None:
                yield arrival

    def _append(self, body: dict[str, Any], at: datetime) -> int:
        entry_id = uuid4().hex
        data = json.dumps({"entry_id": entry_id, "received_at": at.isoformat(), **body}, separators=(",", ":")).encode()
        for place in count(self.end() + 1):
            if self._objects.create(_place_key(place), data) or self._read(place).get("entry_id") == entry_id:
                self._end = max(self._end, place)
                if place % _HINT_EVERY == 0:
                    self._objects.hint(_HEAD, json.dumps({"place": place}).encode())
                return place
        raise AssertionError("unreachable: the loop has no end")

    def _hint(self) -> int:
        try:
            return int(json.loads(self._objects.get(_HEAD))["place"])
        except (NotFoundError, ValueError, KeyError, TypeError):
            return 0  # a hint may be missing or damaged: the search then begins at the start

    def _read(self, place: int) -> dict[str, Any]:
        data = self._objects.get(_place_key(place))
        try:
            written = json.loads(data)
        except ValueError as error:
            raise _damaged(place, str(error)) from error
        if not isinstance(written, dict):
            raise _damaged(place, "not a JSON object")
        return written

    def _arrival(self, place: int, written: dict[str, Any]) -> Arrival | None:
        if not written:
            return None
        try:
            received_at = datetime.fromisoformat(written["received_at"])
            if "again" in written:
                first = self.at(written["again"])
                return first and Arrival(
                    place=place,
                    received_at=received_at,
                    event=first.event,
                    round=written["round"],
                    handler=written["handler"],
                )
            event = envelopes.to_event_or_unknown(envelopes.from_json(written["event"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(place, f"{type(error).__name__}: {error}") from error
        return Arrival(place=place, received_at=received_at, event=event)


def _event_key(key: str) -> str:
    return f"inbox/events/{key}.json"


def _place_key(place: int) -> str:
    return f"{_LOG}{place:012d}.json"


def _damaged(place: int, fault: str) -> UnexpectedReplyError:
    key = _place_key(place)
    return UnexpectedReplyError(
        f"the inbox's object {key!r} is damaged: {fault}",
        hint="Restore it from a backup, or write {} into it: then its event is skipped.",
        operation="events.process",
        resource=key,
    )
