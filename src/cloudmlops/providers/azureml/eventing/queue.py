"""The way in: an event subscription of a namespace topic, from which events are pulled.

Event Grid keeps whoever asks an empty queue for ten seconds at least. Nobody is kept here: the question stays open
beside the caller, and what it brings is handed out when the caller comes again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import InvalidRequestError, ServiceError
from cloudmlops.ports.events import Pulled
from cloudmlops.providers.azureml.eventing.topic import AGAIN, Topic
from cloudmlops.providers.azureml.mapping import events as mapping

if TYPE_CHECKING:
    from azure.eventgrid import EventGridConsumerClient
    from azure.eventgrid.models import ReceiveDetails

    from cloudmlops.ports.clock import Clock

    Received = Sequence[ReceiveDetails[Any]]

_log: Final = logging.getLogger("cloudmlops.events")
_OPERATION: Final = "events.process"
_PATIENCE_SECONDS: Final = 1.0
"""So long is waited for an answer: a queue that holds something answers at once."""
_LEAST_WAIT_SECONDS: Final = 10
"""Event Grid takes no shorter time to wait for the first event."""
_FRESH_SECONDS: Final = 30.0
"""Half of the shortest lock."""


class Queue:
    """What waits in one event subscription."""

    def __init__(self, topic: Topic, clock: Clock) -> None:
        self._topic = topic
        self._clock = clock
        self._asked: _Asked | None = None
        self._out: set[str] = set()
        self._one_by_one = False
        self._closed = threading.Event()

    def pull(self, limit: int) -> Sequence[Pulled]:
        """Return events that are locked for us; none, when none is there at once.

        Those that were returned before and not acknowledged could not be kept: they are released first, to come again.
        """
        if self._out:
            self._settle("release", sorted(self._out))
        if self._asked is None:
            self._asked = self._ask(1 if self._one_by_one else limit)
        elif not self._asked.found.done():
            return ()  # it would have been answered if there had been anything
        try:
            received = self._asked.found.result(_PATIENCE_SECONDS)
        except NotYet:
            return ()
        except ValueError as error:
            # The SDK reads all or none: alone, the event that it cannot read comes to its dead letter.
            self._asked = None
            self._one_by_one = True
            _log.warning("an event in the queue cannot be read, and is left to its dead letter: %s", error)
            return ()
        except ServiceError:
            self._asked = None
            raise
        asked, self._asked = self._asked, None
        self._one_by_one = self._one_by_one and bool(received)
        if received and time.monotonic() - asked.answered_at > _FRESH_SECONDS:
            self._settle("renew_locks", [str(one.broker_properties.lock_token) for one in received])
        return self._read(received)

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Remove events; a lock that has ended is no error, for the event comes again."""
        if receipts:
            self._settle("acknowledge", receipts)

    def close(self) -> None:
        """Let go of what is asked; what that still brings is released."""
        self._closed.set()
        if "_consumer" in self.__dict__ and self._asked is not None and self._asked.found.done():
            self._let_go(self._asked.found)

    def _read(self, received: Received) -> list[Pulled]:
        read: list[Pulled] = []
        rejected: list[str] = []
        for one in received:
            token = str(one.broker_properties.lock_token)
            try:
                read.append(Pulled(event=mapping.envelope(one.event, self._clock.now()), receipt=token))
            except InvalidRequestError as error:
                _log.warning("an event in the queue is rejected: %s", error)
                rejected.append(token)
        if rejected:
            self._settle("reject", rejected)
        self._out |= {one.receipt for one in read}
        return read

    def _settle(self, verb: str, tokens: Sequence[str]) -> None:
        act: Callable[..., Any] = getattr(self._consumer, verb)
        self._topic.ask(lambda: act(lock_tokens=list(tokens), retry_on_methods=AGAIN), operation=_OPERATION)
        if verb != "renew_locks":
            self._out -= set(tokens)

    def _ask(self, limit: int) -> _Asked:
        self._topic.log_in(operation=_OPERATION)  # before it is waited for, for that may take longer than the answer
        consumer, asked = self._consumer, _Asked()

        def receive() -> None:
            try:
                found = self._topic.ask(
                    lambda: consumer.receive(
                        max_events=limit, max_wait_time=_LEAST_WAIT_SECONDS, retry_on_methods=AGAIN
                    ),
                    operation=_OPERATION,
                )
            except BaseException as error:  # noqa: BLE001 it is raised where the answer is waited for
                asked.found.set_exception(error)
            else:
                asked.answered_at = time.monotonic()
                asked.found.set_result(found)
                if self._closed.is_set():
                    self._let_go(asked.found)

        # No executor: it would keep the program's end waiting for the answer.
        threading.Thread(target=receive, name="cloudmlops-event-grid", daemon=True).start()
        return asked

    def _let_go(self, found: Future[Received]) -> None:
        if found.exception() is None and (tokens := [str(one.broker_properties.lock_token) for one in found.result()]):
            try:
                self._settle("release", tokens)
            except ServiceError as error:
                _log.debug("events that nobody waits for come again when their locks end: %s", error)

    @cached_property
    def _consumer(self) -> EventGridConsumerClient:
        return self._topic.consumer()


class _Asked:
    """A question that is open."""

    def __init__(self) -> None:
        self.found: Future[Received] = Future()
        self.answered_at = 0.0
        """In seconds of the machine's monotonic clock."""
