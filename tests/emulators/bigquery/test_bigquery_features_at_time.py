"""ML.FEATURES_AT_TIME and ML.ENTITY_FEATURES_AT_TIME, on the tables of the documentation's examples."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

FEATURES = """
  SELECT * FROM UNNEST(
    ARRAY<STRUCT<entity_id STRING, f_1 FLOAT64, f_2 FLOAT64, feature_timestamp TIMESTAMP>>[
      ('id1', 1.0, 1.0, TIMESTAMP '2022-06-10 12:00:00+00'),
      ('id2', 12.0, 24.0, TIMESTAMP '2022-06-11 12:00:00+00'),
      ('id1', 11.0, NULL, TIMESTAMP '2022-06-11 12:00:00+00'),
      ('id1', 6.0, 12.0, TIMESTAMP '2022-06-11 10:00:00+00'),
      ('id2', 2.0, 4.0, TIMESTAMP '2022-06-10 12:00:00+00'),
      ('id2', 7.0, NULL, TIMESTAMP '2022-06-11 10:00:00+00')])
"""
ENTITIES = """
  SELECT * FROM UNNEST(
    ARRAY<STRUCT<entity_id STRING, time TIMESTAMP, label INT64>>[
      ('id1', TIMESTAMP '2022-06-12 12:00:00+00', 1),
      ('id2', TIMESTAMP '2022-06-11 10:00:00+00', 2),
      ('id1', TIMESTAMP '2022-06-10 13:00:00+00', 3),
      ('id1', TIMESTAMP '2022-06-10 13:00:00+00', 4),
      ('id3', TIMESTAMP '2022-06-12 12:00:00+00', 5)])
"""


def at(day: int, hour: int) -> datetime:
    return datetime(2022, 6, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ("", [("id1", 6.0, 12.0, at(11, 10)), ("id2", 7.0, None, at(11, 10))]),
        (", ignore_feature_nulls => TRUE", [("id1", 6.0, 12.0, at(11, 10)), ("id2", 7.0, 4.0, at(11, 10))]),
        (
            ", num_rows => 2",
            [
                ("id1", 1.0, 1.0, at(11, 10)),
                ("id1", 6.0, 12.0, at(11, 10)),
                ("id2", 2.0, 4.0, at(11, 10)),
                ("id2", 7.0, None, at(11, 10)),
            ],
        ),
    ],
    ids=["default", "nulls ignored", "two rows"],
)
def test_features_are_those_known_at_the_time(
    client: bigquery.Client, options: str, rows: list[tuple[object, ...]]
) -> None:
    query = (
        f"WITH features AS ({FEATURES}) SELECT * FROM ML.FEATURES_AT_TIME(TABLE features, "
        f"time => TIMESTAMP '2022-06-11 10:00:00+00'{options}) ORDER BY entity_id, f_1"
    )
    assert [tuple(row) for row in client.query_and_wait(query)] == rows


def test_features_of_a_query_are_those_known_now(client: bigquery.Client) -> None:
    query = f"SELECT entity_id, f_1 FROM ML.FEATURES_AT_TIME(({FEATURES})) ORDER BY entity_id"
    assert [tuple(row) for row in client.query_and_wait(query)] == [("id1", 11.0), ("id2", 12.0)]


def test_each_row_of_entities_has_its_time(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.features AS {FEATURES}")
    query = (
        f"WITH entities AS ({ENTITIES}) SELECT * FROM ML.ENTITY_FEATURES_AT_TIME(TABLE {dataset}.features, "
        "TABLE entities, ignore_feature_nulls => TRUE, num_rows => 1) ORDER BY entity_id, feature_timestamp"
    )
    assert [tuple(row) for row in client.query_and_wait(query)] == [
        ("id1", 1.0, 1.0, at(10, 13)),
        ("id1", 1.0, 1.0, at(10, 13)),
        ("id1", 11.0, 12.0, at(12, 12)),
        ("id2", 7.0, 4.0, at(11, 10)),
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "ML.FEATURES_AT_TIME((SELECT 1 AS entity_id, CURRENT_TIMESTAMP() AS feature_timestamp))",
            "entity_id of type STRING",
        ),
        ("ML.FEATURES_AT_TIME((SELECT 'a' AS entity_id))", "feature_timestamp of type TIMESTAMP"),
        (
            (
                "ML.ENTITY_FEATURES_AT_TIME((SELECT 'a' AS entity_id, CURRENT_TIMESTAMP() AS feature_timestamp), "
                "(SELECT 'a' AS entity_id))"
            ),
            "time of type TIMESTAMP",
        ),
    ],
    ids=["entity", "timestamp", "time"],
)
def test_tables_need_their_columns(client: bigquery.Client, query: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        client.query_and_wait(f"SELECT * FROM {query}")
