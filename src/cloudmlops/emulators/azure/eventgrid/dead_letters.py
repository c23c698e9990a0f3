"""Where events go that nobody took: blobs of a storage account."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import uuid4

from cloudmlops.emulators.azure.eventgrid.events import written
from cloudmlops.emulators.azure.eventgrid.filters import invalid
from cloudmlops.emulators.azure.eventgrid.retrying import outcome
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Surroundings

_WAITS: Final = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5))
_PATIENCE: Final = timedelta(days=2)
"""How often, and for how long, a letter from a namespace is tried to be stored."""


class Write(Protocol):
    """Puts a blob; raises `Refused` when it cannot be."""

    def __call__(self, account: str, container: str, name: str, data: bytes, *, content_type: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Letter:
    """One that is still to be stored."""

    destination: Mapping[str, Any]
    name: str
    content: Mapping[str, Any]
    since: str
    """ISO 8601."""
    attempts: int = 0


class DeadLetters:
    """Stores letters: at once where the caller tries again itself, or for as long as it takes."""

    def __init__(self, surroundings: Surroundings, write: Write) -> None:
        self._clock = surroundings.clock
        self._state = surroundings.state
        self._pending = surroundings.state.table("eventgrid_dead_letters")
        self._write = write
        self._storing = threading.Lock()

    def store(self, destination: Mapping[str, Any], name: str, content: Mapping[str, Any]) -> None:
        """Store one event.

        Args:
            destination: Of type `StorageBlob`, as a subscription has it.
            name: What the blob's name begins with, such as the subscription's in capitals.
            content: What becomes JSON, as the only one of an array.

        Raises:
            Refused: The store does not take it now.
        """
        now = self._clock.now().astimezone(UTC)
        where = f"{name}/{now.year}/{now.month}/{now.day}/{now.hour}/{uuid4()}.json"
        properties = destination["properties"]
        account = str(properties["resourceId"]).rpartition("/")[2]
        data = json.dumps([content]).encode()
        self._write(account, str(properties["blobContainerName"]), where, data, content_type="application/json")

    def post(self, destination: Mapping[str, Any], name: str, content: Mapping[str, Any]) -> None:
        """Keep one event until it is stored; `deliver` begins with that, outside any transaction."""
        letter = _Letter(destination=destination, name=name, content=content, since=self._clock.now().isoformat())
        self._keep(uuid4().hex, letter)

    def deliver(self) -> None:
        """Store what was posted and was not tried yet."""
        for key, data in self._pending.items():
            letter = _Letter(**json.loads(data))
            if not letter.attempts:
                self._attempt(key)

    def resume(self) -> None:
        """Go on with what was not stored when the state was last closed."""
        for one in self._pending.items():
            self._attempt(one[0])

    def _attempt(self, key: str) -> None:
        with self._storing:
            data = self._pending.get(key)
            if data is None:
                return
            letter = _Letter(**json.loads(data))
            try:
                self.store(letter.destination, letter.name, letter.content)
            except Refused:
                if self._clock.now() - datetime.fromisoformat(letter.since) < _PATIENCE:
                    self._keep(key, replace(letter, attempts=letter.attempts + 1))
                    self._clock.after(_WAITS[min(letter.attempts, len(_WAITS) - 1)], lambda: self._attempt(key))
                    return
            self._pending.delete(key)

    def _keep(self, key: str, letter: _Letter) -> None:
        self._pending.put(key, json.dumps(asdict(letter)).encode())


def check_destination(destination: Mapping[str, Any] | None) -> None:
    """Let through what dead letters can be stored in; None is nowhere.

    Raises:
        Refused: It is no blob container.
    """
    if destination is None:
        return
    properties = destination.get("properties") or {}
    if destination.get("endpointType") != "StorageBlob" or not properties.get("resourceId"):
        raise invalid("The dead letter destination is not valid.")
    if not properties.get("blobContainerName"):
        raise invalid("The blob container name of the dead letter destination is missing.")


def letter_of(
    event: Mapping[str, Any],
    *,
    reason: str,
    attempts: int,
    status: int,
    published: datetime,
    attempted: datetime | None,
) -> dict[str, Any]:
    """Return what is stored of an event that could not be pushed; CloudEvents get names in lower case.

    Args:
        event: In the schema in which it was to be delivered.
        reason: Why it is here.
        attempts: How many there were.
        status: What the last one ended with; 0 when there was none.
        published: When it was published.
        attempted: When it was last tried; None when it never was.
    """
    told: dict[str, Any] = {
        "deadLetterReason": reason,
        "deliveryAttempts": attempts,
        "lastDeliveryOutcome": outcome(status) if status else "",
        "publishTime": written(published),
    }
    if status > 0:
        told["lastHttpStatusCode"] = status
    if attempted is not None:
        told["lastDeliveryAttemptTime"] = written(attempted)
    if "specversion" in event:
        told = {name.lower(): value for name, value in told.items()}
    return {**event, **told}
