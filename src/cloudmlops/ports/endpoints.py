"""What a provider supplies for endpoints."""

from __future__ import annotations

from typing import Protocol


class EndpointsPort(Protocol):
    """The provider's part of endpoints."""
