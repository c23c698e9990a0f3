"""A process that asks for a table which a Spark job joins: `spark_asker.py TARGET`."""

import sys
from datetime import UTC, datetime

from cloudmlops import Entity, FeatureView, TableSource, connect

weather = FeatureView(
    "weather",
    entity=Entity("airport", keys={"origin": str}),
    source=TableSource("weather"),
    timestamp="seen_at",
    features={"wind": float},
)
with connect(sys.argv[1]) as platform:
    platform.features.training_table(weather, [{"origin": "JFK", "event_time": datetime(2026, 1, 15, 12, tzinfo=UTC)}])
