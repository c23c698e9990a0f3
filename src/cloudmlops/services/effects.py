"""Idempotency keys for what an event handler does through the platform.

A handler runs at least once; its effects happen once, because each register, promote, run, deploy or publish inside it
takes a key made of the handler, the event and the effect's place among the handler's effects of that verb. A replay
runs the handler again under the same keys: effects that took hold stay single, those that never did happen now.

The key belongs to the handler's own thread: a thread that a handler starts has none.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class _Handling:
    key: str
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)


_handling: ContextVar[_Handling | None] = ContextVar("cloudmlops_handling", default=None)


@contextmanager
def handling(key: str) -> Iterator[None]:
    """Within this block effects take their keys from `key`, which names handler and event."""
    token = _handling.set(_Handling(key))
    try:
        yield
    finally:
        _handling.reset(token)


def effect_key(verb: str, *subject: str) -> str | None:
    """Return the key of the next effect of `verb` on `subject`; None outside a handler.

    Naming the subject (`effect_key("promote", model, version, stage)`) keeps keys apart when a handler's second attempt
    takes another path than its first.
    """
    if (current := _handling.get()) is None:
        return None
    effect = (verb, *subject)
    place = current.counts[effect]
    current.counts[effect] += 1
    return hashlib.sha256("\0".join((current.key, *effect, str(place))).encode()).hexdigest()[:32]
