"""Nothing secret is in the record of calls, which anybody on this machine may read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Google

SECRET = "planted-0b5f"
PEM = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"
ACCOUNT = json.dumps({"type": "service_account", "private_key_id": "1", "private_key": PEM})
SIGNED = f"https://storage.googleapis.com/mine/x?X-Goog-Expires=60&X-Goog-Signature={SECRET}"
TOPIC = "https://pubsub.googleapis.com/v1/projects/{project}/topics/mine"
PUSHED = "https://pubsub.googleapis.com/v1/projects/{project}/subscriptions/mine"
JOBS = "https://us-central1-aiplatform.googleapis.com/v1/projects/{project}/locations/us-central1/customJobs"
MODELS = "https://us-central1-aiplatform.googleapis.com/v1/projects/{project}/locations/us-central1/models:upload"
QUERIES = "https://bigquery.googleapis.com/bigquery/v2/projects/{project}/queries"


def _job(**container: Any) -> dict[str, Any]:
    pool = {"machineSpec": {"machineType": "n1-standard-4"}, "containerSpec": {"imageUri": "any", **container}}
    return {"displayName": "mine", "jobSpec": {"workerPoolSpecs": [pool]}}


SENT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "environment of a job": ("POST", JOBS, _job(env=[{"name": "PLAIN", "value": SECRET}])),
    "bearer token in an argument": ("POST", JOBS, _job(args=[f"Authorization: Bearer ya29.{SECRET}"])),
    "private key in an argument": ("POST", JOBS, _job(args=[ACCOUNT])),
    "signed address of a model": ("POST", MODELS, {"model": {"displayName": "mine", "artifactUri": SIGNED}}),
    "signed address in a query": ("POST", QUERIES, {"query": f"SELECT '{SIGNED}'", "useLegacySql": False}),
    "private key of labels": ("PUT", TOPIC, {"labels": {"private_key": SECRET, "token": SECRET}}),
    "token of a push": ("PUT", PUSHED, {"topic": "any", "pushConfig": {"pushEndpoint": f"https://x/?token={SECRET}"}}),
    "signature in a query": ("GET", f"https://storage.googleapis.com/storage/v1/b/mine?X-Goog-Signature={SECRET}", {}),
    "token in a query": ("GET", f"https://storage.googleapis.com/storage/v1/b/mine/o/x?access_token={SECRET}", {}),
}


@pytest.mark.parametrize("kind", SENT)
def test_a_secret_that_is_sent_is_in_no_record(google: Google, kind: str) -> None:
    verb, url, body = SENT[kind]
    google.emulator.calls.clear()

    google.ask(verb, url.format(project=google.project), body or None, token=google.token("user:me@example.com"))

    calls = google.emulator.calls.list()
    assert SECRET in str([call.request for call in calls]), "what was sent is recorded for the emulator's own process"
    told = httpx.get(f"{google.emulator.url}/-/emulator/calls", trust_env=False, verify=False).text
    assert SECRET not in told + repr(calls)
    assert "(hidden)" in told


def test_names_and_ids_stay_in_the_record(google: Google) -> None:
    google.emulator.calls.clear()
    listed = JOBS.format(project=google.project)
    google.ask(
        "GET", f"{listed}?pageSize=3&pageToken=any&filter=displayName%3D%22mine%22", token=google.token("user:me")
    )

    told = httpx.get(f"{google.emulator.url}/-/emulator/calls", trust_env=False, verify=False).json()

    parent = f"projects/{google.project}/locations/us-central1"
    (call,) = told
    assert call["request"] == {
        "parent": parent,
        "page_size": 3,
        "page_token": "any",
        "filter": 'displayName="mine"',
    }
