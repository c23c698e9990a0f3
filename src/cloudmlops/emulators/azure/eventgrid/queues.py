"""Events that wait to be pulled: locked by who receives them, and let go of when the lock ends.

An event is delivered `maxDeliveryCount` times at most and kept for `eventTimeToLive`; then, or when it is rejected, it
becomes a dead letter where the subscription has a place for them. What a dead letter's reason is called there is not
documented but for one: the words are the emulator's.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.eventgrid.dead_letters import DeadLetters
from cloudmlops.emulators.azure.eventgrid.durations import duration_of
from cloudmlops.emulators.azure.eventgrid.events import written
from cloudmlops.emulators.azure.eventgrid.filters import wanted
from cloudmlops.emulators.azure.eventgrid.subscriptions import is_active
from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings

_MOST_PATIENT: Final = 24
"""How many may wait at once: each keeps a thread of the server's, which has forty."""
REJECTED: Final = "Undeliverable due to client error"
TOO_OFTEN: Final = "Maximum delivery count exceeded"
TOO_OLD: Final = "Event time to live expired"


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """One event of one queue."""

    event: Mapping[str, Any]
    published: str
    """When, ISO 8601."""
    until: str
    """When it is kept no longer, ISO 8601."""
    available: str
    """From when on it can be received, ISO 8601."""
    received: str = ""
    """When last, ISO 8601; empty before."""
    deliveries: int = 0
    lock: str = ""
    """Of who has it; empty when nobody has."""


class Queues:
    """The queues of all namespaces' subscriptions, by the subscriptions' ids."""

    def __init__(self, surroundings: Surroundings, resources: Resources, letters: DeadLetters) -> None:
        self._clock: Clock = surroundings.clock
        self._state = surroundings.state
        self._resources = resources
        self._letters = letters
        self._kept = surroundings.state.table("eventgrid_queues")
        self._changed = threading.Condition()
        highest = (key.rpartition("|")[2] for key, _ in self._kept.items())
        self._numbers = count(max((int(number) for number in highest), default=0) + 1)
        self._patient = 0
        self._closed = False

    def publish(self, topic: str, event: Mapping[str, Any]) -> None:
        """Put an event into all queues of a topic that want it.

        Raises:
            Refused: There is no such topic.
        """
        if self._resources.get(topic) is None:
            raise Refused("NOT_FOUND", f"Topic '{topic.rpartition('/')[2]}' is not found", reason="NotFound")
        now = self._clock.now()
        with self._state.transaction():
            for subscription in self._resources.directly_below(f"{topic}/eventSubscriptions"):
                properties = subscription["properties"]
                if not is_active(subscription, now) or not wanted(properties.get("filtersConfiguration") or {}, event):
                    continue
                kept_for = duration_of(properties["deliveryConfiguration"]["queue"]["eventTimeToLive"])
                waiting = Waiting(
                    event=event,
                    published=now.isoformat(),
                    until=(now + kept_for).isoformat(),
                    available=now.isoformat(),
                )
                self._keep(f"{subscription['id'].lower()}|{next(self._numbers):020d}", waiting)
                self._look_at(now + kept_for, subscription["id"])
        self._tell()

    def receive(self, subscription: Mapping[str, Any], *, most: int, patience: timedelta) -> list[dict[str, Any]]:
        """Lock events and return them, the earliest first; wait for the first as long as `patience` says.

        It is waited on the emulated clock, and never longer than that in real time, so that a clock that stands still
        keeps nobody. Of many who wait at once the last do not: they may be told at any time that there is nothing.
        """
        until, really = self._clock.now() + patience, time.monotonic() + patience.total_seconds()
        self._clock.at(until, self._tell)
        with self._changed:
            while True:
                found = [] if self._closed else self._locked(subscription, most)
                left = really - time.monotonic()
                over = self._clock.now() >= until or left <= 0
                if found or over or self._closed or self._patient >= _MOST_PATIENT:
                    break
                self._patient += 1
                self._changed.wait(left)
                self._patient -= 1
        if not self._closed:
            self._letters.deliver()
        return found

    def acknowledge(self, subscription: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
        """Remove events."""
        return self._settled(subscription, tokens, lambda key, _: self._forget(key))

    def reject(self, subscription: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
        """Make dead letters of events."""
        return self._settled(subscription, tokens, lambda key, one: self._bury(subscription, key, one, REJECTED))

    def release(self, subscription: Mapping[str, Any], tokens: Sequence[str], delay: timedelta) -> dict[str, Any]:
        """Let events be received again, after a while."""
        available = self._clock.now() + delay

        def let_go(key: str, one: Waiting) -> None:
            self._keep(key, replace(one, lock="", available=available.isoformat()))
            self._look_at(available, subscription["id"])

        result = self._settled(subscription, tokens, let_go)
        self._tell()
        return result

    def renew(self, subscription: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
        """Lock events anew for as long as a lock lasts."""
        until = self._clock.now() + _lock_duration(subscription)

        def renew(key: str, one: Waiting) -> None:
            self._keep(key, replace(one, available=until.isoformat()))
            self._look_at(until, subscription["id"])

        return self._settled(subscription, tokens, renew)

    def waiting(self, subscription: str) -> list[Waiting]:
        """Return all that is in a queue, locked or not, the earliest first."""
        return [Waiting(**json.loads(data)) for _, data in self._kept.items(f"{subscription.lower()}|")]

    def forget(self, subscription: str) -> None:
        """Remove a queue, or those of all that lie in what has the id."""
        for beginning in (f"{subscription.lower()}|", f"{subscription.lower()}/"):
            for key, _ in self._kept.items(beginning):
                self._kept.delete(key)

    def resume(self) -> None:
        """Go on watching what was in the queues when the state was last closed."""
        for key, data in self._kept.items():
            one = Waiting(**json.loads(data))
            for moment in (one.available, one.until):
                self._look_at(datetime.fromisoformat(moment), key.rpartition("|")[0])

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _locked(self, subscription: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
        now = self._clock.now()
        found: list[dict[str, Any]] = []
        with self._state.transaction():
            for key, one in self._available(subscription, now):
                if len(found) == most:
                    break
                until = now + _lock_duration(subscription)
                token = _token(key)
                locked = replace(
                    one,
                    lock=token,
                    deliveries=one.deliveries + 1,
                    available=until.isoformat(),
                    received=now.isoformat(),
                )
                self._keep(key, locked)
                self._look_at(until, subscription["id"])
                properties = {"lockToken": token, "deliveryCount": locked.deliveries}
                found.append({"brokerProperties": properties, "event": dict(one.event)})
        return found

    def _available(self, subscription: Mapping[str, Any], now: datetime) -> list[tuple[str, Waiting]]:
        """Return what can be received; what has been long enough, or often enough, in the queue leaves it."""
        most = subscription["properties"]["deliveryConfiguration"]["queue"]["maxDeliveryCount"]
        found = []
        for key, data in self._kept.items(f"{subscription['id'].lower()}|"):
            one = Waiting(**json.loads(data))
            free = datetime.fromisoformat(one.available) <= now
            if datetime.fromisoformat(one.until) <= now:
                self._bury(subscription, key, one, TOO_OLD)
            elif free and one.deliveries >= most:
                self._bury(subscription, key, one, TOO_OFTEN)
            elif free:
                found.append((key, one))
        return found

    def _settled(
        self, subscription: Mapping[str, Any], tokens: Sequence[str], act: Callable[[str, Waiting], None]
    ) -> dict[str, Any]:
        now = self._clock.now()
        succeeded: list[str] = []
        failed: list[dict[str, Any]] = []
        with self._changed, self._state.transaction():
            for token in tokens:
                key = _key(token, subscription)
                if key is None:
                    failed.append(_failed(token, "BadToken", "Cannot decode lockToken"))
                    continue
                data = self._kept.get(key)
                one = Waiting(**json.loads(data)) if data is not None else None
                if one is None or one.lock != token or _ends(one) <= now:
                    failed.append(_failed(token, "TokenLost", "Token has expired."))
                    continue
                act(key, one)
                succeeded.append(token)
        self._letters.deliver()
        return {"succeededLockTokens": succeeded, "failedLockTokens": failed}

    def _bury(self, subscription: Mapping[str, Any], key: str, one: Waiting, reason: str) -> None:
        self._forget(key)
        queue = subscription["properties"]["deliveryConfiguration"]["queue"]
        with_identity = queue.get("deadLetterDestinationWithResourceIdentity") or {}
        destination = with_identity.get("deadLetterDestination")
        if destination is None:
            return
        told = {
            "deadletterreason": reason,
            "deliveryattempts": one.deliveries,
            "publishutc": written(datetime.fromisoformat(one.published)),
        }
        if one.received:
            told["deliveryattemptutc"] = written(datetime.fromisoformat(one.received))
        parts = subscription["id"].split("/")
        name = "/".join((parts[8], parts[10], parts[12]))
        self._letters.post(destination, name, {**one.event, "deadletterProperties": told})

    def _forget(self, key: str) -> None:
        self._kept.delete(key)

    def _keep(self, key: str, one: Waiting) -> None:
        self._kept.put(key, json.dumps(asdict(one)).encode())

    def _look_at(self, moment: datetime, subscription: str) -> None:
        """Let a queue be looked at when something in it changes by itself."""
        self._clock.at(moment, lambda: self._look(subscription))

    def _look(self, subscription: str) -> None:
        resource = self._resources.get(subscription)
        if resource is not None:
            with self._state.transaction():
                self._available(resource, self._clock.now())
            self._letters.deliver()
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _ends(one: Waiting) -> datetime:
    """Return when the lock of an event ends."""
    return min(datetime.fromisoformat(one.available), datetime.fromisoformat(one.until))


def _lock_duration(subscription: Mapping[str, Any]) -> timedelta:
    queue = subscription["properties"]["deliveryConfiguration"]["queue"]
    return timedelta(seconds=queue["receiveLockDurationInSeconds"])


def _token(key: str) -> str:
    return base64.b64encode(f"{key.rpartition('|')[2]}.{uuid4()}".encode()).decode()


def _key(token: str, subscription: Mapping[str, Any]) -> str | None:
    try:
        number, _, rest = base64.b64decode(token, validate=True).decode().partition(".")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return f"{subscription['id'].lower()}|{number}" if number.isdigit() and rest else None


def _failed(token: str, code: str, message: str) -> dict[str, Any]:
    return {"lockToken": token, "error": {"code": code, "message": message}}
