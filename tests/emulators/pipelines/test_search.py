"""The points that trials get."""

from __future__ import annotations

from typing import Any

from google.cloud import aiplatform_v1 as v1
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudmlops.emulators.google.aiplatform.pipelines.search import Parameter, Search

_SCALES = ("UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE")
_places = st.floats(0, 1)
_positive = st.floats(1e-6, 1e6)


def _study(*parameters: dict[str, Any], algorithm: str = "RANDOM_SEARCH") -> Any:
    spec = v1.StudySpec(
        metrics=[{"metric_id": "a", "goal": "MAXIMIZE"}], parameters=list(parameters), algorithm=algorithm
    )
    return v1.StudySpec.pb(spec)


@settings(max_examples=200)
@given(ends=st.tuples(_positive, _positive), places=st.tuples(_places, _places), scale=st.sampled_from(_SCALES))
def test_a_scale_keeps_the_range_and_the_order_and_is_undone(
    ends: tuple[float, float], places: tuple[float, float], scale: str
) -> None:
    parameter = Parameter(name="x", low=min(ends), high=max(ends), scale=scale)
    low, high = (float(parameter.at(place)) for place in sorted(places))

    assert parameter.low <= low <= high <= parameter.high
    again = float(parameter.at(min(max(parameter.place(low), 0), 1)))
    assert abs(again - low) <= 1e-6 * (parameter.high - parameter.low) + 1e-9 * parameter.high


def test_scales_spread_out_the_end_that_they_are_for() -> None:
    middles = [float(Parameter(name="x", low=1, high=10_000, scale=scale).at(0.5)) for scale in _SCALES]

    assert [round(middle) for middle in middles] == [5000, 100, 9901]


@given(low=st.integers(-50, 50), width=st.integers(0, 100), place=_places)
def test_whole_numbers_are_whole_and_in_their_range(low: int, width: int, place: float) -> None:
    value = Parameter(name="x", low=low, high=low + width, whole=True).at(place)

    assert float(value).is_integer()
    assert low <= float(value) <= low + width


def test_each_whole_number_is_as_likely_as_the_others() -> None:
    parameter = Parameter(name="x", low=1, high=4, whole=True)

    assert [parameter.at((place + 0.5) / 8) for place in range(8)] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_the_same_study_has_the_same_points_and_another_has_others() -> None:
    ranges = [{"parameter_id": "x", "double_value_spec": {"min_value": 0, "max_value": top}} for top in (1, 1, 2)]
    points = [[Search(_study(one)).next(number, None) for number in range(1, 20)] for one in ranges]

    assert points[0] == points[1]
    assert [{"x": 2 * float(point["x"])} for point in points[0] if point] != points[2]
    assert len({str(point) for point in points[0]}) == 19


@settings(max_examples=50)
@given(best=st.floats(0.001, 1000), number=st.integers(1, 100))
def test_what_is_varied_stays_in_its_space(best: float, number: int) -> None:
    search = Search(
        _study(
            {
                "parameter_id": "rate",
                "double_value_spec": {"min_value": 0.001, "max_value": 1000},
                "scale_type": "UNIT_LOG_SCALE",
            },
            {"parameter_id": "depth", "integer_value_spec": {"min_value": 1, "max_value": 9}},
            {"parameter_id": "units", "discrete_value_spec": {"values": [8, 16, 32]}},
            {"parameter_id": "kind", "categorical_value_spec": {"values": ["a", "b"]}},
            algorithm="ALGORITHM_UNSPECIFIED",
        )
    )

    point = search.next(number, {"rate": best, "depth": 9.0, "units": 8.0, "kind": "b"})

    assert point is not None
    assert 0.001 <= float(point["rate"]) <= 1000
    assert point["depth"] in range(1, 10)
    assert point["units"] in (8, 16, 32)
    assert point["kind"] in ("a", "b")
