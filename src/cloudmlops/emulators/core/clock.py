"""The time that the emulated services live in: real until it is frozen, then moved by hand."""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

_log: Final = logging.getLogger("cloudmlops.emulators")


@dataclass(order=True, slots=True)
class Timer:
    """Something that happens at a moment."""

    when: datetime
    order: int
    act: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Let it not happen; too late is no error."""
        self.cancelled = True


class Clock:
    """Tells the time and lets things happen at theirs.

    While it runs, a thread of its own wakes for each timer. While it is frozen, timers happen in `advance` only, in the
    caller's thread and in their order, each at exactly its moment: time stands still until one has ended, whoever else
    moves it. What happens may itself move time, and let more happen.
    """

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self._frozen: datetime | None = None
        self._promised = datetime.min.replace(tzinfo=UTC)
        """As far as those who move time have said that they will."""
        self._timers: list[Timer] = []
        self._order = count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._happening: list[int] = []
        """The thread in which a timer is, as often as there are timers within timers."""
        self._closed = False

    def now(self) -> datetime:
        """The moment, in UTC."""
        with self._changed:
            return self._now()

    @property
    def frozen(self) -> bool:
        """Whether time moves by `advance` only."""
        return self._frozen is not None

    @property
    def stopped(self) -> bool:
        """Whether nothing happens any more, for the emulator ends."""
        return self._closed

    def freeze(self, at: datetime | None = None) -> None:
        """Stop at a moment, or at the present one.

        Raises:
            ValueError: `at` has no time zone.
        """
        if at is not None and at.tzinfo is None:
            raise ValueError(f"{at.isoformat()} has no time zone")
        with self._changed:
            self._frozen = at.astimezone(UTC) if at is not None else self._now()
            self._promised = self._frozen
            self._changed.notify_all()

    def resume(self) -> None:
        """Run on in real time, from where it stands."""
        with self._changed:
            if self._frozen is not None:
                self._offset = self._frozen - datetime.now(UTC)
                self._frozen = None
            self._wake()

    def advance(self, by: timedelta) -> None:
        """Move forward; what is due on the way has happened before this returns, in whichever thread.

        Threads that move time at once move it by all that they say together; what happens on the way moves it from its
        own moment on.

        Raises:
            ValueError: `by` is negative: what has happened has happened.
        """
        if by < timedelta(0):
            raise ValueError(f"a clock does not go back by {-by}")
        with self._changed:
            begin = self._now() if self._happening and self._is_still() else max(self._now(), self._promised)
            end = begin + by
            self._promised = max(self._promised, end)
        while (timer := self._next_until(end)) is not None:
            self._happen(timer)

    def at(self, when: datetime, act: Callable[[], None]) -> Timer:
        """Let something happen at a moment; one that has passed is as soon as time moves."""
        with self._changed:
            timer = Timer(when=when.astimezone(UTC), order=next(self._order), act=act)
            if not self._closed:
                heapq.heappush(self._timers, timer)
                self._wake()
            return timer

    def after(self, delay: timedelta, act: Callable[[], None]) -> Timer:
        """Let something happen after a while."""
        return self.at(self.now() + delay, act)

    def reset(self) -> None:
        """Go back to real time; what was to happen later still is, unless it was cancelled."""
        with self._changed:
            self._offset = timedelta(0)
            self._frozen = None
            self._promised = self._now()
            self._wake()

    def stop(self) -> None:
        """Let nothing begin to happen any more; what has begun goes on."""
        with self._changed:
            self._closed = True
            self._timers.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and wait for what has begun."""
        self.stop()
        with self._changed:
            self._changed.wait_for(self._is_still)
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _now(self) -> datetime:
        return self._frozen if self._frozen is not None else datetime.now(UTC) + self._offset

    def _wake(self) -> None:
        if self._thread is None and self._timers and not self._closed:
            self._thread = threading.Thread(target=self._run, name="emulated-clock", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _next_until(self, end: datetime) -> Timer | None:
        """Take the first timer due until `end`, and stand at its moment; stand at `end` when there is none."""
        with self._changed:
            self._changed.wait_for(self._is_still)
            self._drop_cancelled()
            timer = heapq.heappop(self._timers) if self._timers and self._timers[0].when <= end else None
            moment = timer.when if timer is not None else end
            if self._frozen is not None:
                self._frozen = max(self._frozen, moment)
            else:
                self._offset += max(timedelta(0), moment - self._now())
            if timer is not None:
                self._happening.append(threading.get_ident())
            else:
                self._wake()
            return timer

    def _is_still(self) -> bool:
        """Whether nothing happens, but for what this thread itself is in."""
        return not self._happening or self._happening[0] == threading.get_ident()

    def _drop_cancelled(self) -> None:
        while self._timers and self._timers[0].cancelled:
            heapq.heappop(self._timers)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                self._drop_cancelled()
                wait = (self._timers[0].when - self._now()).total_seconds() if self._timers else None
                if self._happening or self._frozen is not None or wait is None or wait > 0:
                    self._changed.wait(None if self._happening or self._frozen is not None else wait)
                    continue
                timer = heapq.heappop(self._timers)
                self._happening.append(threading.get_ident())
            self._happen(timer)

    def _happen(self, timer: Timer) -> None:
        try:
            if not timer.cancelled:
                timer.act()
        except Exception:  # noqa: BLE001 one that fails does not stop the clock
            if not self._closed:
                _log.exception("what was to happen at %s failed", timer.when.isoformat())
        finally:
            with self._changed:
                self._happening.pop()
                self._changed.notify_all()
