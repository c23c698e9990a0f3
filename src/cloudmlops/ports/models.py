"""What a provider supplies for models."""

from __future__ import annotations

from typing import Protocol


class ModelsPort(Protocol):
    """The provider's part of models."""
