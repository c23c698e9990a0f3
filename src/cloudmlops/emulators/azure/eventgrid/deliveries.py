"""Pushes of events to webhooks and namespaces: at least once, retried on the clock, at last a dead letter.

A delivery is a call `eventgrid/deliver`: a fault with a status stands for what the webhook answered, a dropped one for
a webhook that was not reached, and a lost response for one that took the event and whose answer was lost, so that it
gets the event twice. What is delayed or dropped comes after what is published later. The real service also holds back
deliveries to endpoints that fail for long ("delayed delivery"), without saying by what rule: this is not emulated.
The word for a reason other than `MaxDeliveryAttemptsExceeded` is not documented.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.eventgrid.dead_letters import DeadLetters, letter_of
from cloudmlops.emulators.azure.eventgrid.events import as_cloud_event
from cloudmlops.emulators.azure.eventgrid.identity import Identities
from cloudmlops.emulators.azure.eventgrid.queues import Queues
from cloudmlops.emulators.azure.eventgrid.retrying import (
    DEAD_LETTER_DELAY,
    DEAD_LETTER_PATIENCE,
    DELIVERED,
    NOT_RETRIED,
    TIMED_OUT,
    UNREACHABLE,
    wait_after,
)
from cloudmlops.emulators.azure.eventgrid.subscriptions import (
    dead_letter_of,
    delivery_headers,
    destination_of,
    is_cloud,
)
from cloudmlops.emulators.azure.eventgrid.webhooks import Webhooks
from cloudmlops.emulators.core.calls import Dropped
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.core.service import Surroundings

_log: Final = logging.getLogger("cloudmlops.emulators")
SERVICE: Final = "eventgrid"
JITTER: Final = 0.1
"""The "small randomization" that the documentation speaks of: how much, it does not say."""
_THREADS: Final = 8
TOO_OFTEN: Final = "MaxDeliveryAttemptsExceeded"
TOO_OLD: Final = "TimeToLiveExceeded"
IN_VAIN: Final = "UndeliverableDueToHttp"
"""Followed by the name of the status, as users quote it of `BadRequest`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One event on its way to one subscription."""

    subscription: str
    """Its id."""
    event: Mapping[str, Any]
    """In the schema in which it is delivered."""
    published: str
    """When, ISO 8601."""
    due: str
    """When it is tried next, or becomes a dead letter, ISO 8601."""
    attempts: int = 0
    attempted: str = ""
    """When last, ISO 8601; empty before the first attempt."""
    status: int = 0
    """What the last attempt ended with."""
    reason: str = ""
    """Why it is not tried any more and becomes a dead letter; empty while it is tried."""


class Deliveries:
    """What is under way; it survives a restart with the state."""

    def __init__(
        self,
        surroundings: Surroundings,
        resources: Resources,
        *,
        webhooks: Webhooks,
        queues: Queues,
        letters: DeadLetters,
        identities: Identities,
    ) -> None:
        self._surroundings = surroundings
        self._clock = surroundings.clock
        self._state = surroundings.state
        self._resources = resources
        self._webhooks = webhooks
        self._queues = queues
        self._letters = letters
        self._identities = identities
        self._kept = surroundings.state.table("eventgrid_deliveries")
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="emulated-event-grid")
        self._changed = threading.Condition()
        self._under_way = 0
        self._closed = False
        self.jitter = JITTER
        """The largest part of a wait that is added to it."""

    def send(self, subscription: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Deliver an event of either schema to a subscription."""
        now = self._clock.now().isoformat()
        shaped = as_cloud_event(event) if is_cloud(subscription["properties"]) else dict(event)
        key = f"{subscription['id'].lower()}|{uuid4().hex}"
        self._keep(key, Delivery(subscription=subscription["id"], event=shaped, published=now, due=now))
        self._submit(lambda: self._attempt(key))

    def resume(self) -> None:
        """Go on with what was under way when the state was last closed."""
        for key, data in self._kept.items():
            self._wait_for(key, Delivery(**json.loads(data)))

    def pending(self, subscription: str = "") -> list[Delivery]:
        """Return what is not delivered yet, to one subscription or to all."""
        beginning = f"{subscription.lower()}|" if subscription else ""
        return [Delivery(**json.loads(data)) for _, data in self._kept.items(beginning)]

    def forget(self, subscription: str) -> None:
        """Deliver nothing more to a subscription."""
        for key, _ in self._kept.items(f"{subscription.lower()}|"):
            self._kept.delete(key)

    def run(self, act: Callable[[], None]) -> None:
        """Do something beside the request that asks for it, as part of what `settle` waits for."""
        self._submit(act)

    def run_due(self, act: Callable[[], None]) -> None:
        """Do something whose time has come: where time is moved by hand, before it goes on."""
        begun = self._submit(act)
        if begun is not None and self._clock.frozen:
            begun.result()

    def settle(self, timeout: timedelta) -> bool:
        """Wait until nothing happens any more unless time goes on; False when something still does."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, timeout.total_seconds())

    def close(self) -> None:
        """Begin nothing more, and wait for what has begun."""
        with self._changed:
            self._closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)

    def reset(self) -> None:
        """Let waits vary as much as ever."""
        self.jitter = JITTER

    def _submit(self, act: Callable[[], None]) -> Future[None] | None:
        with self._changed:
            if self._closed:
                return None
            self._under_way += 1
            begun = self._threads.submit(act)
        begun.add_done_callback(self._ended)
        return begun

    def _ended(self, begun: Future[None]) -> None:
        error = None if begun.cancelled() else begun.exception()
        if error is not None:
            _log.error("%s: what goes on beside requests failed", SERVICE, exc_info=error)
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def _attempt(self, key: str) -> None:
        data = self._kept.get(key)
        if data is None:
            return
        delivery = Delivery(**json.loads(data))
        subscription = self._resources.get(delivery.subscription)
        if subscription is None:
            self._kept.delete(key)
            return
        now = self._clock.now()
        if delivery.reason:
            self._bury(key, delivery, subscription)
            return
        policy = subscription["properties"]["retryPolicy"]
        if now - datetime.fromisoformat(delivery.published) > timedelta(minutes=policy["eventTimeToLiveInMinutes"]):
            self._give_up(key, delivery, subscription, TOO_OLD)
            return
        status = self._deliver(subscription, delivery)
        if status in DELIVERED:
            self._kept.delete(key)
            return
        if self._webhooks.closed:
            return
        tried = replace(delivery, attempts=delivery.attempts + 1, attempted=now.isoformat(), status=status)
        if status in NOT_RETRIED:
            self._give_up(key, tried, subscription, IN_VAIN + NOT_RETRIED[status])
        elif tried.attempts >= policy["maxDeliveryAttempts"]:
            self._give_up(key, tried, subscription, TOO_OFTEN)
        else:
            wait = wait_after(tried.attempts, status, seed=str(delivery.event["id"]), jitter=self.jitter)
            self._put_off(key, replace(tried, due=(self._clock.now() + wait).isoformat()))

    def _deliver(self, subscription: Mapping[str, Any], delivery: Delivery) -> int:
        """Return what an attempt ended with."""
        sent = False
        event = delivery.event
        try:
            with self._surroundings.calls.answering(
                SERVICE,
                "deliver",
                transport="rest",
                drop=lambda: None,
                resource=subscription["id"],
                request={"event": event["id"], "attempt": delivery.attempts + 1},
            ):
                status = self._push(subscription, delivery)
                sent = True
                return status
        except Dropped:
            return TIMED_OUT if sent else UNREACHABLE
        except Refused as refused:
            return HTTP_STATUS.get(refused.code, 500)

    def _push(self, subscription: Mapping[str, Any], delivery: Delivery) -> int:
        event = delivery.event
        destination = destination_of(subscription["properties"])
        if destination["endpointType"] == "NamespaceTopic":
            try:
                self._queues.publish(str(destination["properties"]["resourceId"]), dict(event))
            except Refused as refused:
                return HTTP_STATUS.get(refused.code, 500)
            return 200
        headers = delivery_headers(subscription, event, attempts=delivery.attempts)
        headers |= {"aeg-output-event-id": str(uuid4())} | self._identities.authorization(subscription)
        body = json.dumps(event if "specversion" in event else [event]).encode()
        return self._webhooks.send("POST", str(destination["properties"]["endpointUrl"]), headers, body).status

    def _give_up(self, key: str, delivery: Delivery, subscription: Mapping[str, Any], reason: str) -> None:
        if dead_letter_of(subscription["properties"]) is None:
            self._kept.delete(key)
            return
        last = datetime.fromisoformat(delivery.attempted or delivery.published)
        due = max(self._clock.now(), last + DEAD_LETTER_DELAY)
        self._put_off(key, replace(delivery, reason=reason, due=due.isoformat()))

    def _bury(self, key: str, delivery: Delivery, subscription: Mapping[str, Any]) -> None:
        destination, now = dead_letter_of(subscription["properties"]), self._clock.now()
        attempted = datetime.fromisoformat(delivery.attempted) if delivery.attempted else None
        published = datetime.fromisoformat(delivery.published)
        if destination is not None:
            content = letter_of(
                delivery.event,
                reason=delivery.reason,
                attempts=delivery.attempts,
                status=delivery.status,
                published=published,
                attempted=attempted,
            )
            try:
                self._letters.store(destination, str(subscription["name"]).upper(), content)
            except Refused:
                if now - (attempted or published) < DEAD_LETTER_PATIENCE:
                    self._put_off(key, replace(delivery, due=(now + DEAD_LETTER_DELAY).isoformat()))
                    return
        self._kept.delete(key)

    def _put_off(self, key: str, delivery: Delivery) -> None:
        """Keep a delivery until it is due; whoever sees the one may rely on the other."""
        with self._state.transaction():
            if self._kept.get(key) is None:
                return
            self._wait_for(key, delivery)
            self._keep(key, delivery)

    def _wait_for(self, key: str, delivery: Delivery) -> None:
        self._clock.at(datetime.fromisoformat(delivery.due), lambda: self.run_due(lambda: self._attempt(key)))

    def _keep(self, key: str, delivery: Delivery) -> None:
        self._kept.put(key, json.dumps(asdict(delivery)).encode())
