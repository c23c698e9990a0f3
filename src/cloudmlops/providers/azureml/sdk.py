"""Azure's SDK, loaded once and quietly: azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth.

Other threads are those of whoever uses the library: what they warn of, log, and want to be told is left to them.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Any, Final, TextIO, cast

_ITSELF: Final = "azure.ai.ml"
_AFTER_AN_UPLOAD: Final = "\x1b[39m\n"
"""What azure-ai-ml 1.35 prints then: the end of a colour that was never begun."""
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
        with _without_its_line():
            yield
    finally:
        _wanted.reset(before)


@contextmanager
def _without_its_line() -> Iterator[None]:
    """Take what azure-ai-ml prints after an upload, whether it shows progress or not, off standard error."""
    with _errors.changing:
        if not _errors.users:
            _errors.stream, sys.stderr = sys.stderr, cast("TextIO", _errors)
        _errors.users += 1
    try:
        yield
    finally:
        with _errors.changing:
            _errors.users -= 1
            if not _errors.users and sys.stderr is _errors:  # else somebody has put another one there meanwhile
                sys.stderr = _errors.stream


class _Errors:
    """Standard error without that line, in threads that want it so; all else goes where it went."""

    def __init__(self) -> None:
        self.stream: Any = None
        self.users = 0
        self.changing = Lock()
        self._taken: ContextVar[bool] = ContextVar("taken", default=False)

    def write(self, text: str) -> int:
        """Write a text, unless it is that line or the end that `print` gives it."""
        ends_it = text == "\n" and self._taken.get()
        self._taken.set(_wanted.get() and text == _AFTER_AN_UPLOAD)
        return len(text) if ends_it or self._taken.get() else int(self.stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _ErrorsOnly(logging.Filter):
    """Of a thread that wants it so; it is put at the SDK's loggers, where it stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or not _wanted.get()


_wanted: Final[ContextVar[bool]] = ContextVar("quiet", default=False)
_errors_only: Final = _ErrorsOnly()
_errors: Final = _Errors()


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
