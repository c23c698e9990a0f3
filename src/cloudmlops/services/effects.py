"""Idempotency keys for what an event handler does through the platform.

A handler runs at least once; its effects happen once, because each register, promote, run, deploy or publish inside it
takes a key made of the handler, the event and the effect's place among the handler's effects of that verb.
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
    counts: Counter[str] = field(default_factory=Counter)


_handling: ContextVar[_Handling | None] = ContextVar("cloudmlops_handling", default=None)


@contextmanager
def handling(key: str) -> Iterator[None]:
    """Within this block effects take their keys from `key`, which names handler and event."""
    token = _handling.set(_Handling(key))
    try:
        yield
    finally:
        _handling.reset(token)


def effect_key(verb: str) -> str | None:
    """Return the key of the next effect of `verb`; None outside a handler."""
    if (current := _handling.get()) is None:
        return None
    place = current.counts[verb]
    current.counts[verb] += 1
    return hashlib.sha256(f"{current.key}\0{verb}\0{place}".encode()).hexdigest()[:32]
