"""Nothing secret is in the record of calls, which anybody on this machine may read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cloudmlops.emulators.azure.arm.service import AUDIENCES

if TYPE_CHECKING:
    from conftest import Azure

SECRET = "planted-0b5f"
ML = "/datastores/mine"
SUBSCRIPTION = "/providers/Microsoft.EventGrid/eventSubscriptions/mine"
SIGNED = f"https://mine.blob.core.windows.net/data/x?sv=2024-01-01&sig={SECRET}&se=2030-01-01"


def _datastore(secrets: dict[str, str], **known: str) -> dict[str, Any]:
    account = {"datastoreType": "AzureBlob", "accountName": "mine", "containerName": "data"}
    return {"properties": {**account, "credentials": {"credentialsType": known["kind"], **known, "secrets": secrets}}}


def _webhook(url: str, value: str = "") -> dict[str, Any]:
    mapping = {"name": "x-key", "type": "Static", "properties": {"value": value, "isSecret": True}}
    properties = {"endpointUrl": url, "deliveryAttributeMappings": [mapping]}
    return {"properties": {"destination": {"endpointType": "WebHook", "properties": properties}}}


SENT: dict[str, tuple[str, dict[str, Any]]] = {
    "account key": (ML, _datastore({"secretsType": "AccountKey", "key": SECRET}, kind="AccountKey")),
    "sas token": (ML, _datastore({"secretsType": "Sas", "sasToken": f"sv=2024&sig={SECRET}"}, kind="Sas")),
    "secret of a service principal": (ML, _datastore({"clientSecret": SECRET}, kind="ServicePrincipal")),
    "regenerated key": ("/onlineEndpoints/mine/regenerateKeys", {"keyType": "Primary", "keyValue": SECRET}),
    "keys of an endpoint": (
        "/onlineEndpoints/mine",
        {"properties": {"authMode": "Key", "keys": {"primaryKey": SECRET, "secondaryKey": SECRET}}},
    ),
    "environment of a deployment": (
        "/onlineEndpoints/mine/deployments/blue",
        {"properties": {"environmentVariables": {"PLAIN": SECRET, "URL": f"https://x/{SECRET}"}}},
    ),
    "environment of a job": (
        "/jobs/mine",
        {
            "properties": {
                "jobType": "Pipeline",
                "environmentVariables": {"name": SECRET, "value": SECRET},
                "jobs": {"step": {"type": "command", "environment_variables": {"DB": SECRET}}},
                "inputs": {"apiKey": {"jobInputType": "literal", "value": SECRET}},
            }
        },
    ),
    "configuration of Spark": ("/jobs/spark", {"properties": {"conf": {"spark.fs.azure.account.key.mine": SECRET}}}),
    "password of a compute": (
        "/computes/mine",
        {
            "properties": {
                "computeType": "AmlCompute",
                "properties": {
                    "userAccountCredentials": {
                        "adminUserName": "me",
                        "adminUserPassword": SECRET,
                        "adminUserSshPublicKey": SECRET,
                    }
                },
            }
        },
    ),
    "token beside the secrets": (ML, _datastore({}, kind="PAT", pat=SECRET, other=SECRET)),
    "model of a signed address": ("/models/mine/versions/1", {"properties": {"modelUri": SIGNED}}),
    "data of a signed address": ("/data/mine/versions/1", {"properties": {"dataUri": SIGNED}}),
    "signed address in a text": (
        "/models/told/versions/1",
        {"properties": {"description": f"from {SIGNED}, with Bearer {SECRET}", "tags": {"from": SIGNED}}},
    ),
    "key of a webhook": (SUBSCRIPTION, _webhook(f"https://events.example.com/?key={SECRET}", SECRET)),
    "code of a webhook": (SUBSCRIPTION, _webhook(f"https://events.example.com/hook?a=b&code={SECRET}")),
    "user of a webhook": (SUBSCRIPTION, _webhook(f"https://me:{SECRET}@events.example.com/hook")),
    "token of Event Grid": (SUBSCRIPTION, _webhook(f"https://events.example.com/hook?aeg-sas-key={SECRET}")),
}


@pytest.mark.parametrize("kind", SENT)
def test_a_secret_that_is_sent_is_in_no_record(azure: Azure, kind: str) -> None:
    path, body = SENT[kind]

    _send(azure, path, body)

    calls = [call for call in azure.emulator.calls.list() if call.resource.lower().endswith(path.lower())]
    assert len(calls) == 1
    assert calls[0].request["body"] == body, "what was sent is recorded for the process that runs the emulator"
    told = _told(azure)
    assert SECRET not in told + repr(calls)
    assert "(hidden)" in told
    assert json.loads(told)


def test_a_secret_in_the_query_is_in_no_record(azure: Azure) -> None:
    _send(azure, "/jobs/mine", {"properties": {}}, sig=SECRET, code=SECRET, key=SECRET)

    assert SECRET not in _told(azure)


def test_names_and_ids_stay_in_the_record(azure: Azure) -> None:
    body = {
        "tags": {"owner": "me", "team": "flights"},
        "properties": {
            "modelUri": "azureml://datastores/mine/paths/a/b?versionId=1",
            "keyType": "Primary",
            "parameters": [{"key": "rate", "value": "0.1"}, {"name": "depth", "value": "3"}],
            "nextPageToken": "3",
        },
    }

    _send(azure, "/models/mine/versions/1", body)

    (call,) = [one for one in json.loads(_told(azure)) if one["resource"].endswith("/models/mine/versions/1")]
    assert call["request"] == {"query": {"api-version": "2023-10-01"}, "body": body}


def _send(azure: Azure, path: str, body: dict[str, Any], **query: str) -> None:
    token = azure.cloud.tokens.issue(azure.principal("owner"), AUDIENCES[0])
    httpx.request(
        "POST" if path.endswith("Keys") else "PUT",
        f"{azure.emulator.url}{azure.workspace_id}{path}",
        params={"api-version": "2023-10-01", **query},
        headers={"Authorization": f"Bearer {token}"},
        json=body,
        trust_env=False,
        verify=False,
    )


def _told(azure: Azure) -> str:
    return httpx.get(f"{azure.emulator.url}/-/emulator/calls", trust_env=False, verify=False).text
