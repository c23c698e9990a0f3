"""What is defined anew is another thing: nothing of the old definition is served under its name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import cloudmlops as cm
from cloudmlops.domain.features import entity_from_json, entity_to_json
from cloudmlops.domain.point_in_time import FeatureRow, to_microseconds
from cloudmlops.errors import InvalidRequestError
from cloudmlops.services.feature_rows.online import FeatureReader

T = datetime(2026, 1, 1, tzinfo=UTC)
ROUTE = cm.Entity("route", keys={"origin": str, "dest": str})


def winds(**options: Any) -> cm.FeatureView:
    said: dict[str, Any] = {
        "entity": ROUTE,
        "source": cm.TableSource("winds"),
        "timestamp": "at",
        "features": {"wind": float, "temp": float},
    }
    return cm.FeatureView("winds", **said | options)


@pytest.fixture
def store(platform: cm.Platform) -> cm.Platform:
    rows = [{"origin": "JFK", "dest": "LGA", "at": T, "made": T, "wind": 1.0, "temp": 2.0}]
    platform.features.write_table("winds", rows)
    platform.features.write_table("others", rows)
    return platform


def test_an_on_demand_function_that_is_defined_anew_is_the_one_that_online_calls(store: cm.Platform) -> None:
    def service(function: Any) -> cm.FeatureService:
        return cm.FeatureService("s", views=[winds()], on_demand=[cm.on_demand(name="made")(function)])

    store.features.materialize(winds())
    asked = [{"origin": "JFK", "dest": "LGA"}]

    assert store.features.online(service(lambda wind: wind + 1), asked).values()[0]["made"] == 2.0
    assert store.features.online(service(lambda wind: wind + 10), asked).values()[0]["made"] == 11.0


def test_a_prepared_read_is_kept_for_the_same_definition(store: cm.Platform) -> None:
    assert store.features.reader(winds()) is store.features.reader(winds())


def test_definitions_whose_columns_come_in_another_order_differ() -> None:
    turned = winds(features={"temp": float, "wind": float})

    assert turned != winds()
    assert cm.Entity("route", keys={"dest": str, "origin": str}) != ROUTE
    assert cm.FeatureService("s", views=[turned]) != cm.FeatureService("s", views=[winds()])
    assert entity_from_json(entity_to_json(ROUTE)) == ROUTE


def test_features_in_another_order_are_read_in_that_order(store: cm.Platform) -> None:
    turned = winds(features={"temp": float, "wind": float})
    asked = [{"origin": "JFK", "dest": "LGA"}]
    store.features.materialize(winds())
    store.features.materialize(turned)

    assert store.features.online(winds(), asked).values() == [{"wind": 1.0, "temp": 2.0}]
    assert list(store.features.online(turned, asked).values()[0].items()) == [("temp", 2.0), ("wind", 1.0)]


@pytest.mark.parametrize(
    "changed",
    [
        {"entity": cm.Entity("route", keys={"dest": str, "origin": str})},
        {"source": cm.TableSource("others")},
        {"timestamp": "made"},
        {"created": "made"},
    ],
    ids=["the order of its keys", "its source", "its timestamp", "its created time"],
)
def test_rows_of_another_definition_of_a_view_are_never_served(store: cm.Platform, changed: dict[str, Any]) -> None:
    store.features.materialize(winds())

    read = store.features.online(winds(**changed), [{"origin": "LGA", "dest": "JFK"}, {"origin": "JFK", "dest": "LGA"}])

    assert [read.row(number)["wind"].status for number in range(2)] == ["missing", "missing"]


def test_a_longer_ttl_keeps_what_is_stored(store: cm.Platform) -> None:
    store.features.materialize(winds(ttl=timedelta(hours=1)))

    assert store.features.online(winds(), [{"origin": "JFK", "dest": "LGA"}]).values()[0]["wind"] == 1.0


def test_a_relative_path_and_its_absolute_one_are_the_same_source(
    store: cm.Platform, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"k": [1], "at": pa.array([T]), "x": [5]}), tmp_path / "here.parquet")
    monkeypatch.chdir(tmp_path)
    view = cm.FeatureView(
        "here",
        entity=cm.Entity("k", keys={"k": int}),
        source=cm.ParquetSource("here.parquet"),
        timestamp="at",
        features={"x": int},
    )
    store.features.apply(view)
    store.features.materialize("here")
    monkeypatch.chdir("/")

    assert store.features.online("here", [{"k": 1}]).values() == [{"x": 5}]
    monkeypatch.chdir(tmp_path)
    assert store.features.online(view, [{"k": 1}]).values() == [{"x": 5}]


def test_a_future_time_cannot_be_materialised(store: cm.Platform) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be materialised as of 2100"):
        store.features.materialize(winds(), at=datetime(2100, 1, 1, tzinfo=UTC))


def test_a_row_that_is_written_while_it_is_read_is_known() -> None:
    times = iter([T, T + timedelta(seconds=1), T + timedelta(seconds=2)])

    def read_just_written(_keys: Any) -> Any:
        return [[FeatureRow(to_microseconds(next(times)), None, (7.0, 8.0))]]

    service = cm.FeatureService("s", views=[winds()])
    read = FeatureReader(service, open_view=lambda _view: read_just_written, now=lambda: next(times))

    assert read([{"origin": "JFK", "dest": "LGA"}]).values() == [{"wind": 7.0, "temp": 8.0}]
