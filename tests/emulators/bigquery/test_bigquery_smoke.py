from __future__ import annotations

from google.cloud import bigquery


def test_a_first_query_is_answered(client: bigquery.Client) -> None:
    assert [tuple(row) for row in client.query_and_wait("SELECT 1 AS x, 'a' AS y")] == [(1, "a")]
    assert [tuple(row) for row in client.query("SELECT 1 AS x").result()] == [(1,)]


def test_loaded_rows_are_read_back(client: bigquery.Client, dataset: str) -> None:
    config = bigquery.LoadJobConfig(autodetect=True)
    client.load_table_from_json([{"a": 1, "b": "x"}, {"a": 2, "b": None}], f"{dataset}.t", job_config=config).result()
    rows = [tuple(row) for row in client.query_and_wait("SELECT * FROM flights.t ORDER BY a")]
    assert rows == [(1, "x"), (2, None)]
    assert client.get_table(f"{dataset}.t").num_rows == 2
    assert [tuple(row) for row in client.list_rows(f"{dataset}.t")] == rows
