"""Messages that wait in subscriptions: taken for a while, taken again when they are not acknowledged."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State

RETENTION_SECONDS = 604_800.0
"""Seven days, unless a subscription says otherwise."""


class Backlog:
    """What waits, by subscription."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._waiting = state.table("pubsub_messages")
        self._counters = state.table("pubsub_counters")

    def next_id(self) -> str:
        """Return a message's id: decimal, and greater than those before."""
        with self._state.transaction():
            last = int(self._counters.get("message") or b"1000000000")
            self._counters.put("message", str(last + 1).encode())
        return str(last + 1)

    def add(self, subscription: str, message: Mapping[str, Any]) -> None:
        """Let a message wait."""
        kept = {"message": dict(message), "available": self._clock.now().isoformat(), "taken": 0}
        self._waiting.put(_key(subscription, message["messageId"]), json.dumps(kept).encode())

    def take(self, subscription: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
        """Take messages, for as long as the subscription's deadline."""
        now = self._clock.now()
        oldest = now - timedelta(seconds=_retention(subscription))
        deadline = (now + timedelta(seconds=subscription["ackDeadlineSeconds"])).isoformat()
        taken: list[dict[str, Any]] = []
        with self._state.transaction():
            for key, data in self._waiting.items(f"{subscription['name']}|"):
                kept = json.loads(data)
                if datetime.fromisoformat(kept["message"]["publishTime"]) < oldest:
                    self._waiting.delete(key)
                    continue
                if datetime.fromisoformat(kept["available"]) > now:
                    continue
                kept |= {"available": deadline, "taken": kept["taken"] + 1}
                self._waiting.put(key, json.dumps(kept).encode())
                taken.append({"ackId": _acknowledgement(key, kept["taken"]), "message": kept["message"]})
                if len(taken) == most:
                    break
        return taken

    def acknowledge(self, subscription: str, acknowledgements: Iterable[str]) -> None:
        """Let messages wait no more; those that were taken by somebody else meanwhile still do.

        Raises:
            Refused: One is not an acknowledgement of this subscription.
        """
        with self._state.transaction():
            for key, taken in _read(subscription, acknowledgements):
                data = self._waiting.get(key)
                if data is not None and json.loads(data)["taken"] == taken:
                    self._waiting.delete(key)

    def extend(self, subscription: str, acknowledgements: Iterable[str], seconds: float) -> None:
        """Move the deadline of messages that were taken; zero gives them back.

        Raises:
            Refused: One is not an acknowledgement of this subscription.
        """
        available = (self._clock.now() + timedelta(seconds=seconds)).isoformat()
        with self._state.transaction():
            for key, taken in _read(subscription, acknowledgements):
                data = self._waiting.get(key)
                if data is not None and json.loads(data)["taken"] == taken:
                    self._waiting.put(key, json.dumps({**json.loads(data), "available": available}).encode())

    def take_all(self, subscription: str) -> list[dict[str, Any]]:
        """Remove all that waits, and return it."""
        with self._state.transaction():
            found = self._waiting.items(f"{subscription}|")
            for key, _ in found:
                self._waiting.delete(key)
        return [json.loads(data)["message"] for _, data in found]


def _retention(subscription: Mapping[str, Any]) -> float:
    return float(str(subscription.get("messageRetentionDuration", f"{RETENTION_SECONDS}s")).removesuffix("s"))


def _key(subscription: str, message_id: str) -> str:
    return f"{subscription}|{message_id:>020}"


def _acknowledgement(key: str, taken: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([key, taken]).encode()).decode()


def _read(subscription: str, acknowledgements: Iterable[str]) -> list[tuple[str, int]]:
    read = []
    for text in acknowledgements:
        try:
            key, taken = json.loads(base64.urlsafe_b64decode(text))
        except ValueError as error:
            raise _unknown(text) from error
        if not str(key).startswith(f"{subscription}|"):
            raise _unknown(text)
        read.append((str(key), int(taken)))
    return read


def _unknown(text: str) -> Refused:
    return Refused("INVALID_ARGUMENT", f"You have passed an invalid ack ID to the service (ack_id={text}).")
