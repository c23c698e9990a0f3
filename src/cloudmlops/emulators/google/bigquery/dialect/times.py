"""Functions of dates and times."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.building import call, cast, name_of, only, whole
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
_DATE_UNITS: Final = frozenset({"DAY", "WEEK", "ISOWEEK", "MONTH", "QUARTER", "YEAR"})
_TRUNCATED: Final = _DATE_UNITS | {"MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR"}


def unit_of(node: exp.Expression | None, default: str = "") -> str:
    """The unit that a function is given; weeks begin on Sunday unless they say Monday.

    Raises:
        Refused: It is not emulated.
    """
    if node is None:
        return default
    if isinstance(node, exp.WeekStart):
        start = node.this.name.upper() if isinstance(node.this, exp.Expression) else str(node.this).upper()
        if start not in {"SUNDAY", "MONDAY", ""}:
            raise not_emulated(f"WEEK({start})")
        return "ISOWEEK" if start == "MONDAY" else "WEEK"
    unit = str(node.name).upper()
    if unit in {"WEEK(MONDAY)", "WEEK(SUNDAY)"}:
        return "ISOWEEK" if "MONDAY" in unit else "WEEK"
    return unit


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
    moment = _moment(made, node.this, kind)
    operator = exp.Sub if back else exp.Add
    result: exp.Expression = exp.paren(
        operator(this=moment, expression=_duration(_count(made, count), unit)), copy=False
    )
    return cast(result, "DATE") if kind == "date" else result


_KINDS: Final = {"timestamp": "TIMESTAMPTZ", "date": "DATE", "datetime": "TIMESTAMP"}


def _moment(made: Expressions, node: exp.Expression, kind: str) -> exp.Expression:
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
    later, earlier = _moment(made, node.this, kind), _moment(made, node.expression, kind)
    if kind == "timestamp":
        if unit not in MICROSECONDS:
            raise invalid_query(f"TIMESTAMP_DIFF does not support the {unit} date part")
        span = exp.Sub(this=call("epoch_us", later), expression=call("epoch_us", earlier))
        return exp.paren(exp.IntDiv(this=exp.paren(span), expression=whole(MICROSECONDS[unit])), copy=False)
    if unit not in (_DATE_UNITS if kind == "date" else _TRUNCATED):
        raise not_emulated(f"{name_of(node)} with {unit}")
    if unit in {"WEEK", "ISOWEEK"}:
        if unit == "WEEK":
            later, earlier = _day_later(later), _day_later(earlier)
        mondays = [call("date_trunc", "week", moment) for moment in (earlier, later)]
        return exp.paren(exp.IntDiv(this=call("date_diff", "day", *mondays), expression=whole(7)), copy=False)
    return call("date_diff", unit.lower(), earlier, later)


def _day_later(node: exp.Expression) -> exp.Expression:
    return exp.paren(exp.Add(this=node, expression=call("to_days", cast(exp.Literal.number(1), "INTEGER"))), copy=False)


def truncated(made: Expressions, node: exp.Expression) -> exp.Expression:
    """TIMESTAMP_TRUNC, DATE_TRUNC, DATETIME_TRUNC."""
    only(node, "this", "unit", "zone", "input_type_preserved")
    zone = node.args.get("zone")
    if zone is not None and zone.name.upper() not in {"UTC", "+00", "+00:00"}:
        raise not_emulated(f"{name_of(node)} in a time zone other than UTC")
    unit = unit_of(node.args.get("unit"), "DAY")
    kind = {exp.TimestampTrunc: "timestamp", exp.DateTrunc: "date", exp.DatetimeTrunc: "datetime"}[type(node)]
    if unit not in (_DATE_UNITS if kind == "date" else _TRUNCATED):
        raise not_emulated(f"{name_of(node)} to {unit}")
    moment = _moment(made, node.this, kind)
    if unit == "WEEK":
        result: exp.Expression = exp.paren(
            exp.Sub(
                this=call("date_trunc", "week", _day_later(moment)),
                expression=call("to_days", cast(exp.Literal.number(1), "INTEGER")),
            ),
            copy=False,
        )
    else:
        result = call("date_trunc", "week" if unit == "ISOWEEK" else unit.lower(), moment)
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
        moment: exp.Expression = call("timezone", made.of(value.args["zone"]), made.of(value.this))
    else:
        moment = made.of(value)
    if part in _PARTS:
        return cast(call("date_part", _PARTS[part], moment), "BIGINT")
    if part == "DAYOFWEEK":
        day = cast(call("date_part", "dow", moment), "BIGINT")
        return exp.paren(exp.Add(this=day, expression=exp.Literal.number(1)), copy=False)
    if part == "WEEK":
        return call("__week_of", moment)
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
        return call("timezone", made.of(node.args["zone"]), call("__to_datetime", value))
    return call("__to_timestamp", value)


def to_date(made: Expressions, node: exp.Expression) -> exp.Expression:
    """DATE(x[, zone])."""
    only(node, "this", "zone")
    value = made.of(node.this)
    if node.args.get("zone") is not None:
        value = call("timezone", made.of(node.args["zone"]), value)
    return call("__to_date", value)


def to_datetime(made: Expressions, node: exp.Expression) -> exp.Expression:
    """DATETIME(x)."""
    only(node, "this")
    return call("__to_datetime", made.of(node.this))


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
    count = call("epoch_us", _moment(made, node.this, "timestamp"))
    return call("__floor_div", count, whole(times)) if times > 1 else count


def unix_date(made: Expressions, node: exp.Expression) -> exp.Expression:
    """UNIX_DATE."""
    only(node, "this")
    return call("date_diff", "day", cast(exp.Literal.string("1970-01-01"), "DATE"), _moment(made, node.this, "date"))


def date_from_unix(made: Expressions, node: exp.Expression) -> exp.Expression:
    """DATE_FROM_UNIX_DATE."""
    only(node, "this")
    days = call("to_days", cast(made.of(node.this), "INTEGER"))
    return cast(exp.paren(exp.Add(this=cast(exp.Literal.string("1970-01-01"), "DATE"), expression=days)), "DATE")


def last_day(made: Expressions, node: exp.Expression) -> exp.Expression:
    """LAST_DAY of a month."""
    only(node, "this", "unit")
    if unit_of(node.args.get("unit"), "MONTH") != "MONTH":
        raise not_emulated("LAST_DAY of anything but a MONTH")
    return call("last_day", _moment(made, node.this, "date"))


def date_array(made: Expressions, node: exp.Expression) -> exp.Expression:
    """GENERATE_DATE_ARRAY."""
    only(node, "start", "end", "step")
    step = node.args.get("step")
    if not isinstance(step, exp.Interval):
        raise not_emulated("GENERATE_DATE_ARRAY without a written step")
    bounds = [_moment(made, node.args[name], "date") for name in ("start", "end")]
    return cast(call("generate_series", *bounds, interval(made, step)), "DATE[]")


def text(made: Expressions, node: exp.Expression) -> exp.Expression:
    """STRING(x)."""
    only(node, "this", "zone")
    if node.args.get("zone") is not None:
        raise not_emulated("STRING of a TIMESTAMP in a time zone")
    return call("__to_string", made.of(node.this))


_TOKENS: Final = frozenset("YmdHMSfybBaApIj%")


def _format(node: exp.Expression) -> str:
    """A format whose every element is known to mean the same in DuckDB.

    Raises:
        Refused: An element is not, or the format is not written out.
    """
    if not isinstance(node, (exp.Literal, exp.RawString)):
        raise not_emulated("a format that is not written out")
    written = node.name if isinstance(node, exp.Literal) else str(node.this)
    for token in re.findall(r"%(-?.|$)", written):
        if token not in _TOKENS:
            raise not_emulated(f"format element %{token}")
    return written


def formatted(made: Expressions, node: exp.Expression) -> exp.Expression:
    """FORMAT_TIMESTAMP, FORMAT_DATE, FORMAT_DATETIME."""
    only(node, "this", "format", "zone")
    zone = node.args.get("zone")
    if zone is not None and zone.name.upper() not in {"UTC", "+00"}:
        raise not_emulated("FORMAT_TIMESTAMP in a time zone other than UTC")
    kinds = {exp.TsOrDsToTimestamp: "timestamp", exp.TsOrDsToDate: "date", exp.TsOrDsToDatetime: "datetime"}
    kind = kinds.get(type(node.this))
    if kind is None:
        raise not_emulated(name_of(node))
    moment = call(f"__to_{kind}", made.of(node.this.this))
    return call("strftime", moment, exp.Literal.string(_format(node.args["format"])))


def parsed(made: Expressions, node: exp.Expression) -> exp.Expression:
    """PARSE_TIMESTAMP, PARSE_DATE, PARSE_DATETIME."""
    only(node, "this", "format", "zone", "default_year")
    zone = node.args.get("zone")
    if zone is not None and zone.name.upper() not in {"UTC", "+00"}:
        raise not_emulated("PARSE_TIMESTAMP in a time zone other than UTC")
    pattern = _format(node.args["format"])
    if "%Y" not in pattern or "%d" not in pattern or not ("%m" in pattern or "%b" in pattern or "%B" in pattern):
        raise not_emulated("parsing without a year, a month and a day")
    value = call("strptime", made.of(node.this), exp.Literal.string(pattern))
    if isinstance(node, exp.StrToTime):
        return cast(value, "TIMESTAMPTZ")
    return cast(value, "DATE") if isinstance(node, exp.StrToDate) else value


def current(made: Expressions, node: exp.Expression) -> exp.Expression:
    """CURRENT_TIMESTAMP and the like: the emulator's clock when the query began."""
    only(node)
    kind = {
        exp.CurrentTimestamp: "TIMESTAMPTZ",
        exp.CurrentDate: "DATE",
        exp.CurrentDatetime: "TIMESTAMP",
        exp.CurrentTime: "TIME",
    }[type(node)]
    now = made.now
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
    exp.TsOrDsToDatetime: to_datetime,
    **dict.fromkeys((exp.DateFromParts, exp.TimestampFromParts, exp.TimeFromParts), from_parts),
    exp.UnixToTime: from_unix,
    **dict.fromkeys((exp.UnixSeconds, exp.UnixMillis, exp.UnixMicros), to_unix),
    exp.UnixDate: unix_date,
    exp.DateFromUnixDate: date_from_unix,
    exp.LastDay: last_day,
    exp.GenerateDateArray: date_array,
    exp.String: text,
    exp.TimeToStr: formatted,
    **dict.fromkeys((exp.StrToTime, exp.StrToDate, exp.ParseDatetime), parsed),
    **dict.fromkeys((exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime), current),
}
