"""What other dialects have and GoogleSQL has not is refused, in BigQuery's words; what looks like it is not."""

from __future__ import annotations

import re

import pytest
from google.api_core.exceptions import BadRequest, MethodNotImplemented
from google.cloud import bigquery

FOREIGN: list[tuple[str, str]] = [
    ("SELECT 1::INT64", r'Syntax error: Unexpected "::" at \[1:9\]'),
    ("SELECT 1 == 1", r'Syntax error: Unexpected "==" at \[1:10\]'),
    ("SELECT 7 % 2", r'Illegal input character "%" at \[1:10\]'),
    ("SELECT {'a': 1}", r'Illegal input character "\{" at \[1:8\]'),
    ("SELECT MAP {'a': 1}", r'Illegal input character "\{"'),
    ("SELECT '{}' -> 'a'", r'Unexpected "->"'),
    ("SELECT '{}' ->> 'a'", r'Unexpected "->>"'),
    ("SELECT 'x' 'y'", r"subsequent string literals is not supported.*at \[1:12\]"),
    ("SELECT * EXCLUDE (a) FROM (SELECT 1 AS a, 2 AS b)", r"Unexpected keyword EXCLUDE at \[1:10\]"),
    ("SELECT CAST(1 AS VARCHAR)", r"Type not found: VARCHAR at \[1:18\]"),
    ("SELECT SAFE_CAST('a' AS TEXT)", "Type not found: TEXT"),
    ("SELECT CAST(1 AS DOUBLE)", "Type not found: DOUBLE"),
    ("SELECT ARRAY<VARCHAR>['a']", "Type not found: VARCHAR"),
    ("SELECT TRY_CAST('a' AS INT64)", "Function not found: TRY_CAST"),
    ("SELECT len('a')", r"Function not found: len; Did you mean ln\? at \[1:8\]"),
    ("SELECT CONCATT('a')", r"Function not found: CONCATT; Did you mean concat\?"),
    ("SELECT\n  NO_SUCH_FUNCTION(1)", r"Function not found: NO_SUCH_FUNCTION at \[2:3\]"),
    ("SELECT SAFE.NO_SUCH(1)", "Function not found: NO_SUCH"),
    ("SELECT GROUP_CONCAT(x) OVER () FROM UNNEST(['a']) AS x", "Function not found: GROUP_CONCAT"),
    ("SELECT x FROM UNNEST([1]) AS x WHERE IIF(TRUE, TRUE, FALSE)", "Function not found: IIF"),
    ("SELECT POSITION('a' IN 'ba')", "Function not found: POSITION"),
    ("SELECT SUBSTRING('abc' FROM 2)", "Syntax error"),
    ("SELECT * FROM generate_series(1, 3)", "Table-valued function not found: generate_series"),
    ("SELECT YEAR(DATE '2020-01-01')", "Function not found: YEAR"),
    ("SELECT WEEK(DATE '2020-01-01')", "Function not found: WEEK"),
    *(
        (f"SELECT {call}", f"Function not found: {call.partition('(')[0]}")
        for call in (
            "NVL(NULL, 1)",
            "GENERATE_SERIES(1, 3)",
            "BOOL_AND(TRUE)",
            "ARG_MAX(1, 1)",
            "APPROX_DISTINCT(1)",
            "COUNT_IF(TRUE)",
            "LOG2(8)",
            "TRUNCATE(1.5)",
            "RANDOM()",
            "SHA('a')",
            "UUID()",
            "HEX('a')",
            "UNHEX('61')",
            "UCASE('a')",
            "REGEXP_LIKE('a', 'a')",
            "LEVENSHTEIN('a', 'b')",
        )
    ),
]


@pytest.mark.parametrize(("query", "message"), FOREIGN, ids=[case[0] for case in FOREIGN])
def test_what_only_other_dialects_have_is_an_error_of_the_query(
    client: bigquery.Client, query: str, message: str
) -> None:
    with pytest.raises(BadRequest, match=message):
        client.query_and_wait(query)


OWN: list[tuple[str, object]] = [
    ("SELECT len FROM (SELECT 1 AS len)", 1),
    ("SELECT `position` FROM (SELECT 1 AS `position`)", 1),
    ("SELECT uuid.hex FROM (SELECT STRUCT('a' AS hex) AS uuid)", "a"),
    ("SELECT '{%::==->}' -- 1::INT64 == {}", "{%::==->}"),
    ("SELECT /* len(1) % 2 */ 1", 1),
    ("SELECT CASE (1) WHEN (1) THEN (2) END", 2),
    ("SELECT IF((1) IN (1, 2), LEFT('ab', 1), RIGHT('ab', 1))", "a"),
    ("SELECT EXTRACT(YEAR FROM DATE '2020-01-01') + (1)", 2021),
    ("SELECT 2 IN UNNEST([1, 2]) AND EXISTS (SELECT 1)", True),
    ("SELECT STRUCT<a ARRAY<INT64>>([1]).a[OFFSET(0)]", 1),
    ("SELECT ARRAY<STRUCT<a STRING>>[STRUCT('x')][SAFE_OFFSET(0)].a", "x"),
    ("SELECT CAST(1 AS INT) + CAST(1 AS BIGINT) + CAST(1 AS INTEGER)", 3),
    ("SELECT SAFE.SUBSTRING('abc', 2)", "bc"),
    ("SELECT DATE_TRUNC(DATE '2020-01-01', WEEK(MONDAY)) = DATE '2019-12-30'", True),
    ("SELECT SUM(x) OVER (ORDER BY x) FROM UNNEST([1]) AS x WINDOW w AS (ORDER BY x)", 1),
]


@pytest.mark.parametrize(("query", "value"), OWN, ids=[case[0] for case in OWN])
def test_words_that_other_dialects_call_are_names_like_any_other(
    client: bigquery.Client, query: str, value: object
) -> None:
    assert [tuple(row) for row in client.query_and_wait(query)] == [(value,)]


def test_rows_are_deleted_without_from(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.short AS SELECT x FROM UNNEST([1, 2]) AS x")
    client.query_and_wait(f"DELETE {dataset}.short WHERE x = 1")
    assert [row.x for row in client.query_and_wait(f"SELECT x FROM {dataset}.short")] == [2]


UNLIKE: list[tuple[str, str]] = [
    ("SELECT COALESCE(1, 'a')", "function COALESCE\n  Argument types: INT64, STRING\n.*{INT64, STRING} at [1:8]"),
    ("SELECT IFNULL(x, 'a') FROM UNNEST([1]) AS x", "function IFNULL\n.*{INT64, STRING}"),
    ("SELECT IF(TRUE, 1, 'a')", "function IF\n.*{INT64, STRING}"),
    ("SELECT CASE WHEN TRUE THEN 1 ELSE 'a' END", "operator CASE\n.*{INT64, STRING}"),
    ("SELECT SUM(IF(x > 1, 1, b'a')) FROM UNNEST([1]) AS x", "No matching signature for operator CASE: its values"),
    ("SELECT y, COALESCE(SUM(x), 'a') FROM (SELECT 1 AS x, 2 AS y) GROUP BY 1", "{INT64, STRING}"),
    ("SELECT SUM(IF(x > 1, 1, 'a')) FROM UNNEST([1]) AS x", "function IF\n.*{INT64, STRING}"),
    ("SELECT x FROM UNNEST([1]) AS x WHERE COALESCE(x, 'a') = 'a'", "{INT64, STRING}"),
    ("SELECT (SELECT COALESCE(x, 'a')) FROM UNNEST([1]) AS x", "{INT64, STRING}"),
    ("SELECT COALESCE(d, s) FROM (SELECT DATE '2020-01-01' AS d, 'a' AS s)", "{DATE, STRING}"),
    ("SELECT COALESCE(DATE '2020-01-01', TIMESTAMP '2020-01-01')", "{DATE, TIMESTAMP}"),
    ("SELECT [1, 'a']", "Array elements of types {INT64, STRING} do not have a common supertype"),
    ("SELECT DISTINCT JSON '1'", "Grouping by expressions of type JSON is not allowed"),
    ("SELECT x FROM UNNEST([JSON '1']) AS x GROUP BY x", "Grouping by expressions of type JSON is not allowed"),
    ("SELECT x FROM UNNEST([JSON '1']) AS x ORDER BY x", "ORDER BY does not support expressions of type JSON"),
    ("SELECT 1 ORDER BY JSON '1'", "ORDER BY does not support expressions of type JSON"),
    ("SELECT x FROM UNNEST([1]) AS x EXCEPT ALL SELECT 2", "EXCEPT ALL is not supported"),
    ("SELECT x FROM UNNEST([1]) AS x INTERSECT ALL SELECT 2", "INTERSECT ALL is not supported"),
    ("SELECT x FROM UNNEST([1]) AS x LIMIT 1.5", "Unexpected floating point literal 1.5"),
    ("SELECT APPROX_TOP_SUM(x) FROM UNNEST([1]) AS x", "No matching signature for a function"),
    ("SELECT 1 + '1'", "No matching signature for operator +"),
    ("SELECT SAFE_DIVIDE('a', 1)", "No matching signature for function SAFE_DIVIDE"),
    ("SELECT a_project.a.b.c FROM (SELECT 1 AS x)", "Unrecognized name: a_project.a.b"),
]


@pytest.mark.parametrize(("query", "message"), UNLIKE, ids=[case[0] for case in UNLIKE])
def test_values_that_have_no_common_type_or_no_order_are_an_error_of_the_query(
    client: bigquery.Client, query: str, message: str
) -> None:
    with pytest.raises(BadRequest, match="(?s)" + re.escape(message).replace(r"\.\*", ".*")):
        client.query_and_wait(query)


ALIKE: list[tuple[str, object]] = [
    ("SELECT COALESCE(x, 1.5) FROM UNNEST([1]) AS x", 1.0),
    ("SELECT COALESCE(NULL, 'a')", "a"),
    ("SELECT CASE WHEN FALSE THEN NULL ELSE 'a' END", "a"),
    ("SELECT COALESCE(DATE '2020-01-01', '2020-01-02') = DATE '2020-01-01'", True),
    ("SELECT IF(x = 1, STRUCT(1 AS a), STRUCT(2 AS a)).a FROM UNNEST([1]) AS x", 1),
    ("SELECT COALESCE(SUM(x), 0) AS s FROM UNNEST([1]) AS x ORDER BY s", 1),
    ("SELECT [1, 1.5][OFFSET(0)]", 1.0),
    ("SELECT INTERVAL 1 DAY + DATE '2020-01-01' = DATETIME '2020-01-02 00:00:00'", True),
]


@pytest.mark.parametrize(("query", "value"), ALIKE, ids=[case[0] for case in ALIKE])
def test_values_with_a_common_type_are_chosen_from(client: bigquery.Client, query: str, value: object) -> None:
    assert [tuple(row) for row in client.query_and_wait(query)] == [(value,)]


UNKNOWN: list[tuple[str, str]] = [
    ("SELECT CAST(TIMESTAMP '2020-01-01' - TIMESTAMP '2019-01-01' AS STRING)", "INTERVAL"),
    ("SELECT DATE '2020-01-01' - DATE '2019-01-01'", "INTERVAL"),
    ("SELECT INTERVAL 1 DAY / 2", "INTERVAL"),
    ("SELECT 2 * INTERVAL 1 DAY", "INTERVAL"),
    ("SELECT PARSE_JSON('{}').a", "a field of JSON"),
]


@pytest.mark.parametrize(("query", "name"), UNKNOWN, ids=[case[0] for case in UNKNOWN])
def test_what_googlesql_has_and_the_emulator_has_not_is_no_error_of_the_query(
    client: bigquery.Client, query: str, name: str
) -> None:
    with pytest.raises(MethodNotImplemented, match=f"{name}.*is not emulated"):
        client.query_and_wait(query)
