"""Azure's SDK, loaded once and quietly: azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth."""

from __future__ import annotations

import warnings
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
