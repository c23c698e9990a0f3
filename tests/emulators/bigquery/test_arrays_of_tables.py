"""A table has no array that is NULL: where none was written, an empty one is."""

from __future__ import annotations

import io

import pytest
from google.cloud import bigquery


def rows(client: bigquery.Client, dataset: str) -> list[tuple[object, ...]]:
    query = f"SELECT id, tags, ARRAY_LENGTH(tags), tags IS NULL FROM {dataset}.notes ORDER BY id"
    return [tuple(row) for row in client.query_and_wait(query)]


@pytest.fixture
def notes(client: bigquery.Client, dataset: str) -> str:
    client.query_and_wait(f"CREATE OR REPLACE TABLE {dataset}.notes (id INT64, tags ARRAY<STRING>)")
    return f"{client.project}.{dataset}.notes"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {0} (id) VALUES (1)",
        "INSERT INTO {0} (id, tags) VALUES (1, NULL)",
        "INSERT INTO {0} SELECT 1, CAST(NULL AS ARRAY<STRING>)",
        "MERGE {0} t USING (SELECT 1 AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (id)",
    ],
)
def test_what_a_statement_leaves_out_is_an_empty_array(
    client: bigquery.Client, dataset: str, notes: str, statement: str
) -> None:
    client.query_and_wait(statement.format(f"`{notes}`"))

    assert rows(client, dataset) == [(1, [], 0, False)]


def test_an_array_that_is_set_to_null_is_empty(client: bigquery.Client, dataset: str, notes: str) -> None:
    client.query_and_wait(f"INSERT INTO `{notes}` VALUES (1, ['a']), (2, ['b'])")

    client.query_and_wait(f"UPDATE `{notes}` SET tags = NULL WHERE id = 1")
    client.query_and_wait(f"UPDATE `{notes}` SET tags = ['none'] WHERE ARRAY_LENGTH(tags) = 0")

    assert rows(client, dataset) == [(1, ["none"], 1, False), (2, ["b"], 1, False)]


def test_what_is_streamed_or_loaded_without_an_array_has_an_empty_one(
    client: bigquery.Client, dataset: str, notes: str
) -> None:
    assert client.insert_rows_json(notes, [{"id": 1}]) == []
    client.load_table_from_file(
        io.BytesIO(b'{"id": 2}\n{"id": 3, "tags": ["c"]}\n'),
        notes,
        job_config=bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON"),
    ).result()

    assert rows(client, dataset) == [(1, [], 0, False), (2, [], 0, False), (3, ["c"], 1, False)]


@pytest.mark.parametrize("by", ["statement", "schema"])
def test_an_array_that_is_added_is_empty_in_the_rows_that_are_there(
    client: bigquery.Client, dataset: str, by: str
) -> None:
    client.query_and_wait(f"CREATE OR REPLACE TABLE {dataset}.notes (id INT64)")
    client.query_and_wait(f"INSERT INTO {dataset}.notes VALUES (1)")
    if by == "statement":
        client.query_and_wait(f"ALTER TABLE {dataset}.notes ADD COLUMN tags ARRAY<STRING>")
    else:
        table = client.get_table(f"{client.project}.{dataset}.notes")
        table.schema = [*table.schema, bigquery.SchemaField("tags", "STRING", mode="REPEATED")]
        client.update_table(table, ["schema"])

    assert rows(client, dataset) == [(1, [], 0, False)]
