"""The functions that are ours, against models that are plain Python."""

from __future__ import annotations

import json
import math
import struct
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cloudmlops.emulators.google.bigquery.library import characters, json_values, moments
from cloudmlops.emulators.google.bigquery.library.fingerprints import farm_fingerprint
from cloudmlops.emulators.google.bigquery.library.formatting import formatted
from cloudmlops.emulators.google.bigquery.library.quantiles import discrete, places, weights
from cloudmlops.emulators.google.bigquery.library.typed_values import float_text, kind_of, quoted
from cloudmlops.emulators.google.bigquery.warehouse import Warehouse

INT64 = st.integers(-(2**63), 2**63 - 1)
NUMERIC = st.decimals(-(10**18), 10**18, allow_nan=False, allow_infinity=False, places=9)
FLOAT64 = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def warehouse() -> Any:
    made = Warehouse(None)
    yield made
    made.close()


def value(warehouse: Warehouse, sql: str) -> Any:
    warehouse.define_functions(sql)
    with warehouse.reading() as cursor:
        return cursor.execute(f"SELECT {sql}").fetchall()[0][0]


def signed(number: int) -> int:
    number %= 2**64
    return number - 2**64 if number >= 2**63 else number


def big(number: int) -> str:
    return f"CAST('{number}' AS BIGINT)"


PRINTS = {
    0: -7286425919675154353,
    1: -4701585644151464565,
    4: -880473496457938030,
    8: 907454142650066470,
    9: -1937406006033793025,
    16: 9140634717936656744,
    17: -3940209979914493657,
    32: -3371788386236896448,
    33: -8460624746156102546,
    64: 8844775122099644460,
    65: 6633812197908283869,
    128: -3581407688530122846,
    129: -7456182059069730797,
    200: 2051187048007536991,
}


@pytest.mark.parametrize(("size", "known"), PRINTS.items())
def test_a_fingerprint_is_that_of_farmhash(size: int, known: int) -> None:
    assert farm_fingerprint(bytes((7 * place + 3) % 128 for place in range(size))) == known


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=INT64, b=INT64, count=st.integers(0, 70))
def test_bits_are_those_of_unsigned_numbers(warehouse: Warehouse, a: int, b: int, count: int) -> None:
    expected = {
        f"__bit_and({big(a)}, {big(b)})": a & b,
        f"__bit_or({big(a)}, {big(b)})": a | b,
        f"__bit_xor({big(a)}, {big(b)})": a ^ b,
        f"__bit_not({big(a)})": ~a,
        f"__bit_count({big(a)})": (a % 2**64).bit_count(),
        f"__shift_left({big(a)}, {big(count)})": signed((a % 2**64) << count),
        f"__shift_right({big(a)}, {big(count)})": signed((a % 2**64) >> count),
    }
    assert value(warehouse, f"[{', '.join(expected)}]") == list(expected.values())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=NUMERIC, b=NUMERIC, digits=st.integers(-10, 12))
def test_numeric_is_exact_to_its_ninth_digit(warehouse: Warehouse, a: Decimal, b: Decimal, digits: int) -> None:
    with localcontext(prec=80):
        x, y = (f"CAST('{number}' AS DECIMAL(38,9))" for number in (a, b))
        kept = min(digits, 9)
        step = Decimal(1).scaleb(-kept)
        expected = {
            f"__round({x}, {big(digits)})": a.quantize(step, ROUND_HALF_UP),
            f"__trunc({x}, {big(digits)})": a.quantize(step, ROUND_DOWN),
        }
        if b:
            ninth = (a / b).quantize(Decimal("1e-9"), ROUND_HALF_UP)
            assume(abs(ninth) < Decimal(10) ** 29)
            expected[f"__div({x}, {y})"] = ninth
            expected[f"__safe_div({x}, {y})"] = ninth
        assert value(warehouse, f"[{', '.join(expected)}]") == list(expected.values())


@given(number=INT64, width=st.integers(0, 25), flags=st.sampled_from(["", "-", "0", "+", " ", "+0", "-+"]))
def test_whole_numbers_are_formatted_as_printf_does(number: int, width: int, flags: str) -> None:
    pattern = f"%{flags}{width or ''}d"
    assert formatted(pattern, ["BIGINT"], [str(number)]) == pattern % number


@given(
    number=FLOAT64,
    width=st.integers(0, 25),
    precision=st.integers(0, 12),
    flags=st.sampled_from(["", "-", "0", "+", " ", "#"]),
    kind=st.sampled_from("feEgG"),
)
def test_floats_are_formatted_as_printf_does(number: float, width: int, precision: int, flags: str, kind: str) -> None:
    pattern = f"%{flags}{width or ''}.{precision}{kind}"
    assert formatted(pattern, ["DOUBLE"], [json.dumps(number)]) == pattern % number


@given(number=FLOAT64)
def test_a_float_is_written_so_that_it_is_read_back(number: float) -> None:
    assert struct.pack("d", float(float_text(number))) == struct.pack("d", number)


def test_a_float_is_written_in_powers_of_ten_where_documented() -> None:
    assert [float_text(number) for number in (0.0, 1.5, 1e14, 9007199254740992.0, 1e20, 1e-4, 1e-5, -math.inf)] == [
        "0",
        "1.5",
        "100000000000000",
        "9.007199254740992e+15",
        "1e+20",
        "0.0001",
        "1e-05",
        "-inf",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(document=JSON)
def test_json_is_itself_after_parsing_and_querying(document: Any) -> None:
    text = json.dumps(document)
    assert json.loads(json_values.parsed(text, "exact")) == document
    found = json_values.queried(text, "$")
    assert found is None if document is None else json.loads(str(found)) == document


@given(names=st.dictionaries(st.text("ab", min_size=1), st.integers(), min_size=1))
def test_a_path_finds_what_is_there(names: dict[str, int]) -> None:
    text = json.dumps({"list": [names]})
    for name, number in names.items():
        assert json_values.scalar(text, f"$.list[0].{name}") == str(number)
        assert json_values.scalar(text, f"$['list'][0]['{name}']") == str(number)
    assert json_values.scalar(text, "$.list[1]") is None


@given(text=st.text())
def test_a_text_in_json_is_read_back(text: str) -> None:
    assert json.loads(quoted(text)) == text


def test_the_types_of_nested_values_are_read() -> None:
    kind = kind_of('STRUCT(a BIGINT, "b ""c" VARCHAR[], d STRUCT(e DECIMAL(38,9), f TIMESTAMP WITH TIME ZONE)[])')

    assert [name for name, _ in kind.fields] == ["a", 'b "c', "d"]
    inner = kind.fields[2][1].element
    assert inner is not None
    assert [(name, one.name) for name, one in inner.fields] == [
        ("e", "DECIMAL(38,9)"),
        ("f", "TIMESTAMP WITH TIME ZONE"),
    ]


MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(  # noqa: DTZ001 made aware here
    lambda moment: moment.replace(tzinfo=UTC)
)


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@given(moment=MOMENTS, zone=st.sampled_from(["UTC", "+05:30", "-03"]))
def test_what_is_formatted_is_parsed_back(moment: datetime, zone: str) -> None:
    pattern = "%E4Y-%m-%dT%H:%M:%E*S %Ez"
    text = moments.formatted(pattern, micros(moment), zone, "TIMESTAMP")

    assert moments.parsed(pattern, text, "UTC", "TIMESTAMP") == micros(moment)


@given(moment=st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 30)))  # noqa: DTZ001 a DATETIME has no zone
def test_elements_are_those_of_strftime(moment: datetime) -> None:
    pattern = "%a %A %b %B %d %H %I %j %m %M %p %S %U %u %V %W %w %y %%"

    made = moments.formatted(pattern, micros(moment.replace(tzinfo=UTC)), "UTC", "DATETIME")

    assert made == moment.strftime(pattern)


@given(count=st.integers(1, 200), parts=st.integers(1, 50))
def test_quantiles_begin_with_the_least_and_end_with_the_greatest(count: int, parts: int) -> None:
    made = places(count, parts)

    assert (made[0], made[-1], len(made)) == (1, count, parts + 1)
    assert made == sorted(made)


@given(count=st.integers(1, 200), percentile=st.floats(0, 1))
def test_a_percentile_is_between_its_neighbours(count: int, percentile: float) -> None:
    found = weights(count, percentile)
    assert found is not None
    place, left, right = found

    assert left + right == 1
    assert place - 1 + right == pytest.approx(percentile * (count - 1), abs=1e-9)
    first = discrete(count, percentile)
    assert first is not None
    assert Fraction(first, count) >= Fraction(percentile)
    assert first == 1 or Fraction(first - 1, count) < Fraction(percentile)


@given(one=st.text("abc", max_size=6), other=st.text("abc", max_size=6))
def test_a_distance_is_the_least_number_of_edits(one: str, other: str) -> None:
    def least(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        return min(least(a[1:], b) + 1, least(a, b[1:]) + 1, least(a[1:], b[1:]) + (a[0] != b[0]))

    assert characters.edit_distance(one, other, 100) == least(one, other)


@given(
    text=st.text("ab", max_size=8),
    part=st.text("ab", max_size=3),
    start=st.integers(1, 9),
    occurrence=st.integers(1, 4),
)
def test_an_occurrence_is_found_from_either_end(text: str, part: str, start: int, occurrence: int) -> None:
    found = [at for at in range(len(text) - len(part) + 1) if text.startswith(part, at)]
    later = [at + 1 for at in found if at >= start - 1]
    before = [at + 1 for at in reversed(found) if at <= len(text) - start + (0 if part else 1)]

    assert characters.instr(text, part, start, occurrence) == (later[occurrence - 1 : occurrence] or [0])[0]
    assert characters.instr(text, part, -start, occurrence) == (before[occurrence - 1 : occurrence] or [0])[0]


def test_a_function_is_known_to_a_database_only_after_it_was_needed() -> None:
    warehouse = Warehouse(None)
    names = "SELECT count(*) FROM duckdb_functions() WHERE function_name = '__python_farm'"
    with warehouse.reading() as cursor:
        before = cursor.execute(names).fetchall()
    assert value(warehouse, "__farm_fingerprint('a')") == -5528939962900187677
    with warehouse.reading() as cursor:
        after = cursor.execute(names).fetchall()
    warehouse.close()

    assert (before, after) == ([(0,)], [(1,)])
