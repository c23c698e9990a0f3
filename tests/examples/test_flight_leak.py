"""What happens to the metric when a delay counts as known from the schedule on, on real flights.

The model is trained on September and October and asked about November and December 2013, once with each delay stamped
with the actual departure and once with the schedule, joined point in time by the library.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import cloudmlops as cm

pytestmark = pytest.mark.usefixtures("one_core")
TEST_FROM = datetime(2013, 11, 1, tzinfo=UTC)


class Experiment:
    """Training tables and models for both stamps, asked at a time before the schedule."""

    def __init__(
        self, flights: SimpleNamespace, autumn: pl.DataFrame, folder: Path, *, asked_before: timedelta
    ) -> None:
        self._flights = flights
        self.tables: dict[str, pl.DataFrame] = {}
        self.forecasts: dict[tuple[str, str], np.ndarray] = {}
        shift = flights.features.ASKED_BEFORE - asked_before
        asked = flights.features.asked_flights(autumn).with_columns(pl.col("event_time") + shift)
        sources = flights.ingest.packaged_data()
        flights.features.weather_features(flights.ingest.read_weather(sources)).write_parquet(
            folder / "weather.parquet"
        )
        flights.features.plane_features(flights.ingest.read_planes(sources)).write_parquet(folder / "planes.parquet")
        models: dict[str, Any] = {}
        for stamp in ("departed_at", "scheduled_at"):
            delays = folder / f"{stamp}.parquet"
            flights.features.delay_features(autumn, stamp=stamp).write_parquet(delays)
            service = flights.features.flight_delay_service(
                weather=str(folder / "weather.parquet"), delays=str(delays), planes=str(folder / "planes.parquet")
            )
            with cm.connect("local://:memory:") as platform:
                table = pl.from_arrow(platform.features.training_table(service, asked.to_arrow()))
            assert isinstance(table, pl.DataFrame)
            train = table.filter(pl.col("event_time") < TEST_FROM)
            models[stamp] = flights.training.gradient_boosting(train, learning_rate=0.2, iterations=25, leaves=8)
            self.tables[stamp] = table.filter(pl.col("event_time") >= TEST_FROM)
        for trained, model in models.items():
            for asked_with, table in self.tables.items():
                self.forecasts[trained, asked_with] = model.predict_proba(flights.training.inputs(table))[:, 1]

    @property
    def late(self) -> np.ndarray:
        return self.tables["departed_at"]["late"].to_numpy()

    def score(self, trained: str, asked_with: str, metric: str = "roc_auc") -> float:
        scores: dict[str, float] = self._flights.training.scores(self.late, self.forecasts[trained, asked_with])
        return scores[metric]


def test_asked_at_the_schedule_the_wrong_stamp_flatters_the_metric_and_ruins_the_forecast(
    flights: SimpleNamespace, autumn: pl.DataFrame, tmp_path: Path
) -> None:
    seen = Experiment(flights, autumn, tmp_path, asked_before=timedelta(0))

    honest = seen.score("departed_at", "departed_at")
    claimed = seen.score("scheduled_at", "scheduled_at")
    in_production = seen.score("scheduled_at", "departed_at")  # there, no delay is known before the departure

    assert claimed > honest + 0.08, (claimed, honest)
    assert in_production < honest - 0.01, (in_production, honest)
    assert seen.score("scheduled_at", "departed_at", "log_loss") > seen.score("departed_at", "departed_at", "log_loss")


@pytest.mark.conformance(ci=True)
def test_asked_an_hour_before_the_wrong_stamp_still_flatters_beyond_chance(
    flights: SimpleNamespace, autumn: pl.DataFrame, tmp_path: Path
) -> None:
    seen = Experiment(flights, autumn, tmp_path, asked_before=flights.features.ASKED_BEFORE)
    honest, leaky = seen.forecasts["departed_at", "departed_at"], seen.forecasts["scheduled_at", "scheduled_at"]

    chosen = np.random.default_rng(0)
    gains = []
    for _ in range(40):
        rows = chosen.integers(0, len(seen.late), len(seen.late))
        scored = (flights.training.scores(seen.late[rows], forecast[rows]) for forecast in (leaky, honest))
        flattered, true = (scores["average_precision"] for scores in scored)
        gains.append(flattered - true)

    assert np.mean(gains) > 0.005, np.mean(gains)
    assert np.mean(gains) > 3 * np.std(gains), (np.mean(gains), np.std(gains))
    assert seen.score("scheduled_at", "departed_at") < seen.score("scheduled_at", "scheduled_at")


def test_the_wrong_stamp_knows_of_flights_that_have_not_left(flights: SimpleNamespace) -> None:
    day = {"year": 2013, "month": 7, "day": 1, "carrier": "B6", "origin": "JFK"}
    rows = [
        {**day, "flight": 1, "sched_dep_time": 1000, "dep_delay": 0},
        {**day, "flight": 2, "sched_dep_time": 1100, "dep_delay": 300},
    ]
    table = flights.ingest.with_utc_times(pl.DataFrame(rows))
    asked = datetime(2013, 7, 1, 15, 30, tzinfo=UTC)  # 11:30 in New York: the second flight waits at its gate

    def known(stamp: str) -> float:
        made = flights.features.delay_features(table, stamp=stamp).filter(pl.col("known_at") <= asked)
        last: float = made.sort("known_at")["mean_delay_7d"][-1]
        return last

    assert known("departed_at") == pytest.approx(0.0)
    assert known("scheduled_at") == pytest.approx(150.0)
