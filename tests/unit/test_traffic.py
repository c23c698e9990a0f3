"""How traffic is split, shifted, rolled back and counted out."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.domain.endpoints import (
    DeploymentState,
    TrafficChange,
    TrafficReason,
    check_traffic,
    previous_split,
    traffic_with,
    traffic_without,
)
from cloudmlops.errors import InvalidTrafficError
from cloudmlops.providers.local.hosting.balancing import SmoothWeighted

UP = {"a": DeploymentState.HEALTHY, "b": DeploymentState.DEGRADED, "c": DeploymentState.STARTING}
weights = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 30), min_size=1)


def history(*changes: tuple[dict[str, int], TrafficReason]) -> list[TrafficChange]:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return [TrafficChange(traffic=traffic, at=at, actor="ann", reason=reason) for traffic, reason in changes]


@given(weights)
def test_in_a_round_each_deployment_comes_exactly_by_its_weight(split: dict[str, int]) -> None:
    turns = SmoothWeighted(split)

    counts = Counter(turns.next() for _ in range(sum(split.values())))

    assert counts == split


def test_turns_are_mixed_and_nothing_comes_of_nothing() -> None:
    turns = SmoothWeighted({"a": 2, "b": 1, "c": 0})

    assert "".join(turns.next() or "" for _ in range(6)) == "abaaba"
    assert SmoothWeighted({}).next() is None


@given(weights, st.integers(0, 100))
def test_a_newcomer_takes_its_share_and_the_others_keep_their_proportions(raw: dict[str, int], percent: int) -> None:
    current = traffic_without({"gone": 100}, "gone", sorted(raw))

    split = traffic_with(current, "new", percent)

    assert sum(split.values()) == 100
    assert split.get("new", 0) == percent
    others = [split.get(name, 0) for name in current]
    assert max(others) - min(others) <= 2


def test_the_first_takes_all_and_a_later_one_nothing_by_default() -> None:
    assert traffic_with({}, "a", None) == {"a": 100}
    assert traffic_with({"a": 100}, "b", None) == {"a": 100}
    with pytest.raises(InvalidTrafficError, match="nothing else to take the rest"):
        traffic_with({}, "a", 10)


def test_who_goes_leaves_its_share_to_the_others() -> None:
    assert traffic_without({"a": 60, "b": 30, "c": 10}, "a", ["b", "c"]) == {"b": 75, "c": 25}
    assert traffic_without({"a": 100}, "a", ["b", "c"]) == {"b": 50, "c": 50}
    assert traffic_without({"a": 100}, "b", ["a"]) == {"a": 100}
    assert traffic_without({"a": 100}, "a", []) == {}


def test_all_that_is_wrong_with_a_split_is_told_at_once() -> None:
    with pytest.raises(InvalidTrafficError) as caught:
        check_traffic("flights", {"a": 150, "b": 2.5, "c": 10, "d": -1}, UP)

    assert caught.value.faults == (
        "'a': 150 is not within 0 to 100",
        "'b': 2.5 is no whole number of percent",
        "'c' is starting: wait until it is healthy",
        "'d': -1 is not within 0 to 100",
        "'d' is not deployed there",
        "the shares sum to 161.5, not 100",
    )
    assert "Deployed there: a, b, c." in str(caught.value)
    check_traffic("flights", {"a": 90, "b": 10, "c": 0}, UP)


def test_rolling_back_again_goes_further_back() -> None:
    deployed, shifted, back = TrafficReason.DEPLOYED, TrafficReason.SHIFTED, TrafficReason.ROLLED_BACK
    one, canary, two = {"a": 100}, {"a": 90, "b": 10}, {"b": 100}
    steps = [(one, deployed), (canary, shifted), (two, shifted)]

    assert previous_split(history()) is None
    assert previous_split(history(*steps[:1])) is None
    assert previous_split(history(*steps)) == canary
    assert previous_split(history(*steps, (canary, back))) == one
    assert previous_split(history(*steps, (canary, back), (one, back))) is None
    assert previous_split(history(*steps, (canary, back), (two, shifted))) == canary
    assert previous_split(history(*steps, (two, shifted))) == canary
