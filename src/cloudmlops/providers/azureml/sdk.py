"""Azure's SDK, loaded once and quietly: azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth.

Other threads are those of whoever uses the library: what they warn of, log, and want to be told is left to them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import ModuleType
from typing import Final

_ITSELF: Final = "azure.ai.ml"
_UNHEARD: Final[tuple[tuple[str, type[Warning]], ...]] = (
    (r"marshmallow\.", DeprecationWarning),
    (r"marshmallow\.", FutureWarning),
    (r"azure\.", DeprecationWarning),
    (r"azure\.ai\.ml\.", Warning),
)
"""Modules that warn of the SDK's own code, which nobody here can change, and of what."""


@cache
def ml() -> ModuleType:
    """Return `azure.ai.ml`, which takes a second or two to load."""
    _ignore_its_warnings()
    import azure.ai.ml
    import azure.ai.ml.entities

    return azure.ai.ml


@contextmanager
def quiet() -> Iterator[None]:
    """Let the SDK say errors only, in this thread: what it calls experimental is in every pipeline that it reads."""
    _ignore_its_warnings()
    for name in tuple(logging.root.manager.loggerDict):
        if name == _ITSELF or name.startswith(f"{_ITSELF}."):
            logging.getLogger(name).addFilter(_errors_only)
    before = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(before)


class _ErrorsOnly(logging.Filter):
    """Of a thread that wants it so; it is put at the SDK's loggers, where it stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or not _wanted.get()


_wanted: Final[ContextVar[bool]] = ContextVar("quiet", default=False)
_errors_only: Final = _ErrorsOnly()


def _ignore_its_warnings() -> None:
    """Ignore them for good, before all other filters, which stay as they are."""
    wanted = [("ignore", category, module) for module, category in reversed(_UNHEARD)]
    if [
        (action, category, _pattern(module)) for action, _, category, module, _ in warnings.filters[: len(wanted)]
    ] == wanted:
        return
    for module, category in _UNHEARD:
        warnings.filterwarnings("ignore", category=category, module=module)


def _pattern(module: object) -> object:
    return getattr(module, "pattern", module)
