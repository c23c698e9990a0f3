"""What audit logs say of BigQuery, Cloud Storage, Bigtable and Pub/Sub."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import bigquery, bigtable_admin_v2
from google.oauth2.credentials import Credentials

ADA = "ada@example.com"
INSERT_JOB = "google.cloud.bigquery.v2.JobService.InsertJob"
STORAGE = "https://storage.googleapis.com"


@pytest.fixture
def warehouse(google: Any) -> Iterator[bigquery.Client]:
    client = bigquery.Client(
        project=google.project,
        credentials=Credentials(google.token(ADA)),
        client_options={"api_endpoint": google.emulator.url},
    )
    yield client
    client.close()


def entries(google: Any, service: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = google.cloud.logs.list(
        [f"projects/{google.project}"], f'protoPayload.serviceName="{service}"'
    )
    return found


def told(entry: dict[str, Any]) -> tuple[str, str, int]:
    payload = entry["protoPayload"]
    return payload["methodName"], payload["resourceName"], payload["status"].get("code", 0)


def test_datasets_and_tables_are_in_the_log_of_administration(google: Any, warehouse: bigquery.Client) -> None:
    root = f"projects/{google.project}/datasets/trips"
    service = "google.cloud.bigquery.v2"
    warehouse.create_dataset("trips")
    table = warehouse.create_table(bigquery.Table(f"{google.project}.trips.rides"))
    table.description = "each ride"
    warehouse.update_table(table, ["description"])
    warehouse.delete_table(table)
    warehouse.delete_dataset("trips")
    with pytest.raises(exceptions.NotFound):
        warehouse.delete_dataset("trips")

    written = entries(google, "bigquery.googleapis.com")

    assert [told(entry) for entry in written] == [
        (f"{service}.DatasetService.InsertDataset", root, 0),
        (f"{service}.TableService.InsertTable", f"{root}/tables/rides", 0),
        (f"{service}.TableService.PatchTable", f"{root}/tables/rides", 0),
        (f"{service}.TableService.DeleteTable", f"{root}/tables/rides", 0),
        (f"{service}.DatasetService.DeleteDataset", root, 0),
        (f"{service}.DatasetService.DeleteDataset", root, 5),
    ]
    made = written[1]
    assert made["logName"] == f"projects/{google.project}/logs/cloudaudit.googleapis.com%2Factivity"
    assert made["severity"] == "NOTICE"
    assert made["resource"] == {
        "type": "bigquery_dataset",
        "labels": {"project_id": google.project, "dataset_id": "trips"},
    }
    payload = made["protoPayload"]
    assert payload["authenticationInfo"] == {"principalEmail": ADA}
    assert payload["authorizationInfo"] == [
        {"resource": f"{root}/tables/rides", "permission": "bigquery.tables.create", "granted": True}
    ]
    assert payload["metadata"] == {
        "@type": "type.googleapis.com/google.cloud.audit.BigQueryAuditMetadata",
        "tableCreation": {"table": {"tableName": f"{root}/tables/rides"}, "reason": "TABLE_INSERT_REQUEST"},
    }
    assert written[-1]["severity"] == "ERROR"


def test_a_job_is_two_entries_and_one_for_what_it_changed(google: Any, warehouse: bigquery.Client) -> None:
    warehouse.create_dataset("trips")
    configuration = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("n", "INTEGER")])
    job = warehouse.load_table_from_json([{"n": 1}, {"n": 2}], "trips.rides", job_config=configuration)
    job.result()

    first, *changes, last = [
        entry for entry in entries(google, "bigquery.googleapis.com") if "InsertJob" in told(entry)[0]
    ]

    name, table = (
        f"projects/{google.project}/jobs/{job.job_id}",
        f"projects/{google.project}/datasets/trips/tables/rides",
    )
    assert told(first) == told(last) == (INSERT_JOB, name, 0)
    assert first["operation"]["id"] == last["operation"]["id"]
    assert (first["operation"]["first"], last["operation"]["last"]) == (True, True)
    assert first["logName"].endswith("cloudaudit.googleapis.com%2Fdata_access")
    assert first["severity"] == "INFO"
    assert first["resource"] == {
        "type": "bigquery_project",
        "labels": {"project_id": google.project, "location": "US"},
    }
    change = last["protoPayload"]["metadata"]["jobChange"]
    assert (change["before"], change["after"]) == ("RUNNING", "DONE")
    assert change["job"]["jobName"] == name
    assert change["job"]["jobConfig"]["type"] == "IMPORT"
    assert change["job"]["jobConfig"]["loadConfig"]["destinationTable"] == table
    events = [entry["protoPayload"]["metadata"] for entry in changes]
    assert [next(key for key in event if key != "@type") for event in events] == ["tableCreation", "tableDataChange"]
    assert events[1]["tableDataChange"] == {"insertedRowsCount": "2", "reason": "JOB", "jobName": name}
    assert {told(entry)[1] for entry in changes} == {table}


def test_a_query_that_fails_says_so_at_its_end(google: Any, warehouse: bigquery.Client) -> None:
    with pytest.raises(exceptions.NotFound):
        warehouse.query_and_wait("SELECT * FROM trips.none")

    first, last = entries(google, "bigquery.googleapis.com")

    assert (told(first)[0], told(first)[2]) == ("google.cloud.bigquery.v2.JobService.Query", 0)
    assert told(last)[2] == 5
    assert "trips" in last["protoPayload"]["metadata"]["jobChange"]["job"]["jobStatus"]["errorResult"]["message"]


def test_a_refused_job_is_written_down(google: Any, warehouse: bigquery.Client) -> None:
    google.cloud.access.deny("bigquery.jobs.create", principal=ADA)
    with pytest.raises(exceptions.Forbidden):
        warehouse.query("SELECT 1", retry=None)

    (refused,) = entries(google, "bigquery.googleapis.com")

    assert told(refused) == (INSERT_JOB, f"projects/{google.project}", 7)
    (asked,) = refused["protoPayload"]["authorizationInfo"]
    assert (asked["permission"], asked["granted"]) == ("bigquery.jobs.create", False)


def test_an_event_tells_of_a_table_that_was_made(google: Any, warehouse: bigquery.Client, target: Any) -> None:
    google.cloud.audit.trigger(target.url, service_name="bigquery.googleapis.com", method_names=[INSERT_JOB])
    warehouse.create_dataset("trips")
    warehouse.query("CREATE TABLE trips.rides AS SELECT 1 AS n").result()

    assert google.cloud.pusher.wait_until_delivered(timedelta(seconds=20))

    sources = {(headers["ce-source"].rpartition("/")[2], headers["ce-resourcename"]) for headers, _ in target.taken}
    table = f"projects/{google.project}/datasets/trips/tables/rides"
    assert {("activity", table), ("data_access", table)} <= sources


def test_buckets_are_always_written_down_and_objects_where_the_project_says_so(google: Any) -> None:
    bucket = f"{google.project}-files"
    token = google.token(ADA)

    def ask(verb: str, path: str, sent: object = None) -> int:
        status: int = google.ask(verb, f"{STORAGE}/{path}", sent, token=token).status_code
        return status

    assert ask("POST", f"storage/v1/b?project={google.project}", {"name": bucket, "location": "europe-west4"}) == 200
    assert ask("POST", f"upload/storage/v1/b/{bucket}/o?uploadType=media&name=a%2Fb", {"x": 1}) == 200
    policy = {"auditConfigs": [{"service": "storage.googleapis.com", "auditLogConfigs": [{"logType": "DATA_WRITE"}]}]}
    manager = f"https://cloudresourcemanager.googleapis.com/v3/projects/{google.project}:setIamPolicy"
    assert google.ask("POST", manager, {"policy": policy}).status_code == 200
    assert ask("POST", f"upload/storage/v1/b/{bucket}/o?uploadType=media&name=a%2Fc", {"x": 1}) == 200
    assert ask("GET", f"storage/v1/b/{bucket}/o/a%2Fc") == 200
    assert ask("POST", f"storage/v1/b/{bucket}/o/a%2Fc/copyTo/b/{bucket}/o/d", {}) == 200
    assert ask("POST", f"upload/storage/v1/b/{bucket}/o?uploadType=resumable&name=long", {}) == 200
    assert ask("DELETE", f"storage/v1/b/{bucket}/o/none") == 404
    google.cloud.access.deny("storage.objects.delete")
    assert ask("DELETE", f"storage/v1/b/{bucket}/o/d") == 403

    written = entries(google, "storage.googleapis.com")

    root = f"projects/_/buckets/{bucket}"
    assert [told(entry) for entry in written] == [
        ("storage.buckets.create", root, 0),
        ("storage.objects.create", f"{root}/objects/a/c", 0),
        ("storage.objects.create", f"{root}/objects/d", 0),
        ("storage.objects.delete", f"{root}/objects/none", 5),
        ("storage.objects.delete", f"{root}/objects/d", 7),
    ]
    assert [entry["logName"].rpartition("%2F")[2] for entry in written] == ["activity", *["data_access"] * 4]
    made = written[1]
    assert made["resource"] == {
        "type": "gcs_bucket",
        "labels": {"project_id": google.project, "bucket_name": bucket, "location": "europe-west4"},
    }
    assert made["protoPayload"]["authenticationInfo"] == {"principalEmail": ADA}
    assert made["protoPayload"]["resourceLocation"] == {"currentLocations": ["europe-west4"]}
    assert written[-1]["protoPayload"]["authorizationInfo"][0]["granted"] is False


def test_administration_of_bigtable_is_written_down(google: Any) -> None:
    channel = grpc.insecure_channel(google.emulator.address, [("grpc.enable_http_proxy", 0)])
    transports = bigtable_admin_v2.services.bigtable_table_admin.transports
    admin = bigtable_admin_v2.BaseBigtableTableAdminClient(
        transport=transports.BigtableTableAdminGrpcTransport(channel=channel)
    )
    parent = f"projects/{google.project}/instances/flights"
    admin.create_table(parent=parent, table_id="rides", table={})
    list(admin.list_tables(parent=parent))
    google.cloud.access.deny("bigtable.tables.delete")
    with pytest.raises(exceptions.PermissionDenied):
        admin.delete_table(name=f"{parent}/tables/rides")
    channel.close()

    service = "google.bigtable.admin.v2.BigtableTableAdmin"
    assert [told(entry) for entry in entries(google, "bigtableadmin.googleapis.com")] == [
        (f"{service}.CreateTable", parent, 0),
        (f"{service}.DeleteTable", f"{parent}/tables/rides", 7),
    ]


def test_what_pubsub_refuses_is_written_down(google: Any) -> None:
    root = f"https://pubsub.googleapis.com/v1/projects/{google.project}/topics"
    assert google.ask("PUT", f"{root}/stages", {}).status_code == 200
    assert google.ask("PUT", f"{root}/stages", {}).status_code == 409
    google.cloud.access.deny("pubsub.topics.delete")
    assert google.ask("DELETE", f"{root}/stages").status_code == 403

    name = f"projects/{google.project}/topics/stages"
    assert [told(entry) for entry in entries(google, "pubsub.googleapis.com")] == [
        ("google.pubsub.v1.Publisher.CreateTopic", name, 0),
        ("google.pubsub.v1.Publisher.CreateTopic", name, 6),
        ("google.pubsub.v1.Publisher.DeleteTopic", name, 7),
    ]
