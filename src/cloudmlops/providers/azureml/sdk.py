"""Azure's SDK, loaded once and quietly: azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from threading import Lock
from types import ModuleType


@cache
def ml() -> ModuleType:
    """Return `azure.ai.ml`, which takes a second or two to load."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import azure.ai.ml
        import azure.ai.ml.entities
    return azure.ai.ml


class _Quiet:
    """What the SDK says is left out while anybody wants that: the first who does begins it, the last one ends it."""

    def __init__(self) -> None:
        self._changing = Lock()
        self._wanted = 0
        self._kept = ExitStack()

    def begin(self) -> None:
        with self._changing:
            self._wanted += 1
            if self._wanted == 1:
                said = logging.getLogger("azure.ai.ml")
                self._kept.callback(said.setLevel, said.level)
                said.setLevel(logging.ERROR)
                self._kept.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")

    def end(self) -> None:
        with self._changing:
            self._wanted -= 1
            if self._wanted == 0:
                self._kept.close()


_quiet = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """Let the SDK say errors only: what it calls experimental is in every pipeline that it reads."""
    _quiet.begin()
    try:
        yield
    finally:
        _quiet.end()
