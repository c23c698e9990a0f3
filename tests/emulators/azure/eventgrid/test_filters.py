from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.emulators.azure.eventgrid.filters import check_filter, fits, lookup, wanted
from cloudmlops.emulators.core.faults import Refused

EVENT: dict[str, Any] = {
    "id": "1",
    "topic": "/subscriptions/S/topics/T",
    "subject": "models/Churn:3",
    "eventType": "Microsoft.MachineLearningServices.ModelRegistered",
    "eventTime": "2026-03-01T12:00:00Z",
    "dataVersion": "2",
    "data": {
        "ModelName": "Churn",
        "ModelVersion": 3,
        "ModelTags": {"stage": "prod", "live": True},
        "score": 0.1,
        "none": None,
        "numbers": [1, 5, "7", None],
        "texts": ["Red", "green", 3],
        "empty": [],
    },
}
CLOUD = {
    "specversion": "1.0",
    "type": "t",
    "source": "/s",
    "id": "9",
    "subject": "x",
    "priority": 5,
    "data": {"a": "b"},
}


def one(operator: str, key: str, value: Any = None) -> dict[str, Any]:
    several = isinstance(value, list)
    return {"operatorType": operator, "key": key, **({"values": value} if several else {"value": value})}


# What Microsoft's page says of each operator: key, value, whether it fits.
TABLE = [
    ("NumberIn", "data.ModelVersion", [5, 3], True),
    ("NumberIn", "data.ModelVersion", [5, 1], False),
    ("NumberIn", "data.ModelName", [5, 1], False),
    ("NumberIn", "data.missing", [5], False),
    ("NumberNotIn", "data.ModelVersion", [41, 0], True),
    ("NumberNotIn", "data.ModelVersion", [3], False),
    ("NumberNotIn", "data.missing", [3], True),
    ("NumberNotIn", "data.none", [3], True),
    ("NumberLessThan", "data.ModelVersion", 4, True),
    ("NumberLessThan", "data.ModelVersion", 3, False),
    ("NumberLessThan", "data.missing", 3, False),
    ("NumberGreaterThan", "data.ModelVersion", 2, True),
    ("NumberGreaterThan", "data.ModelVersion", 3, False),
    ("NumberLessThanOrEquals", "data.ModelVersion", 3, True),
    ("NumberGreaterThanOrEquals", "data.ModelVersion", 3, True),
    ("NumberGreaterThanOrEquals", "data.ModelVersion", 3.5, False),
    ("NumberIn", "data.score", [0.1], True),
    ("NumberInRange", "data.score", [[3.14159, 999.95], [0.1, 0.2]], True),
    ("NumberInRange", "data.score", [[3.14159, 999.95]], False),
    ("NumberNotInRange", "data.score", [[3.14159, 999.95]], True),
    ("NumberNotInRange", "data.score", [[0, 1]], False),
    ("BoolEquals", "data.ModelTags.live", True, True),
    ("BoolEquals", "data.ModelTags.live", False, False),
    ("BoolEquals", "data.ModelVersion", True, False),
    ("BoolEquals", "data.missing", False, False),
    ("NumberIn", "data.ModelTags.live", [1], False),
    ("StringContains", "Subject", ["churn", "other"], True),
    ("StringContains", "Subject", ["nothing"], False),
    ("StringNotContains", "Subject", ["nothing"], True),
    ("StringNotContains", "Subject", ["churn"], False),
    ("StringNotContains", "data.missing", ["x"], False),
    ("StringBeginsWith", "subject", ["MODELS/"], True),
    ("StringNotBeginsWith", "subject", ["models/"], False),
    ("StringNotBeginsWith", "data.missing", ["models/"], False),
    ("StringEndsWith", "subject", [":3"], True),
    ("StringNotEndsWith", "subject", [":3"], False),
    ("StringNotEndsWith", "subject", [":4"], True),
    ("StringIn", "data.ModelTags.stage", ["PROD"], True),
    ("StringIn", "data.ModelTags.stage", ["pro"], False),
    ("StringIn", "data.modeltags.stage", ["prod"], True),
    ("StringIn", "data.ModelVersion", ["3"], False),
    ("StringNotIn", "data.ModelTags.stage", ["dev"], True),
    ("StringNotIn", "data.ModelTags.stage", ["prod"], False),
    ("StringNotIn", "data.missing", ["prod"], True),
    ("IsNullOrUndefined", "data.missing", None, True),
    ("IsNullOrUndefined", "data.none", None, True),
    ("IsNullOrUndefined", "data.ModelName", None, False),
    ("IsNotNull", "data.ModelName", None, True),
    ("IsNotNull", "data.none", None, False),
    ("IsNotNull", "data.missing", None, False),
    ("StringIn", "ID", ["1"], True),
    ("StringContains", "EventType", ["modelregistered"], True),
    ("StringIn", "DataVersion", ["2"], True),
    ("StringContains", "Topic", ["/topics/t"], True),
]


@pytest.mark.parametrize(("operator", "key", "value", "expected"), TABLE, ids=range(len(TABLE)))
def test_each_operator_does_as_documented(operator: str, key: str, value: Any, expected: bool) -> None:
    assert fits(one(operator, key, value), EVENT) is expected


ARRAYS = [
    ("NumberIn", "data.numbers", [5], True),
    ("NumberIn", "data.numbers", [7], False),
    ("NumberNotIn", "data.numbers", [5], False),
    ("NumberNotIn", "data.numbers", [7], True),
    ("NumberLessThan", "data.numbers", 2, True),
    ("NumberGreaterThan", "data.numbers", 5, False),
    ("StringIn", "data.texts", ["RED"], True),
    ("StringNotContains", "data.texts", ["blue"], True),
    ("StringNotContains", "data.texts", ["ree"], False),
    ("StringIn", "data.empty", ["x"], False),
    ("StringNotIn", "data.empty", ["x"], True),
]


@pytest.mark.parametrize(("operator", "key", "value", "expected"), ARRAYS, ids=range(len(ARRAYS)))
def test_values_of_an_array_are_looked_at_one_by_one_where_that_is_asked_for(
    operator: str, key: str, value: Any, expected: bool
) -> None:
    assert fits(one(operator, key, value), EVENT, arrays=True) is expected
    assert fits(one(operator, key, value), EVENT) is False


@pytest.mark.parametrize(
    ("key", "value"),
    [("id", ["9"]), ("EventId", ["9"]), ("source", ["/S"]), ("type", ["T"]), ("EventType", ["t"]), ("priority", ["5"])],
)
def test_cloud_events_are_known_by_their_attributes_and_extensions(key: str, value: list[str]) -> None:
    assert fits(one("StringIn", key, value), CLOUD)


@given(st.integers(), st.lists(st.integers(), min_size=1, max_size=5))
def test_a_negation_is_the_opposite_where_there_is_a_value(value: int, references: list[int]) -> None:
    event = {"data": {"n": value, "s": str(value)}}
    ranges = [[bound, bound + 10] for bound in references]
    texts = [str(bound) for bound in references]
    for positive, negative, key, values in (
        ("NumberIn", "NumberNotIn", "data.n", references),
        ("NumberInRange", "NumberNotInRange", "data.n", ranges),
        ("StringIn", "StringNotIn", "data.s", texts),
        ("StringContains", "StringNotContains", "data.s", texts),
        ("StringBeginsWith", "StringNotBeginsWith", "data.s", texts),
        ("StringEndsWith", "StringNotEndsWith", "data.s", texts),
    ):
        assert fits(one(positive, key, values), event) is not fits(one(negative, key, values), event)


@given(st.integers(), st.integers())
def test_numbers_are_ordered_as_numbers(value: int, reference: int) -> None:
    event = {"data": {"n": value}}

    assert fits(one("NumberLessThan", "data.n", reference), event) is (value < reference)
    assert fits(one("NumberLessThanOrEquals", "data.n", reference), event) is (value <= reference)
    assert fits(one("NumberGreaterThan", "data.n", reference), event) is (value > reference)
    assert fits(one("NumberGreaterThanOrEquals", "data.n", reference), event) is (value >= reference)


@given(st.text(), st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_one_of_several_values_is_enough(text: str, values: list[str]) -> None:
    event = {"data": {"s": text}}
    alone = [fits(one("StringContains", "data.s", [value]), event) for value in values]

    assert fits(one("StringContains", "data.s", values), event) is any(alone)


def test_all_filters_must_fit() -> None:
    both = [one("NumberIn", "data.ModelVersion", [3]), one("StringIn", "data.ModelTags.stage", ["prod"])]

    assert wanted({"advancedFilters": both}, EVENT)
    assert not wanted({"advancedFilters": [*both, one("NumberIn", "data.ModelVersion", [4])]}, EVENT)


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        pytest.param({}, True, id="none"),
        pytest.param({"subjectBeginsWith": "MODELS/", "subjectEndsWith": ":3"}, True, id="any case"),
        pytest.param({"subjectBeginsWith": "MODELS/", "isSubjectCaseSensitive": True}, False, id="case"),
        pytest.param({"subjectBeginsWith": "models/", "isSubjectCaseSensitive": True}, True, id="same case"),
        pytest.param({"subjectEndsWith": ":4"}, False, id="end"),
        pytest.param({"includedEventTypes": ["Microsoft.MachineLearningServices.ModelRegistered"]}, True, id="type"),
        pytest.param({"includedEventTypes": ["Microsoft.MachineLearningServices.RunCompleted"]}, False, id="another"),
        pytest.param({"includedEventTypes": ["All"]}, True, id="all"),
    ],
)
def test_types_and_subjects_are_filtered(filter_: dict[str, Any], expected: bool) -> None:
    assert wanted(filter_, EVENT) is expected


def test_what_is_not_there_is_the_default() -> None:
    assert lookup(EVENT, "data.ModelName.deeper", "default") == "default"


@pytest.mark.parametrize(
    "filters",
    [
        pytest.param([one("NumberIn", "k", [1])] * 26, id="filters"),
        pytest.param([one("NumberIn", "k", list(range(26)))], id="values"),
        pytest.param([one("StringIn", "k", ["x" * 513])], id="long"),
        pytest.param([one("StringLike", "k", ["x"])], id="operator"),
        pytest.param([one("StringIn", "k", [1])], id="kind"),
        pytest.param([one("NumberInRange", "k", [[1]])], id="range"),
        pytest.param([one("BoolEquals", "k", "true")], id="bool"),
        pytest.param([one("StringIn", "", ["x"])], id="key"),
        pytest.param([one("StringIn", "k", [])], id="empty"),
    ],
)
def test_filters_have_limits(filters: list[dict[str, Any]]) -> None:
    with pytest.raises(Refused):
        check_filter({"advancedFilters": filters})


def test_a_range_counts_as_one_value() -> None:
    check_filter({"advancedFilters": [one("NumberInRange", "k", [[n, n + 1] for n in range(25)])]})
