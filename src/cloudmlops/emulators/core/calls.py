"""What was asked of the emulator, and how each call went through: faults first, then the service, then the record."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final

from cloudmlops.emulators.core.clock import Clock
from cloudmlops.emulators.core.faults import Faults, Refused
from cloudmlops.emulators.core.redaction import without_secrets

KEPT: Final = 10_000
"""How many calls are remembered."""


class Dropped(Exception):  # noqa: N818 not a mistake of ours
    """The connection was cut on purpose: nothing is to be answered."""


@dataclass(kw_only=True, slots=True, repr=False)
class Call:
    """One call, as a test reads it: whole; what is shown of it to others and in reports of tests has no secrets."""

    service: str
    operation: str
    at: datetime
    transport: str
    """`grpc` or `rest`."""
    resource: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    """What was sent, as JSON."""
    status: str = "OK"
    """The code of `google.rpc.Code` that it ended with, or `DROPPED`."""

    @property
    def name(self) -> str:
        """Such as `aiplatform/ModelService.UploadModel`."""
        return f"{self.service}/{self.operation}"

    def shown(self) -> dict[str, Any]:
        """Return it as JSON without secrets."""
        content = {part.name: getattr(self, part.name) for part in fields(self)}
        return {
            **content,
            "at": self.at.isoformat(),
            "resource": without_secrets(self.resource),
            "request": without_secrets(self.request),
        }

    def __repr__(self) -> str:
        return f"Call({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"


class Calls:
    """The record of what was asked."""

    def __init__(self, clock: Clock, faults: Faults) -> None:
        self._clock = clock
        self._faults = faults
        self._kept: deque[Call] = deque(maxlen=KEPT)
        self._closing = threading.Event()

    def list(self, matching: str = "") -> list[Call]:
        """Return calls, the earliest first; `matching` is a part of the name."""
        return [call for call in tuple(self._kept) if matching in call.name]

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    @contextmanager
    def answering(
        self,
        service: str,
        operation: str,
        *,
        transport: str,
        drop: Callable[[], None],
        resource: str = "",
        request: Mapping[str, Any] | None = None,
    ) -> Iterator[Call]:
        """Let what goes wrong go wrong, and keep the call.

        Args:
            service: Of the emulated services.
            operation: As the vendor names it.
            transport: `grpc` or `rest`.
            drop: Cuts the caller's connection.
            resource: Name of what is concerned.
            request: What was sent, as JSON.

        Raises:
            Refused: A fault says so, or the service did.
            Dropped: The connection was cut.
        """
        call = Call(
            service=service,
            operation=operation,
            at=self._clock.now(),
            transport=transport,
            resource=resource,
            request=request or {},
        )
        self._kept.append(call)
        due = self._faults.due(call.name)
        try:
            for fault in due:
                if fault.delay_seconds:
                    self._closing.wait(fault.delay_seconds)
                if fault.before is not None:
                    fault.before()
                if fault.drop:
                    raise Dropped
                if fault.refused is not None:
                    raise fault.refused
            yield call
            if any(fault.lose_response for fault in due):
                raise Dropped
        except Dropped:
            call.status = "DROPPED"
            drop()
            raise
        except Refused as refused:
            call.status = refused.code
            raise
        except Exception:
            call.status = "INTERNAL"
            raise

    def close(self) -> None:
        """Wait for nobody any more."""
        self._closing.set()
