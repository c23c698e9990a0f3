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
SENT: dict[str, dict[str, Any]] = {
    "/datastores/mine": {
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": "mine",
            "containerName": "data",
            "credentials": {
                "credentialsType": "AccountKey",
                "secrets": {"secretsType": "AccountKey", "key": SECRET},
            },
        }
    },
    "/onlineEndpoints/mine/regenerateKeys": {"keyType": "Primary", "keyValue": SECRET},
    "/providers/Microsoft.EventGrid/eventSubscriptions/mine": {
        "properties": {
            "destination": {
                "endpointType": "WebHook",
                "properties": {
                    "endpointUrl": f"https://events.example.com/?key={SECRET}",
                    "deliveryAttributeMappings": [
                        {"name": "x-key", "type": "Static", "properties": {"value": SECRET, "isSecret": True}}
                    ],
                },
            }
        }
    },
}


@pytest.mark.parametrize("path", SENT)
def test_a_secret_that_is_sent_is_in_no_record(azure: Azure, path: str) -> None:
    token = azure.cloud.tokens.issue(azure.principal("owner"), AUDIENCES[0])

    httpx.request(
        "POST" if path.endswith("Keys") else "PUT",
        f"{azure.emulator.url}{azure.workspace_id}{path}",
        params={"api-version": "2023-10-01"},
        headers={"Authorization": f"Bearer {token}"},
        json=SENT[path],
        trust_env=False,
        verify=False,
    )

    calls = [call for call in azure.emulator.calls.list() if call.resource.lower().endswith(path.lower())]
    assert len(calls) == 1
    assert calls[0].request["body"], "what was sent is recorded"
    told = httpx.get(f"{azure.emulator.url}/-/emulator/calls", trust_env=False, verify=False).text
    assert SECRET not in told + repr(calls)
    assert json.loads(told)
