"""What GoogleSQL's queries answer: rows, order, windows, joins, arrays, changes."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound
from google.cloud import bigquery

QUERIES: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "order puts NULL before NaN before numbers": (
        (
            "SELECT CAST(x AS STRING) FROM UNNEST([1.0, CAST('nan' AS FLOAT64), NULL, CAST('-inf' AS "
            "FLOAT64)]) AS x ORDER BY x"
        ),
        [(None,), ("nan",), ("-inf",), ("1",)],
    ),
    "descending order turns that round": (
        "SELECT CAST(x AS STRING) FROM UNNEST([1.0, CAST('nan' AS FLOAT64), NULL]) AS x ORDER BY x DESC",
        [("1",), ("nan",), (None,)],
    ),
    "NULLS LAST is heard": ("SELECT x FROM UNNEST([2, NULL, 1]) AS x ORDER BY x NULLS LAST", [(1,), (2,), (None,)]),
    "order by ordinal and alias": (
        "SELECT x AS y, -x AS x FROM UNNEST([1, 2]) AS x ORDER BY 2, y",
        [(2, -2), (1, -1)],
    ),
    "nameless columns are numbered": ("SELECT 1, 2 AS b, 3", [(1, 2, 3)]),
    "except and replace": ("SELECT * EXCEPT (a) REPLACE (b + 1 AS b) FROM (SELECT 1 AS a, 2 AS b, 3 AS c)", [(3, 3)]),
    "offsets begin at zero": (
        "SELECT x, o FROM UNNEST(['a', 'b']) AS x WITH OFFSET AS o ORDER BY o",
        [("a", 0), ("b", 1)],
    ),
    "a struct's fields are columns": (
        "SELECT *, s.a + 1 AS n FROM UNNEST([STRUCT(1 AS a, 'x' AS b), (2, 'y')]) AS s WITH OFFSET AS o ORDER BY o",
        [(1, "x", 0, 2), (2, "y", 1, 3)],
    ),
    "left join of an array keeps rows": (
        (
            "SELECT k, x FROM (SELECT 'k' AS k, [10, 20] AS a UNION ALL SELECT 'j', ARRAY<INT64>[]) AS t "
            "LEFT JOIN UNNEST(t.a) AS x ORDER BY k, x"
        ),
        [("j", None), ("k", 10), ("k", 20)],
    ),
    "comma join of an array": (
        "SELECT t.k, x FROM (SELECT 1 AS k, [3, 4] AS a) AS t, t.a AS x ORDER BY x",
        [(1, 3), (1, 4)],
    ),
    "a correlated array is summed": (
        "SELECT k, (SELECT SUM(x * k) FROM UNNEST(a) AS x) AS s FROM (SELECT 2 AS k, [3, 4] AS a)",
        [(2, 14)],
    ),
    "qualify": (
        (
            "SELECT k, v FROM UNNEST([STRUCT('a' AS k, 1 AS v), ('a', 2), ('b', 3)]) "
            "QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) = 1 ORDER BY k"
        ),
        [("a", 2), ("b", 3)],
    ),
    "last value ignores nulls": (
        (
            "SELECT o, LAST_VALUE(x IGNORE NULLS) "
            "OVER (ORDER BY o ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS l "
            "FROM UNNEST([NULL, 1, NULL, 2]) AS x WITH OFFSET AS o ORDER BY o"
        ),
        [(0, None), (1, 1), (2, 1), (3, 2)],
    ),
    "first value, lag, lead": (
        (
            "SELECT FIRST_VALUE(x) OVER w, LAG(x, 1, 0) OVER w, LEAD(x) OVER w FROM UNNEST([1, 2, 3]) AS "
            "x WINDOW w AS (ORDER BY x) "
            "ORDER BY x"
        ),
        [(1, 0, 2), (1, 1, 3), (1, 2, None)],
    ),
    "range frame": (
        (
            "SELECT x, SUM(x) OVER (ORDER BY x RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM "
            "UNNEST([1, 2, 4]) AS x ORDER BY x"
        ),
        [(1, 1), (2, 3), (4, 4)],
    ),
    "ranks": (
        (
            "SELECT x, RANK() OVER (ORDER BY x), DENSE_RANK() OVER (ORDER BY x), NTILE(2) OVER (ORDER BY x) "
            "FROM UNNEST([1, 1, 2]) AS x ORDER BY x"
        ),
        [(1, 1, 1, 1), (1, 1, 1, 1), (2, 3, 2, 2)],
    ),
    "a window of an aggregate": (
        (
            "SELECT k, SUM(SUM(v)) OVER (ORDER BY k) AS s FROM UNNEST([STRUCT('a' AS k, 1 AS v), ('a', "
            "2), ('b', 3)]) GROUP BY k ORDER BY k"
        ),
        [("a", 3), ("b", 6)],
    ),
    "aggregates": (
        (
            "SELECT COUNT(*), COUNT(x), COUNT(DISTINCT x), COUNTIF(x > 1), SUM(x), AVG(x), MIN(x), "
            "MAX(x), LOGICAL_OR(x > 2) "
            "FROM UNNEST([1, 2, 2, NULL]) AS x"
        ),
        [(4, 3, 2, 2, 5, 5 / 3, 1, 2, False)],
    ),
    "aggregates of nothing": (
        "SELECT COUNT(x), SUM(x), MIN(x), ARRAY_AGG(x) FROM UNNEST(ARRAY<INT64>[]) AS x",
        [(0, None, None, [])],
    ),
    "array_agg ignores, orders and limits": (
        "SELECT ARRAY_AGG(x IGNORE NULLS ORDER BY x DESC LIMIT 2) FROM UNNEST([1, NULL, 3, 2]) AS x",
        [([3, 2],)],
    ),
    "the first of array_agg": (
        (
            "SELECT ARRAY_AGG(STRUCT(v, t) ORDER BY t DESC LIMIT 1)[OFFSET(0)].v FROM UNNEST([STRUCT(1 "
            "AS t, 'a' AS v), (2, 'b')])"
        ),
        [("b",)],
    ),
    "string_agg": (
        (
            "SELECT STRING_AGG(x, '-' ORDER BY x DESC), STRING_AGG(DISTINCT x ORDER BY x) FROM "
            "UNNEST(['a', 'b', 'a', NULL]) AS x"
        ),
        [("b-a-a", "a,b")],
    ),
    "arithmetic over aggregates": (
        (
            "SELECT k, SUM(v) / COUNT(*) AS m, ROUND(AVG(v) * 2, 1) AS r "
            "FROM UNNEST([STRUCT('a' AS k, 1 AS v), ('a', 2)]) "
            "GROUP BY k HAVING SUM(v) + 1 > 3"
        ),
        [("a", 1.5, 3.0)],
    ),
    "group by alias and ordinal": (
        (
            "SELECT MOD(x, 2) AS odd, x > 2 AS big, SUM(x) * 10 AS s FROM UNNEST([1, 2, 3]) AS x GROUP "
            "BY odd, 2 ORDER BY odd, big"
        ),
        [(0, False, 20), (1, False, 10), (1, True, 30)],
    ),
    "a join's NULL keys do not meet": (
        (
            "SELECT a.x AS ax, b.x AS bx FROM (SELECT 1 AS x UNION ALL SELECT NULL) AS a FULL JOIN "
            "(SELECT 1 AS x UNION ALL SELECT NULL) AS b ON a.x = b.x ORDER BY ax, bx"
        ),
        [(None, None), (None, None), (1, 1)],
    ),
    "NaN keys do not meet": (
        (
            "SELECT COUNT(*) FROM (SELECT CAST('nan' AS FLOAT64) AS x) AS a JOIN (SELECT CAST('nan' AS "
            "FLOAT64) AS x) AS b ON a.x = b.x"
        ),
        [(0,)],
    ),
    "NaN is one group": (
        (
            "SELECT COUNT(*) FROM (SELECT x FROM UNNEST([CAST('nan' AS FLOAT64), CAST('nan' AS FLOAT64), "
            "0.0, -0.0]) AS x GROUP BY x)"
        ),
        [(2,)],
    ),
    "join using has one column": (
        "SELECT * FROM (SELECT 2 AS a, 1 AS k) JOIN (SELECT 3 AS b, 1 AS k) USING (k)",
        [(1, 2, 3)],
    ),
    "with, recursive": (
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r ORDER BY n",
        [(1,), (2,), (3,)],
    ),
    "set operations": (
        (
            "(SELECT x FROM UNNEST([1, 2, 2]) AS x EXCEPT DISTINCT SELECT 1) UNION DISTINCT (SELECT 3 "
            "INTERSECT DISTINCT SELECT 3) ORDER BY 1"
        ),
        [(2,), (3,)],
    ),
    "distinct with order": ("SELECT DISTINCT x FROM UNNEST([3, 1, 3]) AS x ORDER BY x DESC", [(3,), (1,)]),
    "limit and offset": ("SELECT x FROM UNNEST([1, 2, 3]) AS x ORDER BY x LIMIT 1 OFFSET 1", [(2,)]),
    "in a subquery": ("SELECT x FROM UNNEST([1, 2]) AS x WHERE x IN (SELECT y FROM UNNEST([2]) AS y)", [(2,)]),
    "anti-join": (
        "SELECT x FROM UNNEST([1, 2]) AS x WHERE NOT EXISTS (SELECT 1 FROM UNNEST([2]) AS y WHERE y = x)",
        [(1,)],
    ),
    "pipe syntax": ("FROM UNNEST([1, 2]) AS x |> WHERE x > 1 |> SELECT x", [(2,)]),
    "small letters": (
        "select sum(x) over (order by x rows between unbounded preceding and current row) s from unnest([1]) x",
        [(1,)],
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_answers(client: bigquery.Client, name: str) -> None:
    query, rows = QUERIES[name]

    assert [tuple(row) for row in client.query_and_wait(query)] == rows


def test_nameless_columns_have_the_services_names(client: bigquery.Client) -> None:
    rows = client.query_and_wait("SELECT 1, 2 AS b, 3")

    assert [field.name for field in rows.schema] == ["f0_", "b", "f1_"]


def test_sums_of_integers_overflow_with_an_error(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest):
        client.query_and_wait("SELECT SUM(x) FROM UNNEST([9223372036854775807, 1]) AS x")


def test_two_columns_of_one_name_are_refused(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="Duplicate column names"):
        client.query_and_wait("SELECT 1 AS a, 2 AS A")


def test_parameters_are_typed_values(client: bigquery.Client) -> None:
    moment = datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    config = bigquery.QueryJobConfig(
        query_parameters=[
            bigquery.ScalarQueryParameter("n", "INT64", 3),
            bigquery.ScalarQueryParameter("f", "FLOAT64", 0.1),
            bigquery.ScalarQueryParameter("s", "STRING", "it's"),
            bigquery.ScalarQueryParameter("b", "BYTES", b"\x00\xff"),
            bigquery.ScalarQueryParameter("t", "TIMESTAMP", moment),
            bigquery.ScalarQueryParameter("none", "INT64", None),
            bigquery.ArrayQueryParameter("a", "INT64", [1, 2]),
            bigquery.StructQueryParameter(
                "r", bigquery.ScalarQueryParameter("x", "INT64", 1), bigquery.ScalarQueryParameter("y", "STRING", "z")
            ),
        ]
    )
    query = "SELECT @n + 1, @f, @s, @b, TIMESTAMP_SUB(@t, INTERVAL @n MICROSECOND), @none, @a, @r.y, 2 IN UNNEST(@a)"
    [row] = client.query_and_wait(query, job_config=config)

    assert tuple(row) == (
        4, 0.1, "it's", b"\x00\xff", moment - timedelta(microseconds=3), None, [1, 2], "z", True,
    )  # fmt: skip


def test_positional_parameters_are_taken_in_the_order_of_the_text(client: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(
        query_parameters=[bigquery.ScalarQueryParameter(None, "INT64", number) for number in (1, 2, 3)]
    )
    query = "WITH t AS (SELECT ? AS a, '?' AS q) SELECT a, ?, q FROM t WHERE a < ? -- ?"
    [row] = client.query_and_wait(query, job_config=config)

    assert tuple(row) == (1, 2, "?")


def test_a_missing_parameter_is_named(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="Query parameter 'gone' not found"):
        client.query_and_wait("SELECT @gone")


@pytest.fixture(scope="module")
def stock(client: bigquery.Client, dataset: str) -> str:
    client.query_and_wait(f"CREATE TABLE {dataset}.stock (k INT64 NOT NULL, v STRING, n FLOAT64)")
    return f"{dataset}.stock"


def rows_of(client: bigquery.Client, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query_and_wait(f"SELECT * FROM {table} ORDER BY k")]


def test_rows_are_inserted_changed_merged_and_deleted(client: bigquery.Client, stock: str) -> None:
    job = client.query(f"INSERT INTO {stock} (k, v, n) VALUES (1, 'a', 1), (2, NULL, 2.5), (3, 'c', NULL)")
    job.result()
    assert job.num_dml_affected_rows == 3
    client.query_and_wait(f"UPDATE {stock} SET v = CONCAT(v, '!'), n = n + 1 WHERE k = 1")
    client.query_and_wait(f"DELETE FROM {stock} WHERE k = 3")
    assert rows_of(client, stock) == [(1, "a!", 2.0), (2, None, 2.5)]
    merge = client.query(
        f"MERGE {stock} AS t USING (SELECT k, 'new' AS v FROM UNNEST([2, 4]) AS k) AS s ON t.k = s.k "
        "WHEN MATCHED AND t.n > 2 THEN UPDATE SET v = s.v "
        "WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v) "
        "WHEN NOT MATCHED BY SOURCE THEN DELETE"
    )
    merge.result()
    assert merge.num_dml_affected_rows == 3
    assert rows_of(client, stock) == [(2, "new", 2.5), (4, "new", None)]
    client.query_and_wait(f"TRUNCATE TABLE {stock}")
    assert rows_of(client, stock) == []


def test_a_merge_that_meets_a_row_twice_is_refused_and_changes_nothing(client: bigquery.Client, stock: str) -> None:
    client.query_and_wait(f"INSERT {stock} (k) VALUES (7)")
    with pytest.raises(BadRequest, match="at most one source row"):
        client.query_and_wait(
            f"MERGE {stock} AS t USING (SELECT 7 AS k FROM UNNEST([1, 2])) AS s ON t.k = s.k WHEN "
            f"MATCHED THEN UPDATE SET v = 'x'"
        )
    assert rows_of(client, stock) == [(7, None, None)]
    client.query_and_wait(f"DELETE FROM {stock} WHERE TRUE")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("INSERT {t} (k) VALUES (1.5)", "FLOAT64"),
        ("INSERT {t} (k, v) VALUES (1, 2)", "INT64"),
        ("INSERT {t} (k, v) VALUES (1)", "column count"),
        ("INSERT {t} (k, nope) VALUES (1, 2)", "nope"),
        ("INSERT {t} (v) VALUES ('no key')", "NOT NULL|null"),
        ("UPDATE {t} SET k = 1.5 WHERE TRUE", "FLOAT64"),
        ("UPDATE {t} SET v = 'x'", "WHERE"),
        ("DELETE FROM {t}", "WHERE"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(client: bigquery.Client, stock: str, change: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        client.query_and_wait(change.format(t=stock))


def test_a_table_is_made_of_a_query_and_replaced(client: bigquery.Client, dataset: str) -> None:
    made = f"{dataset}.made"
    client.query_and_wait(
        f"CREATE TABLE {made} PARTITION BY DATE(t) CLUSTER BY k OPTIONS(description='one') AS "
        "SELECT 1 AS k, TIMESTAMP '2020-01-01 00:00:00+00' AS t, [1, 2] AS a, STRUCT(1.5 AS x) AS s"
    )
    table = client.get_table(made)
    assert table.description == "one"
    assert table.time_partitioning.field == "t"
    assert table.clustering_fields == ["k"]
    assert [(field.name, field.field_type, field.mode) for field in table.schema] == [
        ("k", "INTEGER", "NULLABLE"),
        ("t", "TIMESTAMP", "NULLABLE"),
        ("a", "INTEGER", "REPEATED"),
        ("s", "RECORD", "NULLABLE"),
    ]
    with pytest.raises(GoogleAPICallError, match="Already Exists"):
        client.query_and_wait(f"CREATE TABLE {made} AS SELECT 1 AS k")
    client.query_and_wait(f"CREATE OR REPLACE TABLE {made} AS SELECT k + 1 AS k FROM {made}")
    assert [tuple(row) for row in client.query_and_wait(f"SELECT * FROM {made}")] == [(2,)]
    client.query_and_wait(f"ALTER TABLE {made} ADD COLUMN extra STRING")
    assert [field.name for field in client.get_table(made).schema] == ["k", "extra"]
    client.query_and_wait(f"DROP TABLE {made}")
    client.query_and_wait(f"DROP TABLE IF EXISTS {made}")
    with pytest.raises(NotFound):
        client.get_table(made)


def test_a_view_is_its_query_at_each_reading(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.base AS SELECT 1 AS k")
    client.query_and_wait(f"CREATE VIEW {dataset}.seen AS SELECT k, k * 2 AS twice FROM `a-project.{dataset}.base`")
    client.query_and_wait(f"INSERT {dataset}.base (k) VALUES (2)")
    rows = client.query_and_wait(f"WITH base AS (SELECT 5 AS k) SELECT s.twice FROM {dataset}.seen AS s ORDER BY 1")
    assert [tuple(row) for row in rows] == [(2,), (4,)]
    client.query_and_wait(f"CREATE OR REPLACE VIEW {dataset}.seen AS SELECT MAX(k) AS m FROM {dataset}.base")
    assert [tuple(row) for row in client.query_and_wait(f"SELECT * FROM {dataset}.seen")] == [(2,)]
    table = client.get_table(f"{dataset}.seen")
    assert (table.table_type, table.view_query) == ("VIEW", f"SELECT MAX(k) AS m FROM {dataset}.base")
    with pytest.raises(BadRequest):
        client.query_and_wait(f"DELETE FROM {dataset}.seen WHERE TRUE")


def test_metadata_is_a_query(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.told (a INT64 NOT NULL, b ARRAY<STRUCT<c STRING>>)")
    rows = client.query_and_wait(
        f"SELECT column_name, data_type, is_nullable FROM {dataset}.INFORMATION_SCHEMA.COLUMNS "
        "WHERE table_name = 'told' ORDER BY ordinal_position"
    )
    assert [tuple(row) for row in rows] == [("a", "INT64", "NO"), ("b", "ARRAY<STRUCT<c STRING>>", "YES")]
    rows = client.query_and_wait(
        f"SELECT table_type FROM `a-project.{dataset}.INFORMATION_SCHEMA.TABLES` WHERE table_name = 'told'"
    )
    assert [tuple(row) for row in rows] == [("BASE TABLE",)]
    rows = client.query_and_wait("SELECT schema_name FROM INFORMATION_SCHEMA.SCHEMATA")
    assert (dataset,) in [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM nowhere.t", "Dataset a-project:nowhere"),
        ("SELECT * FROM flights.nothing", "Table a-project:flights.nothing"),
        ("INSERT flights.nothing (a) VALUES (1)", "Table a-project:flights.nothing"),
    ],
)
def test_what_is_not_there_is_not_found(client: bigquery.Client, dataset: str, query: str, message: str) -> None:
    with pytest.raises(NotFound, match=message) as raised:
        client.query_and_wait(query)
    assert raised.value.errors[0]["reason"] == "notFound"


def test_nan_survives_the_wire(client: bigquery.Client) -> None:
    [row] = client.query_and_wait("SELECT CAST('nan' AS FLOAT64), CAST('-inf' AS FLOAT64), -0.0")
    assert math.isnan(row[0])
    assert row[1] == -math.inf
    assert math.copysign(1, row[2]) == -1
