"""Types that a step can take, from annotation to JSON and back."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cloudmlops as cm
from cloudmlops.domain.value_types import Kind, ValueType, decode, encode, from_json, parse, to_json, value_type

TEXT = ValueType(kind=Kind.STR)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, ValueType(kind=Kind.INT)),
        (list[str], ValueType(kind=Kind.LIST, items=TEXT)),
        (dict[str, Any], ValueType(kind=Kind.DICT)),
        (list[list[str]], ValueType(kind=Kind.LIST, items=ValueType(kind=Kind.LIST, items=TEXT))),
        (int | None, ValueType(kind=Kind.INT, optional=True)),
        (Optional[date], ValueType(kind=Kind.DATE, optional=True)),  # noqa: UP045 the older spelling
        (Path, ValueType(kind=Kind.PATH)),
        (cm.Metrics, ValueType(kind=Kind.METRICS)),
        (pa.Table, ValueType(kind=Kind.DATASET, form="arrow")),
        (pd.DataFrame, ValueType(kind=Kind.DATASET, form="pandas")),
        (pl.DataFrame, ValueType(kind=Kind.DATASET, form="polars")),
        (complex, None),
        (int | str, None),
        (dict[int, str], None),
        (list[cm.Model], None),
        (cm.Model | None, None),
    ],
    ids=str,
)
def test_a_type_is_read_from_its_annotation(annotation: object, expected: ValueType | None) -> None:
    assert value_type(annotation) == expected
    assert expected is None or from_json(to_json(expected)) == expected


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (int, st.integers()),
        (float, st.floats(allow_nan=False)),
        (bool, st.booleans()),
        (str, st.text()),
        (date, st.dates()),
        (datetime, st.datetimes(timezones=st.just(UTC))),
        (list[date], st.lists(st.dates())),
        (dict[str, list[float]], st.dictionaries(st.text(), st.lists(st.floats(allow_nan=False)))),
        (int | None, st.none() | st.integers()),
        (list, st.recursive(st.lists(st.integers() | st.text()), st.lists)),
    ],
    ids=str,
)
@given(data=st.data())
def test_a_value_comes_back_from_json_as_it_was(annotation: object, values: st.SearchStrategy[Any], data: Any) -> None:
    import json

    kind = value_type(annotation)
    assert kind is not None
    value = data.draw(values)

    assert decode(json.loads(json.dumps(encode(value, kind))), kind) == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, True),
        (int, 1.0),
        (float, True),
        (str, 1),
        (date, datetime(2013, 1, 1, tzinfo=UTC)),
        (list[int], ["1"]),
        (list, [{1}]),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_refused(annotation: object, value: object) -> None:
    kind = value_type(annotation)
    assert kind is not None

    with pytest.raises(TypeError, match=r"expected|is not JSON"):
        encode(value, kind)


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "3", 3),
        (float, "3", 3.0),
        (str, "3", "3"),
        (bool, "true", True),
        (date, "2013-01-02", date(2013, 1, 2)),
        (list[int], "[1, 2]", [1, 2]),
        (int | None, "null", None),
    ],
    ids=str,
)
def test_a_value_is_read_from_a_command_line(annotation: object, text: str, value: object) -> None:
    kind = value_type(annotation)
    assert kind is not None

    assert parse(text, kind) == value


@pytest.mark.parametrize(
    ("annotation", "text"), [(int, "x"), (int, "1.5"), (date, "soon"), (bool, "1"), (list[int], '["a"]')], ids=str
)
def test_a_text_that_is_no_such_value_is_refused(annotation: object, text: str) -> None:
    kind = value_type(annotation)
    assert kind is not None

    with pytest.raises(TypeError, match="expected"):
        parse(text, kind)


def test_a_number_of_numpy_is_a_number() -> None:
    assert encode(np.int64(3), ValueType(kind=Kind.INT)) == 3
    assert encode(np.float32(0.5), ValueType(kind=Kind.FLOAT)) == 0.5
