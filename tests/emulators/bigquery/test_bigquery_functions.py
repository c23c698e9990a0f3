"""GoogleSQL's functions are worth what the documentation's own examples say."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError
from google.cloud import bigquery


def local(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[misc,arg-type] # noqa: DTZ001 a DATETIME has no zone


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


NUMBERS: list[tuple[str, Any, str]] = [
    ("ROUND(NUMERIC '2.345', 2)", Decimal("2.35"), "NUMERIC"),
    ("ROUND(NUMERIC '-2.345', 2)", Decimal("-2.35"), "NUMERIC"),
    ("ROUND(NUMERIC '123.5')", Decimal(124), "NUMERIC"),
    ("ROUND(NUMERIC '155', -1)", Decimal(160), "NUMERIC"),
    ("ROUND(CAST(NULL AS NUMERIC), 1)", None, "NUMERIC"),
    ("TRUNC(NUMERIC '2.789', 1)", Decimal("2.7"), "NUMERIC"),
    ("TRUNC(NUMERIC '-2.7')", Decimal(-2), "NUMERIC"),
    ("CEIL(NUMERIC '1.1')", Decimal(2), "NUMERIC"),
    ("FLOOR(NUMERIC '-1.1')", Decimal(-2), "NUMERIC"),
    ("ABS(NUMERIC '-1.1')", Decimal("1.1"), "NUMERIC"),
    ("SIGN(NUMERIC '-3')", Decimal(-1), "NUMERIC"),
    ("NUMERIC '1' / 3", Decimal("0.333333333"), "NUMERIC"),
    ("NUMERIC '-2' / 3", Decimal("-0.666666667"), "NUMERIC"),
    ("SAFE_DIVIDE(NUMERIC '1', 0)", None, "NUMERIC"),
    ("MOD(NUMERIC '-5.5', 2)", Decimal("-1.5"), "NUMERIC"),
    ("DIV(NUMERIC '-7.5', 2)", Decimal(-3), "NUMERIC"),
    ("ROUND(SUM(NUMERIC '1.55'), 1)", Decimal("1.6"), "NUMERIC"),
    ("1 << 3", 8, "INTEGER"),
    ("-1 << 63", -(2**63), "INTEGER"),
    ("1 << 64", 0, "INTEGER"),
    ("-1 >> 1", 2**63 - 1, "INTEGER"),
    ("~1", -2, "INTEGER"),
    ("5 ^ 3", 6, "INTEGER"),
    ("CAST(NULL AS INT64) | 1", None, "INTEGER"),
    ("BIT_COUNT(-1)", 64, "INTEGER"),
    ("RANGE_BUCKET(20, [0, 10, 20, 30, 40])", 3, "INTEGER"),
    ("RANGE_BUCKET(-10, [5, 6])", 0, "INTEGER"),
    ("RANGE_BUCKET(100, [0, 10])", 2, "INTEGER"),
    ("RANGE_BUCKET(CAST(NULL AS INT64), [0])", None, "INTEGER"),
    ("SAFE.SQRT(-1)", None, "FLOAT"),
    ("SAFE_ADD(NUMERIC '1', NUMERIC '1')", Decimal(2), "NUMERIC"),
    ("SAFE_MULTIPLY(1e308, 10.0)", None, "FLOAT"),
    ("ACOS(1)", 0.0, "FLOAT"),
]

TEXTS: list[tuple[str, Any, str]] = [
    ("FARM_FINGERPRINT(CONCAT(CAST(1 AS STRING), 'foo', CAST(TRUE AS STRING)))", -1541654101129638711, "INTEGER"),
    ("FARM_FINGERPRINT(CONCAT(CAST(2 AS STRING), 'apple', CAST(FALSE AS STRING)))", 2794438866806483259, "INTEGER"),
    ("FARM_FINGERPRINT(CONCAT(CAST(3 AS STRING), '', CAST(TRUE AS STRING)))", -4880158226897771312, "INTEGER"),
    ("FARM_FINGERPRINT(b'a')", -5528939962900187677, "INTEGER"),
    ("FARM_FINGERPRINT(NULL)", None, "INTEGER"),
    ("FARM_FINGERPRINT(MAX('a'))", -5528939962900187677, "INTEGER"),
    ("INITCAP('Hello World-everyone!')", "Hello World-Everyone!", "STRING"),
    ("INITCAP('Apples1oranges2pears', '12')", "Apples1Oranges2Pears", "STRING"),
    ("NORMALIZE('e\\u0301')", "é", "STRING"),
    ("NORMALIZE('①', NFKC)", "1", "STRING"),
    ("CONTAINS_SUBSTR('the blue house', 'Blue house')", True, "BOOLEAN"),
    ("CONTAINS_SUBSTR('\\u2168 day', 'IX')", True, "BOOLEAN"),
    ("CONTAINS_SUBSTR('the red house', 'blue')", False, "BOOLEAN"),
    ("ASCII('abcd')", 97, "INTEGER"),
    ("ASCII('')", 0, "INTEGER"),
    ("UNICODE('â')", 226, "INTEGER"),
    ("CHR(9731)", "☃", "STRING"),
    ("TO_CODE_POINTS('aé')", [97, 233], "INTEGER"),
    ("CODE_POINTS_TO_STRING([65, 255, 513, 1024])", "AÿȁЀ", "STRING"),
    ("CODE_POINTS_TO_STRING([65, 255, NULL, 1024])", None, "STRING"),
    ("CODE_POINTS_TO_BYTES([65, 98, 67, 100])", b"AbCd", "BYTES"),
    ("TRANSLATE('This is a cookie', 'sco', 'zku')", "Thiz iz a kuukie", "STRING"),
    ("EDIT_DISTANCE('kitten', 'sitting')", 3, "INTEGER"),
    ("EDIT_DISTANCE('abcdefg', 'a', max_distance => 2)", 2, "INTEGER"),
    ("SOUNDEX('Ashcraft')", "A261", "STRING"),
    ("INSTR('banana', 'an', -1)", 4, "INTEGER"),
    ("INSTR('banana', 'an', -3)", 4, "INTEGER"),
    ("INSTR('helloooo', 'oo', 1, 2)", 6, "INTEGER"),
    ("INSTR('banana', 'ann')", 0, "INTEGER"),
    ("REGEXP_EXTRACT_ALL('Try `func(x)` or `func(y)`', r'`(.+?)`')", ["func(x)", "func(y)"], "STRING"),
    ("REGEXP_EXTRACT('Hello Helloo and Hellooo', r'H?ello+', 1, 3)", "Hellooo", "STRING"),
    ("REGEXP_EXTRACT('Hello Helloo and Hellooo', r'H?ello+', 3)", "Helloo", "STRING"),
    ("REGEXP_EXTRACT('Hello Helloo', r'H?ello+', 1, 4)", None, "STRING"),
    ("REGEXP_INSTR('ab@cd-ef', '@[^-]*')", 3, "INTEGER"),
    ("REGEXP_INSTR('ab@d-ef', '@[^-]*X')", 0, "INTEGER"),
    ("ARRAY_TO_STRING(['cake', 'pie', NULL], '--', 'MISSING')", "cake--pie--MISSING", "STRING"),
    ("REVERSE('e\\u0301a')", "a\u0301e", "STRING"),
    ("'a%' LIKE ANY ('b', r'a\\%')", True, "BOOLEAN"),
    ("'abc' LIKE ALL ('a%', '%d')", False, "BOOLEAN"),
    ("SAFE_CAST(1.5 AS STRING)", "1.5", "STRING"),
    ("TO_BASE32(b'abcde')", "MFRGGZDF", "STRING"),
    ("FROM_BASE32('MFRGGZDF')", b"abcde", "BYTES"),
    ("SAFE.SUBSTR('foo', 0, -2)", None, "STRING"),
    ("SAFE.CHR(-1)", None, "STRING"),
]

FORMATS: list[tuple[str, Any, str]] = [
    ("FORMAT('%d', 10)", "10", "STRING"),
    ("FORMAT('|%10d|', 11)", "|        11|", "STRING"),
    ("FORMAT('+%010d+', 12)", "+0000000012+", "STRING"),
    ('FORMAT("%\'d", 123456789)', "123,456,789", "STRING"),
    ('FORMAT("%\'x", 12345678)', "bc:614e", "STRING"),
    ('FORMAT("%\'o", 55555)', "15,4403", "STRING"),
    ("FORMAT('-%s-', 'abcd efg')", "-abcd efg-", "STRING"),
    ("FORMAT('%f %E', 1.1, 2.2)", "1.100000 2.200000E+00", "STRING"),
    ("FORMAT('%e', 392.65)", "3.926500e+02", "STRING"),
    ("FORMAT('%g', 392.65)", "392.65", "STRING"),
    ("FORMAT('%g', 39265000.0)", "3.9265e+07", "STRING"),
    ("FORMAT('%.2f', NUMERIC '2.345')", "2.35", "STRING"),
    ("FORMAT('%t', DATE '2015-09-01')", "2015-09-01", "STRING"),
    ("FORMAT('%t', TIMESTAMP '2015-09-01 12:34:56 America/Los_Angeles')", "2015-09-01 19:34:56+00", "STRING"),
    ("FORMAT('%T', TIMESTAMP '2001-05-21 13:51:36+00')", 'TIMESTAMP "2001-05-21 13:51:36+00"', "STRING"),
    ("FORMAT('%t %T', 15.0, 15.5)", "15.0 15.5", "STRING"),
    ("FORMAT('%T', CAST('inf' AS FLOAT64))", 'CAST("inf" AS FLOAT64)', "STRING"),
    ("FORMAT('%t %T', [0, 1], ['a'])", '[0, 1] ["a"]', "STRING"),
    (
        "FORMAT('%t %T %T', STRUCT('foo', 0), STRUCT('foo', 0), STRUCT('foo'))",
        '(foo, 0) ("foo", 0) STRUCT("foo")',
        "STRING",
    ),
    ("FORMAT('%t %T', b'abc', b'abc')", 'abc b"abc"', "STRING"),
    ("FORMAT('00-%t-00', NULL)", "00-NULL-00", "STRING"),
    ("FORMAT('%i', CAST(NULL AS INT64))", None, "STRING"),
    ("FORMAT('%*d|%-5s|%.2s', 4, 7, 'a', 'abc')", "   7|a    |ab", "STRING"),
    ("FORMAT('%p', JSON '{\"month\": 10, \"a\": [1]}')", '{"a":[1],"month":10}', "STRING"),
    ("FORMAT('%d%%', COUNT(*))", "1%", "STRING"),
]

DOCUMENTS: list[tuple[str, Any, str]] = [
    ("TO_JSON_STRING(STRUCT(1 AS id, [10, 20] AS coordinates))", '{"id":1,"coordinates":[10,20]}', "STRING"),
    (
        "TO_JSON_STRING(STRUCT(1 AS id, [10, 20] AS coordinates), TRUE)",
        '{\n  "id": 1,\n  "coordinates": [\n    10,\n    20\n  ]\n}',
        "STRING",
    ),
    ("(SELECT TO_JSON_STRING(t) FROM (SELECT 'x' AS b, 1 AS a) AS t)", '{"b":"x","a":1}', "STRING"),
    ("TO_JSON_STRING(9007199254740992)", "9007199254740992", "STRING"),
    ("TO_JSON_STRING(9007199254740993)", '"9007199254740993"', "STRING"),
    ("TO_JSON_STRING(NUMERIC '123.56')", '"123.56"', "STRING"),
    ("TO_JSON_STRING(1.0)", "1", "STRING"),
    ("TO_JSON_STRING(CAST('-inf' AS FLOAT64))", '"-Infinity"', "STRING"),
    ("TO_JSON_STRING(b'Google')", '"R29vZ2xl"', "STRING"),
    ("TO_JSON_STRING(TIMESTAMP '2017-03-06 12:34:56.789012+00')", '"2017-03-06T12:34:56.789012Z"', "STRING"),
    ("TO_JSON_STRING(DATETIME '2017-03-06 12:34:56')", '"2017-03-06T12:34:56"', "STRING"),
    ("TO_JSON_STRING('a\"\\n')", '"a\\"\\n"', "STRING"),
    ("TO_JSON_STRING(NULL)", "null", "STRING"),
    ("TO_JSON(STRUCT(1 AS id, [10, 20] AS coordinates))", {"coordinates": [10, 20], "id": 1}, "JSON"),
    ('PARSE_JSON(\'{"b": 1, "a": [1.5, null]}\')', {"a": [1.5, None], "b": 1}, "JSON"),
    ("JSON_QUERY('{\"a\": {\"b\": [1, 2.50]}}', '$.a')", '{"b":[1,2.50]}', "STRING"),
    ("JSON_QUERY('{\"a\": null}', '$.a')", None, "STRING"),
    ("JSON_QUERY(JSON '{\"a\": {\"b\": 1}}', '$.a')", {"b": 1}, "JSON"),
    ("JSON_QUERY('no json', '$')", None, "STRING"),
    ("JSON_VALUE('{\"a\": 1.50}', '$.a')", "1.50", "STRING"),
    ("JSON_VALUE(JSON '{\"a\": true}', '$.a')", "true", "STRING"),
    ("JSON_VALUE('no json', '$.a')", None, "STRING"),
    ("JSON_QUERY_ARRAY('[1, {\"a\": 2}]')", ["1", '{"a":2}'], "STRING"),
    ('JSON_VALUE_ARRAY(\'{"fruits": ["apples", "oranges"]}\', \'$.fruits\')', ["apples", "oranges"], "STRING"),
    ("JSON_VALUE_ARRAY('[[1]]')", [], "STRING"),
    ("INT64(JSON '10.0')", 10, "INTEGER"),
    ("FLOAT64(JSON '9.8')", 9.8, "FLOAT"),
    ("STRING(JSON '\"purple\"')", "purple", "STRING"),
    ("BOOL(JSON 'true')", True, "BOOLEAN"),
    ("JSON_TYPE(JSON '[1]')", "array", "STRING"),
    ("SAFE.PARSE_JSON('{')", None, "JSON"),
]

MOMENTS: list[tuple[str, Any, str]] = [
    ("FORMAT_DATE('%b-%d-%Y', DATE '2008-12-25')", "Dec-25-2008", "STRING"),
    ("FORMAT_DATE('%x', DATE '2008-12-25')", "12/25/08", "STRING"),
    ("FORMAT_DATE('%A %j %U %W %G-%V %u %w %Q %e', DATE '2024-01-01')", "Monday 001 00 01 2024-01 1 1 1  1", "STRING"),
    ("FORMAT_DATETIME('%c', DATETIME '2008-12-25 15:30:00')", "Thu Dec 25 15:30:00 2008", "STRING"),
    ("FORMAT_TIME('%R', TIME '15:30:00')", "15:30", "STRING"),
    (
        "FORMAT_TIMESTAMP('%Y-%m-%dT%H:%M:%E3SZ', TIMESTAMP '2024-01-02 03:04:05.678901+00')",
        "2024-01-02T03:04:05.678Z",
        "STRING",
    ),
    ("FORMAT_TIMESTAMP('%E*S %E0S', TIMESTAMP '2024-01-02 03:04:05.678+00')", "05.678 05", "STRING"),
    (
        "FORMAT_TIMESTAMP('%H:%M %Ez %z', TIMESTAMP '2024-01-01 00:00:00+00', 'Asia/Kolkata')",
        "05:30 +05:30 +0530",
        "STRING",
    ),
    ("FORMAT_TIMESTAMP('%s %I%p', TIMESTAMP '1970-01-01 13:00:00+00')", "46800 01PM", "STRING"),
    ("FORMAT_DATE('%F', CAST(NULL AS DATE))", None, "STRING"),
    ("PARSE_DATE('%x', '12/25/08')", date(2008, 12, 25), "DATE"),
    ("PARSE_DATE('%Y', '2020')", date(2020, 1, 1), "DATE"),
    ("PARSE_DATE('%A %b %e %Y', 'Thursday Dec 25 2008')", date(2008, 12, 25), "DATE"),
    ("PARSE_TIMESTAMP('%c', 'Thu Dec 25 07:30:00 2008')", at(2008, 12, 25, 7, 30), "TIMESTAMP"),
    ("PARSE_TIMESTAMP('%F %T%Ez', '2024-01-01 00:00:00+02:00')", at(2023, 12, 31, 22), "TIMESTAMP"),
    ("PARSE_TIMESTAMP('%F %T', '2024-01-01 00:00:00', 'Asia/Tokyo')", at(2023, 12, 31, 15), "TIMESTAMP"),
    (
        "PARSE_DATETIME('%Y-%m-%d %H:%M:%E*S', '2018-08-19 13:43:02.123')",
        local(2018, 8, 19, 13, 43, 2, 123000),
        "DATETIME",
    ),
    ("PARSE_TIME('%I:%M:%S %p', '2:23:38 pm')", time(14, 23, 38), "TIME"),
    ("DATETIME(TIMESTAMP '2024-05-15 01:00:00+00', 'Asia/Tokyo')", local(2024, 5, 15, 10), "DATETIME"),
    ("DATETIME(DATE '2008-12-25', TIME '05:30:00')", local(2008, 12, 25, 5, 30), "DATETIME"),
    ("STRING(TIMESTAMP '2008-12-25 15:30:00+00', 'UTC')", "2008-12-25 15:30:00+00", "STRING"),
    ("STRING(TIMESTAMP '2024-05-15 01:00:00.5+00', 'Asia/Kolkata')", "2024-05-15 06:30:00.500+05:30", "STRING"),
    ("TIMESTAMP_TRUNC(TIMESTAMP '2024-05-15 01:00:00+00', DAY, 'America/New_York')", at(2024, 5, 14, 4), "TIMESTAMP"),
    ("EXTRACT(HOUR FROM TIMESTAMP '2024-01-01 00:00:00+00' AT TIME ZONE '+05:30')", 5, "INTEGER"),
    ("TIME_ADD(TIME '23:30:00', INTERVAL 1 HOUR)", time(0, 30), "TIME"),
    ("TIME_SUB(TIME '15:30:00', INTERVAL 10 MINUTE)", time(15, 20), "TIME"),
    ("TIME_DIFF(TIME '15:30:00', TIME '14:35:00', MINUTE)", 55, "INTEGER"),
    ("TIME_TRUNC(TIME '15:30:45', HOUR)", time(15), "TIME"),
    ("TIME(TIMESTAMP '2008-12-25 15:30:00+08', 'America/Los_Angeles')", time(23, 30), "TIME"),
    ("DATE_TRUNC(DATE '2017-11-05', WEEK(MONDAY))", date(2017, 10, 30), "DATE"),
    ("DATE_TRUNC(DATE '2017-11-05', WEEK(TUESDAY))", date(2017, 10, 31), "DATE"),
    ("DATE_TRUNC(DATE '2015-06-15', ISOYEAR)", date(2014, 12, 29), "DATE"),
    ("EXTRACT(WEEK(MONDAY) FROM DATE '2017-11-05')", 44, "INTEGER"),
    ("EXTRACT(WEEK(MONDAY) FROM DATE '2017-01-01')", 0, "INTEGER"),
    ("DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', ISOYEAR)", 2, "INTEGER"),
    ("LAST_DAY(DATE '2008-11-25', YEAR)", date(2008, 12, 31), "DATE"),
    ("LAST_DAY(DATE '2008-11-10', WEEK(MONDAY))", date(2008, 11, 16), "DATE"),
    ("LAST_DAY(DATE '2020-06-01', ISOYEAR)", date(2021, 1, 3), "DATE"),
]


@pytest.mark.parametrize(
    ("expression", "value", "kind"),
    [*NUMBERS, *TEXTS, *FORMATS, *DOCUMENTS, *MOMENTS],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_function_is_worth_what_is_documented(
    client: bigquery.Client, expression: str, value: Any, kind: str
) -> None:
    rows = client.query_and_wait(f"SELECT {expression} AS v")

    assert [row["v"] for row in rows] == [value]
    assert rows.schema[0].field_type == kind


QUERIES: list[tuple[str, list[tuple[Any, ...]]]] = [
    (
        (
            "SELECT APPROX_QUANTILES(x, 2), APPROX_QUANTILES(DISTINCT x, 2), APPROX_QUANTILES(x, 100)[OFFSET(90)] "
            "FROM UNNEST([1, 1, 1, 4, 5, 6, 7, 8, 9, 10]) AS x"
        ),
        [([1, 5, 10], [1, 6, 10], 9)],
    ),
    (
        (
            "SELECT FORMAT('%T', APPROX_QUANTILES(x, 2 RESPECT NULLS)), FORMAT('%T', APPROX_QUANTILES(DISTINCT x, 2 "
            "RESPECT NULLS)) FROM UNNEST([NULL, NULL, 1, 1, 1, 4, 5, 6, 7, 8, 9, 10]) AS x"
        ),
        [("[NULL, 4, 10]", "[NULL, 6, 10]")],
    ),
    ("SELECT APPROX_QUANTILES(x, 4)[OFFSET(2)] + 1 FROM UNNEST([1.5, 2.5]) AS x", [(2.5,)]),
    ("SELECT APPROX_COUNT_DISTINCT(x) FROM UNNEST([0, 1, 1, 2, 3, 5, NULL]) AS x", [(5,)]),
    (
        (
            "SELECT PERCENTILE_CONT(x, 0) OVER (), PERCENTILE_CONT(x, 0.01) OVER (), PERCENTILE_CONT(x, 0.5) OVER (), "
            "PERCENTILE_CONT(x, 0.9) OVER () FROM UNNEST([0, 3, NULL, 1, 2]) AS x LIMIT 1"
        ),
        [(0.0, 0.03, 1.5, 2.7)],
    ),
    (
        (
            "SELECT PERCENTILE_DISC(x, 0) OVER (), PERCENTILE_DISC(x, 0.5) OVER (), PERCENTILE_DISC(x, 1) OVER () "
            "FROM UNNEST(['c', NULL, 'b', 'a']) AS x LIMIT 1"
        ),
        [("a", "b", "c")],
    ),
    (
        (
            "SELECT MAX_BY(x, y), MIN_BY(x, y), ANY_VALUE(x HAVING MAX y) "
            "FROM UNNEST([STRUCT('a' AS x, 1 AS y), ('b', 2), ('c', NULL)])"
        ),
        [("b", "a", "b")],
    ),
    ("SELECT MAX_BY(x, y) FROM UNNEST([STRUCT('a' AS x, 1 AS y), (NULL, 2)])", [(None,)]),
    (
        (
            "SELECT CORR(x, y), COVAR_POP(x, y), COVAR_SAMP(x, y) "
            "FROM UNNEST([STRUCT(1.0 AS x, 5.0 AS y), (3.0, 9.0), (4.0, 7.0), (9.0, NULL)])"
        ),
        [(0.6546536707079772, 1.3333333333333333, 2.0)],
    ),
    ("SELECT CORR(x, x), COVAR_SAMP(x, x) FROM UNNEST([1.0]) AS x", [(None, None)]),
    ("SELECT BIT_AND(x), BIT_OR(x), BIT_XOR(x) FROM UNNEST([0xF001, 0x00A1]) AS x", [(1, 61601, 61600)]),
    ("SELECT BIT_XOR(DISTINCT x) FROM UNNEST([1234, 5678, 1234]) AS x", [(4860,)]),
    (
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n, 'a' AS s UNION ALL SELECT n + 1, s || 'b' FROM r WHERE n < 3) "
            "SELECT * FROM r ORDER BY n"
        ),
        [(1, "a"), (2, "ab"), (3, "abb")],
    ),
    (
        (
            "WITH RECURSIVE e AS (SELECT 1 AS a, 2 AS b UNION ALL SELECT 2, 3), "
            "r AS (SELECT 1 AS n UNION ALL SELECT e.b FROM r JOIN e ON e.a = r.n) SELECT n FROM r ORDER BY n"
        ),
        [(1,), (2,), (3,)],
    ),
    (
        (
            "SELECT a, GROUPING(a), SUM(b) FROM UNNEST([STRUCT(1 AS a, 2 AS b), (1, 3), (2, 5)]) "
            "GROUP BY ROLLUP(a) ORDER BY 1"
        ),
        [(None, 1, 10), (1, 0, 5), (2, 0, 5)],
    ),
    (
        "SELECT a, b, COUNT(*) FROM UNNEST([STRUCT(1 AS a, 2 AS b), (1, 3)]) GROUP BY CUBE(a, b) ORDER BY 1, 2",
        [(None, None, 2), (None, 2, 1), (None, 3, 1), (1, None, 2), (1, 2, 1), (1, 3, 1)],
    ),
    (
        "SELECT a, SUM(b) FROM UNNEST([STRUCT(1 AS a, 2 AS b), (2, 5)]) GROUP BY GROUPING SETS((a), ()) ORDER BY 1",
        [(None, 7), (1, 2), (2, 5)],
    ),
    ("SELECT a + 1, 'x', SUM(b) FROM UNNEST([STRUCT(1 AS a, 2 AS b), (1, 3)]) GROUP BY ALL", [(2, "x", 5)]),
    (
        (
            "SELECT SUM(x) OVER w, SUM(x) OVER (w ROWS 1 PRECEDING) FROM UNNEST([1, 2, 4]) AS x "
            "WINDOW w AS (ORDER BY x) ORDER BY 1"
        ),
        [(1, 1), (3, 3), (7, 6)],
    ),
    ("SELECT SUM(x) OVER b FROM UNNEST([1, 2]) AS x WINDOW a AS (ORDER BY x), b AS (a) ORDER BY 1", [(1,), (3,)]),
    ("SELECT x.a, y FROM UNNEST([STRUCT(1 AS a, [1, 2] AS b)]) AS x, x.b AS y ORDER BY y", [(1, 1), (1, 2)]),
    ("SELECT ARRAY(SELECT AS VALUE x + 1 FROM UNNEST([1, 2]) AS x)", [([2, 3],)]),
    ("SELECT SESSION_USER() IS NOT NULL", [(True,)]),
    (
        (
            "SELECT SUM(x) OVER (PARTITION BY MOD(x, 2) ORDER BY SUBSTR('abc', x)) "
            "FROM UNNEST([1, 2, 3]) AS x ORDER BY 1"
        ),
        [(1,), (2,), (4,)],
    ),
    ("SELECT PERCENTILE_DISC(x, 0.5) OVER () FROM UNNEST([1.5, CAST('nan' AS FLOAT64), 2.5]) AS x LIMIT 1", [(1.5,)]),
    (
        "SELECT MOD(ABS(FARM_FINGERPRINT(TO_JSON_STRING(t))), 10) < 8 FROM (SELECT 1 AS a, 'x' AS b) AS t",
        [(True,)],
    ),
]


@pytest.mark.parametrize(("query", "rows"), QUERIES, ids=[case[0] for case in QUERIES])
def test_a_query_gives_what_is_documented(client: bigquery.Client, query: str, rows: list[tuple[Any, ...]]) -> None:
    assert [tuple(row.values()) for row in client.query_and_wait(query)] == rows


ERRORS: list[tuple[str, str]] = [
    ("1e400", "Invalid floating point literal: 1e400"),
    ("DATE_ADD(DATE '9999-12-31', INTERVAL 1 DAY)", "DATE value out of range"),
    ("TIMESTAMP_ADD(TIMESTAMP '9999-12-31 23:59:59+00', INTERVAL 1 DAY)", "TIMESTAMP value out of range"),
    ("JSON '1' = JSON '1'", "Equality is not defined for arguments of type JSON"),
    ("1 << -1", "Bitwise shift by negative offset"),
    ("NUMERIC '1' / 0", "division by zero"),
    ("FARM_FINGERPRINT(1)", "No matching signature for function or operator FARM_FINGERPRINT"),
    ("FORMAT('%s', 1)", "Invalid type for argument 2 to FORMAT; Expected STRING; Got INT64"),
    ("FORMAT('%d', 1, 2)", "Too many arguments to FORMAT"),
    ("FORMAT('%d')", "Too few arguments to FORMAT"),
    ("FORMAT('%')", "Invalid format specifier character"),
    ("FORMAT('%x', -1)", "negative value"),
    ("PARSE_DATE('%Y', 'abc')", "Failed to parse input string"),
    ("PARSE_DATE('%Y-%m-%d', '2023-02-30')", "Invalid result from parsing function"),
    ("PARSE_DATE('%Y', '2020 x')", "Illegal non-space trailing data"),
    ("DATE(TIMESTAMP '2024-01-01 00:00:00+00', 'Nope')", "Invalid time zone: Nope"),
    ("PARSE_JSON('{')", "syntax error while parsing value"),
    ("INT64(JSON '\"1\"')", "not an integer"),
    ("STRING(JSON '1')", "not a string"),
    ("RANGE_BUCKET(1, [2, 1])", "must be in ascending order"),
    ("CHR(-1)", "Invalid codepoint -1"),
    ("TRANSLATE('a', 'aa', 'b')", "Duplicate character a"),
    ("INSTR('a', 'a', 0)", "Position must be non-zero"),
    ("INSTR('a', 'a', 1, 0)", "Occurrence must be positive"),
    ("ACOS(2)", "must be between -1 and 1"),
    ("APPROX_QUANTILES(1, 0)", "must be positive"),
    ("PERCENTILE_CONT(1, 2) OVER ()", "Percentile must be between 0 and 1"),
    ("SUM(1) OVER nope", "Unrecognized window alias nope"),
    ("TIMESTAMP '2024-01-01 00:00:00+00' + INTERVAL 1 MONTH", "non-zero MONTH or YEAR part"),
    ("DATE_TRUNC(DATE '2024-01-01', WEEK(FOO))", "date part argument for WEEK"),
    ("(WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r)", "iterations: 500"),
    ("(WITH RECURSIVE r AS (SELECT n FROM r) SELECT 1)", "must be a UNION"),
]


@pytest.mark.parametrize(("expression", "message"), ERRORS, ids=[case[0] for case in ERRORS])
def test_what_is_no_value_is_an_error_of_the_query(client: bigquery.Client, expression: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        client.query_and_wait(f"SELECT {expression} AS v")


REFUSED: list[tuple[str, str]] = [
    ("SAFE.STRING(JSON '123')", "SAFE.STRING"),
    ("SAFE.FORMAT_DATE('%F', '2024-01-01')", "SAFE."),
    ("DATE '2024-01-02' - DATE '2024-01-01'", "INTERVAL"),
    ("INTERVAL 1 DAY + INTERVAL 2 HOUR", "INTERVAL"),
    ("BIGNUMERIC '1.5'", "BIGNUMERIC"),
    ("b'a' & b'b'", "& of BYTES"),
    ("SUBSTR(b'abc', 2)", "SUBSTR of BYTES"),
    ("UPPER('ß')", "UPPER"),
    ("GENERATE_ARRAY(1.0, 2.0, 0.5)", "GENERATE_ARRAY of FLOAT64"),
    ("TIMESTAMP '2015-06-30 23:59:60+00'", "leap second"),
    ("TIMESTAMP('2024-03-10 02:30:00', 'America/New_York')", "time zone skips"),
    ("FORMAT_DATE('%H', DATE '2024-01-01')", "%H of a DATE"),
    ("NORMALIZE_AND_CASEFOLD('a')", "NORMALIZE_AND_CASEFOLD"),
    ("SAFE.SUBSTR(CAST(1 / 0 AS STRING), 1)", "of what may fail itself"),
    ("PERCENTILE_CONT(x, 0.5 RESPECT NULLS) OVER () FROM UNNEST([1]) AS x", "RESPECT NULLS"),
    ("HLL_COUNT.INIT(1)", "HLL_COUNT"),
    ("* FROM (SELECT 1 AS a, 2 AS b) PIVOT(ARRAY_AGG(a) FOR b IN (2))", "ARRAY_AGG in PIVOT"),
    ("* FROM (SELECT 1 AS a, 2 AS b) UNPIVOT((x, y) FOR z IN ((a, b)))", "UNPIVOT into several columns"),
    ("POW(NUMERIC '2', 3)", "NUMERIC"),
    ("rb'a'", "raw BYTES"),
    ("TO_JSON_STRING(CAST(NULL AS ARRAY<INT64>))", "NULL ARRAY"),
    ("FORMAT('%t', CAST(NULL AS ARRAY<INT64>))", "NULL ARRAY"),
    ("CAST('-0x10' AS INT64)", "signed hexadecimal"),
    ("ST_GEOGPOINT(1, 2)", "ST_GEOGPOINT"),
    ("* FROM ML.PREDICT(MODEL d.m, TABLE d.t)", "PREDICT"),
    ("COVAR_POP(x, x) FROM UNNEST([NUMERIC '1']) AS x", "NUMERIC"),
]


@pytest.mark.parametrize(("query", "name"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_is_valid_and_not_emulated_is_refused_by_name(client: bigquery.Client, query: str, name: str) -> None:
    with pytest.raises(GoogleAPICallError, match=f"(?s){name}.*is not emulated") as raised:
        client.query_and_wait(f"SELECT {query}", retry=None, job_retry=None)

    assert raised.value.code == 501


def test_a_row_of_a_table_has_a_fingerprint(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.rows_to_split AS SELECT 1 AS a, 'x' AS b")

    rows = client.query_and_wait(f"SELECT FARM_FINGERPRINT(TO_JSON_STRING(t)) FROM {dataset}.rows_to_split AS t")
    same = client.query_and_wait('SELECT FARM_FINGERPRINT(\'{"a":1,"b":"x"}\')')

    assert [tuple(row.values()) for row in rows] == [tuple(row.values()) for row in same]


def test_statements_that_change_rows_use_functions_too(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.words AS SELECT 1 AS id, 'hello world' AS word")
    client.query_and_wait(f"UPDATE {dataset}.words SET word = INITCAP(word) WHERE SOUNDEX(word) IS NOT NULL")
    client.query_and_wait(
        f"MERGE {dataset}.words AS t USING (SELECT 1 AS id UNION ALL SELECT 2) AS s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET word = FORMAT('%s!', t.word) "
        "WHEN NOT MATCHED THEN INSERT (id, word) VALUES (s.id, TRANSLATE('abc', 'b', 'x'))"
    )

    rows = client.query_and_wait(f"SELECT id, word FROM {dataset}.words ORDER BY id")

    assert [tuple(row.values()) for row in rows] == [(1, "Hello World!"), (2, "axc")]


def test_a_struct_of_other_names_is_not_inserted(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.structs (s STRUCT<x INT64, y STRING>)")

    with pytest.raises(GoogleAPICallError, match="is not emulated"):
        client.query_and_wait(f"INSERT {dataset}.structs (s) VALUES (STRUCT(1, 'x'))", retry=None, job_retry=None)


PRODUCE = (
    "SELECT 'Kale' AS product, 51 AS sales, 'Q1' AS quarter UNION ALL SELECT 'Kale', 23, 'Q2' "
    "UNION ALL SELECT 'Apple', 77, 'Q1'"
)


def test_values_become_columns(client: bigquery.Client) -> None:
    rows = client.query_and_wait(
        f"SELECT * FROM ({PRODUCE}) PIVOT(SUM(sales) AS total, COUNT(*) AS num FOR quarter IN ('Q1', 'Q2' AS second)) "
        "ORDER BY product"
    )

    assert [field.name for field in rows.schema] == ["product", "total_Q1", "num_Q1", "total_second", "num_second"]
    assert [tuple(row.values()) for row in rows] == [("Apple", 77, 1, None, 0), ("Kale", 51, 1, 23, 1)]


def test_a_table_has_its_columns_as_rows(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(
        f"CREATE TABLE {dataset}.quarters AS SELECT 'Kale' AS product, 51 AS Q1, 23 AS Q2 "
        "UNION ALL SELECT 'Apple', 77, NULL"
    )

    known = client.query_and_wait(
        f"SELECT * FROM {dataset}.quarters UNPIVOT(sales FOR quarter IN (Q1, Q2)) ORDER BY product, quarter"
    )
    every = client.query_and_wait(
        f"SELECT p.sales, p.quarter FROM {dataset}.quarters UNPIVOT INCLUDE NULLS (sales FOR quarter IN "
        "(Q1 AS 'one', Q2)) AS p ORDER BY 2, 1"
    )

    assert [field.name for field in known.schema] == ["product", "sales", "quarter"]
    assert [tuple(row.values()) for row in known] == [("Apple", 77, "Q1"), ("Kale", 51, "Q1"), ("Kale", 23, "Q2")]
    assert [tuple(row.values()) for row in every] == [(None, "Q2"), (23, "Q2"), (51, "one"), (77, "one")]
