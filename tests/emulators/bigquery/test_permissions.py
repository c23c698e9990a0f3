"""Who asks, what he may do, and the words in which he is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.exceptions import RefreshError
from google.cloud import bigquery
from google.oauth2.credentials import Credentials

from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.bigquery.callers import PERMISSIONS
from cloudmlops.emulators.google.tokens import Tokens

from .conftest import OBJECTS, PROJECT, Served, serving

TABLE = f"{PROJECT}:trips.rides"
ADA, EVE = "ada@example.com", "eve@example.com"
LINES = "NEWLINE_DELIMITED_JSON"
INTEGERS = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("n", "INTEGER")], source_format=LINES)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


@pytest.fixture
def access(served: Served) -> Iterator[Access]:
    access = Access(served.state)
    yield access
    access.allow()


@pytest.fixture
def called(served: Served) -> Iterator[Callable[[str], bigquery.Client]]:
    """A client of somebody's."""
    made: list[bigquery.Client] = []

    def client(token: str) -> bigquery.Client:
        options = ClientOptions(api_endpoint=served.address)
        made.append(bigquery.Client(project=PROJECT, credentials=Credentials(token), client_options=options))
        return made[-1]

    yield client
    for one in made:
        one.close()


@pytest.fixture
def ada(served: Served, called: Callable[[str], bigquery.Client]) -> bigquery.Client:
    client = called(Tokens(served.state).issue(ADA))
    client.create_dataset("trips", exists_ok=True)
    client.query_and_wait("CREATE OR REPLACE TABLE trips.rides AS SELECT 1 AS n")
    client.query_and_wait("CREATE OR REPLACE VIEW trips.seen AS SELECT n FROM trips.rides")
    client.query_and_wait("CREATE OR REPLACE TABLE trips.others AS SELECT 1 AS n")
    return client


@pytest.fixture
def eve(served: Served, called: Callable[[str], bigquery.Client]) -> bigquery.Client:
    return called(Tokens(served.state).issue(EVE))


def test_a_token_that_nobody_issued_is_refused_in_the_shape_of_the_service(served: Served) -> None:
    answer = httpx.get(
        f"{served.address}/bigquery/v2/projects/{PROJECT}/datasets",
        headers={"authorization": "Bearer nonsense"},
        trust_env=False,
        verify=False,
    )

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (401, 401, "UNAUTHENTICATED")
    assert error["message"].startswith("Request had invalid authentication credentials.")
    assert [(one["reason"], one["message"]) for one in error["errors"]] == [("authError", "Invalid Credentials")]
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_a_token_that_is_too_old_is_refused(served: Served, called: Callable[[str], bigquery.Client]) -> None:
    tokens = Tokens(served.state)
    client = called(tokens.issue(ADA))
    assert list(client.list_datasets()) is not None

    tokens.expire()

    # The client takes it for one that can be refreshed, which this one cannot.
    with pytest.raises(RefreshError):
        list(client.list_datasets(retry=None))


def test_a_job_names_who_started_it(ada: bigquery.Client) -> None:
    assert ada.query("SELECT 1").user_email == ADA


ACTS: dict[str, tuple[str, Callable[[bigquery.Client], Any], str]] = {
    "a query": (
        "bigquery.jobs.create",
        lambda at: at.query_and_wait("SELECT 1"),
        f"Access Denied: Project {PROJECT}: User does not have bigquery.jobs.create permission in project {PROJECT}.",
    ),
    "a job": (
        "bigquery.jobs.create",
        lambda at: at.query("SELECT 1", retry=None),
        f"Access Denied: Project {PROJECT}: User does not have bigquery.jobs.create permission in project {PROJECT}.",
    ),
    "reading by a query": (
        "bigquery.tables.getData",
        lambda at: at.query_and_wait("SELECT n FROM trips.rides"),
        (
            f"Access Denied: Table {TABLE}: User does not have permission to query table {TABLE}, "
            "or perhaps it does not exist."
        ),
    ),
    "planning a query": (
        "bigquery.tables.getData",
        lambda at: at.query("SELECT n FROM trips.rides", bigquery.QueryJobConfig(dry_run=True), retry=None),
        f"Table {TABLE}: User does not have permission to query table",
    ),
    "listing rows": (
        "bigquery.tables.getData",
        lambda at: list(at.list_rows("trips.rides", selected_fields=[bigquery.SchemaField("n", "INTEGER")])),
        (
            f"Access Denied: Table {TABLE}: Permission bigquery.tables.getData denied on table {TABLE} "
            "(or it may not exist)."
        ),
    ),
    "a new table": (
        "bigquery.tables.create",
        lambda at: at.create_table(bigquery.Table(f"{PROJECT}.trips.more")),
        (
            f"Access Denied: Dataset {PROJECT}:trips: Permission bigquery.tables.create denied on dataset "
            f"{PROJECT}:trips (or it may not exist)."
        ),
    ),
    "a new dataset": (
        "bigquery.datasets.create",
        lambda at: at.create_dataset("more"),
        f"User does not have bigquery.datasets.create permission in project {PROJECT}.",
    ),
    "a dataset": (
        "bigquery.datasets.get",
        lambda at: at.get_dataset("trips"),
        "Permission bigquery.datasets.get denied",
    ),
    "a table": ("bigquery.tables.get", lambda at: at.get_table("trips.rides"), f"denied on table {TABLE}"),
    "tables": (
        "bigquery.tables.list",
        lambda at: list(at.list_tables("trips")),
        "Permission bigquery.tables.list denied",
    ),
    "no table more": ("bigquery.tables.delete", lambda at: at.delete_table("trips.rides"), f"denied on table {TABLE}"),
    "no dataset more": (
        "bigquery.tables.delete",
        lambda at: at.delete_dataset("trips", delete_contents=True),
        "Permission bigquery.tables.delete denied on dataset",
    ),
    "streamed rows": (
        "bigquery.tables.updateData",
        lambda at: at.insert_rows_json("trips.rides", [{"n": 2}]),
        f"Permission bigquery.tables.updateData denied on table {TABLE}",
    ),
    "a load into a table that is there": (
        "bigquery.tables.create",
        lambda at: at.load_table_from_json([{"n": 2}], "trips.rides", job_config=INTEGERS).result(),
        "Permission bigquery.tables.create denied on dataset",
    ),
    "a load": (
        "bigquery.tables.updateData",
        lambda at: at.load_table_from_json([{"n": 2}], "trips.rides", job_config=INTEGERS).result(),
        f"Permission bigquery.tables.updateData denied on table {TABLE}",
    ),
    "a load from Cloud Storage": (
        "storage.objects.get",
        lambda at: at.load_table_from_uri("gs://files/n.json", "trips.rides", job_config=INTEGERS).result(),
        f"{EVE} does not have storage.objects.get access to the Google Cloud Storage object",
    ),
    "a copy": (
        "bigquery.tables.getData",
        lambda at: at.copy_table(f"{PROJECT}.trips.rides", f"{PROJECT}.trips.copied").result(),
        f"Permission bigquery.tables.getData denied on table {TABLE}",
    ),
    "an answer kept": (
        "bigquery.tables.create",
        lambda at: at.query("SELECT 1 n", bigquery.QueryJobConfig(destination=f"{PROJECT}.trips.kept")).result(),
        "Permission bigquery.tables.create denied on dataset",
    ),
    "INSERT": (
        "bigquery.tables.updateData",
        lambda at: at.query_and_wait("INSERT INTO trips.rides VALUES (2)"),
        f"Permission bigquery.tables.updateData denied on table {TABLE}",
    ),
    "DELETE": (
        "bigquery.tables.getData",
        lambda at: at.query_and_wait("DELETE FROM trips.rides WHERE true"),
        "User does not have permission to query table",
    ),
    "CREATE TABLE": (
        "bigquery.tables.create",
        lambda at: at.query_and_wait("CREATE TABLE trips.more (n INT64)"),
        "Permission bigquery.tables.create denied on dataset",
    ),
    "CREATE OR REPLACE": (
        "bigquery.tables.updateData",
        lambda at: at.query_and_wait("CREATE OR REPLACE TABLE trips.rides (n INT64)"),
        f"Permission bigquery.tables.updateData denied on table {TABLE}",
    ),
    "CREATE SCHEMA": (
        "bigquery.datasets.create",
        lambda at: at.query_and_wait("CREATE SCHEMA more"),
        "User does not have bigquery.datasets.create permission",
    ),
    "ALTER TABLE": (
        "bigquery.tables.update",
        lambda at: at.query_and_wait("ALTER TABLE trips.rides ADD COLUMN m INT64"),
        "Permission bigquery.tables.update denied on table",
    ),
    "DROP TABLE": (
        "bigquery.tables.delete",
        lambda at: at.query_and_wait("DROP TABLE trips.rides"),
        "Permission bigquery.tables.delete denied on table",
    ),
    "INFORMATION_SCHEMA": (
        "bigquery.tables.list",
        lambda at: at.query_and_wait("SELECT * FROM trips.INFORMATION_SCHEMA.TABLES"),
        "Permission bigquery.tables.list denied on dataset",
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_was_denied_is_refused_to_one_and_not_to_another(
    ada: bigquery.Client, eve: bigquery.Client, access: Access, act: str
) -> None:
    permission, does, words = ACTS[act]
    OBJECTS["files", "n.json"] = b'{"n": 2}\n'
    access.deny(permission, principal=EVE)

    with pytest.raises(exceptions.Forbidden) as caught:
        does(eve)

    assert words in caught.value.message
    assert caught.value.errors[0]["reason"] == "accessDenied"
    assert [row.n for row in ada.list_rows("trips.rides")] == [1], "nothing was done"


def test_a_view_does_not_lend_what_it_reads(ada: bigquery.Client, eve: bigquery.Client, access: Access) -> None:
    access.deny("bigquery.tables.getData", principal=EVE, resource=f"projects/{PROJECT}/datasets/trips/tables/rides")

    with pytest.raises(exceptions.Forbidden, match=rf"query table {TABLE}"):
        eve.query_and_wait("SELECT n FROM trips.seen")
    assert [row.n for row in eve.query_and_wait("SELECT n FROM trips.others")] == [1]


def test_a_job_is_looked_at_by_who_started_it_and_by_whoever_may_look_at_all(
    ada: bigquery.Client, eve: bigquery.Client, access: Access
) -> None:
    job = ada.query("SELECT 1 AS n")
    job.result()
    assert eve.get_job(job.job_id).state == "DONE"
    access.deny("bigquery.jobs.get")

    assert ada.get_job(job.job_id).state == "DONE"
    with pytest.raises(exceptions.Forbidden, match=r"bigquery\.jobs\.get"):
        eve.get_job(job.job_id)


def test_a_list_shows_the_datasets_that_may_be_looked_at(
    ada: bigquery.Client, eve: bigquery.Client, access: Access
) -> None:
    ada.create_dataset("secret", exists_ok=True)
    access.deny("bigquery.datasets.get", principal=EVE, resource=f"projects/{PROJECT}/datasets/secret")

    assert "secret" in {one.dataset_id for one in ada.list_datasets()}
    assert "secret" not in {one.dataset_id for one in eve.list_datasets()}
    assert "trips" in {one.dataset_id for one in eve.list_datasets()}


def test_every_method_that_changes_something_needs_a_permission() -> None:
    changing = ("insert", "patch", "update", "delete", "insertAll", "query")
    assert {name for name in PERMISSIONS if name.rpartition(".")[2] in changing} >= {
        "datasets.insert", "datasets.patch", "datasets.update", "datasets.delete",
        "tables.insert", "tables.patch", "tables.update", "tables.delete",
        "tabledata.insertAll", "jobs.insert", "jobs.query", "jobs.delete",
    }  # fmt: skip
