"""What verbs do besides what they are called after, on every cloud: which rights they need follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PUBLISHING: Final = frozenset(
    {
        "endpoints.deploy",
        "events.process",
        "events.publish",
        "events.run",
        "models.promote",
        "models.register",
        "models.rollback",
        "pipelines.resume",
        "pipelines.run",
        "pipelines.wait",
    }
)
"""They send events to the topic of the settings."""
PULLING: Final = frozenset({"events.process", "events.run"})
"""They take events from the subscription of the settings."""
ASKED_WITHIN: Final[Mapping[str, str]] = {
    "endpoints.get": "endpoints.status",
    "events.receive": "events.process",
    "models.project": "models.promote",
}
"""What is asked within verbs, and the verb whose rights cover it."""
