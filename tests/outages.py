"""A provider that cannot answer until we have told that we wait for it."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault, Refused


class OutageUntilTold(logging.Handler):
    """Lets some calls fail from its beginning until the library's log tells anything of it."""

    def __init__(self, emulator: Emulator, matching: str) -> None:
        super().__init__(logging.WARNING)
        self._emulator = emulator
        self._matching = matching
        self._log = logging.getLogger("cloudmlops")
        self.told = ""

    def emit(self, record: logging.LogRecord) -> None:
        if "cannot be looked at" in record.getMessage():
            self.told += record.getMessage()
            self._emulator.faults.clear()

    def __enter__(self) -> Self:
        self._log.addHandler(self)
        away = Refused("UNAVAILABLE", "not now")
        self._emulator.faults.set(Fault(matching=self._matching, refused=away, times=None))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._log.removeHandler(self)
        self._emulator.faults.clear()
