"""On-demand functions get the same arrays in training and in serving, in batches and one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

import cloudmlops as cm
from cloudmlops.errors import InvalidEntitiesError, InvalidRequestError

T = datetime(2026, 1, 1, tzinfo=UTC)
INDIA = timezone(timedelta(hours=5, minutes=30))
KINDS = {"i": int, "f": float, "b": bool, "s": str, "y": bytes, "d": date, "t": datetime, "many": list[float]}
FULL = {
    "i": 3,
    "f": 0.5,
    "b": True,
    "s": "é",
    "y": b"\0",
    "d": date(2026, 1, 1),
    "t": T.astimezone(INDIA),
    "many": [0.5, None],
}


def seen(**columns: Any) -> Any:
    """What each row of the arrays looks like, and their types."""
    return [
        "; ".join(f"{name} {array.dtype} {array[row]!r}" for name, array in columns.items())
        for row in range(len(columns["i"]))
    ]


def service_of(function: Any, **options: Any) -> cm.FeatureService:
    view = cm.FeatureView(
        "wide",
        entity=cm.Entity("thing", keys={"k": str}),
        source=cm.TableSource("wide"),
        timestamp="at",
        features=KINDS,
    )
    request = {f"r_{name}": kind for name, kind in KINDS.items() if name != "many"}
    return cm.FeatureService("wide", views=[view], on_demand=[cm.on_demand(**options)(function)], request=request)


@pytest.fixture
def wide(platform: cm.Platform) -> cm.Platform:
    rows = [{"k": "full", "at": T, **FULL}, {"k": "null", "at": T, **dict.fromkeys(KINDS)}]
    platform.features.write_table("wide", rows)
    return platform


def request(key: str, *, null: bool) -> dict[str, Any]:
    return {"k": key, **{f"r_{name}": None if null else FULL[name] for name in KINDS if name != "many"}}


def test_training_and_serving_see_the_same(wide: cm.Platform) -> None:
    def row(i, f, b, s, y, d, t, many, k, r_i, r_f, r_b, r_s, r_y, r_d, r_t):
        return seen(**locals())

    service = service_of(row, dtype=str, name="row")
    wide.features.materialize(service)
    asked = [request(key, null=null) for key in ("full", "null", "unknown") for null in (False, True)]

    trained = wide.features.training_table(service, [{**row, "event_time": T} for row in asked])["row"].to_pylist()
    together = [values["row"] for values in wide.features.online(service, asked).values()]
    alone = [wide.features.online(service, [row]).values()[0]["row"] for row in asked]

    rows = [[row.split("; ") for row in told] for told in (trained, together, alone)]
    differing = [cells for row in zip(*rows, strict=True) for cells in zip(*row, strict=True) if len(set(cells)) > 1]
    assert not differing, f"trained, read together, read alone: {differing}"
    assert "i float64 np.float64(3.0); f float64 np.float64(0.5); b float64 np.float64(1.0); s object 'é'" in trained[0]
    assert "i float64 np.float64(nan)" in trained[2]
    assert "d datetime64[D] np.datetime64('NaT'" in trained[2]
    assert "many object None" in trained[2]


@pytest.mark.parametrize(
    ("dtype", "result", "expected"),
    [
        (float, [1.5, np.nan], [1.5, None]),
        (float, [True, False], [1.0, 0.0]),
        (int, [2.0, np.nan], [2, None]),
        (bool, [1.0, np.nan], [True, None]),
        (bool, [True, False], [True, False]),
        (str, ["a", None], ["a", None]),
    ],
    ids=["float", "float of bools", "int of floats", "bool of floats", "bool", "str"],
)
def test_results_become_the_declared_type(wide: cm.Platform, dtype: Any, result: Any, expected: Any) -> None:
    service = service_of(lambda i: np.array(result[: len(i)]), dtype=dtype, name="made")
    asked = [{**request("full", null=False), "event_time": T}] * 2

    assert wide.features.training_table(service, asked)["made"].to_pylist() == expected


@pytest.mark.parametrize(
    ("result", "said"),
    [(1.0, r"an array of shape \(\) for 1 rows"), ([1.0, 2.0], r"shape \(2,\) for 1 rows"), (["a"], "no float")],
    ids=["one value", "too many", "text"],
)
def test_a_wrong_result_is_said(wide: cm.Platform, result: Any, said: str) -> None:
    service = service_of(lambda i: np.array(result), name="made")

    with pytest.raises(InvalidRequestError, match=said):
        wide.features.training_table(service, [{**request("full", null=False), "event_time": T}])


def test_an_on_demand_feature_may_use_another(wide: cm.Platform) -> None:
    view = service_of(lambda i: i, name="same").views[0]
    twice = cm.on_demand(dtype=int, name="twice")(lambda i: 2 * i)
    again = cm.on_demand(name="again")(lambda twice, f: twice + f)
    service = cm.FeatureService("chain", views=[view], on_demand=[twice, again])
    wide.features.materialize(service)

    values = wide.features.online(service, [{"k": "full"}]).values()[0]

    assert (values["twice"], values["again"]) == (6, 6.5)


def test_a_sample_without_features_has_no_skew(wide: cm.Platform) -> None:
    view = service_of(lambda i: i, name="same").views[0]

    with pytest.raises(InvalidEntitiesError, match="the sample holds none of the features of 'wide'"):
        wide.features.skew(view, [{"k": "full", "event_time": T}])
