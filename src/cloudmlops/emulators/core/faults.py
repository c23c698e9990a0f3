"""Faults on demand: what goes wrong with the n-th call that matches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final


class Refused(Exception):  # noqa: N818 a reply, not a mistake of ours
    """What a service answers instead of a result; each wire has its own form of it.

    The code is one of `google.rpc.Code`'s names, which map to HTTP statuses one to one (google/rpc/code.proto).
    """

    def __init__(self, code: str, message: str, *, reason: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        """The service's own word for it, such as BigQuery's `notFound`."""
        self.retry_after_seconds = retry_after_seconds


HTTP_STATUS: Final = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Calls are named `SERVICE/OPERATION`, such as `aiplatform/ModelService.UploadModel`, `bigquery/jobs.insert`,
    `storage/objects.insert`, `bigtable/MutateRow`; `matching` is a pattern with `*`.
    """

    matching: str
    first: int = 1
    """The first call of those that match that goes wrong, counted from when the fault was set."""
    times: int | None = 1
    """How many in a row; None for all from then on."""
    refused: Refused | None = None
    """Answer this and do nothing."""
    delay_seconds: float = 0.0
    """Wait before the call is done, in real time: it is the client that is to grow impatient."""
    drop: bool = False
    """Cut the connection and do nothing."""
    lose_response: bool = False
    """Do what is asked, then cut the connection."""
    before: Callable[[], None] | None = None
    """Do this first: a concurrent writer."""


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0


@dataclass(slots=True)
class Faults:
    """The faults that are set."""

    _armed: list[_Armed] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, fault: Fault) -> None:
        """Let something go wrong from now on."""
        with self._lock:
            self._armed.append(_Armed(fault))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._armed.clear()

    def due(self, call: str) -> list[Fault]:
        """Count a call, and return what goes wrong with it."""
        with self._lock:
            due = []
            for armed in self._armed:
                if not fnmatchcase(call, armed.fault.matching):
                    continue
                armed.seen += 1
                last = None if armed.fault.times is None else armed.fault.first + armed.fault.times - 1
                if armed.seen >= armed.fault.first and (last is None or armed.seen <= last):
                    due.append(armed.fault)
            return due
