"""Dates and times as texts, by GoogleSQL's format elements, and in time zones."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MONTHS: Final = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_DAYS: Final = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()  # noqa: SIM905
_OFFSET: Final = re.compile(r"(?:UTC)?([+-])(\d{1,2})(?::?(\d{2}))?")
_LONG: Final = {"c": "%a %b %e %H:%M:%S %Y", "D": "%m/%d/%y", "F": "%Y-%m-%d", "R": "%H:%M", "T": "%H:%M:%S"}
_LONG_TOO: Final = {"X": "%H:%M:%S", "x": "%m/%d/%y", "h": "%b"}
_ELEMENT: Final = re.compile(r"%(E[0-9*]S|E4Y|Ez|EY|E.|O.|.|$)", re.DOTALL)
_OF_TIME: Final = frozenset("HIklMpPSs")
_OF_DATE: Final = frozenset("AaBbCdeGgjmQUuVWwYy")


@lru_cache(maxsize=64)
def zone_of(name: str) -> tzinfo:
    """A time zone by its name or its offset.

    Raises:
        ValueError: There is none of that name.
    """
    if match := _OFFSET.fullmatch(name):
        sign, hours, minutes = match.groups()
        span = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if span <= timedelta(hours=14):
            return timezone(-span if sign == "-" else span)
    elif re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/-]*", name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise ValueError(f"Invalid time zone: {name}")


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def local(micros: int, zone: str) -> int:
    """The civil time of an instant in a zone, as microseconds of a clock without one."""
    return _micros(_moment(micros).astimezone(zone_of(zone)).replace(tzinfo=UTC))


def instant(micros: int, zone: str) -> int:
    """The instant of a civil time in a zone; of two the first one.

    Raises:
        ValueError: No clock of the zone shows that time.
    """
    made = _moment(micros).replace(tzinfo=zone_of(zone)).astimezone(UTC)
    if local(_micros(made), zone) != micros:
        raise ValueError("not emulated: a civil time that its time zone skips")
    return _micros(made)


def zoned_text(micros: int, zone: str) -> str:
    """STRING of a TIMESTAMP in a zone."""
    moment = _moment(micros).astimezone(zone_of(zone))
    fraction = f"{moment.microsecond:06d}"
    fraction = "" if not moment.microsecond else f".{fraction[:3] if fraction.endswith('000') else fraction}"
    offset = _offset(moment, ":")
    return f"{moment:%H:%M:%S}".join((f"{moment.year:04d}-{moment:%m-%d} ", fraction)) + offset.removesuffix(":00")


def _offset(moment: datetime, separator: str) -> str:
    span = moment.utcoffset() or timedelta()
    minutes = abs(span) // timedelta(minutes=1)
    return f"{'-' if span < timedelta() else '+'}{minutes // 60:02d}{separator}{minutes % 60:02d}"


def formatted(pattern: str, micros: int, zone: str, kind: str) -> str:
    """FORMAT_TIMESTAMP, FORMAT_DATETIME, FORMAT_DATE and FORMAT_TIME.

    Args:
        pattern: With format elements.
        micros: Since 1970, or since midnight.
        zone: In which a TIMESTAMP is written.
        kind: Such as `DATE`.
    """
    moment = _moment(micros)
    if kind == "TIMESTAMP":
        moment = moment.astimezone(zone_of(zone))
    return _ELEMENT.sub(lambda match: _written(match[1], moment, kind), pattern)


def _written(element: str, moment: datetime, kind: str) -> str:
    if element in _LONG or element in _LONG_TOO:
        return _ELEMENT.sub(lambda match: _written(match[1], moment, kind), {**_LONG, **_LONG_TOO}[element])
    of_time = element in _OF_TIME or (element.startswith("E") and element.endswith("S"))
    if (kind == "DATE" and of_time) or (kind == "TIME" and (element in _OF_DATE or element == "E4Y")):
        raise ValueError(f"not emulated: %{element} of a {kind}")
    if element in {"z", "Z", "Ez"} and kind != "TIMESTAMP":
        raise ValueError(f"not emulated: %{element} of a {kind}")
    if element.startswith("E") and element.endswith("S"):
        return _seconds(element[1:-1], moment)
    made = _ELEMENTS.get(element)
    if made is None:
        raise ValueError(f"not emulated: format element %{element}")
    return made(moment)


def _seconds(digits: str, moment: datetime) -> str:
    fraction = f"{moment.microsecond:06d}"
    shown = fraction.rstrip("0") if digits == "*" else fraction.ljust(int(digits), "0")[: int(digits)]
    return f"{moment.second:02d}" + (f".{shown}" if shown else "")


def _zone_name(moment: datetime) -> str:
    span = moment.utcoffset() or timedelta()
    if not span:
        return "UTC"
    sign = "-" if span < timedelta() else "+"
    minutes = abs(span) // timedelta(minutes=1)
    return f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02d}" if minutes % 60 else "")


_ELEMENTS: Final[dict[str, Callable[[datetime], str]]] = {
    "A": lambda moment: _DAYS[moment.weekday()],
    "a": lambda moment: _DAYS[moment.weekday()][:3],
    "B": lambda moment: _MONTHS[moment.month - 1],
    "b": lambda moment: _MONTHS[moment.month - 1][:3],
    "C": lambda moment: f"{moment.year // 100:02d}",
    "d": lambda moment: f"{moment.day:02d}",
    "e": lambda moment: f"{moment.day:2d}",
    "G": lambda moment: str(moment.isocalendar()[0]),
    "g": lambda moment: f"{moment.isocalendar()[0] % 100:02d}",
    "H": lambda moment: f"{moment.hour:02d}",
    "I": lambda moment: f"{(moment.hour + 11) % 12 + 1:02d}",
    "j": lambda moment: f"{moment.timetuple().tm_yday:03d}",
    "k": lambda moment: f"{moment.hour:2d}",
    "l": lambda moment: f"{(moment.hour + 11) % 12 + 1:2d}",
    "M": lambda moment: f"{moment.minute:02d}",
    "m": lambda moment: f"{moment.month:02d}",
    "n": lambda _: "\n",
    "P": lambda moment: "am" if moment.hour < 12 else "pm",
    "p": lambda moment: "AM" if moment.hour < 12 else "PM",
    "Q": lambda moment: str((moment.month + 2) // 3),
    "S": lambda moment: f"{moment.second:02d}",
    "s": lambda moment: str(_micros(moment) // 1_000_000),
    "t": lambda _: "\t",
    "U": lambda moment: f"{(moment.timetuple().tm_yday + 6 - (moment.weekday() + 1) % 7) // 7:02d}",
    "u": lambda moment: str(moment.isoweekday()),
    "V": lambda moment: f"{moment.isocalendar()[1]:02d}",
    "W": lambda moment: f"{(moment.timetuple().tm_yday + 6 - moment.weekday()) // 7:02d}",
    "w": lambda moment: str(moment.isoweekday() % 7),
    "Y": lambda moment: str(moment.year),
    "y": lambda moment: f"{moment.year % 100:02d}",
    "Z": _zone_name,
    "z": lambda moment: _offset(moment, ""),
    "Ez": lambda moment: _offset(moment, ":"),
    "E4Y": lambda moment: f"{moment.year:04d}",
    "%": lambda _: "%",
}


@dataclass(kw_only=True, slots=True)
class _Read:
    """What has been read of a text; what is not said is 1970-01-01 00:00:00."""

    year: int = 1970
    month: int = 1
    day: int = 1
    hour: int = 0
    minute: int = 0
    second: int = 0
    microsecond: int = 0
    twelve: bool = False
    afternoon: bool = False
    century: int | None = None
    day_of_year: int | None = None
    unix: int | None = None
    zone: tzinfo | None = None


_NUMBERS: Final = {
    "d": ("day", 2, 1, 31),
    "e": ("day", 2, 1, 31),
    "H": ("hour", 2, 0, 23),
    "k": ("hour", 2, 0, 23),
    "I": ("hour", 2, 1, 12),
    "l": ("hour", 2, 1, 12),
    "j": ("day_of_year", 3, 1, 366),
    "M": ("minute", 2, 0, 59),
    "m": ("month", 2, 1, 12),
    "S": ("second", 2, 0, 60),
    "Y": ("year", 4, 1, 9999),
    "E4Y": ("year", 4, 1, 9999),
}


def parsed(pattern: str, text: str, zone: str, kind: str) -> int:
    """PARSE_TIMESTAMP, PARSE_DATETIME, PARSE_DATE and PARSE_TIME.

    Returns:
        Microseconds since 1970.

    Raises:
        ValueError: The text is not as the format says, or no such date or time is.
    """
    made = _Read()
    rest = _read(pattern.strip(), text.strip(), made, kind)
    if rest.strip():
        raise ValueError(f"Illegal non-space trailing data '{rest}' in string {text!r}")
    if made.unix is not None:
        return made.unix * 1_000_000
    hour = made.hour % 12 + (12 if made.afternoon else 0) if made.twelve else made.hour
    later = made.second == 60
    try:
        day = date(made.year, made.month, made.day)
        if made.day_of_year is not None:
            day = date(made.year, 1, 1) + timedelta(days=made.day_of_year - 1)
            if day.year != made.year:
                raise ValueError("Invalid day of the year")
        civil = datetime(
            day.year, day.month, day.day, hour, made.minute, 59 if later else made.second, made.microsecond, tzinfo=UTC
        ) + timedelta(seconds=1 if later else 0, microseconds=-made.microsecond if later else 0)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"Invalid result from parsing function: {text}") from error
    if kind == "TIME":
        return _micros(civil) % 86_400_000_000
    if kind != "TIMESTAMP":
        return _micros(civil)
    if made.zone is not None:
        return _micros(civil.replace(tzinfo=made.zone))
    return instant(_micros(civil), zone)


def _read(pattern: str, text: str, made: _Read, kind: str) -> str:
    """Read what a pattern says; give the rest of the text."""
    while pattern:
        if pattern[0].isspace():
            pattern, text = pattern.lstrip(), text.lstrip()
            continue
        match = _ELEMENT.match(pattern)
        if match is None:
            if not text.startswith(pattern[0]):
                raise _unread(pattern[0], text)
            pattern, text = pattern[1:], text[1:]
            continue
        pattern = pattern[match.end() :]
        text = _read_element(match[1], text, made, kind)
    return text


def _unread(expected: str, text: str) -> ValueError:
    return ValueError(f"Failed to parse input string at {text!r}: expected {expected}")


def _read_element(element: str, text: str, made: _Read, kind: str) -> str:
    if element in _LONG or element in _LONG_TOO:
        return _read({**_LONG, **_LONG_TOO}[element], text, made, kind)
    of_time = element in _OF_TIME or (element.startswith("E") and element.endswith("S"))
    if (kind == "DATE" and of_time) or (kind == "TIME" and (element in _OF_DATE or element == "E4Y")):
        raise ValueError(f"not emulated: %{element} for a {kind}")
    if element in {"n", "t"}:
        return text.lstrip()
    if element in {"I", "l", "H", "k"}:
        made.twelve = element in {"I", "l"}
    if element in _NUMBERS:
        name, digits, least, most = _NUMBERS[element]
        text = text.lstrip() if element in {"e", "k", "l"} else text
        value, text = _number(text, digits, element)
        if not least <= value <= most:
            raise _unread(f"%{element}", text)
        setattr(made, name, value)
        return text
    reader = _READERS.get("E#S" if re.fullmatch(r"E[0-9*]S", element) else element)
    if reader is None:
        raise ValueError(f"not emulated: format element %{element} in parsing")
    return reader(text, made, element)


def _number(text: str, digits: int, element: str) -> tuple[int, str]:
    match = re.match(rf"\d{{1,{digits}}}", text)
    if match is None:
        raise _unread(f"%{element}", text)
    return int(match[0]), text[match.end() :]


def _word(text: str, words: list[str], element: str) -> tuple[int, str]:
    for place, word in enumerate(words):
        for form in (word, word[:3]):
            if text[: len(form)].lower() == form.lower():
                return place, text[len(form) :]
    raise _unread(f"%{element}", text)


def _read_month(text: str, made: _Read, element: str) -> str:
    place, text = _word(text, _MONTHS, element)
    made.month = place + 1
    return text


def _read_weekday(text: str, made: _Read, element: str) -> str:
    del made
    return _word(text, _DAYS, element)[1]


def _read_half(text: str, made: _Read, element: str) -> str:
    if text[:2].lower() not in {"am", "pm"}:
        raise _unread(f"%{element}", text)
    made.afternoon = text[:2].lower() == "pm"
    return text[2:]


def _read_short_year(text: str, made: _Read, element: str) -> str:
    value, text = _number(text, 2, element)
    made.year = value + (1900 if value >= 69 else 2000)
    return text


def _read_unix(text: str, made: _Read, element: str) -> str:
    match = re.match(r"-?\d+", text)
    if match is None:
        raise _unread(f"%{element}", text)
    made.unix = int(match[0])
    return text[match.end() :]


def _read_seconds(text: str, made: _Read, element: str) -> str:
    value, text = _number(text, 2, element)
    if value > 60:
        raise _unread(f"%{element}", text)
    made.second = value
    most = element[1:-1]
    match = re.match(r"\.(\d+)" if most == "*" else rf"\.(\d{{1,{most}}})", text) if most != "0" else None
    if match is None:
        return text
    if len(match[1].rstrip("0")) > 6:
        raise ValueError("not emulated: parsing of less than a microsecond")
    made.microsecond = int(match[1][:6].ljust(6, "0"))
    return text[match.end() :]


def _read_offset(text: str, made: _Read, element: str) -> str:
    if element == "Ez" and text[:1] in {"Z", "z"}:
        made.zone = UTC
        return text[1:]
    match = re.match(r"[+-]\d{1,2}:?\d{2}" if element == "Ez" else r"[+-]\d{2}:?\d{2}", text)
    if match is None:
        raise _unread(f"%{element}", text)
    made.zone = zone_of(match[0])
    return text[match.end() :]


def _read_zone(text: str, made: _Read, element: str) -> str:
    match = re.match(r"\S+", text)
    if match is None:
        raise _unread(f"%{element}", text)
    made.zone = UTC if match[0] == "Z" else zone_of(match[0])
    return text[match.end() :]


def _read_percent(text: str, made: _Read, element: str) -> str:
    del made
    if not text.startswith("%"):
        raise _unread(f"%{element}", text)
    return text[1:]


_READERS: Final[dict[str, Callable[[str, _Read, str], str]]] = {
    **dict.fromkeys("Bb", _read_month),
    **dict.fromkeys("Aa", _read_weekday),
    **dict.fromkeys("pP", _read_half),
    "y": _read_short_year,
    "s": _read_unix,
    "E#S": _read_seconds,
    **dict.fromkeys(("z", "Ez"), _read_offset),
    "Z": _read_zone,
    "%": _read_percent,
}
