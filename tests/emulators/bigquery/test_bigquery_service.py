"""Datasets, tables, jobs, loads and pages, through the real client."""

from __future__ import annotations

import gzip
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    GoogleAPICallError,
    NotFound,
    PreconditionFailed,
    ServiceUnavailable,
)
from google.cloud import bigquery
from tests.emulators.bigquery.conftest import OBJECTS, Served, serving

from cloudmlops.emulators.core.faults import Fault, Refused

LONG = "SELECT SUM(MOD(a * b, 7)) FROM UNNEST(GENERATE_ARRAY(1, 3000000)) AS a, UNNEST(GENERATE_ARRAY(1, 3000000)) AS b"


def test_a_dataset_is_made_changed_listed_and_deleted(client: bigquery.Client) -> None:
    dataset = bigquery.Dataset("a-project.shop")
    dataset.description, dataset.labels = "sells", {"team": "a"}
    made = client.create_dataset(dataset)
    assert (made.description, made.labels, made.location) == ("sells", {"team": "a"}, "US")
    with pytest.raises(Conflict) as raised:
        client.create_dataset("shop")
    assert raised.value.errors[0]["reason"] == "duplicate"
    client.create_dataset("shop", exists_ok=True)
    made.description, made.labels = "buys", {"team": None, "tier": "1"}
    changed = client.update_dataset(made, ["description", "labels"])
    assert (changed.description, changed.labels) == ("buys", {"tier": "1"})
    with pytest.raises(PreconditionFailed):
        client.update_dataset(made, ["description"])
    assert "shop" in [one.dataset_id for one in client.list_datasets()]
    client.create_table(bigquery.Table("a-project.shop.t", schema=[bigquery.SchemaField("a", "INT64")]))
    with pytest.raises(BadRequest, match="still in use"):
        client.delete_dataset("shop")
    client.delete_dataset("shop", delete_contents=True)
    with pytest.raises(NotFound):
        client.get_dataset("shop")
    client.delete_dataset("shop", not_found_ok=True)


def test_a_table_is_made_widened_listed_and_deleted(client: bigquery.Client, dataset: str) -> None:
    table = bigquery.Table(
        f"a-project.{dataset}.wide",
        schema=[
            bigquery.SchemaField("k", "STRING", mode="REQUIRED", description="the key"),
            bigquery.SchemaField("r", "RECORD", mode="REPEATED", fields=[bigquery.SchemaField("x", "NUMERIC")]),
        ],
    )
    table.labels, table.clustering_fields = {"a": "b"}, ["k"]
    made = client.create_table(table)
    assert made.schema == table.schema
    with pytest.raises(Conflict):
        client.create_table(table)
    made.schema = [*made.schema, bigquery.SchemaField("more", "DATE")]
    made.friendly_name = "Wide"
    changed = client.update_table(made, ["schema", "friendly_name"])
    assert [field.name for field in changed.schema] == ["k", "r", "more"]
    assert (changed.friendly_name, changed.labels, changed.clustering_fields) == ("Wide", {"a": "b"}, ["k"])
    changed.schema = changed.schema[1:]
    with pytest.raises(BadRequest, match="missing in new schema"):
        client.update_table(changed, ["schema"])
    assert "wide" in [one.table_id for one in client.list_tables(dataset, page_size=1)]
    client.delete_table(f"{dataset}.wide")
    with pytest.raises(NotFound, match="Not found: Table"):
        client.get_table(f"{dataset}.wide")


def test_a_type_that_is_not_emulated_is_refused_by_name(client: bigquery.Client, dataset: str) -> None:
    with pytest.raises(GoogleAPICallError, match=r"BIGNUMERIC.*is not emulated"):
        client.create_table(bigquery.Table(f"a-project.{dataset}.x", schema=[bigquery.SchemaField("a", "BIGNUMERIC")]))


SCHEMA = [
    bigquery.SchemaField("k", "INT64"),
    bigquery.SchemaField("f", "FLOAT64"),
    bigquery.SchemaField("s", "STRING"),
    bigquery.SchemaField("t", "TIMESTAMP"),
    bigquery.SchemaField("d", "DATE"),
    bigquery.SchemaField("n", "NUMERIC"),
    bigquery.SchemaField("b", "BYTES"),
    bigquery.SchemaField("a", "INT64", mode="REPEATED"),
    bigquery.SchemaField("r", "RECORD", fields=[bigquery.SchemaField("x", "BOOL")]),
]
ROWS = [
    {
        "k": 1,
        "f": 0.1,
        "s": "é",
        "t": "2020-01-02T03:04:05.000006Z",
        "d": "2020-01-02",
        "n": "1.5",
        "b": "AP8=",
        "a": [1, 2],
        "r": {"x": True},
    },
    {"k": 2},
]
VALUES = [
    (
        1,
        0.1,
        "é",
        datetime(2020, 1, 2, 3, 4, 5, 6, UTC),
        date(2020, 1, 2),
        Decimal("1.5"),
        b"\x00\xff",
        [1, 2],
        {"x": True},
    ),
    (2, None, None, None, None, None, None, [], None),
]


def test_json_rows_are_loaded_with_their_types(client: bigquery.Client, dataset: str) -> None:
    config = bigquery.LoadJobConfig(schema=SCHEMA, write_disposition="WRITE_TRUNCATE")
    job = client.load_table_from_json(ROWS, f"{dataset}.typed", job_config=config)
    job.result()
    assert job.output_rows == 2
    listed = [tuple(row) for row in client.list_rows(f"{dataset}.typed")]
    asked = [tuple(row) for row in client.query_and_wait(f"SELECT * FROM {dataset}.typed ORDER BY k")]
    assert listed == asked == VALUES
    assert client.get_table(f"{dataset}.typed").num_rows == 2


def test_streamed_rows_are_there_at_once_and_once(client: bigquery.Client, dataset: str) -> None:
    client.create_table(bigquery.Table(f"a-project.{dataset}.streamed", schema=SCHEMA))
    for _ in range(2):
        assert client.insert_rows_json(f"{dataset}.streamed", ROWS, row_ids=["a", "b"]) == []
    assert [tuple(row) for row in client.list_rows(f"{dataset}.streamed")] == VALUES
    errors = client.insert_rows_json(f"{dataset}.streamed", [{"k": "x"}, {"k": 3}, {"nope": 1}])
    assert [(one["index"], one["errors"][0]["reason"]) for one in errors] == [
        (0, "invalid"),
        (2, "invalid"),
        (1, "stopped"),
    ]
    assert (
        client.insert_rows_json(f"{dataset}.streamed", [{"k": "x"}, {"k": 3}], skip_invalid_rows=True)[0]["index"] == 0
    )
    assert client.get_table(f"{dataset}.streamed").num_rows == 3


def test_parquet_is_loaded_by_resumable_upload(client: bigquery.Client, dataset: str) -> None:
    table = pa.table(
        {
            "k": pa.array([1, 2]),
            "t": pa.array([datetime(2020, 1, 1, tzinfo=UTC), None], pa.timestamp("ns", "UTC")),
            "x": pa.array([[1.5], []], pa.list_(pa.float64())),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    options = bigquery.ParquetOptions()
    options.enable_list_inference = True
    config = bigquery.LoadJobConfig(
        source_format="PARQUET", write_disposition="WRITE_TRUNCATE", parquet_options=options
    )
    client.load_table_from_file(file, f"{dataset}.parquet", rewind=True, job_config=config).result()
    rows = client.query_and_wait(f"SELECT * FROM {dataset}.parquet ORDER BY k")
    assert [tuple(row) for row in rows] == [(1, datetime(2020, 1, 1, tzinfo=UTC), [1.5]), (2, None, [])]
    assert [field.field_type for field in rows.schema] == ["INTEGER", "TIMESTAMP", "FLOAT"]


@pytest.mark.parametrize("identity", ["bad id!", "a" * 1025, "p:US.job"])
def test_a_job_whose_id_cannot_be_is_refused(client: bigquery.Client, identity: str) -> None:
    with pytest.raises(BadRequest, match="Invalid job ID"):
        client.query("SELECT 1", job_id=identity, retry=None, job_retry=None)


def test_a_finished_upload_answers_its_job_again(client: bigquery.Client, dataset: str, served: Served) -> None:
    job = {
        "configuration": {
            "load": {
                "destinationTable": {"projectId": "a-project", "datasetId": dataset, "tableId": "once"},
                "sourceFormat": "NEWLINE_DELIMITED_JSON",
                "autodetect": True,
            }
        }
    }
    url = f"{served.address}/upload/bigquery/v2/projects/a-project/jobs?uploadType=resumable"
    session = httpx.post(url, json=job, verify=False).headers["location"]
    rows = b'{"k": 1}\n{"k": 2}\n'

    def put(body: bytes, held: str) -> httpx.Response:
        return httpx.put(session, content=body, headers={"content-range": f"bytes {held}/{len(rows)}"}, verify=False)

    assert put(rows[:9], "0-8").status_code == 308
    answers = [put(rows[9:], "9-17"), put(rows[9:], "9-17"), put(b"", "*")]  # as if the first two had been lost
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    [name] = {answer.json()["jobReference"]["jobId"] for answer in answers}
    assert client.get_job(name).result().output_rows == 2
    assert client.get_table(f"{dataset}.once").num_rows == 2


def test_a_large_file_is_loaded_in_chunks(client: bigquery.Client, dataset: str) -> None:
    lines = b"".join(b'{"k": %d, "s": "%s"}\n' % (number, b"x" * 500) for number in range(3000))
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", autodetect=True)
    job = client.load_table_from_file(io.BytesIO(lines), f"{dataset}.chunks", job_config=config)
    job.result()
    assert (job.output_rows, job.input_file_bytes) == (3000, len(lines))


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_csv_is_loaded_from_an_object(client: bigquery.Client, dataset: str, compressed: bool) -> None:
    text = b'k,name,when\n1,"a, b",2020-01-02\n2,,2020-01-03\n'
    OBJECTS["bucket", "in/rows.csv"] = gzip.compress(text) if compressed else text
    config = bigquery.LoadJobConfig(skip_leading_rows=1, autodetect=True, write_disposition="WRITE_TRUNCATE")
    client.load_table_from_uri("gs://bucket/in/rows.csv", f"{dataset}.csv", job_config=config).result()
    rows = [tuple(row) for row in client.query_and_wait(f"SELECT * FROM {dataset}.csv ORDER BY k")]
    assert rows == [(1, "a, b", date(2020, 1, 2)), (2, "", date(2020, 1, 3))]


def test_a_load_that_does_not_fit_leaves_the_table_as_it_was(client: bigquery.Client, dataset: str) -> None:
    table = f"{dataset}.strict"
    config = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("k", "INT64")])
    client.load_table_from_json([{"k": 1}], table, job_config=config).result()
    with pytest.raises(BadRequest, match="Could not convert value 'x' to integer"):
        client.load_table_from_json([{"k": 2}, {"k": "x"}], table, job_config=config).result()
    with pytest.raises(BadRequest, match="no such field"):
        client.load_table_from_json([{"k": 2, "more": 1}], table, job_config=config).result()
    wider = bigquery.LoadJobConfig(schema=[*config.schema, bigquery.SchemaField("more", "INT64")])
    with pytest.raises(BadRequest, match="Cannot add fields"):
        client.load_table_from_json([{"k": 2, "more": 1}], table, job_config=wider).result()
    empty = bigquery.LoadJobConfig(schema=config.schema, write_disposition="WRITE_EMPTY")
    with pytest.raises(Conflict, match="Already Exists"):
        client.load_table_from_json([{"k": 2}], table, job_config=empty).result()
    with pytest.raises(NotFound):
        client.load_table_from_uri("gs://bucket/none.json", table, job_config=config).result()
    assert [tuple(row) for row in client.list_rows(table)] == [(1,)]
    wider = bigquery.LoadJobConfig(
        schema=[*config.schema, bigquery.SchemaField("more", "INT64")], schema_update_options=["ALLOW_FIELD_ADDITION"]
    )
    client.load_table_from_json([{"k": 2, "more": 1}], table, job_config=wider).result()
    assert [tuple(row) for row in client.query_and_wait(f"SELECT * FROM {table} ORDER BY k")] == [(1, None), (2, 1)]


def test_a_result_goes_to_a_table_as_its_disposition_says(client: bigquery.Client, dataset: str) -> None:
    target = f"a-project.{dataset}.target"
    for disposition, rows in (("WRITE_EMPTY", 1), ("WRITE_APPEND", 2), ("WRITE_TRUNCATE", 1)):
        config = bigquery.QueryJobConfig(destination=target, write_disposition=disposition)
        client.query("SELECT 1 AS a", job_config=config).result()
        assert client.get_table(target).num_rows == rows
    with pytest.raises(Conflict):
        client.query("SELECT 1 AS a", job_config=bigquery.QueryJobConfig(destination=target)).result()


def test_a_table_is_copied(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.source AS SELECT 1 AS a")
    client.copy_table(f"{dataset}.source", f"{dataset}.copied").result()
    assert [tuple(row) for row in client.list_rows(f"{dataset}.copied")] == [(1,)]


def test_a_dry_run_counts_bytes_and_changes_nothing(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.counted AS SELECT x AS k, 'abc' AS s FROM UNNEST([1, 2]) AS x")
    config = bigquery.QueryJobConfig(dry_run=True)
    assert client.query(f"SELECT k FROM {dataset}.counted", job_config=config).total_bytes_processed == 16
    job = client.query(f"SELECT * FROM {dataset}.counted", job_config=config)
    assert job.total_bytes_processed == 26
    assert [field.name for field in job.schema] == ["k", "s"]
    client.query(f"DROP TABLE {dataset}.counted", job_config=config)
    assert client.get_table(f"{dataset}.counted").num_bytes == 26
    with pytest.raises(BadRequest, match="Unrecognized name: nope"):
        client.query(f"SELECT nope FROM {dataset}.counted", job_config=config)
    limit = bigquery.QueryJobConfig(maximum_bytes_billed=10)
    with pytest.raises(BadRequest, match="bytes billed"):
        client.query(f"SELECT * FROM {dataset}.counted", job_config=limit).result()


def test_results_come_in_pages(client: bigquery.Client) -> None:
    query = "SELECT x, CAST(x AS STRING) AS s FROM UNNEST(GENERATE_ARRAY(1, 25)) AS x ORDER BY x"
    rows = client.query(query).result(page_size=10)
    assert [len(list(page)) for page in rows.pages] == [10, 10, 5]
    rows = client.query_and_wait(query, page_size=10)
    assert [row.x for row in rows] == list(range(1, 26))
    table = client.query(query).result(page_size=10).to_arrow(create_bqstorage_client=False)
    assert (table.num_rows, table.column("x").to_pylist()) == (25, list(range(1, 26)))


def test_a_tables_rows_come_in_pages(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.paged AS SELECT x FROM UNNEST(GENERATE_ARRAY(1, 25)) AS x")
    rows = client.list_rows(f"{dataset}.paged", page_size=10)
    assert sorted(row.x for row in rows) == list(range(1, 26))
    assert rows.total_rows == 25
    assert len(list(client.list_rows(f"{dataset}.paged", max_results=3))) == 3
    assert len(list(client.list_rows(f"{dataset}.paged", start_index=20))) == 5


def test_jobs_are_remembered(client: bigquery.Client, dataset: str) -> None:
    job = client.query("SELECT 1 AS a", job_id="a-job-of-mine", job_retry=None)
    job.result()
    again = client.get_job("a-job-of-mine")
    assert (again.state, again.statement_type, [tuple(row) for row in again.result()]) == ("DONE", "SELECT", [(1,)])
    with pytest.raises(Conflict):
        client.query("SELECT 1 AS a", job_id="a-job-of-mine", job_retry=None)
    assert "a-job-of-mine" in [one.job_id for one in client.list_jobs(max_results=5)]
    with pytest.raises(NotFound):
        client.get_job("no-such-job")
    failed = client.query("SELECT 1 / 0", job_retry=None)
    with pytest.raises(BadRequest):
        failed.result()
    assert failed.error_result["reason"] == "invalidQuery"


def test_a_long_job_is_cancelled(client: bigquery.Client) -> None:
    job = client.query(LONG)
    assert job.state == "RUNNING"
    assert not job.done()
    job.cancel()
    with pytest.raises(GoogleAPICallError, match="cancelled"):
        job.result(timeout=60)


def test_a_wait_ends_before_the_job_does(served: Served, client: bigquery.Client) -> None:
    job = client.query(LONG)
    answer = client._connection.api_request(
        method="GET", path=f"/projects/a-project/queries/{job.job_id}", query_params={"timeoutMs": 1, "maxResults": 0}
    )
    assert answer["jobComplete"] is False
    job.cancel()


def test_many_clients_read_and_write_at_once(served: Served, client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.shared (k INT64)")

    def act(number: int) -> int:
        client.query_and_wait(f"INSERT {dataset}.shared (k) VALUES ({number})")
        client.insert_rows_json(f"{dataset}.shared", [{"k": number}])
        [row] = client.query_and_wait(f"SELECT COUNT(*) FROM {dataset}.shared WHERE k = {number}")
        return int(row[0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(act, range(24))) == [2] * 24
    assert client.get_table(f"{dataset}.shared").num_rows == 48


def test_a_restart_finds_everything(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as served:
        client = served.client()
        dataset = bigquery.Dataset("a-project.kept")
        dataset.labels = {"a": "b"}
        client.create_dataset(dataset)
        client.query_and_wait("CREATE TABLE kept.t OPTIONS(description='rows') AS SELECT 1 AS k")
        client.query_and_wait("CREATE VIEW kept.v AS SELECT k + 1 AS k FROM kept.t")
        client.close()
    with serving(tmp_path / "state") as served:
        client = served.client()
        assert client.get_dataset("kept").labels == {"a": "b"}
        assert client.get_table("kept.t").description == "rows"
        assert [tuple(row) for row in client.query_and_wait("SELECT k FROM kept.v")] == [(2,)]
        client.close()


def test_time_is_the_emulators(tmp_path: Path) -> None:
    with serving() as served:
        client = served.client()
        served.clock.freeze(datetime(2030, 1, 1, tzinfo=UTC))
        [row] = client.query_and_wait("SELECT CURRENT_TIMESTAMP(), CURRENT_DATE()")
        assert tuple(row) == (datetime(2030, 1, 1, tzinfo=UTC), date(2030, 1, 1))
        client.create_dataset("d")
        table = bigquery.Table("a-project.d.t", schema=[bigquery.SchemaField("a", "INT64")])
        table.expires = datetime(2030, 1, 2, tzinfo=UTC)
        assert client.create_table(table).created == datetime(2030, 1, 1, tzinfo=UTC)
        served.clock.advance(timedelta(days=2))
        with pytest.raises(NotFound):
            client.get_table("d.t")
        client.close()


def test_what_goes_wrong_on_purpose_does(served: Served, client: bigquery.Client) -> None:
    served.faults.set(Fault(matching="bigquery/jobs.query", refused=Refused("UNAVAILABLE", "not now")))
    with pytest.raises(ServiceUnavailable):
        client.query_and_wait("SELECT 1", retry=None, job_retry=None)
    assert [tuple(row) for row in client.query_and_wait("SELECT 1")] == [(1,)]
    assert served.calls.list("jobs.query")[-1].request["query"] == "SELECT 1"


def test_what_has_no_path_is_refused_by_name(client: bigquery.Client) -> None:
    with pytest.raises(GoogleAPICallError, match="routines is not emulated"):
        list(client.list_routines("flights"))


def test_a_reader_keeps_nobody_from_writing(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE TABLE {dataset}.free AS SELECT 1 AS k")
    long = client.query(f"{LONG}, {dataset}.free")
    client.query_and_wait(f"INSERT {dataset}.free (k) VALUES (2)")
    assert not long.done()
    long.cancel()


def test_bodies_are_json(served: Served) -> None:
    import requests

    answer = requests.post(f"{served.address}/bigquery/v2/projects/a-project/queries", data=b"{", timeout=10)
    assert answer.status_code == 400
    assert json.loads(answer.content)["error"]["errors"][0]["reason"] == "parseError"


def test_rows_that_are_deleted_between_pages_hide_no_others(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(f"CREATE OR REPLACE TABLE {dataset}.paged AS SELECT x FROM UNNEST(GENERATE_ARRAY(1, 12)) x")
    pages = client.list_rows(f"{client.project}.{dataset}.paged", page_size=5).pages
    seen = [row["x"] for row in next(pages)]

    client.query_and_wait(f"DELETE FROM {dataset}.paged WHERE x IN ({', '.join(map(str, seen))})")
    seen += [row["x"] for page in pages for row in page]

    assert sorted(seen) == list(range(1, 13))


def test_a_query_reads_only_what_lies_in_the_location_that_it_is_asked_for_in(
    client: bigquery.Client, dataset: str
) -> None:
    client.query_and_wait(f"CREATE OR REPLACE TABLE {dataset}.located AS SELECT 1 AS x")
    where = client.get_dataset(f"{client.project}.{dataset}").location

    assert [row.x for row in client.query_and_wait(f"SELECT x FROM {dataset}.located", location=where.lower())] == [1]
    with pytest.raises(NotFound, match="was not found in location asia-east1"):
        client.query_and_wait(f"SELECT x FROM {dataset}.located", location="asia-east1")


def test_a_job_outside_of_the_us_and_the_eu_is_found_by_its_location_only(client: bigquery.Client) -> None:
    made = bigquery.Dataset(f"{client.project}.elsewhere")
    made.location = "europe-west4"
    client.create_dataset(made)
    client.query_and_wait("CREATE TABLE elsewhere.t AS SELECT 1 AS x")

    for job in (
        client.query("SELECT x FROM elsewhere.t"),
        client.query("SELECT 1", location="europe-west4"),
        client.load_table_from_json([{"x": 2}], "elsewhere.t"),
        client.copy_table("elsewhere.t", "elsewhere.u"),
    ):
        job.result()
        assert job.location == "europe-west4"
        assert client.get_job(job.job_id, location="europe-west4").state == "DONE"
        for location in (None, "us-east1"):
            with pytest.raises(NotFound, match="Not found: Job"):
                client.get_job(job.job_id, location=location, retry=None)

    job = client.query("SELECT 1")
    assert client.get_job(job.job_id).location == "US"
