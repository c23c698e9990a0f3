"""What a user does with events: publish, handle at least once, look into dead letters, replay."""

from __future__ import annotations

import builtins
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from threading import Event as Signal
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from cloudmlops.domain.events import KINDS, DeadLetter, Event, EventContext, UnknownEvent
from cloudmlops.errors import (
    CloudMLOpsError,
    InvalidRequestError,
    NotFoundError,
    QuotaExceededError,
    UnavailableError,
)
from cloudmlops.ports.events import EventsPort, Pulled
from cloudmlops.services.context import ServiceContext
from cloudmlops.services.delivery import envelopes
from cloudmlops.services.delivery.attempts import LEASE, Attempts, Item, attempts_of
from cloudmlops.services.delivery.backlog import saved_cursor
from cloudmlops.services.delivery.handlers import Handler, checked
from cloudmlops.services.delivery.handling import Worker
from cloudmlops.services.delivery.inbox import Arrival, Inbox
from cloudmlops.services.effects import effect_key
from cloudmlops.services.telemetry import span

if TYPE_CHECKING:
    from cloudmlops._platform import Platform
    from cloudmlops.services.delivery.outbox import Outbox
    from cloudmlops.services.delivery.receiving import AsgiApp

EventT = TypeVar("EventT", bound=Event)

_log: Final = logging.getLogger("cloudmlops.events")
_GLANCE_SECONDS: Final = 0.05
"""How often a waiting worker looks whether another process rang."""
_PULL_LIMIT: Final = 100
_STORED_AT_ONCE: Final = 10
"""So many events are acknowledged together: more of them might be so slow to read that their locks end before."""
_SKEW: Final = timedelta(hours=1)
"""How far the clocks of machines that store events may differ: so much farther back a search goes."""


class Events:
    """What happened, handled at least once, its effects through the platform once."""

    def __init__(
        self,
        context: ServiceContext,
        *,
        platform: Platform,
        outbox: Callable[[], Outbox] | None = None,
        lease: timedelta = LEASE,
    ) -> None:
        self._context = context
        self._platform = platform
        self._outbox = outbox
        self._lease = lease
        self._arrived = Signal()

    def on(
        self,
        kind: type[EventT],
        *,
        handler: str | None = None,
        model: str | None = None,
        endpoint: str | None = None,
        pipeline: str | None = None,
        type: str | None = None,  # noqa: A002 the CloudEvents attribute has this name
        retries: int = 3,
        backoff: timedelta = timedelta(seconds=1),
    ) -> Callable[[Callable[[EventT, EventContext], None]], Callable[[EventT, EventContext], None]]:
        """Register the decorated function for events of `kind`, also for those that are in the inbox already.

        Args:
            kind: The class of events; `Event` itself is all of them.
            handler: A name, unique and lasting: what is handled is recorded under it. The function's name by default.
            model: Only events about this model.
            endpoint: Only events about this endpoint.
            pipeline: Only events about this pipeline.
            type: Only unknown events of this CloudEvents type.
            retries: How often a failed attempt is repeated before the event becomes a dead letter.
            backoff: The pause after the first failure; each further one is twice as long, at most an hour.

        Raises:
            InvalidRequestError: The name is taken, a filter does not fit the kind, or the function does not take the
                event and the context.
        """
        wanted = {"model": model, "endpoint": endpoint, "pipeline": pipeline, "type": type}

        def register(
            function: Callable[[EventT, EventContext], None],
        ) -> Callable[[EventT, EventContext], None]:
            made = Handler(
                name=handler or str(getattr(function, "__name__", "")),
                function=function,
                kind=kind,
                filters={name: value for name, value in wanted.items() if value is not None},
                retries=retries,
                backoff=backoff,
            )
            self._worker.add(checked(made, taken=frozenset(self.handlers)))
            return function

        return register

    @property
    def handlers(self) -> tuple[str, ...]:
        """The names of the handlers registered in this process."""
        return tuple(self._worker.handlers)

    def publish(self, event: Event) -> None:
        """Make an event known; durable on return. The same event twice is one.

        Inside a handler the n-th event of a kind is published once, as it was in the first attempt that came so far.

        Raises:
            InvalidRequestError: It is no event, a field is missing or of another type, its time has no time zone, its
                data are not JSON, or the platform itself reports events of this kind.
        """
        with span("events.publish", kind=getattr(event, "kind", "")):
            event = self._published(event)
            if (key := effect_key("publish", event.kind)) is not None:
                event = self._same_event(key, event)
            self.emit(event)

    def emit(self, event: Event) -> None:
        """Make known what the library itself did; durable on return. What the platform reports itself is left to it.

        The event's meaning must be the same whenever the library tells of the same thing: no idempotency key is taken.
        """
        if event.kind in self._port.reported:
            return
        if not self._port.send(envelopes.to_envelope(event)):
            self.accept(event)

    def accept(self, event: Event) -> bool:
        """Store an event that came in; durable on return. False when it was known already."""
        new = self._inbox.store(event, at=self._now())
        if new:
            self._wake()
        return new

    def process(self, *, until_idle: bool = True) -> int:
        """Handle what is due now; return how many events were handled with success, counted once a handler.

        Args:
            until_idle: Go on with what arrives meanwhile, until nothing is due. An event that waits for its next
                attempt is not due; `run` waits for it.
        """
        with span("events.process"):
            self._flush_outboxes()
            self._pull()
            return self._worker.work(until_idle=until_idle, stop=Signal())

    def run(self, stop: Signal, *, poll: timedelta = timedelta(seconds=5)) -> None:
        """Handle events until `stop` is set.

        Wakes at once for an event published on this machine and for the next attempt that falls due. When the store or
        the queue does not answer, or is full, it is asked again after the pause.

        Args:
            stop: Set it from another thread or a signal handler.
            poll: The longest pause, after which queues, outboxes and other machines' events are looked for.
        """
        look_around_at = time.monotonic()
        while not stop.is_set():
            self._arrived.clear()
            rings = self._port.rings()
            due: datetime | None = None
            try:
                if time.monotonic() >= look_around_at:
                    look_around_at = time.monotonic() + poll.total_seconds()
                    self._flush_outboxes()
                    self._pull()
                self._worker.work(until_idle=True, stop=stop)
                due = self._worker.next_due()
            except (UnavailableError, QuotaExceededError) as error:
                _log.warning("events wait for up to %s: %s", poll, error)
            while not (
                stop.is_set()
                or self._arrived.wait(_GLANCE_SECONDS)
                or self._port.rings() != rings
                or (due is not None and self._now() >= due)
                or time.monotonic() >= look_around_at
            ):
                pass

    @overload
    def list(self, *, kind: type[EventT], since: datetime | None = None) -> builtins.list[EventT]: ...

    @overload
    def list(self, *, since: datetime | None = None) -> builtins.list[Event]: ...

    def list(self, *, kind: type[Event] = Event, since: datetime | None = None) -> builtins.list[Any]:
        """Return events in order of arrival.

        Args:
            kind: Only events of this class.
            since: Only those that arrived at this time or later; time-zone aware.
        """
        with span("events.list"):
            found = {
                arrival.event.key: arrival.event
                for arrival in self._since(since)
                if not arrival.round and isinstance(arrival.event, kind)
            }
            return list(reversed(found.values()))

    def dead_letters(self, *, handler: str | None = None) -> builtins.list[DeadLetter]:
        """Return the events that handlers gave up on and that were not replayed since, oldest first."""
        with span("events.dead_letters"):
            return [
                DeadLetter(
                    handler=item.handler,
                    event=arrival.event,
                    attempts=written["attempts"],
                    time=datetime.fromisoformat(written["at"]),
                    error=written["error"],
                    message=written["message"],
                    traceback=written["traceback"],
                )
                for item, written in self._attempts.dead()
                if handler in (None, item.handler) and (arrival := self._inbox.at(item.place)) is not None
            ]

    def replay(self, *, since: datetime, handler: str | None = None) -> int:
        """Have events handled again, whether they were handled or given up; return how many.

        Handlers run again with the same keys: effects through the platform that took hold stay single, those that never
        did happen now. To have all effects anew, register the function under a new name.

        Args:
            since: Events that arrived at this time or later; time-zone aware.
            handler: One handler's name; None is all.

        Raises:
            NotFoundError: No handler of that name is registered here or has ever worked here.
        """
        with span("events.replay", handler=handler):
            if handler is not None:
                self._check_known(handler)
            known = self._worker.handlers.get(handler or "")
            places = {
                arrival.event.key: arrival.place
                for arrival in self._since(since)
                if not arrival.round and (known is None or known.wants(arrival.event))
            }
            buried: dict[str, builtins.list[Item]] = {}
            for item, _ in self._attempts.dead():
                if handler in (None, item.handler):
                    buried.setdefault(item.key, []).append(item)
            for key, place in reversed(places.items()):
                self._again(place, handler, buried.get(key, []))
            return len(places)

    def retry(self, *letters: DeadLetter) -> int:
        """Have dead letters handled again by their handlers, all open ones when none is given; return how many."""
        with span("events.retry"):
            wanted = {(letter.handler, letter.event.key) for letter in letters}
            found = [item for item, _ in self._attempts.dead() if not letters or (item.handler, item.key) in wanted]
            for item in found:
                self._again(item.place, item.handler, [item])
            return len(found)

    def asgi(self) -> AsgiApp:
        """Return an ASGI app that takes CloudEvents 1.0 over HTTP and stores each before it answers."""
        from cloudmlops.services.delivery.receiving import Receiver  # here, because it loads the CloudEvents library

        return Receiver(self._port, accept=self.accept, now=self._now)

    @cached_property
    def _inbox(self) -> Inbox:
        return Inbox(self._context.backends.objects)

    @cached_property
    def _attempts(self) -> Attempts:
        return Attempts(self._context.backends.objects, lease=self._lease)

    @cached_property
    def _worker(self) -> Worker:
        return Worker(self._context.backends, platform=self._platform, inbox=self._inbox, attempts=self._attempts)

    @property
    def _port(self) -> EventsPort:
        return self._context.backends.events

    def _now(self) -> datetime:
        return self._context.backends.clock.now()

    def _wake(self) -> None:
        self._arrived.set()
        self._port.ring()

    def _flush_outboxes(self) -> None:
        """Publish what a crash between a ledger's entry and its events left behind."""
        if self._outbox is not None:
            self._outbox().flush_all()

    def _pull(self) -> None:
        """Store what waits in the provider's queue."""
        while pulled := self._port.pull(_PULL_LIMIT):
            parts = [pulled[place : place + _STORED_AT_ONCE] for place in range(0, len(pulled), _STORED_AT_ONCE)]
            if failures := [failure for part in parts if (failure := self._stored(part)) is not None]:
                raise failures[0]

    def _stored(self, pulled: Sequence[Pulled]) -> CloudMLOpsError | None:
        """Store events and acknowledge them; return what kept one from it, which then comes again.

        One that cannot be read or stored keeps no other from it, unless the store or the platform is away.
        """
        stored: builtins.list[str] = []
        failure: CloudMLOpsError | None = None
        try:
            for delivery in pulled:
                try:
                    self.accept(envelopes.to_event_or_unknown(self._port.normalise(delivery.event)))
                except (UnavailableError, QuotaExceededError):
                    raise
                except CloudMLOpsError as error:
                    failure = failure or error
                else:
                    stored.append(delivery.receipt)
        finally:
            self._port.acknowledge(stored)
        return failure

    def _same_event(self, key: str, event: Event) -> Event:
        """Return what an earlier attempt published in this place, else remember `event` for later ones."""
        name = f"inbox/effects/{key}.json"
        written = json.dumps(envelopes.to_json(envelopes.to_envelope(event))).encode()
        if self._context.backends.objects.create(name, written):
            return event
        return envelopes.to_event(envelopes.from_json(json.loads(self._context.backends.objects.get(name))))

    def _since(self, since: datetime | None) -> Iterator[Arrival]:
        """Yield arrivals latest first, back to `since`."""
        if since is not None and since.tzinfo is None:
            raise InvalidRequestError(f"since={since.isoformat()} has no time zone", hint="Use datetime.now(UTC).")
        for arrival in self._inbox.backwards():
            if since is None or arrival.received_at >= since:
                yield arrival
            elif arrival.received_at < since - _SKEW:
                return

    def _again(self, place: int, handler: str | None, buried: Iterable[Item]) -> None:
        round_ = self._inbox.store_again(place, handler=handler, at=self._now())
        for item in buried:
            self._attempts.exhume(item, round_=round_, now=self._now())
        self._wake()

    def _published(self, event: Event) -> Event:
        """Return the event as whoever handles it will read it."""
        faults = []
        if not isinstance(event, tuple(KINDS.values())):
            raise InvalidRequestError(
                f"a {type(event).__name__} cannot be published",
                hint=f"Publish one of {', '.join(kind.__name__ for kind in KINDS.values())}.",
            )
        moment: object = event.time
        if not isinstance(moment, datetime):
            faults.append(f"its time is {moment!r}: use datetime.now(UTC)")
        elif moment.tzinfo is None:
            faults.append(f"its time {moment.isoformat()} has no time zone: use datetime.now(UTC)")
        if event.kind in self._port.reported:
            faults.append("the platform itself reports this kind: publish what only you know, such as DriftDetected")
        if isinstance(event, UnknownEvent):
            if event.type in KINDS:
                faults.append(f"its type is ours: publish it as {KINDS[event.type].__name__}")
            try:
                json.dumps([event.data, event.extensions], default=_of_numpy)
            except (TypeError, ValueError) as error:
                faults.append(f"its data are not JSON: {error}")
        if not faults:
            try:
                written = json.dumps(envelopes.to_json(envelopes.to_envelope(event)), default=_of_numpy)
                return envelopes.to_event(envelopes.from_json(json.loads(written)))
            except InvalidRequestError as error:
                faults += error.faults
            except (TypeError, ValueError, AttributeError, OverflowError) as error:
                faults.append(f"it cannot be written: {error}")
        raise InvalidRequestError(f"the {type(event).__name__} cannot be published", faults=faults)

    def _check_known(self, handler: str) -> None:
        objects = self._context.backends.objects
        # A handler that has not settled anything yet has attempts, and no cursor.
        if handler in self.handlers or saved_cursor(objects, handler) or any(objects.list(attempts_of(handler))):
            return
        raise NotFoundError(
            f"no handler named {handler!r} is registered or has ever worked on {self._context.backends.address}",
            hint=f"Registered here: {', '.join(sorted(self.handlers)) or 'none'}.",
            operation="events.replay",
            resource=handler,
        )


def _of_numpy(value: object) -> object:
    """Return the number that a scalar of NumPy holds."""
    if hasattr(value, "dtype") and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
