"""What a provider supplies for events."""

from __future__ import annotations

from typing import Protocol


class EventsPort(Protocol):
    """The provider's part of events."""
