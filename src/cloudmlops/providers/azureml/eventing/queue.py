"""The way in: an event subscription of a namespace topic, from which events are pulled.

Event Grid keeps whoever asks an empty queue for ten seconds at least. Nobody is kept here: the question stays open
beside the caller, and what it brings is handed out when the caller comes again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import CloudMLOpsError, InvalidRequestError, ServiceError
from cloudmlops.ports.events import Pulled
from cloudmlops.providers.azureml.eventing.topic import AGAIN, LEAST_WAIT_SECONDS, Topic
from cloudmlops.providers.azureml.mapping import events as mapping

if TYPE_CHECKING:
    from datetime import datetime

    from azure.eventgrid import EventGridConsumerClient
    from azure.eventgrid.models import ReceiveDetails

    from cloudmlops.ports.clock import Clock

    Received = Sequence[ReceiveDetails[Any]]
    Answer = tuple[Received, datetime]
    """What was received, and when."""

_log: Final = logging.getLogger("cloudmlops.events")
_OPERATION: Final = "events.process"
_PATIENCE_SECONDS: Final = 1.0
"""So long is waited for an answer: a queue that holds something answers at once."""
_FRESH: Final = timedelta(seconds=30)
"""Half of the shortest lock."""


class Queue:
    """What waits in one event subscription."""

    def __init__(self, topic: Topic, clock: Clock) -> None:
        self._topic = topic
        self._clock = clock
        self._pulling = threading.Lock()
        self._asked: Future[Answer] | None = None
        self._out: dict[str, int] = {}
        """What is neither acknowledged nor given back: a token, and the thread that it was given to."""
        self._one_by_one = False

    def pull(self, limit: int) -> Sequence[Pulled]:
        """Return events that are locked for us; none, when none is there at once.

        Those that this thread was given before and has not acknowledged could not be kept: they are released first, to
        come again.
        """
        with self._pulling:
            if left := sorted(token for token, thread in self._out.items() if thread == threading.get_ident()):
                self._settle("release", left)
            if self._asked is None:
                self._asked = self._ask(1 if self._one_by_one else limit)
                wait([self._asked], _PATIENCE_SECONDS)
            asked = self._asked
            if not asked.done():  # it would have been answered if there had been anything
                return ()
            self._asked = None
            try:
                received, at = asked.result()
            except CloudMLOpsError:  # some of ours are a ValueError, too
                raise
            except ValueError as error:
                # The SDK reads all or none: alone, the event that it cannot read comes to its dead letter.
                self._one_by_one = True
                _log.warning("an event in the queue cannot be read, and is left to its dead letter: %s", error)
                return ()
            self._out |= {_token(one): threading.get_ident() for one in received}
            if received and self._clock.now() - at > _FRESH:
                self._settle("renew_locks", [_token(one) for one in received])
            return self._read(received)

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Remove events; a lock that has ended is no error, for the event comes again."""
        with self._pulling:
            if receipts:
                self._settle("acknowledge", receipts)

    def close(self) -> None:
        """Let go of what is asked; what that still brings is released."""
        with self._pulling:
            if self._asked is not None:
                self._asked.add_done_callback(self._end)
            elif "_consumer" in self.__dict__:
                self._consumer.close()

    def _read(self, received: Received) -> list[Pulled]:
        self._one_by_one = self._one_by_one and bool(received)
        read: list[Pulled] = []
        rejected: list[str] = []
        for one in received:
            try:
                read.append(Pulled(event=mapping.envelope(one.event, self._clock.now()), receipt=_token(one)))
            except InvalidRequestError as error:
                _log.warning("an event in the queue is rejected: %s", error)
                rejected.append(_token(one))
        if rejected:
            self._settle("reject", rejected)
        return read

    def _settle(self, verb: str, tokens: Sequence[str]) -> None:
        act: Callable[..., Any] = getattr(self._consumer, verb)
        self._topic.ask(lambda: act(lock_tokens=list(tokens), retry_on_methods=AGAIN), operation=_OPERATION)
        if verb != "renew_locks":
            self._out = {token: thread for token, thread in self._out.items() if token not in tokens}

    def _ask(self, limit: int) -> Future[Answer]:
        self._topic.log_in(operation=_OPERATION)  # before it is waited for, for that may take longer than the answer
        consumer = self._consumer
        asked: Future[Answer] = Future()

        def receive() -> None:
            try:
                found = self._topic.ask(
                    lambda: consumer.receive(
                        max_events=limit, max_wait_time=LEAST_WAIT_SECONDS, retry_on_methods=AGAIN
                    ),
                    operation=_OPERATION,
                )
            except BaseException as error:  # noqa: BLE001 it is raised where the answer is waited for
                asked.set_exception(error)
            else:
                asked.set_result((found, self._clock.now()))

        # No executor: it would keep the program's end waiting for the answer.
        threading.Thread(target=receive, name="cloudmlops-event-grid", daemon=True).start()
        return asked

    def _end(self, found: Future[Answer]) -> None:
        try:
            if found.exception() is None and (tokens := [_token(one) for one in found.result()[0]]):
                self._settle("release", tokens)
        except ServiceError as error:
            _log.debug("events that nobody waits for come again when their locks end: %s", error)
        finally:
            self._consumer.close()

    @cached_property
    def _consumer(self) -> EventGridConsumerClient:
        return self._topic.consumer()


def _token(one: ReceiveDetails[Any]) -> str:
    return str(one.broker_properties.lock_token)
