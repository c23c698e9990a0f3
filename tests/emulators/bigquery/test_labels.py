"""Labels: which ones BigQuery takes."""

from __future__ import annotations

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from .conftest import Served

TAKEN = [{"team": "a"}, {"a" * 63: "b" * 63}, {"clé-1_": ""}, {"日": "本2_-"}]
REFUSED = [
    {"Team": "a"},
    {"1": "a"},
    {"": "a"},
    {"_a": "b"},
    {"a" * 64: "b"},
    {"a": "B"},
    {"a": "b" * 64},
    {"a b": "c"},
    {"a": "b.c"},
]


@pytest.mark.parametrize("labels", TAKEN, ids=str)
def test_labels_are_taken(served: Served, labels: dict[str, str]) -> None:
    client = served.client("labels")
    dataset = bigquery.Dataset("labels.taken")
    dataset.labels = labels
    client.delete_dataset("taken", not_found_ok=True)

    assert client.create_dataset(dataset).labels == labels
    assert client.query("SELECT 1", bigquery.QueryJobConfig(labels=labels)).labels == labels
    client.close()


@pytest.mark.parametrize(
    "labels", [*REFUSED, {f"a{number}": "" for number in range(65)}], ids=lambda one: str(one)[:40]
)
def test_labels_are_refused(client: bigquery.Client, dataset: str, labels: dict[str, str]) -> None:
    made = bigquery.Dataset(f"{client.project}.labelled")
    made.labels = labels
    table = bigquery.Table(f"{client.project}.{dataset}.labelled")
    table.labels = labels

    with pytest.raises(BadRequest, match="label"):
        client.create_dataset(made, retry=None)
    with pytest.raises(BadRequest, match="label"):
        client.create_table(table, retry=None)
    with pytest.raises(BadRequest, match="label"):
        client.query("SELECT 1", bigquery.QueryJobConfig(labels=labels), retry=None, job_retry=None)
    assert "labelled" not in [one.dataset_id for one in client.list_datasets()]


def test_a_label_is_refused_by_a_change_and_by_a_statement(client: bigquery.Client, dataset: str) -> None:
    made = client.create_table(bigquery.Table(f"{client.project}.{dataset}.changed"))
    made.labels = {"a": "B"}

    with pytest.raises(BadRequest, match="label"):
        client.update_table(made, ["labels"], retry=None)
    with pytest.raises(BadRequest, match="label"):
        client.query_and_wait(f"CREATE TABLE {dataset}.made (x INT64) OPTIONS(labels=[('A', 'b')])")
