"""Times, features and validation of the flight-delay project, on the real data and on seeded faults."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest


def _flight(day: date, scheduled: int, delay: int | None, **more: Any) -> dict[str, Any]:
    moment = {"year": day.year, "month": day.month, "day": day.day, "sched_dep_time": scheduled, "dep_delay": delay}
    return {"carrier": "B6", "origin": "JFK", "flight": 1, **moment, **more}


def _times(flights: SimpleNamespace, day: date, scheduled: int, delay: int | None) -> tuple[datetime, datetime]:
    made = flights.ingest.with_utc_times(pl.DataFrame([_flight(day, scheduled, delay)]))
    return made["scheduled_at"][0], made["departed_at"][0]


@pytest.mark.parametrize(
    ("day", "scheduled", "expected"),
    [
        pytest.param(date(2013, 1, 15), 1200, datetime(2013, 1, 15, 17, 0, tzinfo=UTC), id="winter"),
        pytest.param(date(2013, 7, 15), 1200, datetime(2013, 7, 15, 16, 0, tzinfo=UTC), id="summer"),
        pytest.param(date(2013, 3, 10), 159, datetime(2013, 3, 10, 6, 59, tzinfo=UTC), id="before the spring change"),
        pytest.param(date(2013, 3, 10), 300, datetime(2013, 3, 10, 7, 0, tzinfo=UTC), id="after the spring change"),
        pytest.param(date(2013, 11, 3), 130, datetime(2013, 11, 3, 5, 30, tzinfo=UTC), id="first of the doubled hour"),
        pytest.param(date(2013, 11, 3), 200, datetime(2013, 11, 3, 7, 0, tzinfo=UTC), id="after the autumn change"),
        pytest.param(date(2013, 12, 31), 2359, datetime(2014, 1, 1, 4, 59, tzinfo=UTC), id="next year in UTC"),
    ],
)
def test_a_schedule_in_new_york_becomes_utc(
    flights: SimpleNamespace, day: date, scheduled: int, expected: datetime
) -> None:
    assert _times(flights, day, scheduled, 0)[0] == expected


def test_a_time_that_march_leaves_out_becomes_null(flights: SimpleNamespace) -> None:
    assert _times(flights, date(2013, 3, 10), 230, 0) == (None, None)


@pytest.mark.parametrize(
    ("scheduled", "delay", "local_clock"),
    [
        pytest.param(2245, 104, "2013-07-02 00:29", id="after midnight is the next day"),
        pytest.param(10, -15, "2013-06-30 23:55", id="early before midnight is the day before"),
        pytest.param(1200, 25 * 60, "2013-07-02 13:00", id="more than a day late"),
    ],
)
def test_the_actual_departure_falls_on_the_right_day(
    flights: SimpleNamespace, scheduled: int, delay: int, local_clock: str
) -> None:
    _, departed = _times(flights, date(2013, 7, 1), scheduled, delay)

    assert departed + timedelta(hours=-4) == datetime.fromisoformat(f"{local_clock}+00:00")


def test_the_actual_departure_agrees_with_the_recorded_clock_in_every_row_of_the_data(
    flights: SimpleNamespace, autumn: pl.DataFrame
) -> None:
    assert autumn.filter(pl.col("departed_at").dt.date() != pl.col("scheduled_at").dt.date()).height > 1000
    flights.validation.check(autumn, flights.validation.FLIGHTS, "flights.csv")


def test_a_cancelled_flight_is_no_feature_and_is_not_asked_for(flights: SimpleNamespace) -> None:
    day = date(2013, 7, 1)
    rows = [
        _flight(day, 1200, 30, tailnum="N1", distance=100),
        _flight(day, 1300, None, tailnum="N1", distance=100, flight=2),
    ]
    table = flights.ingest.with_utc_times(pl.DataFrame(rows))

    assert flights.features.delay_features(table)["mean_delay_7d"].to_list() == [30.0]
    assert flights.features.asked_flights(table).height == 1


def test_trailing_windows_hold_what_left_within_them_and_nothing_else(flights: SimpleNamespace) -> None:
    rows = [
        _flight(date(2013, 7, 1), 1200, 0),
        _flight(date(2013, 7, 1), 1400, 60, flight=2),
        _flight(date(2013, 7, 1), 1500, 0, flight=3),  # leaves in the same minute as the one before
        _flight(date(2013, 7, 8), 1500, 30, flight=4),
        _flight(date(2013, 7, 8), 1500, 600, flight=5, carrier="DL"),
    ]
    made = flights.features.delay_features(flights.ingest.with_utc_times(pl.DataFrame(rows)))
    of_b6 = made.filter(pl.col("carrier") == "B6")

    assert of_b6["known_at"].dt.hour().to_list() == [16, 19, 19]
    assert of_b6["mean_delay_7d"].to_list() == [0.0, 20.0, 30.0]  # what left exactly 7 days before is outside
    assert of_b6["late_share_7d"].to_list() == [0.0, pytest.approx(1 / 3), 1.0]
    assert of_b6["mean_delay_3h"].to_list() == [0.0, 30.0, 30.0]  # likewise exactly 3 hours


def test_the_real_tables_keep_what_their_schemas_promise(flights: SimpleNamespace) -> None:
    folder = flights.ingest.packaged_data()
    weather = flights.ingest.read_weather(folder)

    assert weather["wind_speed"].max() < 100, "the reading of 1,048 mph is left out"
    flights.validation.check(weather, flights.validation.WEATHER, "weather.csv")
    flights.validation.check(flights.ingest.read_planes(folder), flights.validation.PLANES, "planes.csv")


def test_validation_names_the_rows_and_lists_all_faults_at_once(flights: SimpleNamespace) -> None:
    weather = flights.ingest.read_weather(flights.ingest.packaged_data())

    def at(line: int, column: str, value: object) -> pl.Expr:
        return pl.when(pl.col("line") == line).then(pl.lit(value)).otherwise(column).alias(column)

    bad = weather.with_columns(at(5, "temp", 999.0), at(9, "origin", "XXX"), wind_gust=pl.lit(None, pl.Float64))
    bad = pl.concat([bad, bad.filter(pl.col("line") == 7)])

    with pytest.raises(flights.validation.BadDataError) as caught:
        flights.validation.check(bad, flights.validation.WEATHER, "weather.csv")

    message = str(caught.value)
    assert "weather.csv breaks 5 promises" in message
    assert "line 5: temp = 999.0 is against: in_range(-30, 120)" in message
    assert "line 9: origin = XXX is against: isin" in message
    assert (
        message.count("line 7: origin = EWR, time_hour = 2013-01-01 11:00:00+00:00 is against: a key occurs once") == 2
    )
    assert "the whole file: wind_gust is against: null_share(0.9)" in message


def test_validation_finds_a_clock_that_contradicts_the_delay(flights: SimpleNamespace, autumn: pl.DataFrame) -> None:
    few = autumn.head(50)
    line = few["line"][10]
    bad = few.with_columns(dep_time=pl.when(pl.col("line") == line).then(1111).otherwise("dep_time"))

    with pytest.raises(flights.validation.BadDataError, match=f"line {line}: .*departure's clock time in New York"):
        flights.validation.check(bad, flights.validation.FLIGHTS, "flights.csv")


@pytest.mark.parametrize(
    ("column", "value"), [("month", 13), ("day", 32), ("sched_dep_time", 1275), ("sched_dep_time", 2575)]
)
def test_a_date_or_clock_that_cannot_be_is_named(
    flights: SimpleNamespace, autumn: pl.DataFrame, column: str, value: int
) -> None:
    few = autumn.head(50).drop("scheduled_at", "departed_at")
    line = few["line"][10]
    bad = few.with_columns(pl.when(pl.col("line") == line).then(value).otherwise(column).alias(column))

    with pytest.raises(flights.validation.BadDataError, match=f"line {line}: "):
        flights.validation.check(flights.ingest.with_utc_times(bad), flights.validation.FLIGHTS, "flights.csv")
