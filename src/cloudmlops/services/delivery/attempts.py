"""Who handles what, and how it went: leases, outcomes and dead letters, in the object store and without a database.

    inbox/attempts/HANDLER/ITEM.0001.json   a lease with its expiry; then the failure, with the time of the next attempt
    inbox/done/HANDLER/ITEM.json            handled
    inbox/dead/HANDLER/ITEM.json            given up, with the last error

ITEM is the event's key, in a replay followed by `-` and the round. Creating the next attempt is taking over, and the
object store lets one worker alone create it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from cloudmlops.errors import NotFoundError, UnexpectedReplyError
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.services.delivery import workers

LEASE: Final = timedelta(seconds=60)
"""How long a worker that fell silent keeps an event; a living one renews its lease as long as the handler runs."""
_INTERRUPTIONS: Final = 10
"""Workers that may vanish over one event, beside its retries, before it counts as what makes them vanish."""

_LONGEST_PAUSE: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One event for one handler, in one round."""

    handler: str
    key: str
    """The event's."""
    round: str = ""
    place: int = 0
    """Where the inbox's log has it."""

    @property
    def name(self) -> str:
        return f"{self.handler}/{self.key}-{self.round}" if self.round else f"{self.handler}/{self.key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """How an attempt failed."""

    error: str
    message: str
    traceback: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to handle an item for a while."""

    item: Item
    number: int
    """Counted from 1, over failed and interrupted attempts."""
    failures: int
    """Attempts before this one that ended in an error."""
    vanished: int
    """Attempts before this one whose workers vanished."""
    token: str
    worker: str
    expires: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """Handled or given up, by whomever."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """Not to be had now."""

    until: datetime
    """When the next attempt may begin: after the pause that follows a failure, or when another's lease expires."""
    leased: bool
    """Whether another worker has it: it may then be free earlier."""


def pause(backoff: timedelta, failures: int) -> timedelta:
    """Return how long to wait after one more failure than `failures`: doubled each time, at most an hour."""
    longest = max(backoff, _LONGEST_PAUSE)
    return min(backoff * 2 ** min(failures, 32), longest) if backoff < longest else backoff


class Attempts:
    """Leases on items and what came of them."""

    def __init__(self, objects: ObjectStore, *, lease: timedelta = LEASE) -> None:
        self._objects = objects
        self.lease = lease

    def claim(self, item: Item, *, retries: int, now: datetime) -> Lease | Settled | Waiting:
        """Take the next attempt at an item, if it is free; give it up when its attempts are used."""
        if self._is_settled(item):
            return Settled()
        if isinstance(lease := self._create(item, number=1, failures=0, vanished=0, now=now), Lease):
            return lease
        number = self._latest(item)
        latest = self._get(item, number)
        if (retry_at := latest.get("retry_at")) is not None:
            if now < (due := datetime.fromisoformat(retry_at)):
                return Waiting(until=due, leased=False)
        elif now < (expires := datetime.fromisoformat(latest["expires"])) and not workers.is_gone(latest["worker"]):
            return Waiting(until=expires, leased=True)
        failures = int(latest["failures"]) + (retry_at is not None)
        vanished = int(latest["vanished"]) + (retry_at is None and not latest.get("released"))
        if failures > retries:
            # Its worker recorded the last failure and vanished before it wrote the dead letter.
            self._bury(
                item, number, Failure(**{**latest["failure"], "at": datetime.fromisoformat(latest["failure"]["at"])})
            )
            return Settled()
        if vanished > _INTERRUPTIONS:
            message = f"{vanished} workers ended while they handled this event"
            self._bury(item, number, Failure(error="WorkerVanished", message=message, traceback="", at=now))
            return Settled()
        lease = self._create(item, number=number + 1, failures=failures, vanished=vanished, now=now)
        if isinstance(lease, Lease) and self._is_settled(item):
            # The worker whose lease had expired finished between our look and our claim.
            return Settled()
        return lease

    def renew(self, lease: Lease, *, now: datetime) -> Lease | None:
        """Extend a lease; None when another worker has taken over."""
        if self._objects.exists(_attempt_key(lease.item, lease.number + 1)):
            return None
        renewed = replace(lease, expires=now + self.lease)
        self._write(renewed)
        return renewed

    def release(self, lease: Lease, *, now: datetime) -> None:
        """Give an unfinished lease back, so that the next attempt need not wait for its expiry."""
        self._write(replace(lease, expires=now), released=True)

    def succeed(self, lease: Lease, *, now: datetime) -> None:
        """Record that the item is handled."""
        self._objects.create(_done_key(lease.item), _json({"at": now.isoformat(), "attempt": lease.number}))

    def fail(self, lease: Lease, failure: Failure, *, retries: int, backoff: timedelta) -> datetime | None:
        """Record a failure; return when the next attempt is due, or None when it is a dead letter now."""
        if self._objects.exists(_attempt_key(lease.item, lease.number + 1)):
            return failure.at  # another worker took over; the outcome is its to tell
        retry_at = failure.at + pause(backoff, lease.failures)
        written = {**asdict(failure), "at": failure.at.isoformat()}
        self._write(lease, retry_at=retry_at.isoformat(), failure=written)
        if lease.failures >= retries:
            self._bury(lease.item, lease.number, failure)
            return None
        return retry_at

    def dead(self) -> list[tuple[Item, dict[str, Any]]]:
        """List what was given up and not replayed since, oldest first."""
        found = []
        for key in self._objects.list("inbox/dead/"):
            handler, _, name = key.removeprefix("inbox/dead/").removesuffix(".json").partition("/")
            event, _, round_ = name.partition("-")
            if self._objects.exists(_done_key(Item(handler=handler, key=event, round=round_))):
                continue  # replayed, or handled after all by a worker whose lease had expired
            try:
                letter = json.loads(self._objects.get(key))
            except NotFoundError:
                continue  # replayed since the listing
            found.append((Item(handler=handler, key=event, round=round_, place=letter["place"]), letter))
        return sorted(found, key=lambda pair: str(pair[1]["at"]))

    def exhume(self, item: Item, *, round_: str, now: datetime) -> None:
        """Close a dead letter that is handled again in another round."""
        self._objects.create(_done_key(item), _json({"at": now.isoformat(), "replayed": round_}))
        self._objects.delete(_dead_key(item))

    def _is_settled(self, item: Item) -> bool:
        return self._objects.exists(_done_key(item)) or self._objects.exists(_dead_key(item))

    def _create(self, item: Item, *, number: int, failures: int, vanished: int, now: datetime) -> Lease | Waiting:
        lease = Lease(
            item=item,
            number=number,
            failures=failures,
            vanished=vanished,
            token=uuid4().hex,
            worker=workers.this_worker(),
            expires=now + self.lease,
        )
        if self._objects.create(_attempt_key(item, number), _lease_json(lease)):
            return lease
        # A lost response also answers False: the token tells whether it was us.
        latest = self._get(item, number)
        return (
            lease
            if latest["token"] == lease.token
            else Waiting(until=datetime.fromisoformat(latest["expires"]), leased=True)
        )

    def _latest(self, item: Item) -> int:
        """Return the number of the last attempt; there is at least one."""
        number = 1
        while self._objects.exists(_attempt_key(item, number + 1)):
            number += 1
        return number

    def _get(self, item: Item, number: int) -> dict[str, Any]:
        key = _attempt_key(item, number)
        try:
            written: dict[str, Any] = json.loads(self._objects.get(key))
        except ValueError as error:
            raise UnexpectedReplyError(
                f"the inbox's object {key!r} is damaged: {error}",
                hint="Delete it: the event is then attempted again under the same number.",
                operation="events.process",
                resource=key,
            ) from error
        return written

    def _write(self, lease: Lease, **outcome: object) -> None:
        self._objects.put(_attempt_key(lease.item, lease.number), _lease_json(lease, **outcome))

    def _bury(self, item: Item, number: int, failure: Failure) -> None:
        letter = {"place": item.place, "attempts": number, **asdict(failure), "at": failure.at.isoformat()}
        self._objects.create(_dead_key(item), _json(letter))


def _lease_json(lease: Lease, **outcome: object) -> bytes:
    return _json(
        {
            "worker": lease.worker,
            "token": lease.token,
            "failures": lease.failures,
            "vanished": lease.vanished,
            "expires": lease.expires.isoformat(),
            **outcome,
        }
    )


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def attempts_of(handler: str) -> str:
    """Return where a handler's attempts lie."""
    return f"inbox/attempts/{handler}/"


def _attempt_key(item: Item, number: int) -> str:
    return f"inbox/attempts/{item.name}.{number:04d}.json"


def _done_key(item: Item) -> str:
    return f"inbox/done/{item.name}.json"


def _dead_key(item: Item) -> str:
    return f"inbox/dead/{item.name}.json"
