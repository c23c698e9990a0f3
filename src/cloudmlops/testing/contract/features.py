"""What features promise on every provider."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from cloudmlops.domain.capabilities import Capability, Support
from cloudmlops.domain.features import Entity, FeatureService, FeatureView, TableSource
from cloudmlops.domain.on_demand import on_demand
from cloudmlops.domain.point_in_time import FeatureStatus
from cloudmlops.errors import InvalidEntitiesError, InvalidRequestError, NotFoundError, UnsupportedError

if TYPE_CHECKING:
    from cloudmlops._platform import Platform

_T = datetime(2026, 1, 15, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_TICK = timedelta(microseconds=1)

airport = Entity("airport", keys={"origin": str})


@on_demand
def gust_distance(wind: Any, distance: Any) -> Any:
    """Multiply; a module's own function, so that other processes find it."""
    return wind * distance


def weather(platform: Platform, rows: list[dict[str, Any]], **options: Any) -> FeatureView:
    """Keep rows as a table of the platform, and define a view of it."""
    platform.features.write_table("weather", rows)
    return FeatureView(
        "weather",
        **{
            "entity": airport,
            "source": TableSource("weather"),
            "timestamp": "seen_at",
            "features": {"wind": float, "note": str},
            **options,
        },
    )


def row(
    origin: str | None, at: datetime, wind: float | None = 1.0, note: str | None = "", **more: Any
) -> dict[str, Any]:
    """One row of the source."""
    return {"origin": origin, "seen_at": at, "wind": wind, "note": note, **more}


def trained(platform: Platform, view: FeatureView, *asked: tuple[str | None, datetime]) -> list[float | None]:
    """The wind at some times."""
    entities = [{"origin": origin, "event_time": at} for origin, at in asked]
    return platform.features.training_table(view, entities)["wind"].to_pylist()  # type: ignore[no-any-return]


class FeaturesContract:
    """Inherit from it, and give the fixture `platform`."""

    def test_a_training_table_has_one_row_an_entity_row_in_order_and_keeps_its_columns(
        self, platform: Platform
    ) -> None:
        view = weather(platform, [row("JFK", _T, 1.0), row("JFK", _T + _HOUR, 2.0), row("LGA", _T, 3.0)])
        asked = [
            {"origin": "JFK", "event_time": _T + 2 * _HOUR, "late": True},
            {"origin": "XXX", "event_time": _T, "late": False},
            {"origin": "JFK", "event_time": _T, "late": None},
            {"origin": "JFK", "event_time": _T + 2 * _HOUR, "late": True},
        ]

        table = platform.features.training_table(view, asked)

        assert table.column_names == ["origin", "event_time", "late", "wind", "note"]
        assert table["late"].to_pylist() == [True, False, None, True]
        assert table["wind"].to_pylist() == [2.0, None, 1.0, 2.0]

    def test_the_ttl_is_inclusive_at_both_ends(self, platform: Platform) -> None:
        view = weather(platform, [row("JFK", _T)], ttl=_HOUR)

        times = (_T - _TICK, _T, _T + _HOUR, _T + _HOUR + _TICK)

        assert trained(platform, view, *(("JFK", at) for at in times)) == [None, 1.0, 1.0, None]

    def test_a_delayed_source_is_not_known_before_its_delay(self, platform: Platform) -> None:
        view = weather(platform, [row("JFK", _T)], source_delay=_HOUR, ttl=2 * _HOUR)

        times = (_T, _T + _HOUR - _TICK, _T + _HOUR, _T + 2 * _HOUR, _T + 2 * _HOUR + _TICK)

        assert trained(platform, view, *(("JFK", at) for at in times)) == [None, None, 1.0, 1.0, None]

    def test_keys_that_concatenate_alike_are_different_keys(self, platform: Platform) -> None:
        pair = Entity("pair", keys={"a": str, "b": str})
        rows = [{"a": a, "b": b, "seen_at": _T, "wind": wind} for a, b, wind in (("1", "11", 1.0), ("11", "1", 2.0))]
        view = weather(platform, rows, entity=pair, features={"wind": float})
        asked = [{"a": a, "b": b, "event_time": _T} for a, b in (("1", "11"), ("11", "1"), ("111", ""), ("1", None))]

        table = platform.features.training_table(view, asked)

        assert table["wind"].to_pylist() == [1.0, 2.0, None, None]

    def test_of_rows_at_the_same_time_the_one_created_last_counts(self, platform: Platform) -> None:
        made = [_T, _T + 2 * _HOUR, None, _T + _HOUR]
        rows = [row("JFK", _T, float(number), made=at) for number, at in enumerate(made)]
        view = weather(platform, rows, created="made")

        assert trained(platform, view, ("JFK", _T)) == [1.0]

    def test_of_rows_that_tie_the_greatest_features_count(self, platform: Platform) -> None:
        nan, infinite = float("nan"), float("inf")
        view = weather(platform, [row("JFK", _T, 1.0, "b"), row("JFK", _T, 1.0, "c"), row("JFK", _T, None, "z")])
        assert platform.features.training_table(view, [{"origin": "JFK", "event_time": _T}])["note"].to_pylist() == [
            "c"
        ]

        view = weather(platform, [row("JFK", _T, infinite), row("JFK", _T, nan), row("JFK", _T, None)])
        assert str(trained(platform, view, ("JFK", _T))) == "[nan]"

    def test_nulls_are_values_or_are_looked_through(self, platform: Platform) -> None:
        rows = [row("JFK", _T, 1.0, "old"), row("JFK", _T + _HOUR, None, "new")]
        asked = [{"origin": "JFK", "event_time": _T + 2 * _HOUR}]

        table = platform.features.training_table(weather(platform, rows), asked)
        assert (table["wind"].to_pylist(), table["note"].to_pylist()) == ([None], ["new"])

        table = platform.features.training_table(weather(platform, rows, nulls="last_value"), asked)
        assert (table["wind"].to_pylist(), table["note"].to_pylist()) == ([1.0], ["new"])

    def test_time_zones_are_one_line_of_time(self, platform: Platform) -> None:
        india = timezone(timedelta(hours=5, minutes=30))
        view = weather(platform, [row("JFK", _T)])

        assert trained(platform, view, ("JFK", _T.astimezone(india)), ("JFK", (_T - _TICK).astimezone(india))) == [
            1.0,
            None,
        ]

    def test_all_that_is_wrong_with_entity_rows_is_said_at_once(self, platform: Platform) -> None:
        view = weather(platform, [row("JFK", _T)])
        service = FeatureService("flight_delay", views=[view], request={"distance": float})

        with pytest.raises(InvalidEntitiesError) as refused:
            platform.features.training_table(service, [{"origin": 7, "event_time": datetime(2026, 1, 1)}])  # noqa: DTZ001

        said = str(refused.value)
        assert "'origin' is int64, not str" in said
        assert "'distance' is missing" in said
        assert "'event_time' has no time zone" in said

    def test_a_null_time_is_refused_and_its_row_named(self, platform: Platform) -> None:
        view = weather(platform, [row("JFK", _T)])
        asked = [{"origin": "JFK", "event_time": _T}, {"origin": "JFK", "event_time": None}]

        with pytest.raises(InvalidEntitiesError, match="'event_time' is null in 1 rows, rows 1"):
            platform.features.training_table(view, asked)

    def test_online_values_say_how_they_stand(self, platform: Platform) -> None:
        now = datetime.now(UTC)
        recent, old = now - timedelta(minutes=10), now - 3 * _HOUR
        view = weather(platform, [row("JFK", recent, None, "calm"), row("LGA", old)], ttl=_HOUR)

        platform.features.materialize(view)
        read = platform.features.online(view, [{"origin": name} for name in ("JFK", "LGA", "XXX", None)])

        assert read.values()[0] == {"wind": None, "note": "calm"}
        assert all(values == {"wind": None, "note": None} for values in read.values()[1:])
        status = [[value.status for value in read.row(number).values()] for number in range(4)]
        assert status == [
            [FeatureStatus.NULL, FeatureStatus.PRESENT],
            [FeatureStatus.EXPIRED] * 2,
            [FeatureStatus.MISSING] * 2,
            [FeatureStatus.MISSING] * 2,
        ]
        assert read.row(0)["note"].event_time == recent
        assert read.row(1)["note"].event_time == old
        assert read.row(2)["note"].event_time is None

    def test_before_a_view_is_materialised_every_key_is_missing_and_then_readers_see_what_is_known(
        self, platform: Platform
    ) -> None:
        view = weather(platform, [row("JFK", _T, 1.0)])
        read = platform.features.reader(view)

        def status() -> list[FeatureStatus]:
            found = read([{"origin": "JFK"}, {"origin": "XXX"}])
            return [found.row(number)["wind"].status for number in range(2)]

        assert status() == [FeatureStatus.MISSING] * 2, "nobody has applied it"
        platform.features.apply([view])
        assert status() == [FeatureStatus.MISSING] * 2, "nobody has materialised it"
        platform.features.materialize(view)
        assert status() == [FeatureStatus.PRESENT, FeatureStatus.MISSING]

    def test_materialising_again_or_earlier_changes_nothing(self, platform: Platform) -> None:
        view = weather(platform, [row("JFK", _T, 1.0), row("JFK", _T + _HOUR, 2.0), row("LGA", _T + _HOUR, 3.0)])

        assert platform.features.materialize(view, at=_T) == {"weather": 1}
        assert platform.features.online(view, [{"origin": "JFK"}, {"origin": "LGA"}]).values()[0]["wind"] == 1.0
        for at in (_T + _HOUR, _T + _HOUR, _T):
            platform.features.materialize(view, at=at)

        assert [
            values["wind"] for values in platform.features.online(view, [{"origin": "JFK"}, {"origin": "LGA"}]).values()
        ] == [2.0, 3.0]

    def test_a_pushed_row_counts_where_it_is_newer(self, platform: Platform) -> None:
        view = weather(platform, [row("JFK", _T, 1.0)])
        platform.features.materialize(view)
        if platform.capabilities.of(Capability.FEATURE_PUSH) is Support.ABSENT:
            with pytest.raises(UnsupportedError, match=r"features\.push"):
                platform.features.push(view, [row("JFK", _T, 2.0)])
            return

        def wind() -> object:
            return platform.features.online(view, [{"origin": "JFK"}]).values()[0]["wind"]

        platform.features.push(view, [row("JFK", _T - _TICK, 9.0)])
        assert wind() == 1.0
        platform.features.push(view, [row("JFK", _T, 0.5)])
        assert wind() == 1.0
        platform.features.push(view, [row("JFK", _T, 2.0)])
        assert wind() == 2.0
        platform.features.push(view, [row("JFK", _T + _TICK, None)])
        assert wind() is None
        platform.features.materialize(view)
        assert wind() is None

    def test_a_pushed_last_value_is_compared_with_the_row_that_the_one_before_came_in(self, platform: Platform) -> None:
        without, newest = row("JFK", _T, 0.0, None, made=None), row("JFK", _T, None, "new", made=_T + _HOUR)
        view = weather(platform, [without, newest], created="made", nulls="last_value")
        platform.features.materialize(view)
        pushed = row("JFK", _T, 1.0, "older", made=_T)
        if platform.capabilities.of(Capability.FEATURE_PUSH) is Support.ABSENT:
            with pytest.raises(UnsupportedError, match=r"features\.push"):
                platform.features.push(view, [pushed])
            return

        def served() -> dict[str, Any]:
            return platform.features.online(view, [{"origin": "JFK"}]).values()[0]

        assert served() == {"wind": 0.0, "note": "new"}
        platform.features.push(view, [pushed])
        assert served() == {"wind": 1.0, "note": "new"}
        platform.features.push(view, [row("JFK", _T, 2.0, "later", made=_T - _TICK)])
        assert served() == {"wind": 1.0, "note": "new"}
        platform.features.push(view, [row("JFK", _T, 0.5, "greatest", made=_T)])
        assert served() == {"wind": 1.0, "note": "new"}
        platform.features.materialize(view)
        assert served() == {"wind": 1.0, "note": "new"}

    def test_a_push_is_refused_where_its_rows_cannot_be_known(self, platform: Platform) -> None:
        ahead = datetime.now(UTC) + _HOUR
        with pytest.raises(InvalidEntitiesError, match="future"):
            platform.features.push(weather(platform, [row("JFK", _T)]), [row("JFK", ahead)])
        with pytest.raises(InvalidRequestError, match="source delay"):
            platform.features.push(weather(platform, [row("JFK", _T)], source_delay=_HOUR), [row("JFK", _T)])

    def test_one_function_computes_for_training_and_for_serving(self, platform: Platform) -> None:
        view = weather(platform, [row("JFK", _T, 2.0), row("LGA", _T, None)])
        service = FeatureService("flight_delay", views=[view], on_demand=[gust_distance], request={"distance": float})
        asked = [{"origin": name, "distance": 10.0} for name in ("JFK", "LGA", "XXX")]
        platform.features.materialize(service)

        table = platform.features.training_table(service, [{**row, "event_time": _T} for row in asked])
        read = platform.features.online(service, asked)

        assert table["gust_distance"].to_pylist() == [20.0, None, None]
        assert [values["gust_distance"] for values in read.values()] == [20.0, None, None]

    def test_one_view_serves_two_keys(self, platform: Platform) -> None:
        view = weather(platform, [row("JFK", _T, 1.0), row("LGA", _T, 2.0)])
        service = FeatureService("route", views=[view, view.renamed(prefix="dest_", keys={"origin": "dest"})])
        asked = {"origin": "JFK", "dest": "LGA"}

        assert platform.features.materialize(service) == {"weather": 2}
        table = platform.features.training_table(service, [{**asked, "event_time": _T}])

        wanted = {"wind": 1.0, "note": "", "dest_wind": 2.0, "dest_note": ""}
        assert table.select(list(wanted)).to_pylist() == [wanted]
        assert platform.features.online(service, [asked]).values() == [wanted]

    def test_what_is_applied_is_found_again(self, platform: Platform) -> None:
        view = weather(platform, [row("JFK", _T)], ttl=_HOUR)
        service = FeatureService("flight_delay", views=[view], on_demand=[gust_distance], request={"distance": float})

        platform.features.apply([service])

        assert platform.features.get("flight_delay") == service
        assert platform.features.get("flight_delay").schema_hash == service.schema_hash
        assert platform.features.view("weather") == view
        assert (
            platform.features.materialize("weather") == platform.features.materialize("flight_delay") == {"weather": 1}
        )
        assert platform.features.online("weather", [{"origin": "JFK"}]).service.views == (view,)
        assert platform.features.list() == [airport, view, service]
        with pytest.raises(NotFoundError, match=r"no feature service is named 'delay'[\s\S]*flight_delay"):
            platform.features.get("delay")

    def test_a_source_that_does_not_fit_is_not_applied_and_all_faults_are_said(self, platform: Platform) -> None:
        rows = [{"origin": "JFK", "seen_at": datetime(2026, 1, 1), "wind": "strong"}]  # noqa: DTZ001
        view = weather(platform, rows)

        with pytest.raises(InvalidEntitiesError) as refused:
            platform.features.apply([view])

        said = str(refused.value)
        assert "'seen_at' has no time zone" in said
        assert "'wind' is string, not float" in said
        assert "'note' is missing" in said
        assert platform.features.list() == []

    def test_skew_is_the_share_of_served_rows_that_history_contradicts(self, platform: Platform) -> None:
        view = weather(platform, [row("JFK", _T, 1.0), row("LGA", _T, 2.0)])
        platform.features.materialize(view)
        served = platform.features.online(view, [{"origin": "JFK"}, {"origin": "LGA"}])
        assert platform.features.skew(view, served).share == 0.0

        weather(platform, [row("JFK", _T, 1.0), row("LGA", _T, 7.0)])
        skew = platform.features.skew(view, served)

        assert (skew.rows, skew.differing, skew.share) == (2, 1, 0.5)
        assert skew.features == {"wind": 0.5, "note": 0.0}
        assert skew.examples == ({"origin": "LGA", "feature": "wind", "served": 2.0, "recomputed": 7.0},)
