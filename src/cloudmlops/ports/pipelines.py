"""What a provider supplies for pipelines."""

from __future__ import annotations

from typing import Protocol


class PipelinesPort(Protocol):
    """The provider's part of pipelines."""
