"""Extract jobs: tables into files of Cloud Storage."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from cloudmlops.emulators.google.access import Access

from .conftest import OBJECTS, PROJECT, Served

FLAT = """
CREATE OR REPLACE TABLE {table} AS SELECT * FROM UNNEST([
  STRUCT(1 AS n, 'a "quoted", <b> & c' AS s, 1.5 AS f, TRUE AS b, DATE '2026-01-31' AS d, b'yes' AS y,
         TIMESTAMP '2026-01-31 12:00:00.25+00' AS t, DATETIME '2026-01-31 12:00:00' AS dt, TIME '01:02:03' AS tm),
  STRUCT(9007199254740993, '', CAST('inf' AS FLOAT64), FALSE, NULL, NULL, TIMESTAMP '2026-01-31 12:00:00+00', NULL,
         NULL)
]) ORDER BY n
"""


@pytest.fixture
def flat(client: bigquery.Client, dataset: str) -> str:
    client.query_and_wait(FLAT.format(table=f"{dataset}.flat"))
    return f"{PROJECT}.{dataset}.flat"


def extracted(client: bigquery.Client, table: str, uri: str, **settings: Any) -> bigquery.ExtractJob:
    job = client.extract_table(table, uri, job_config=bigquery.ExtractJobConfig(**settings))
    job.result()
    return job


def test_csv_has_a_header_and_is_quoted_where_it_must_be(client: bigquery.Client, flat: str) -> None:
    job = extracted(client, flat, "gs://files/flat.csv")

    assert OBJECTS["files", "flat.csv"].decode().splitlines() == [
        "n,s,f,b,d,y,t,dt,tm",
        '1,"a ""quoted"", <b> & c",1.5,true,2026-01-31,eWVz,2026-01-31 12:00:00.25 UTC,2026-01-31T12:00:00,01:02:03',
        '9007199254740993,"",Infinity,false,,,2026-01-31 12:00:00 UTC,,',
    ]
    assert job.destination_uri_file_counts == [1]
    assert (job.state, job.destination_uris) == ("DONE", ["gs://files/flat.csv"])


def test_csv_is_written_without_header_with_another_delimiter_and_compressed(
    client: bigquery.Client, flat: str
) -> None:
    extracted(client, flat, "gs://files/flat.gz", print_header=False, field_delimiter="tab", compression="GZIP")

    first = gzip.decompress(OBJECTS["files", "flat.gz"]).decode().splitlines()[0].split("\t")
    assert first[:3] == ["1", '"a ""quoted"", <b> & c"', "1.5"]


def test_json_lines_keep_whole_numbers_as_text_and_leave_out_what_is_null(client: bigquery.Client, flat: str) -> None:
    extracted(client, flat, "gs://files/flat.json", destination_format="NEWLINE_DELIMITED_JSON")

    content = OBJECTS["files", "flat.json"].decode()
    first, second = map(json.loads, content.splitlines())
    assert (first["n"], first["f"], first["b"], first["t"]) == ("1", 1.5, True, "2026-01-31 12:00:00.25 UTC")
    assert r"\u003cb\u003e \u0026 c" in content
    assert second == {
        "n": "9007199254740993",
        "s": "",
        "f": "Infinity",
        "b": False,
        "t": "2026-01-31 12:00:00 UTC",
    }


def test_what_is_nested_goes_into_json_and_not_into_csv(client: bigquery.Client, dataset: str) -> None:
    client.query_and_wait(
        f"CREATE OR REPLACE TABLE {dataset}.nested AS SELECT [1, 2] AS many, STRUCT('x' AS a, 2 AS b) AS one"
    )
    extracted(client, f"{dataset}.nested", "gs://files/nested.json", destination_format="NEWLINE_DELIMITED_JSON")

    assert json.loads(OBJECTS["files", "nested.json"]) == {"many": ["1", "2"], "one": {"a": "x", "b": "2"}}
    with pytest.raises(exceptions.BadRequest, match=r"nested schema\. Field: many"):
        extracted(client, f"{dataset}.nested", "gs://files/nested.csv")


@pytest.mark.parametrize("compression", ["NONE", "SNAPPY", "GZIP", "ZSTD"])
def test_parquet_is_loaded_again_as_the_same_rows(client: bigquery.Client, flat: str, compression: str) -> None:
    extracted(client, flat, "gs://files/flat-*.parquet", destination_format="PARQUET", compression=compression)

    name = "flat-000000000000.parquet"
    written = pq.ParquetFile(io.BytesIO(OBJECTS["files", name])).metadata.row_group(0).column(0).compression
    assert written == {"NONE": "UNCOMPRESSED"}.get(compression, compression)
    again = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    client.load_table_from_uri(f"gs://files/{name}", f"{flat}_again", job_config=again).result()
    assert [tuple(row) for row in client.list_rows(f"{flat}_again")] == [tuple(row) for row in client.list_rows(flat)]


def test_the_rows_of_a_wildcard_are_in_numbered_files(client: bigquery.Client, flat: str) -> None:
    job = extracted(client, flat, "gs://files//part//*-of.csv")

    assert job.destination_uri_file_counts == [1]
    assert OBJECTS["files", "part/000000000000-of.csv"].startswith(b"n,s,f")


@pytest.mark.parametrize(
    ("uri", "settings", "error", "words"),
    [
        ("gs://files/a.csv", {"compression": "SNAPPY"}, exceptions.BadRequest, "SNAPPY is not supported"),
        ("gs://files/a.avro", {"destination_format": "AVRO"}, exceptions.MethodNotImplemented, "AVRO"),
        ("gs://files/*-*.csv", {}, exceptions.BadRequest, "Only one wildcard"),
        ("s3://files/a.csv", {}, exceptions.BadRequest, "valid Google Storage path"),
        ("gs://no-bucket/a.csv", {}, exceptions.NotFound, "gs://no-bucket/a.csv"),
    ],
    ids=["compression", "avro", "two wildcards", "another store", "no bucket"],
)
def test_what_cannot_be_written_is_refused(
    client: bigquery.Client,
    flat: str,
    uri: str,
    settings: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words.replace("*", r"\*")):
        client.extract_table(flat, uri, job_config=bigquery.ExtractJobConfig(**settings), retry=None).result()


def test_a_view_is_not_extracted(client: bigquery.Client, flat: str) -> None:
    client.query_and_wait(f"CREATE OR REPLACE VIEW {flat}_seen AS SELECT n FROM {flat}")

    with pytest.raises(exceptions.BadRequest, match="currently a VIEW"):
        extracted(client, f"{flat}_seen", "gs://files/seen.csv")


@pytest.mark.parametrize("permission", ["bigquery.tables.export", "storage.objects.create", "storage.objects.delete"])
def test_an_extract_needs_rights_on_the_table_and_on_the_object(
    served: Served, client: bigquery.Client, flat: str, permission: str
) -> None:
    access = Access(served.state)
    access.deny(permission)
    OBJECTS.pop(("files", "denied.csv"), None)
    try:
        with pytest.raises(exceptions.Forbidden, match=permission):
            extracted(client, flat, "gs://files/denied.csv")
    finally:
        access.allow()
    assert ("files", "denied.csv") not in OBJECTS
