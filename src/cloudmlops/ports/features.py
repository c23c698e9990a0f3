"""What a provider supplies for features."""

from __future__ import annotations

from typing import Protocol


class FeaturesPort(Protocol):
    """The provider's part of features."""
