"""Functions of dates and times."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import call, cast, name_of, only, whole
from cloudmlops.emulators.google.bigquery.library.moments import zone_of
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

if TYPE_CHECKING:
    from cloudmlops.emulators.google.bigquery.dialect.expressions import Expressions
    from cloudmlops.emulators.google.bigquery.dialect.operators import Handler

MICROSECONDS: Final = {
    "MICROSECOND": 1,
    "MILLISECOND": 1_000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
}
_CALENDAR: Final = {
    "DAY": ("to_days", 1),
    "WEEK": ("to_days", 7),
    "MONTH": ("to_months", 1),
    "QUARTER": ("to_months", 3),
    "YEAR": ("to_months", 12),
}
_WEEKDAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_DATE_UNITS: Final = frozenset({"DAY", "WEEK", "ISOWEEK", "MONTH", "QUARTER", "YEAR", "ISOYEAR"}) | {
    f"WEEK({day})" for day in _WEEKDAYS
}
_TIME_UNITS: Final = frozenset({"MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR"})
_TRUNCATED: Final = _DATE_UNITS | _TIME_UNITS


def unit_of(node: exp.Expression | None, default: str = "") -> str:
    """The unit that a function is given; one of weeks says its first day, unless that is Sunday.

    Raises:
        Refused: There is no such day.
    """
    if node is None:
        return default
    if isinstance(node, exp.WeekStart):
        start = node.this.name.upper() if isinstance(node.this, exp.Expression) else str(node.this).upper()
        unit = f"WEEK({start})" if start else "WEEK"
    else:
        unit = str(node.name).upper()
    if (day := re.fullmatch(r"WEEK\((\w+)\)", unit)) and day[1] not in _WEEKDAYS:
        raise invalid_query(f"A valid date part argument for WEEK is required, but found {day[1]}")
    return "WEEK" if unit == "WEEK(SUNDAY)" else unit


def _first_day(unit: str) -> int | None:
    """The first day of a unit of weeks, Monday is 0; None of another unit."""
    if unit == "WEEK":
        return 6
    if unit == "ISOWEEK":
        return 0
    return _WEEKDAYS.index(unit[5:-1]) if unit.startswith("WEEK(") else None


def _count(made: Expressions, node: exp.Expression) -> exp.Expression:
    """How many of a unit; sqlglot makes a text of a written number."""
    if isinstance(node, exp.Literal) and node.is_string:
        if not re.fullmatch(r"-?\d+", node.name):
            raise invalid_query(f"Invalid INTERVAL value {node.name!r}")
        return whole(int(node.name))
    if isinstance(node, exp.Interval):
        raise not_emulated("an INTERVAL that is not written in the call")
    return made.of(node)


def interval(made: Expressions, node: exp.Expression) -> exp.Expression:
    """INTERVAL n unit."""
    only(node, "this", "unit")
    if not isinstance(node.args.get("unit"), (exp.Var, exp.WeekStart)):
        raise not_emulated("an INTERVAL of several units")
    unit = unit_of(node.args["unit"])
    return _duration(_count(made, node.this), unit)


def _duration(count: exp.Expression, unit: str) -> exp.Expression:
    if unit in _CALENDAR:
        function, times = _CALENDAR[unit]
        product = exp.Mul(this=count, expression=exp.Literal.number(times)) if times > 1 else count
        return call(function, cast(exp.paren(product, copy=False), "INTEGER"))
    if unit in MICROSECONDS:
        times = MICROSECONDS[unit]
        product = exp.Mul(this=count, expression=whole(times)) if times > 1 else count
        return call("to_microseconds", exp.paren(product, copy=False))
    raise invalid_query(f"A valid date part name is required but found {unit}")


def shifted(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TIMESTAMP_ADD, DATE_ADD, DATETIME_ADD and their SUBs."""
    only(node, "this", "expression", "unit")
    unit = unit_of(node.args.get("unit"), "DAY")
    back = isinstance(node, (exp.TimestampSub, exp.DateSub, exp.DatetimeSub))
    kind = (
        "timestamp"
        if isinstance(node, (exp.TimestampAdd, exp.TimestampSub))
        else ("date" if isinstance(node, (exp.DateAdd, exp.DateSub)) else "datetime")
    )
    allowed = {"timestamp": set(MICROSECONDS), "date": set(_CALENDAR), "datetime": set(_CALENDAR) | set(MICROSECONDS)}
    if unit not in allowed[kind]:
        raise invalid_query(f"{name_of(node)} does not support the {unit} date part")
    count = node.expression
    if isinstance(count, exp.Interval):
        count, unit = count.this, unit_of(count.args.get("unit"), unit)
    moment = moment_of(made, node.this, kind)
    operator = exp.Sub if back else exp.Add
    result: exp.Expression = exp.paren(
        operator(this=moment, expression=_duration(_count(made, count), unit)), copy=False
    )
    return cast(result, "DATE") if kind == "date" else result


_KINDS: Final = {"timestamp": "TIMESTAMPTZ", "date": "DATE", "datetime": "TIMESTAMP", "time": "TIME"}


def moment_of(made: Expressions, node: exp.Expression, kind: str) -> exp.Expression:
    """A date or time; one that is written as a text is converted."""
    value = made.of(node)
    if isinstance(value, exp.Literal) and value.is_string:
        return call(f"__to_{kind}", value)
    if isinstance(value, exp.Null):
        return cast(value, _KINDS[kind])
    return call(f"__{kind}", value)


def difference(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TIMESTAMP_DIFF counts whole units; DATE_DIFF and DATETIME_DIFF count the boundaries between."""
    only(node, "this", "expression", "unit", "date_part_boundary")
    unit = unit_of(node.args.get("unit"), "DAY")
    kind = {exp.TimestampDiff: "timestamp", exp.DateDiff: "date", exp.DatetimeDiff: "datetime"}[type(node)]
    later, earlier = moment_of(made, node.this, kind), moment_of(made, node.expression, kind)
    if kind == "timestamp":
        if unit not in MICROSECONDS:
            raise invalid_query(f"TIMESTAMP_DIFF does not support the {unit} date part")
        span = exp.Sub(this=call("epoch_us", later), expression=call("epoch_us", earlier))
        return exp.paren(exp.IntDiv(this=exp.paren(span), expression=whole(MICROSECONDS[unit])), copy=False)
    if unit not in (_DATE_UNITS if kind == "date" else _TRUNCATED):
        raise not_emulated(f"{name_of(node)} with {unit}")
    first = _first_day(unit)
    if first is not None:
        weeks = [call("date_trunc", "week", _days_later(moment, (7 - first) % 7)) for moment in (earlier, later)]
        return exp.paren(exp.IntDiv(this=call("date_diff", "day", *weeks), expression=whole(7)), copy=False)
    if unit == "ISOYEAR":
        years = [cast(call("date_part", "isoyear", moment), "BIGINT") for moment in (later, earlier)]
        return exp.paren(exp.Sub(this=years[0], expression=years[1]), copy=False)
    return call("date_diff", unit.lower(), earlier, later)


def _days_later(node: exp.Expression, count: int) -> exp.Expression:
    if not count:
        return node
    days = call("to_days", cast(exp.Literal.number(abs(count)), "INTEGER"))
    return exp.paren((exp.Add if count > 0 else exp.Sub)(this=node, expression=days), copy=False)


def _beginning(moment: exp.Expression, unit: str) -> exp.Expression:
    """When the unit began in which a moment is."""
    first = _first_day(unit)
    if first is None:
        return call("date_trunc", unit.lower(), moment)
    shift = (7 - first) % 7
    return _days_later(call("date_trunc", "week", _days_later(moment, shift)), -shift)


def _is_utc(zone: exp.Expression | None) -> bool:
    return zone is None or (isinstance(zone, exp.Literal) and zone.name.upper() in {"UTC", "+00", "+00:00"})


def truncated(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TIMESTAMP_TRUNC, DATE_TRUNC, DATETIME_TRUNC."""
    only(node, "this", "unit", "zone", "input_type_preserved")
    zone = node.args.get("zone")
    unit = unit_of(node.args.get("unit"), "DAY")
    kind = {exp.TimestampTrunc: "timestamp", exp.DateTrunc: "date", exp.DatetimeTrunc: "datetime"}[type(node)]
    if unit not in (_DATE_UNITS if kind == "date" else _TRUNCATED):
        raise not_emulated(f"{name_of(node)} to {unit}")
    moment = moment_of(made, node.this, kind)
    if not _is_utc(zone):
        if unit not in _DATE_UNITS:
            raise not_emulated(f"{name_of(node)} to {unit} in a time zone other than UTC")
        local = cast(_beginning(call("__in_zone", moment, made.of(zone)), unit), "TIMESTAMP")
        return call("__from_zone", local, made.of(zone))
    result = _beginning(moment, unit)
    return cast(result, "DATE") if kind == "date" else result


_PARTS: Final = {
    "DAY": "day",
    "DAYOFYEAR": "doy",
    "ISOWEEK": "week",
    "ISOYEAR": "isoyear",
    "MONTH": "month",
    "QUARTER": "quarter",
    "YEAR": "year",
    "HOUR": "hour",
    "MINUTE": "minute",
    "SECOND": "second",
}


def extracted(made: Expressions, node: exp.Expression) -> exp.Expression:
    """EXTRACT."""
    only(node, "this", "expression")
    part = unit_of(node.this)
    value = node.expression
    if isinstance(value, exp.AtTimeZone):
        moment: exp.Expression = call(
            "__in_zone", moment_of(made, value.this, "timestamp"), made.of(value.args["zone"])
        )
    else:
        moment = made.of(value)
    if part in _PARTS:
        return cast(call("date_part", _PARTS[part], moment), "BIGINT")
    if part == "DAYOFWEEK":
        day = cast(call("date_part", "dow", moment), "BIGINT")
        return exp.paren(exp.Add(this=day, expression=exp.Literal.number(1)), copy=False)
    if part == "WEEK":
        return call("__week_of", moment)
    if part.startswith("WEEK("):
        return call("__week_from", moment, whole(_WEEKDAYS.index(part[5:-1])))
    if part in {"MICROSECOND", "MILLISECOND"}:
        within = exp.Literal.number(1_000_000 if part == "MICROSECOND" else 1_000)
        return exp.paren(
            exp.Mod(this=cast(call("date_part", part.lower(), moment), "BIGINT"), expression=within), copy=False
        )
    if part in {"DATE", "TIME", "DATETIME"}:
        return call(f"__to_{part.lower()}", moment)
    raise not_emulated(f"EXTRACT({part} …)")


def to_timestamp(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TIMESTAMP(x[, zone])."""
    only(node, "this", "zone", "with_tz")
    value = made.of(node.this)
    if node.args.get("zone") is not None:
        return call("__from_zone", call("__to_datetime", value), made.of(node.args["zone"]))
    return call("__to_timestamp", value)


def to_date(made: Expressions, node: exp.Expression) -> exp.Expression:
    """DATE(x[, zone])."""
    only(node, "this", "zone")
    value = made.of(node.this)
    if node.args.get("zone") is not None:
        value = call("__in_zone", value, made.of(node.args["zone"]))
    return call("__to_date", value)


def to_datetime(made: Expressions, node: exp.Expression) -> exp.Expression:
    """DATETIME(x[, zone]) and DATETIME(date, time)."""
    only(node, "this", "expression")
    if node.args.get("expression") is not None:
        return call("__date_and_time", made.of(node.this), made.of(node.expression))
    return call("__to_datetime", made.of(node.this))


def to_time(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TIME(x[, zone])."""
    only(node, "this", "zone")
    value = made.of(node.this)
    if node.args.get("zone") is not None:
        value = call("__in_zone", value, made.of(node.args["zone"]))
    return call("__to_time", value)


def from_parts(made: Expressions, node: exp.Expression) -> exp.Expression:
    """DATE(y, m, d), DATETIME(y, m, d, h, m, s), TIME(h, m, s)."""
    names = {
        exp.DateFromParts: ("make_date", ("year", "month", "day")),
        exp.TimestampFromParts: ("make_timestamp", ("year", "month", "day", "hour", "min", "sec")),
        exp.TimeFromParts: ("make_time", ("hour", "min", "sec")),
    }
    function, parts = names[type(node)]
    only(node, *parts)
    values = [made.of(node.args[part]) for part in parts]
    if parts[-1] == "sec":
        values[-1] = cast(values[-1], "DOUBLE")
    return call(function, *values)


def from_unix(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TIMESTAMP_SECONDS, TIMESTAMP_MILLIS, TIMESTAMP_MICROS."""
    only(node, "this", "scale")
    scale = node.args.get("scale")
    digits = int(scale.name) if scale is not None else 0
    times = {0: 1_000_000, 3: 1_000, 6: 1}.get(digits)
    if times is None:
        raise not_emulated("this function of Unix time")
    count = made.of(node.this)
    product = exp.paren(exp.Mul(this=count, expression=whole(times)), copy=False) if times > 1 else count
    epoch = cast(exp.Literal.string("1970-01-01 00:00:00+00"), "TIMESTAMPTZ")
    return exp.paren(exp.Add(this=epoch, expression=call("to_microseconds", product)), copy=False)


def to_unix(made: Expressions, node: exp.Expression) -> exp.Expression:
    """UNIX_SECONDS, UNIX_MILLIS, UNIX_MICROS: rounded down."""
    only(node, "this")
    times = {exp.UnixSeconds: 1_000_000, exp.UnixMillis: 1_000, exp.UnixMicros: 1}[type(node)]
    count = call("epoch_us", moment_of(made, node.this, "timestamp"))
    return call("__floor_div", count, whole(times)) if times > 1 else count


def unix_date(made: Expressions, node: exp.Expression) -> exp.Expression:
    """UNIX_DATE."""
    only(node, "this")
    return call("date_diff", "day", cast(exp.Literal.string("1970-01-01"), "DATE"), moment_of(made, node.this, "date"))


def date_from_unix(made: Expressions, node: exp.Expression) -> exp.Expression:
    """DATE_FROM_UNIX_DATE."""
    only(node, "this")
    days = call("to_days", cast(made.of(node.this), "INTEGER"))
    return cast(exp.paren(exp.Add(this=cast(exp.Literal.string("1970-01-01"), "DATE"), expression=days)), "DATE")


def last_day(made: Expressions, node: exp.Expression) -> exp.Expression:
    """LAST_DAY of a unit."""
    only(node, "this", "unit")
    unit = unit_of(node.args.get("unit"), "MONTH")
    if unit not in _DATE_UNITS - {"DAY"}:
        raise invalid_query(f"LAST_DAY does not support the {unit} date part")
    value = call("__to_date", made.of(node.this))
    start = _beginning(value, unit)
    if _first_day(unit) is not None:
        return cast(_days_later(start, 6), "DATE")
    if unit == "ISOYEAR":
        # In 53 weeks the next one has begun, and its first week has not ended.
        return cast(_days_later(_beginning(_days_later(start, 371), unit), -1), "DATE")
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
    after = exp.Add(this=start, expression=call("to_months", cast(exp.Literal.number(months), "INTEGER")))
    return cast(_days_later(exp.paren(after, copy=False), -1), "DATE")


def date_array(made: Expressions, node: exp.Expression) -> exp.Expression:
    """GENERATE_DATE_ARRAY."""
    only(node, "start", "end", "step")
    step = node.args.get("step")
    if not isinstance(step, exp.Interval):
        raise not_emulated("GENERATE_DATE_ARRAY without a written step")
    bounds = [moment_of(made, node.args[name], "date") for name in ("start", "end")]
    return cast(call("generate_series", *bounds, interval(made, step)), "DATE[]")


def moment_array(made: Expressions, node: exp.Expression) -> exp.Expression:
    """GENERATE_TIMESTAMP_ARRAY."""
    only(node, "start", "end", "step")
    step = node.args.get("step")
    if not isinstance(step, exp.Interval) or unit_of(step.args.get("unit")) not in MICROSECONDS:
        raise not_emulated("GENERATE_TIMESTAMP_ARRAY without a written step of days or less")
    bounds = [moment_of(made, node.args[name], "timestamp") for name in ("start", "end")]
    return call("generate_series", *bounds, interval(made, step))


def time_shifted(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TIME_ADD and TIME_SUB, which go round at midnight."""
    only(node, "this", "expression", "unit")
    unit = unit_of(node.args.get("unit"))
    if unit not in _TIME_UNITS:
        raise invalid_query(f"{name_of(node)} does not support the {unit} date part")
    count = _count(made, node.expression)
    times = MICROSECONDS[unit] * (-1 if isinstance(node, exp.TimeSub) else 1)
    product = exp.paren(exp.Mul(this=exp.paren(count, copy=False), expression=whole(times)), copy=False)
    return call("__time_add", moment_of(made, node.this, "time"), product)


def time_difference(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TIME_DIFF, which counts the boundaries between."""
    only(node, "this", "expression", "unit")
    unit = unit_of(node.args.get("unit"))
    if unit not in _TIME_UNITS:
        raise invalid_query(f"TIME_DIFF does not support the {unit} date part")
    moments = [
        call("make_timestamp", call("epoch_us", moment_of(made, part, "time"))) for part in (node.expression, node.this)
    ]
    return call("date_diff", unit.lower(), *moments)


def time_truncated(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TIME_TRUNC."""
    only(node, "this", "unit")
    unit = unit_of(node.args.get("unit"))
    if unit not in _TIME_UNITS:
        raise invalid_query(f"TIME_TRUNC does not support the {unit} date part")
    moment = call("epoch_us", moment_of(made, node.this, "time"))
    rest = exp.Mod(this=moment, expression=whole(MICROSECONDS[unit]))
    return call("__time_add", moment_of(made, node.this, "time"), exp.paren(exp.Neg(this=exp.paren(rest)), copy=False))


def current(made: Expressions, node: exp.Expression) -> exp.Expression:
    """CURRENT_TIMESTAMP and the like: the emulator's clock when the query began."""
    only(node, "this")
    kind = {
        exp.CurrentTimestamp: "TIMESTAMPTZ",
        exp.CurrentDate: "DATE",
        exp.CurrentDatetime: "TIMESTAMP",
        exp.CurrentTime: "TIME",
    }[type(node)]
    now = made.now
    zone = node.args.get("this")
    if zone is not None:
        if not isinstance(zone, exp.Literal):
            raise not_emulated(f"{name_of(node)} in a time zone that is not written out")
        try:
            now = now.astimezone(zone_of(zone.name))
        except ValueError as error:
            raise invalid_query(str(error)) from error
    written = {
        "TIMESTAMPTZ": now.isoformat(sep=" "),
        "DATE": now.date().isoformat(),
        "TIMESTAMP": now.replace(tzinfo=None).isoformat(sep=" "),
        "TIME": now.time().isoformat(),
    }
    return cast(exp.Literal.string(written[kind]), kind)


TIMES: Final[dict[type[exp.Expression], Handler]] = {
    exp.Interval: interval,
    **dict.fromkeys(
        (exp.TimestampAdd, exp.TimestampSub, exp.DateAdd, exp.DateSub, exp.DatetimeAdd, exp.DatetimeSub), shifted
    ),
    **dict.fromkeys((exp.TimestampDiff, exp.DateDiff, exp.DatetimeDiff), difference),
    **dict.fromkeys((exp.TimestampTrunc, exp.DateTrunc, exp.DatetimeTrunc), truncated),
    exp.Extract: extracted,
    exp.Timestamp: to_timestamp,
    exp.Date: to_date,
    **dict.fromkeys((exp.TsOrDsToDatetime, exp.Datetime), to_datetime),
    **dict.fromkeys((exp.TsOrDsToTime, exp.Time), to_time),
    **dict.fromkeys((exp.TimeAdd, exp.TimeSub), time_shifted),
    exp.TimeDiff: time_difference,
    exp.TimeTrunc: time_truncated,
    exp.GenerateTimestampArray: moment_array,
    **dict.fromkeys((exp.DateFromParts, exp.TimestampFromParts, exp.TimeFromParts), from_parts),
    exp.UnixToTime: from_unix,
    **dict.fromkeys((exp.UnixSeconds, exp.UnixMillis, exp.UnixMicros), to_unix),
    exp.UnixDate: unix_date,
    exp.DateFromUnixDate: date_from_unix,
    exp.LastDay: last_day,
    exp.GenerateDateArray: date_array,
    **dict.fromkeys((exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime), current),
}
