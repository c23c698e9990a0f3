"""FLOAT64 that is too large fails; NaN is like nothing, but one group."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError
from google.cloud import bigquery
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.emulators.google.bigquery.library.cube_roots import cube_root
from cloudmlops.emulators.google.bigquery.library.recomputing import recomputed

NAN = "CAST('nan' AS FLOAT64)"
INF = "CAST('inf' AS FLOAT64)"
OF_X = "FROM UNNEST([1e308]) AS x"

TOO_LARGE = [
    "SELECT 1e308 * 10",
    "SELECT 1e308 + 1e308",
    "SELECT -1e308 - 1e308",
    "SELECT 1e308 / 0.1",
    f"SELECT x * 10 {OF_X}",
    f"SELECT x * 10 + 1 {OF_X}",
    f"SELECT x * 10 + {INF} {OF_X}",
    f"SELECT 1 / (x * 10) {OF_X}",
    f"SELECT 1 / (x * 10 + 1) {OF_X}",
    f"SELECT CAST(NULL AS FLOAT64) + (x * 10 - 1) {OF_X}",
    f"SELECT -(x * 10) {OF_X}",
    f"SELECT x {OF_X} WHERE x * 10 + 1 > 0",
    f"SELECT x * 10 + 1, COUNT(*) {OF_X} GROUP BY x * 10 + 1",
    f"SELECT SUM(x * 10 + 1) {OF_X}",
    "SELECT (SELECT 1e308) * 10",
    "SELECT (SELECT 1e308) * 10 + 1",
    "SELECT SUM(x) FROM UNNEST([1e308, 1e308]) AS x",
    "SELECT SUM(x) FROM UNNEST([1e308, 1e308, -1e308]) AS x",
    "SELECT SUM(x) OVER () FROM UNNEST([1e308, 1e308]) AS x",
    "SELECT SUM(x) / COUNT(*) FROM UNNEST([1e308, 1e308]) AS x",
    f"SELECT MAX(x) * 10 + MIN(x) {OF_X}",
    f"SELECT SUM(x) OVER () * 10 + 1 {OF_X}",
]


@pytest.mark.parametrize("query", TOO_LARGE)
def test_what_is_too_large_is_an_error_and_not_infinite(client: bigquery.Client, query: str) -> None:
    with pytest.raises(BadRequest, match="double overflow"):
        client.query_and_wait(query)


FINITE: list[tuple[str, Any]] = [
    (f"SELECT {INF} * 2 + 1", math.inf),
    (f"SELECT {INF} + x {OF_X}", math.inf),
    (f"SELECT 1 / ({INF} + x) {OF_X}", 0.0),
    (f"SELECT SUM(x) FROM UNNEST([1e308, {INF}]) AS x", math.inf),
    ("SELECT SUM(DISTINCT x) FROM UNNEST([1e308, 1e308]) AS x", 1e308),
    ("SELECT SUM(x) FROM UNNEST([1, 2]) AS x", 3),
    ("SELECT IF(FALSE, 1e308 * 10 + 1, 0)", 0.0),
    ("SELECT IF(x > 2, x * 1e308 + 1, 0) FROM UNNEST([1]) AS x", 0.0),
    ("SELECT SAFE_DIVIDE(1e308, 0.1)", None),
    ("SELECT SAFE_MULTIPLY(1e308, 10.0)", None),
    ("SELECT IEEE_DIVIDE(1e308, 0.1)", math.inf),
    ("SELECT CAST('1e400' AS FLOAT64)", math.inf),  # as the parser of numbers in ZetaSQL's source has it
    ("SELECT (x + 1.5) * 2 - x / 4 FROM UNNEST([2]) AS x", 6.5),
    ("SELECT -(x + 1.5) * -x FROM UNNEST([2]) AS x", 7.0),
    ("SELECT x * 2 + 1 FROM UNNEST([4611686018427387000]) AS x", 9223372036854774001),
    ("SELECT (x - AVG(x) OVER ()) / STDDEV(x) OVER () + 1 FROM UNNEST([1.0, 2.0, 3.0]) AS x ORDER BY 1 LIMIT 1", 0.0),
    ("SELECT RAND() * 2 + 1 BETWEEN 1 AND 3", True),
    ("SELECT DATE '2020-01-01' + 1 + 1 = DATE '2020-01-03'", True),
    ("SELECT (a + b + a) * 2 FROM (SELECT 1.0 AS a, 2 AS b) GROUP BY a + b + a", 8.0),
    ("SELECT SUM(a) / SUM(b) * 100 FROM (SELECT 1 AS a, 4.0 AS b)", 25.0),
    ("SELECT ROW_NUMBER() OVER (PARTITION BY a + 2 * a ORDER BY a * 3 - 1) FROM (SELECT 1.0 AS a)", 1),
    ("SELECT VAR_POP(x) FROM UNNEST([1.0, 3.0]) AS x", 1.0),
]


@pytest.mark.parametrize(("query", "value"), FINITE, ids=[case[0] for case in FINITE])
def test_what_is_not_too_large_is_what_it_is(client: bigquery.Client, query: str, value: Any) -> None:
    [[found]] = client.query_and_wait(query)

    assert found == value


@pytest.mark.parametrize(
    "expression", ["AVG(x)", "STDDEV(x)", "VAR_SAMP(x)", "COVAR_POP(x, x)", "AVG(x) OVER (ORDER BY x)"]
)
def test_aggregates_that_duckdb_computes_too_large_are_refused(client: bigquery.Client, expression: str) -> None:
    with pytest.raises(GoogleAPICallError, match="this aggregate of FLOAT64 so large is not emulated"):
        client.query_and_wait(f"SELECT {expression} FROM UNNEST([1e308, 1.5e308, -1.5e308, 1.5e308]) AS x")


def test_rounding_that_could_be_too_large_is_refused(client: bigquery.Client) -> None:
    with pytest.raises(GoogleAPICallError, match="ROUND of FLOAT64 to so few digits is not emulated"):
        client.query_and_wait("SELECT ROUND(1.7976e308, -308)")


def test_division_by_zero_within_a_longer_expression_is_an_error(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="division by zero"):
        client.query_and_wait("SELECT 1 / (x - x) + 1 FROM UNNEST([1.5]) AS x")


def test_whole_numbers_that_are_too_large_in_a_longer_expression_are_an_error(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="int64 overflow"):
        client.query_and_wait("SELECT x * 2 + 1 + x FROM UNNEST([4611686018427387903]) AS x")


def test_a_sum_of_sixty_columns_is_planned(client: bigquery.Client) -> None:
    names = [f"c{place}" for place in range(60)]
    columns = ", ".join(f"{place}.5 AS {name}" for place, name in enumerate(names))

    [[found]] = client.query_and_wait(f"SELECT {' + '.join(names)} FROM (SELECT {columns})")

    assert found == sum(place + 0.5 for place in range(60))


@given(st.lists(st.floats(), min_size=3, max_size=3), st.sampled_from(["+", "-", "*", "/"]))
def test_recomputed_arithmetic_fails_only_where_finite_numbers_give_none(values: list[float], sign: str) -> None:
    try:
        expected = {"+": values[0] + values[1], "-": values[0] - values[1], "*": values[0] * values[1]}.get(
            sign, values[0] / values[1] if values[1] else math.nan
        )
    except OverflowError:
        expected = math.inf
    fails = (sign == "/" and values[1] == 0) or (not math.isfinite(expected) and all(map(math.isfinite, values[:2])))
    if fails:
        with pytest.raises(ValueError, match=r"overflow|division"):
            recomputed(f"0 1 {sign}", values)
    else:
        found = recomputed(f"0 1 {sign}", values)
        assert found == expected or (math.isnan(expected) and math.isnan(found or 0.0))


ROWS: list[tuple[str, list[tuple[Any, ...]]]] = [
    (f"SELECT COUNT(*) FROM (SELECT {NAN} AS x) AS a JOIN (SELECT {NAN} AS x) AS b USING (x)", [(0,)]),
    (f"SELECT b.y FROM (SELECT {NAN} AS x) AS a LEFT JOIN (SELECT {NAN} AS x, 1 AS y) AS b USING (x)", [(None,)]),
    ("SELECT * FROM (SELECT 1.5 AS x, 2 AS y) AS a JOIN (SELECT 1.5 AS x, 3 AS z) AS b USING (x)", [(1.5, 2, 3)]),
    (
        "SELECT * FROM (SELECT 1.5 AS x, 2 AS y) AS a FULL JOIN (SELECT 2.5 AS x, 3 AS z) AS b USING (x) ORDER BY x",
        [(1.5, 2, None), (2.5, None, 3)],
    ),
    (f"SELECT COUNT(*) FROM (SELECT {NAN} AS x) AS a, (SELECT {NAN} AS x) AS b WHERE a.x = b.x", [(0,)]),
    (f"SELECT COUNT(*) FROM (SELECT {NAN} AS x) AS a JOIN (SELECT {NAN} AS x) AS b ON a.x = b.x", [(0,)]),
    (f"SELECT COUNT(*) FROM (SELECT {NAN} AS x) AS a JOIN (SELECT {NAN} AS x) AS b ON a.x = b.x OR FALSE", [(0,)]),
    (f"SELECT COUNT(*) FROM (SELECT {NAN} AS x) WHERE x = (SELECT {NAN})", [(0,)]),
    (f"SELECT COUNT(*) FROM (SELECT 1.5 AS x) WHERE x < (SELECT {NAN})", [(0,)]),
    (
        f"SELECT (SELECT {NAN}) = (SELECT {NAN}), (SELECT {NAN}) != (SELECT {NAN}), (SELECT 1) = 1",
        [(False, True, True)],
    ),
    ("SELECT (SELECT DATE '2020-01-01') = '2020-01-01', (SELECT 1) > NULL", [(True, None)]),
    (f"SELECT {NAN} IN ({NAN}), {NAN} IN (NULL), {NAN} NOT IN (NULL), 1.5 IN (1.5)", [(False, None, None, True)]),
    (f"SELECT (SELECT {NAN}) IN ({NAN}, 1), (SELECT 1) IN (SELECT 1)", [(False, True)]),
    (f"SELECT {NAN} NOT IN ({NAN}, NULL), {NAN} IN ({NAN}, NULL), {NAN} NOT IN (1, {NAN})", [(None, None, True)]),
    (f"SELECT {NAN} NOT IN (1, NULL), 1.5 NOT IN ({NAN}, NULL), 1.5 NOT IN ({NAN})", [(None, None, True)]),
    (f"SELECT (SELECT {NAN}) NOT IN ({NAN}, (SELECT CAST(NULL AS FLOAT64)))", [(None,)]),
    (
        f"SELECT x IN ({NAN}, y) FROM (SELECT {NAN} AS x, y FROM UNNEST([1.5, NULL]) AS y) ORDER BY y",
        [(None,), (False,)],
    ),
    (f"SELECT {NAN} NOT IN (SELECT y FROM UNNEST([{NAN}, NULL]) AS y), {NAN} IN UNNEST([{NAN}, NULL])", [(None, None)]),
    (f"SELECT {NAN} NOT IN UNNEST([{NAN}]), 1.5 IN UNNEST([{NAN}, 1.5]), {NAN} IN UNNEST([])", [(True, True, False)]),
    (f"SELECT x FROM UNNEST([2.5, {NAN}]) AS x WHERE x IN (SELECT y FROM UNNEST([2.5, {NAN}]) AS y)", [(2.5,)]),
    (f"SELECT COUNT(*) FROM UNNEST([2.5, {NAN}]) AS x WHERE x NOT IN (SELECT {NAN})", [(2,)]),
    (f"SELECT COUNT(*) AS n FROM UNNEST([{NAN}, {NAN}, 0.0, -0.0]) AS x GROUP BY x", [(2,), (2,)]),
    (f"SELECT COUNT(DISTINCT x) FROM UNNEST([{NAN}, {NAN}, 0.0, -0.0]) AS x", [(2,)]),
    (f"SELECT COUNT(*) FROM (SELECT DISTINCT x FROM UNNEST([{NAN}, {NAN}, 1.5]) AS x)", [(2,)]),
    (f"SELECT COUNT(*) FROM (SELECT {NAN} AS x UNION DISTINCT SELECT {NAN})", [(1,)]),
    (f"SELECT COUNT(*) FROM (SELECT {NAN} AS x INTERSECT DISTINCT SELECT {NAN})", [(1,)]),
    (f"SELECT ROW_NUMBER() OVER (PARTITION BY x) AS n FROM UNNEST([{NAN}, {NAN}]) AS x ORDER BY n", [(1,), (2,)]),
]


@pytest.mark.parametrize(("query", "rows"), ROWS, ids=[case[0] for case in ROWS])
def test_nan_is_equal_to_nothing_and_one_group(
    client: bigquery.Client, query: str, rows: list[tuple[Any, ...]]
) -> None:
    assert [row.values() for row in client.query_and_wait(query)] == rows


@pytest.mark.parametrize("side", ["RIGHT", "FULL"])
def test_nan_is_refused_where_a_row_that_stays_for_itself_would_lose_it(client: bigquery.Client, side: str) -> None:
    query = f"SELECT * FROM (SELECT 1.5 AS x) AS a {side} JOIN (SELECT {NAN} AS x) AS b USING (x)"
    with pytest.raises(GoogleAPICallError, match=f"(?s){side}.*USING is not emulated"):
        client.query_and_wait(query)


@pytest.mark.parametrize("function", ["JSON_VALUE", "JSON_QUERY", "JSON_EXTRACT_SCALAR", "JSON_VALUE_ARRAY"])
def test_a_json_path_begins_with_a_dollar_sign(client: bigquery.Client, function: str) -> None:
    with pytest.raises(BadRequest, match=r"JSONPath must start with '\$'"):
        client.query_and_wait(f"""SELECT {function}('{{"a": 1}}', 'a')""")


def test_a_lax_json_path_is_refused(client: bigquery.Client) -> None:
    with pytest.raises(GoogleAPICallError, match="lax is not emulated"):
        client.query_and_wait("""SELECT JSON_QUERY(JSON '{"a": 1}', 'lax $.a')""")


def test_cube_roots_are_right_to_the_last_bit(client: bigquery.Client) -> None:
    [row] = client.query_and_wait(f"SELECT CBRT(27), CBRT(-8), CBRT(0.1), CBRT({INF}), CBRT(NULL)")

    assert row.values() == (3.0, -2.0, 0.4641588833612779, math.inf, None)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_neighbour_is_nearer_to_a_cube_root(x: float) -> None:
    root = cube_root(x)

    def within(low: float, high: float) -> bool:
        return (Fraction(low) + Fraction(root)) ** 3 / 8 <= Fraction(x) <= (Fraction(high) + Fraction(root)) ** 3 / 8

    assert x == root == 0 or within(math.nextafter(root, -math.inf), math.nextafter(root, math.inf))
