"""What the data must look like before anything is built on it; a fault names its file, line and value."""

from __future__ import annotations

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from ingest import NEW_YORK

LISTED = 20
"""So many faults are listed; all are counted."""
_ORIGIN = pa.Column(str, pa.Check.isin(["EWR", "JFK", "LGA"]))
_UTC = pl.Datetime("us", "UTC")


class BadDataError(ValueError):
    """A table is not what its schema promises."""


def null_share(at_most: float) -> pa.Check:
    """Allow a column at most this share of nulls, from 0 to 1."""

    def check(data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col(data.key).is_null().mean() <= at_most)

    return pa.Check(check, name=f"null_share({at_most})", ignore_na=False)


def _measured(low: float, high: float, *, nulls: float = 0.001) -> pa.Column:
    return pa.Column(float, [pa.Check.in_range(low, high), null_share(nulls)], nullable=True)


FLIGHTS = pa.DataFrameSchema(
    {
        "carrier": pa.Column(str, pa.Check.str_matches("^[0-9A-Z]{2}$")),
        "flight": pa.Column(int, pa.Check.in_range(1, 9999)),
        "origin": _ORIGIN,
        "dest": pa.Column(str, pa.Check.str_matches("^[A-Z]{3}$")),
        "tailnum": pa.Column(str, [pa.Check.str_matches("^[0-9A-Z]{5,6}$"), null_share(0.02)], nullable=True),
        "sched_dep_time": pa.Column(int, pa.Check.in_range(0, 2359)),
        "dep_time": pa.Column(int, [pa.Check.in_range(1, 2400), null_share(0.10)], nullable=True),
        "dep_delay": pa.Column(int, [pa.Check.in_range(-60, 24 * 60), null_share(0.10)], nullable=True),
        "distance": pa.Column(int, pa.Check.in_range(10, 6000)),
        "scheduled_at": pa.Column(_UTC),
    },
    checks=[
        pa.Check(
            lambda data: data.lazyframe.select(pl.col("scheduled_at").dt.truncate("1h") == pl.col("time_hour")),
            name="our UTC schedule falls into the hour that the source gives",
        ),
        pa.Check(
            lambda data: data.lazyframe.select(
                (_clock("departed_at") == pl.col("dep_time") % 2400).fill_null(value=True)
            ),
            name="schedule plus delay is the departure's clock time in New York",
        ),
    ],
    unique=["carrier", "flight", "origin", "scheduled_at"],
)

WEATHER = pa.DataFrameSchema(
    {
        "origin": _ORIGIN,
        "time_hour": pa.Column(_UTC),
        "temp": _measured(-30, 120),
        "humid": _measured(0, 100),
        "wind_speed": _measured(0, 100),
        "wind_gust": _measured(0, 120, nulls=0.90),
        "precip": _measured(0, 5),
        "pressure": _measured(930, 1060, nulls=0.15),
        "visib": _measured(0, 10),
    },
    unique=["origin", "time_hour"],
)

PLANES = pa.DataFrameSchema(
    {
        "tailnum": pa.Column(str, pa.Check.str_matches("^[0-9A-Z]{5,6}$")),
        "year": pa.Column(int, [pa.Check.in_range(1950, 2013), null_share(0.05)], nullable=True),
        "engines": pa.Column(int, pa.Check.in_range(1, 4)),
        "seats": pa.Column(int, pa.Check.in_range(1, 600)),
    },
    unique=["tailnum"],
)


def check(table: pl.DataFrame, schema: pa.DataFrameSchema, file: str) -> pl.DataFrame:
    """Return `table` when it keeps to `schema`.

    Args:
        table: With `line`, the line of each row in `file`.
        schema: What is promised.
        file: The name for messages.

    Raises:
        BadDataError: It does not; every fault is counted, and named by line, column, value and broken promise.
    """
    try:
        return schema.validate(table, lazy=True)
    except SchemaErrors as error:
        keys = list(schema.unique or ())
        faults = [_fault(case, table, keys) for case in error.failure_cases.iter_rows(named=True)]
    more = [f"… and {len(faults) - LISTED} more"] if len(faults) > LISTED else []
    listed = "\n".join(f"  {fault}" for fault in (*faults[:LISTED], *more))
    raise BadDataError(f"{file} breaks {len(faults)} promises; nothing was built from it:\n{listed}")


def _fault(case: dict[str, object], table: pl.DataFrame, keys: list[str]) -> str:
    column, check, row = case["column"], str(case["check"]), case["index"]
    if not isinstance(row, int) or check.startswith("null_share"):
        return f"the whole file: {column} is against: {check}"
    found = table.row(row, named=True)
    names = [str(column)] if column else keys
    values = ", ".join(f"{name} = {found[name]}" for name in names)
    rule = check.replace("multiple_fields_uniqueness", "a key occurs once")
    return f"line {found['line']}: {values} is against: {rule}"


def _clock(column: str) -> pl.Expr:
    local = pl.col(column).dt.convert_time_zone(NEW_YORK)
    return local.dt.hour().cast(pl.Int64) * 100 + local.dt.minute()
