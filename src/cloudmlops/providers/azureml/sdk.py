"""Azure's SDK, loaded once and quietly: azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType


@cache
def ml() -> ModuleType:
    """Return `azure.ai.ml`, which takes a second or two to load."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import azure.ai.ml
        import azure.ai.ml.entities
    return azure.ai.ml


@contextmanager
def quiet() -> Iterator[None]:
    """Let the SDK say errors only: what it calls experimental is in every pipeline that it reads."""
    said = logging.getLogger("azure.ai.ml")
    before = said.level
    said.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        said.setLevel(before)
