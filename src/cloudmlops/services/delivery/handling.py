"""One worker's round: take an event, run its handler under a renewed lease, record what came of it."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from threading import Event as Signal
from threading import RLock, Thread
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.events import EventContext, handling_key
from cloudmlops.errors import ServiceError
from cloudmlops.ports.backends import Backends
from cloudmlops.services.delivery.attempts import Attempts, Failure, Lease, Settled, Waiting
from cloudmlops.services.delivery.backlog import Backlog, Work
from cloudmlops.services.delivery.handlers import Handler, without_secrets
from cloudmlops.services.delivery.inbox import Inbox
from cloudmlops.services.effects import handling
from cloudmlops.services.telemetry import span

if TYPE_CHECKING:
    from cloudmlops._platform import Platform

_log: Final = logging.getLogger("cloudmlops.events")
_SAVE_EVERY: Final = 64
"""Attempts between two writings of a handler's cursor."""


class Worker:
    """Handles what is in the inbox with the handlers of this process, one event at a time."""

    def __init__(self, backends: Backends, *, platform: Platform, inbox: Inbox, attempts: Attempts) -> None:
        self._backends = backends
        self._platform = platform
        self._inbox = inbox
        self._attempts = attempts
        self._backlogs: dict[str, Backlog] = {}
        self._working = RLock()

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by name."""
        return {name: backlog.handler for name, backlog in self._backlogs.items()}

    def add(self, handler: Handler) -> None:
        """Take a handler that has a name of its own."""
        self._backlogs[handler.name] = Backlog(handler, inbox=self._inbox, objects=self._backends.objects)

    def work(self, *, until_idle: bool, stop: Signal) -> int:
        """Handle what is due, with `until_idle` also what arrives meanwhile; return how often that succeeded.

        After `stop` is set no further event is begun.
        """
        with self._working:
            handled, active = self._pass(stop)
            while until_idle and active and not stop.is_set():
                more, active = self._pass(stop)
                handled += more
            return handled

    def next_due(self) -> datetime | None:
        """Return when the next attempt may begin of what waits for one; None when nothing waits."""
        waiting = (work.waiting for backlog in tuple(self._backlogs.values()) for work in backlog.open())
        return min((each.until for each in waiting if each is not None), default=None)

    def _now(self) -> datetime:
        return self._backends.clock.now()

    def _pass(self, stop: Signal) -> tuple[int, bool]:
        """Try everything that is due once; return how much was handled, and whether there was anything to try."""
        handled = 0
        active = False
        for backlog in tuple(self._backlogs.values()):
            backlog.take_in()
            for tried, work in enumerate(backlog.open(), start=1):
                if stop.is_set():
                    break
                if (outcome := self._try(backlog, work)) is not None:
                    active = True
                    handled += outcome
                if tried % _SAVE_EVERY == 0:
                    backlog.save()
            backlog.save()
        return handled, active

    def _try(self, backlog: Backlog, work: Work) -> bool | None:
        """Attempt one event; return whether it succeeded, or None when it was not to be had."""
        if work.waiting is not None and not work.waiting.leased and not work.is_due(self._now()):
            return None
        handler = backlog.handler
        lease = self._attempts.claim(work.item, retries=handler.retries, now=self._now())
        if isinstance(lease, Settled):
            backlog.settle(work)
            return None
        if isinstance(lease, Waiting):
            work.waiting = lease
            return None
        failure = self._call(handler, work, lease)
        if failure is None:
            self._attempts.succeed(lease, now=self._now())
            backlog.settle(work)
            return True
        again = self._attempts.fail(lease, failure, retries=handler.retries, backoff=handler.backoff)
        _log.warning(
            "handler %r failed on %s %s in attempt %d: %s: %s; %s",
            handler.name,
            work.arrival.event.kind,
            "/".join(map(str, work.arrival.event.meaning)),
            lease.number,
            failure.error,
            failure.message,
            f"next attempt at {again.isoformat()}" if again else "no attempt is left: it is a dead letter",
        )
        if again is None:
            backlog.settle(work)
        else:
            work.waiting = Waiting(until=again, leased=False)
        return False

    def _call(self, handler: Handler, work: Work, lease: Lease) -> Failure | None:
        event = work.arrival.event
        key = handling_key(handler.name, event)
        context = EventContext(key=key, attempt=lease.number, event=event, platform=self._platform)
        try:
            with self._renewed(lease), handling(key), span("events.handle", handler=handler.name, kind=event.kind):
                _refuse_deferred(handler.function(event, context))
        except (Exception, SystemExit) as error:  # noqa: BLE001 whatever a handler raises is the outcome of the attempt
            return Failure(
                error=type(error).__qualname__,
                message=without_secrets(str(error)),
                traceback=without_secrets("".join(traceback.format_exception(error))),
                at=self._now(),
            )
        except BaseException:
            # An interrupt: the worker is being stopped, not the handler failing: the next need not wait.
            self._attempts.release(lease, now=self._now())
            raise
        return None

    @contextmanager
    def _renewed(self, lease: Lease) -> Iterator[None]:
        """Keep a lease alive as long as the block runs."""
        ended = Signal()

        def renew() -> None:
            held: Lease | None = lease
            while held is not None and not ended.wait(self._attempts.lease.total_seconds() / 3):
                try:
                    held = self._attempts.renew(held, now=self._now())
                except ServiceError as error:
                    _log.warning("the lease on %s is not renewed: %s", lease.item.name, error)
            if held is None:
                _log.warning("another worker took over %s: its lease had expired", lease.item.name)

        renewer = Thread(target=renew, name="cloudmlops-lease", daemon=True)
        renewer.start()
        try:
            yield
        finally:
            ended.set()
            renewer.join()


def _refuse_deferred(returned: object) -> None:
    """Raise when a handler returned work that nobody will do, instead of doing it."""
    if inspect.isawaitable(returned) or inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        if inspect.iscoroutine(returned):
            returned.close()
        raise TypeError(f"the handler returned a {type(returned).__name__}, which nobody awaits; do the work in it")
