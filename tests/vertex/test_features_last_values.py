"""Last values online on Vertex AI: what is written later is compared with the rows that the values are of."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from google.cloud import aiplatform_v1 as vertex

from cloudmlops import Entity, FeatureView, Platform, TableSource
from cloudmlops.domain.point_in_time import FeatureRow, reduced, to_microseconds
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.providers.vertex.mapping.served_rows import rows_of, served_of

pytestmark = pytest.mark.conformance(ci=True)

Opened = Callable[..., VertexBackends]

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT = to_microseconds(NOON)


def view_of(**options: Any) -> FeatureView:
    return FeatureView(
        "moods",
        **{
            "entity": Entity("thing", keys={"name": str}),
            "source": TableSource("moods"),
            "timestamp": "at",
            "nulls": "last_value",
            "features": {"day": date, "number": int},
            **options,
        },
    )


def row(day: int | None, number: int | None, *, at: datetime = NOON, **made: datetime | None) -> dict[str, Any]:
    return {"name": "a", "at": at, **made, "day": date(2026, 1, day) if day else None, "number": number}


def number(platform: Platform, view: FeatureView) -> Any:
    return platform.features.online(view, [{"name": "a"}]).values()[0]["number"]


@pytest.fixture
def platform(opened: Opened) -> Platform:
    return Platform(opened())


@pytest.fixture
def direct_platform(opened: Opened) -> Platform:
    """Reads rows from Bigtable itself."""
    backends = opened()
    bigtable = vertex.FeatureOnlineStore.Bigtable(
        auto_scaling=vertex.FeatureOnlineStore.Bigtable.AutoScaling(min_node_count=1, max_node_count=1),
        enable_direct_bigtable_access=True,
    )
    backends.wire.client(vertex.FeatureOnlineStoreAdminServiceClient).create_feature_online_store(
        parent=backends.settings.parent,
        feature_online_store=vertex.FeatureOnlineStore(bigtable=bigtable),
        feature_online_store_id="cloudmlops",
    ).result()
    return Platform(backends)


@pytest.mark.parametrize("which", ["platform", "direct_platform"])
def test_a_last_value_without_a_created_time_gives_way_to_one_of_its_time_that_has_one(
    which: str, request: pytest.FixtureRequest
) -> None:
    platform: Platform = request.getfixturevalue(which)
    view = view_of(created="made")
    without, newest = row(None, 0, made=None), row(1, None, made=NOON + HOUR)
    platform.features.write_table("moods", [without, newest])
    platform.features.materialize(view)
    assert number(platform, view) == 0

    platform.features.push(view, [row(2, 1, made=NOON)])

    assert number(platform, view) == 1


def test_a_last_value_keeps_its_created_time_when_a_later_row_comes(platform: Platform) -> None:
    view = view_of(created="made")
    platform.features.write_table("moods", [row(1, 5, made=NOON + HOUR), row(2, None, at=NOON + HOUR, made=NOON)])
    platform.features.materialize(view)

    platform.features.push(view, [row(3, 6, made=NOON)])

    assert number(platform, view) == 5


def test_of_last_values_of_one_time_the_other_features_of_their_rows_decide(platform: Platform) -> None:
    view = view_of()
    platform.features.write_table("moods", [row(5, None), row(3, 7)])
    platform.features.materialize(view)
    platform.features.push(view, [row(2, 9)])
    assert number(platform, view) == 7

    platform.features.push(view, [row(4, 8)])
    assert number(platform, view) == 8

    platform.features.materialize(view)
    assert number(platform, view) == 8


def test_a_materialisation_replaces_pushed_last_values_by_rank(platform: Platform) -> None:
    view = view_of(created="made")
    platform.features.write_table("moods", [row(2, 1, made=NOON)])
    platform.features.push(view, [row(1, None, made=NOON + HOUR)])
    platform.features.push(view, [row(None, 0, made=None)])
    assert number(platform, view) == 0

    platform.features.materialize(view)

    assert number(platform, view) == 1


KINDS: dict[str, Any] = {
    "f": float,
    "i": int,
    "b": bool,
    "s": str,
    "y": bytes,
    "d": date,
    "t": datetime,
    "fs": list[float],
    "ys": list[bytes],
}
FULL: dict[str, Any] = {
    "f": -math.inf,
    "i": -(2**63),
    "b": False,
    "s": 'é"\0\n},{\U0001f600',
    "y": b"\0\xff",
    "d": date(1969, 12, 31),
    "t": NOON + timedelta(microseconds=1),
    "fs": [0.1, -0.0],
    "ys": [b""],
}


def test_kept_rows_of_every_type_come_back_from_bigquery_as_they_are(opened: Opened) -> None:
    backends = opened()
    platform = Platform(backends)
    view = view_of(features=KINDS)
    nothing = dict.fromkeys(KINDS)
    rows = [
        {"name": "a", "at": NOON, **FULL},
        {"name": "a", "at": NOON - HOUR, **nothing, "f": 0.1, "s": ""},
        {"name": "a", "at": NOON + HOUR, **nothing, "f": math.nan, "i": 2**63 - 1},
        {"name": "b", "at": NOON, **FULL, "f": math.inf},
    ]
    platform.features.write_table("moods", rows)
    platform.features.materialize(view)

    found = backends.features.reader(view)(["a", "b"])

    lists = {"fs": [], "ys": []}  # BigQuery has no null of a list
    later = FeatureRow(AT + 3_600_000_000, None, tuple((nothing | lists | {"f": math.nan, "i": 2**63 - 1}).values()))
    assert repr(found) == repr(
        [
            [later, FeatureRow(AT, None, tuple({**FULL, **lists}.values()))],
            [FeatureRow(AT, None, tuple({**FULL, "f": math.inf}.values()))],
        ]
    )


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_served_rows_are_the_kept_rows(order: tuple[int, ...]) -> None:
    view = view_of(features=KINDS, created="made")
    nothing = (None,) * len(KINDS)
    full = tuple(FULL.values())
    rows = [
        FeatureRow(AT, 7, (math.nan, *nothing[1:])),
        FeatureRow(AT, 7, (math.inf, None, True, *nothing[3:])),
        FeatureRow(AT, None, (-0.0, *full[1:-1], None)),
    ]
    kept = reduced(view, [rows[place] for place in order])

    served = {name: vertex.FeatureValue.pb(value) for name, value in served_of(view, kept).items()}

    assert repr(rows_of(view, served)) == repr(kept) == repr(rows)
