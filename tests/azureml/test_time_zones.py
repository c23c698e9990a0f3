"""The two tables of Windows' time zones, the adapter's and the emulator's, held against what neither was written from.

Names are those of azure-ai-ml's public enum. Offsets are those in brackets before Windows' own names of the zones
(learn.microsoft.com, "Default time zones": `(UTC+05:45) Kathmandu`), of the time without daylight saving.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import pytest

from cloudmlops.emulators.azure.ml.time_zones import WINDOWS
from cloudmlops.providers.azureml.mapping.time_zones import ZONES
from cloudmlops.providers.azureml.sdk import ml

if TYPE_CHECKING:
    from collections.abc import Mapping

WINTER, SUMMER = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)
_OFFSETS: Final[Mapping[str, str]] = {
    "-12:00": "Dateline",
    "-11:00": "UTC-11",
    "-10:00": "Aleutian; Hawaiian",
    "-09:30": "Marquesas",
    "-09:00": "Alaskan; UTC-09",
    "-08:00": "Pacific Standard Time (Mexico); UTC-08; Pacific",
    "-07:00": "US Mountain; Mountain Standard Time (Mexico); Mountain; Yukon",
    "-06:00": "Central America; Central; Easter Island; Central Standard Time (Mexico); Canada Central",
    "-05:00": "SA Pacific; Eastern Standard Time (Mexico); Eastern; Haiti; Cuba; US Eastern; Turks And Caicos",
    "-04:00": "Paraguay; Atlantic; Venezuela; Central Brazilian; SA Western; Pacific SA",
    "-03:30": "Newfoundland",
    "-03:00": "Tocantins; E. South America; SA Eastern; Argentina; Greenland; Montevideo; Magallanes; Saint Pierre;"
    " Bahia",
    "-02:00": "UTC-02; Mid-Atlantic",
    "-01:00": "Azores; Cape Verde",
    "+00:00": "UTC; GMT; Greenwich; Sao Tome",
    "+01:00": "Morocco; W. Europe; Central Europe; Romance; Central European; W. Central Africa",
    "+02:00": "Jordan; GTB; Middle East; Egypt; E. Europe; Syria; West Bank; South Africa; FLE; Israel; Kaliningrad;"
    " Libya; Namibia; Sudan; South Sudan",
    "+03:00": "Arabic; Turkey; Arab; Belarus; Russian; E. Africa; Volgograd",
    "+03:30": "Iran",
    "+04:00": "Arabian; Astrakhan; Azerbaijan; Russia Time Zone 3; Mauritius; Saratov; Georgian; Caucasus",
    "+04:30": "Afghanistan",
    "+05:00": "West Asia; Ekaterinburg; Pakistan; Qyzylorda",
    "+05:30": "India; Sri Lanka",
    "+05:45": "Nepal",
    "+06:00": "Central Asia; Bangladesh; Omsk",
    "+06:30": "Myanmar",
    "+07:00": "SE Asia; Altai; W. Mongolia; North Asia; N. Central Asia; Tomsk",
    "+08:00": "China; North Asia East; Singapore; W. Australia; Taipei; Ulaanbaatar",
    "+08:45": "Aus Central W.",
    "+09:00": "Transbaikal; Tokyo; North Korea; Korea; Yakutsk",
    "+09:30": "Cen. Australia; AUS Central",
    "+10:00": "E. Australia; AUS Eastern; West Pacific; Tasmania; Vladivostok",
    "+10:30": "Lord Howe",
    "+11:00": "Bougainville; Russia Time Zone 10; Magadan; Norfolk; Sakhalin; Central Pacific",
    "+12:00": "Russia Time Zone 11; New Zealand; UTC+12; Fiji; Kamchatka",
    "+12:45": "Chatham Islands",
    "+13:00": "UTC+13; Tonga; Samoa",
    "+14:00": "Line Islands",
}
MOVED: Final[Mapping[str, str]] = {
    "Greenland Standard Time": "-02:00",  # since 2023
    "Jordan Standard Time": "+03:00",  # since 2022
    "Paraguay Standard Time": "-03:00",  # since 2024, where the machine's tzdata knows it
    "Syria Standard Time": "+03:00",  # since 2022
}
"""Where the law was changed after Windows named the zone: what counts there today."""


def named(short: str) -> str:
    whole = "Standard Time" in short or short.startswith(("UTC", "Russia Time Zone"))
    return short if whole else f"{short} Standard Time"


OFFSETS: Final = {named(short.strip()): offset for offset, names in _OFFSETS.items() for short in names.split(";")}


def offset_of(zone: str) -> str:
    """Return a zone's offset from UTC without daylight saving."""
    standard = min(moment.astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0) for moment in (WINTER, SUMMER))
    minutes = int(standard.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@pytest.mark.parametrize("table", [ZONES, WINDOWS], ids=["the adapter's", "the emulator's"])
def test_every_zone_that_the_sdk_names_has_the_offset_that_windows_says(table: Mapping[str, str]) -> None:
    assert {zone.value for zone in ml().constants.TimeZone} <= set(table)
    assert set(table) <= set(OFFSETS), "name the offset of what is new"
    wrong = {
        name: (zone, offset_of(zone))
        for name, zone in table.items()
        if offset_of(zone) not in (OFFSETS[name], MOVED.get(name))
    }
    assert wrong == {}


def test_names_of_one_zone_in_both_tables_show_the_same_clock() -> None:
    differing = [name for name in ZONES if offset_of(ZONES[name]) != offset_of(WINDOWS[name])]

    assert differing == []
