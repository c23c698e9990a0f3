"""What who has the role of a reader does, by verb: the same on every provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cloudmlops import Entity, FeatureService, FeatureView, Platform, TableSource
from cloudmlops.domain.models import Stage

WHEN: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
WIND: Final = FeatureView(
    "wind",
    entity=Entity("airport", keys={"origin": str}),
    source=TableSource("wind"),
    timestamp="seen_at",
    features={"wind": float},
)
_ASKED: Final = {"origin": "JFK", "event_time": WHEN}
ELSEWHERE: Final = frozenset({"features.online", "features.reader"})
"""Reading verbs that are left out: they need a cache, and write nothing."""


def prepare(platform: Platform) -> None:
    """Make what is read, but for an endpoint: a version in a stage of the model `scaling` is there."""
    platform.features.write_table("wind", [{"origin": "JFK", "seen_at": WHEN, "wind": 1.0}])
    platform.features.apply([FeatureService("winds", views=[WIND])])


def acts(endpoint: str, deployment: str, folder: Path) -> Mapping[str, Callable[[Platform], object]]:
    """Return each reading verb of models, features, events and endpoints."""
    return {
        "endpoints.list": lambda at: [one.name for one in at.endpoints.list()],
        "endpoints.logs": lambda at: at.endpoints.logs(endpoint, deployment),
        "endpoints.status": lambda at: at.endpoints.status(endpoint).traffic,
        "events.dead_letters": lambda at: at.events.dead_letters(),
        "events.list": lambda at: at.events.list(),
        "features.get": lambda at: at.features.get("winds").name,
        "features.list": lambda at: at.features.list(),
        "features.skew": lambda at: at.features.skew(WIND, [{**_ASKED, "wind": 1.0}]),
        "features.training_table": lambda at: at.features.training_table(WIND, [_ASKED]),
        "features.view": lambda at: at.features.view("wind").name,
        "models.at": lambda at: at.models.at("scaling", Stage.CANDIDATE, datetime.now(UTC)),
        "models.download": lambda at: at.models.download("scaling", "1", to=folder / "downloaded"),
        "models.get": lambda at: at.models.get("scaling", "1").version,
        "models.history": lambda at: at.models.history("scaling"),
        "models.list": lambda at: at.models.list(),
        "models.names": lambda at: at.models.names(),
        "models.verify": lambda at: at.models.verify("scaling"),
    }
