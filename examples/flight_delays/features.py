"""What is known about a flight before it leaves: three views of the past, and what is computed from the request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

import cloudmlops as cm
from ingest import LATE_MINUTES
from on_demand import gust_distance, part_of_day

ASKED_BEFORE = timedelta(hours=1)
"""A forecast is asked for one hour before the scheduled departure: early enough to act on it."""

airport = cm.Entity("airport", keys={"origin": str})
carrier_at_airport = cm.Entity("carrier_at_airport", keys={"carrier": str, "origin": str})
plane = cm.Entity("plane", keys={"tailnum": str})


def flight_delay_service(*, weather: str, delays: str, planes: str) -> cm.FeatureService:
    """Define what the model is trained on and served with.

    Args:
        weather: Address of the Parquet file made by `weather_features`.
        delays: Likewise by `delay_features`.
        planes: Likewise by `plane_features`.
    """
    weather_view = cm.FeatureView(
        "weather",
        entity=airport,
        source=cm.ParquetSource(weather),
        timestamp="time_hour",
        # A reading labelled 10:00 is taken until 10:51 and sent after that: at 10:30 nobody has it.
        source_delay=timedelta(hours=1),
        ttl=timedelta(hours=4),
        features=dict.fromkeys(WEATHER, float),
    )
    delays_view = cm.FeatureView(
        "recent_delays",
        entity=carrier_at_airport,
        source=cm.ParquetSource(delays),
        timestamp="known_at",
        ttl=timedelta(days=2),
        features=dict.fromkeys(DELAYS, float),
    )
    planes_view = cm.FeatureView(
        "plane_facts",
        entity=plane,
        source=cm.ParquetSource(planes),
        timestamp="known_at",
        features={"seats": int, "engines": int, "built": int},
    )
    return cm.FeatureService(
        "flight_delay",
        views=[weather_view, delays_view, planes_view],
        on_demand=[gust_distance, part_of_day],
        request={"distance": float, "scheduled_hour": int},
    )


WEATHER = ("temp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
DELAYS = ("mean_delay_7d", "late_share_7d", "mean_delay_3h", "late_share_3h")


def weather_features(weather: pl.DataFrame) -> pl.DataFrame:
    """Return (origin, time_hour, seven readings); no gust reported means that the wind did not gust."""
    gust = pl.coalesce("wind_gust", "wind_speed")
    return weather.with_columns(wind_gust=gust).select("origin", "time_hour", *WEATHER).sort("time_hour")


def delay_features(flights: pl.DataFrame, *, stamp: str = "departed_at") -> pl.DataFrame:
    """Return a row for each carrier, airport and minute in which a flight left.

    `mean_delay_*` (minutes) and `late_share_*` (0 to 1) are over the flights that left in the 7 days, or 3 hours, up to
    and with that minute. Cancelled flights never leave and are left out.

    Args:
        flights: As `read_flights` returns them.
        stamp: When a delay is known: the actual departure. Stamped with `scheduled_at`, a flight's own delay would be
            among its features (tests and README show by how much that flatters the model).
    """
    by_minute = (
        flights.filter(pl.col("departed_at").is_not_null())
        .group_by("carrier", "origin", known_at=pl.col(stamp))
        .agg(
            flights=pl.len().cast(pl.Float64),
            minutes=pl.col("dep_delay").sum().cast(pl.Float64),
            late=(pl.col("dep_delay") > LATE_MINUTES).sum().cast(pl.Float64),
        )
        .sort("known_at")
    )

    def over_window(name: str, window: str) -> pl.Expr:
        total, count = (pl.col(part).rolling_sum_by("known_at", window, closed="right") for part in (name, "flights"))
        return (total / count).over("carrier", "origin")

    return by_minute.select(
        "carrier",
        "origin",
        "known_at",
        mean_delay_7d=over_window("minutes", "7d"),
        late_share_7d=over_window("late", "7d"),
        mean_delay_3h=over_window("minutes", "3h"),
        late_share_3h=over_window("late", "3h"),
    )


def plane_features(planes: pl.DataFrame) -> pl.DataFrame:
    """Return (tailnum, known_at, seats, engines, built): facts that held before the year began, and do not expire."""
    before = pl.lit(datetime(2012, 1, 1, tzinfo=UTC), dtype=pl.Datetime("us", "UTC"))
    return planes.select("tailnum", "seats", "engines", built="year", known_at=before)


def asked_flights(flights: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each flight that left: keys, request, `event_time` when one would have asked, and `late`.

    Cancelled flights have no delay: the model answers for flights that leave.
    """
    return flights.filter(pl.col("dep_delay").is_not_null()).select(
        "carrier",
        "origin",
        "tailnum",
        pl.col("distance").cast(pl.Float64),
        scheduled_hour=pl.col("sched_dep_time") // 100,
        event_time=pl.col("scheduled_at") - ASKED_BEFORE,
        late=(pl.col("dep_delay") > LATE_MINUTES).cast(pl.Int64),
    )
