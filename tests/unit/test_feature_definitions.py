"""Entities, views, services and on-demand features: what is refused, and what survives as JSON."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import pytest

import cloudmlops as cm
from cloudmlops.domain.features import service_from_json, service_to_json
from cloudmlops.errors import ConfigurationError, InvalidRequestError
from cloudmlops.testing.contract.features import gust_distance

AIRPORT = cm.Entity("airport", keys={"origin": str})


def view(name: str = "weather", **options: Any) -> cm.FeatureView:
    given = {
        "entity": AIRPORT,
        "source": cm.ParquetSource("weather.parquet"),
        "timestamp": "at",
        "features": {"wind": float},
    }
    return cm.FeatureView(name, **(given | options))


def faults(build: Any) -> str:
    with pytest.raises(InvalidRequestError) as refused:
        build()
    return str(refused.value)


def test_a_float_is_no_key() -> None:
    assert "key column 'price' is of type float; allowed: bool, bytes, date, int, str" in faults(
        lambda: cm.Entity("thing", keys={"price": float})
    )


def test_all_that_is_wrong_with_a_view_is_said_at_once() -> None:
    said = faults(
        lambda: view(
            "Weather",
            features={"at": float, "wind speed": int, "event_time": str, "gust": dict},
            ttl=-timedelta(1),
            nulls="no",
        )
    )

    for part in (
        "'Weather'",
        "'at' is both",
        "'wind speed'",
        "'event_time' is a reserved",
        "'gust' is of type dict",
        "ttl",
        "'no'",
    ):
        assert part in said


def test_a_part_of_the_wrong_kind_is_said() -> None:
    assert "entity is a str, not an Entity" in faults(lambda: view(entity="airport"))
    assert "source is a str, not a ParquetSource" in faults(lambda: view(source="weather.parquet"))
    assert "'../x' must be" in faults(lambda: view(source=cm.TableSource("../x")))
    assert "views holds a Entity" in faults(lambda: cm.FeatureService("s", views=[AIRPORT]))  # type: ignore[list-item]
    assert "decorate the function" in faults(lambda: cm.FeatureService("s", views=[view()], on_demand=[len]))  # type: ignore[list-item]


def test_columns_of_two_views_must_not_clash() -> None:
    said = faults(lambda: cm.FeatureService("s", views=[view(), view("forecast")]))

    assert "column 'wind' is yielded 2 times" in said
    assert "renamed" in said


def test_a_view_can_be_used_twice_under_other_names() -> None:
    service = cm.FeatureService("s", views=[view(), view().renamed(prefix="dest_", keys={"origin": "dest"})])

    assert list(service.columns) == ["wind", "dest_wind"]
    assert service.join_keys == {"origin": str, "dest": str}
    assert "'gate' is no key" in faults(lambda: view().renamed(prefix="x_", keys={"gate": "dest"}))


def test_an_on_demand_feature_needs_columns_that_exist() -> None:
    said = faults(lambda: cm.FeatureService("s", views=[view()], on_demand=[gust_distance]))

    assert "'gust_distance' needs 'distance'" in said


def test_an_on_demand_function_is_still_a_function() -> None:
    @cm.on_demand(dtype=int, name="twice")
    def double(wind: float) -> float:
        return 2 * wind

    assert double(3) == 6
    assert (double.name, double.inputs, double.dtype) == ("twice", ("wind",), int)
    assert "cannot name a column" in faults(lambda: cm.on_demand(lambda *args: args))


def test_a_service_survives_as_json_and_finds_its_functions_again() -> None:
    kinds = {"a": int, "b": bytes, "c": date, "d": datetime, "e": list[float], "wind": float}
    wide = view(features=kinds, ttl=timedelta(hours=1), created="made", nulls="last_value")
    views = [
        wide.renamed(prefix="p_", keys={"origin": "dest"}),
        view("sql", source=cm.SqlSource("select 1", dialect="bigquery")),
    ]
    service = cm.FeatureService("s", views=views, on_demand=[gust_distance], request={"distance": float})

    found = service_from_json(service_to_json(service))

    assert found == service
    assert list(found.views[0].features) == list(kinds)
    assert found.on_demand[0](2, 3) == 6


def test_a_function_that_no_other_process_finds_is_refused_when_written() -> None:
    service = cm.FeatureService("s", views=[view()], on_demand=[cm.on_demand(name="twice")(lambda wind: wind)])

    assert "'twice' is not a top-level function of an importable module" in faults(lambda: service_to_json(service))


def test_a_function_that_is_gone_is_named_when_it_is_called() -> None:
    service = cm.FeatureService("s", views=[view()], on_demand=[gust_distance], request={"distance": float})
    record = json.loads(service_to_json(service))
    record["on_demand"][0]["function"] = "nowhere:gone"
    found = service_from_json(json.dumps(record))

    with pytest.raises(ConfigurationError, match="'gust_distance' cannot be loaded from 'nowhere:gone'"):
        found.on_demand[0](1, 2)


def test_the_schema_hash_is_of_what_goes_in_and_comes_out_not_of_where_data_lies() -> None:
    def digest(**options: Any) -> str:
        return cm.FeatureService("s", views=[view(**options)]).schema_hash

    assert digest() == digest(source=cm.TableSource("weather"))
    assert digest() != digest(features={"wind": int})
    assert digest() != digest(ttl=timedelta(hours=1))
    assert digest(features={"a": int, "b": int}) != digest(features={"b": int, "a": int})


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: cm.Entity("e", keys=["k"]), "keys is ['k'], not a mapping"),
        (lambda: view(features=["x"]), "features is ['x'], not a mapping"),
        (lambda: view(ttl=3), "ttl is 3, not a timedelta"),
        (lambda: view(source_delay=None), "source_delay is None, not a timedelta"),
        (lambda: view(name=None), "None"),
        (lambda: view(features={"x": "float"}), "feature 'x' is of type 'float'; allowed"),
        (lambda: view(source=cm.SqlSource("  ")), "the query of its source is empty"),
        (lambda: cm.FeatureService("s", views=[view()], request=["x"]), "request is ['x'], not a mapping"),
    ],
    ids=["keys", "features", "ttl", "delay", "name", "type as text", "query", "request"],
)
def test_a_value_of_the_wrong_kind_is_told_in_words(build: Any, said: str) -> None:
    assert said in faults(build)
