"""Calls on data by who has one built-in role at one scope: let in or refused as the role's actions say.

Blobs, events of a topic, run history and MLflow, scoring, assets of registries: each of the services asks by itself.
What a role says is matched by the standard library's patterns.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cloudmlops.emulators.azure.rbac.roles import BUILT_IN, Role

if TYPE_CHECKING:
    from tests.emulators.azure.conftest import Azure

ML = "Microsoft.MachineLearningServices"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
EVENTS = "Microsoft.EventGrid/events"
MANAGEMENT = "https://management.azure.com"
STORAGE = "https://storage.azure.com"
EVENT_GRID = "https://eventgrid.azure.net"
SCORING = "https://ml.azure.com"
REFUSED = (401, 403)
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call, what it takes, and of what."""

    method: str
    path: str
    action: str
    resource: str
    audience: str
    data: bool = False
    sent: Mapping[str, Any] = field(default_factory=dict)


def group_of(azure: Azure) -> str:
    return f"/subscriptions/{azure.subscription}/resourceGroups/{azure.group}"


def put(azure: Azure, resource: str, body: Mapping[str, Any], version: str) -> None:
    """Make something by Azure Resource Manager, as the owner."""
    token = azure.cloud.tokens.issue(azure.principal("owner"), MANAGEMENT)
    answer = httpx.put(
        f"{azure.emulator.url}{resource}",
        params={"api-version": version},
        headers={"authorization": f"Bearer {token}"},
        json=body,
        trust_env=False,
        verify=False,
    )
    assert answer.status_code in (200, 201, 202), answer.text


def blobs(azure: Azure) -> list[Call]:
    found = azure.cloud.resources.get(azure.workspace_id)
    assert found is not None
    account = str(found["properties"]["storageAccount"])
    name = account.rpartition("/")[2]
    azure.cloud.blobs.make_container(name, "data")
    azure.cloud.blobs.write(name, "data", "a", b"1")
    container = f"{account}/blobServices/default/containers/data"
    of: dict[str, Any] = {"resource": container, "audience": STORAGE, "data": True}
    headers = {"x-ms-version": "2023-11-03"}
    written = {"headers": {**headers, "x-ms-blob-type": "BlockBlob"}, "content": b"2"}
    listed = {"headers": headers, "params": {"restype": "container", "comp": "list"}}
    return [
        Call(method="GET", path=f"/{name}/data/a", action=f"{BLOBS}/read", sent={"headers": headers}, **of),
        Call(method="GET", path=f"/{name}/data", action=f"{BLOBS}/read", sent=listed, **of),
        Call(method="PUT", path=f"/{name}/data/a", action=f"{BLOBS}/write", sent=written, **of),
        Call(method="DELETE", path=f"/{name}/data/b", action=f"{BLOBS}/delete", sent={"headers": headers}, **of),
    ]


def events(azure: Azure) -> list[Call]:
    name = f"rights-{next(_numbers)}"
    namespace = f"{group_of(azure)}/providers/Microsoft.EventGrid/namespaces/{name}"
    put(azure, namespace, {"location": "westeurope", "properties": {}}, "2025-02-15")
    topic = f"{namespace}/topics/mlops"
    put(azure, topic, {"properties": {}}, "2025-02-15")
    queue = {"deliveryConfiguration": {"deliveryMode": "Queue"}, "eventDeliverySchema": "CloudEventSchemaV1_0"}
    put(azure, f"{topic}/eventSubscriptions/worker", {"properties": queue}, "2025-02-15")
    place = f"/eventgrid/{name}.westeurope-1.eventgrid.azure.net/topics/mlops"
    params = {"api-version": "2024-06-01"}
    event = {"specversion": "1.0", "id": "1", "source": "/tests", "type": "Test.Happened", "data": {}}
    published = {"params": params, "json": event, "headers": {"content-type": "application/cloudevents+json"}}
    acknowledged = {"params": params, "json": {"lockTokens": ["nothing"]}}
    subscription = f"{place}/eventsubscriptions/worker"
    return [
        Call(
            method="POST",
            path=f"{place}:publish",
            action=f"{EVENTS}/send/action",
            resource=topic,
            audience=EVENT_GRID,
            data=True,
            sent=published,
        ),
        Call(
            method="POST",
            path=f"{subscription}:acknowledge",
            action=f"{EVENTS}/receive/action",
            resource=f"{topic}/eventSubscriptions/worker",
            audience=EVENT_GRID,
            data=True,
            sent=acknowledged,
        ),
    ]


def runs(azure: Azure) -> list[Call]:
    of: dict[str, Any] = {"resource": azure.workspace_id, "audience": MANAGEMENT}
    read, write = (f"{ML}/workspaces/experiments/runs/{what}" for what in ("read", "write"))
    history = f"/history/v1.0{azure.workspace_id}"
    mlflow = f"/mlflow/v2.0{azure.workspace_id}/api/2.0/mlflow"
    return [
        Call(method="GET", path=f"{history}/runs/absent", action=read, **of),
        Call(method="PATCH", path=f"{history}/runs/absent", action=write, sent={"json": {}}, **of),
        Call(method="GET", path=f"{mlflow}/runs/get", action=read, sent={"params": {"run_id": "absent"}}, **of),
        Call(method="POST", path=f"{mlflow}/runs/set-tag", action=write, sent={"json": {"run_id": "absent"}}, **of),
    ]


def scoring(azure: Azure) -> list[Call]:
    name = f"rights-{next(_numbers)}"
    endpoint = f"{azure.workspace_id}/onlineEndpoints/{name}"
    body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "AADToken"}}
    put(azure, endpoint, body, "2023-04-01-preview")
    host = {"host": f"{name}.westeurope.inference.ml.azure.com"}
    return [
        Call(
            method="POST",
            path="/score",
            action=f"{ML}/workspaces/onlineEndpoints/score/action",
            resource=endpoint,
            audience=SCORING,
            sent={"headers": host, "json": {}},
        )
    ]


def assets(azure: Azure) -> list[Call]:
    name = f"rights-{next(_numbers)}"
    registry = azure.cloud.ensure_registry(name, group=azure.group)
    place, params = f"/mferp/managementfrontend{registry}", {"api-version": "2021-10-01-dataplanepreview"}
    of: dict[str, Any] = {"resource": registry, "audience": MANAGEMENT}
    read, write = (f"{ML}/registries/assets/{what}" for what in ("read", "write"))
    sent = {"params": params, "json": {"properties": {}}}
    return [
        Call(method="GET", path=f"{place}/models/absent/versions", action=read, sent={"params": params}, **of),
        Call(method="PUT", path=f"{place}/models/absent/versions/1", action=write, sent=sent, **of),
    ]


AREAS: Mapping[str, Callable[[Azure], Sequence[Call]]] = {
    "blobs": blobs,
    "events": events,
    "runs": runs,
    "scoring": scoring,
    "assets": assets,
}


def is_let_in(http: httpx.Client, azure: Azure, call: Call) -> bool:
    token = azure.cloud.tokens.issue(azure.principal("nobody"), call.audience)
    sent = dict(call.sent)
    headers = {**sent.pop("headers", {}), "authorization": f"Bearer {token}"}
    answer = http.request(call.method, call.path, headers=headers, **sent)
    assert answer.status_code not in (500, 501), answer.text
    return answer.status_code not in REFUSED


def should_be_let_in(call: Call, role: Role, scope: str) -> bool:
    given, taken = (role.data_actions, role.not_data_actions) if call.data else (role.actions, role.not_actions)
    granted = any(fnmatchcase(call.action.lower(), one.lower()) for one in given)
    left_out = any(fnmatchcase(call.action.lower(), one.lower()) for one in taken)
    within = scope == "/" or f"{call.resource}/".lower().startswith(f"{scope}/".lower())
    return within and granted and not left_out


def wrong(azure: Azure, area: str, roles: Sequence[Role], *scopes: str) -> list[str]:
    """Return the calls that were let in or refused and should not have been, by roles at the resource and at scopes."""
    nobody = azure.principal("nobody").object_id
    found = []
    with httpx.Client(base_url=azure.emulator.url, trust_env=False, timeout=60, verify=False) as http:
        for call in AREAS[area](azure):
            assert not is_let_in(http, azure, call), "nobody may do it without a role"
            for scope, role in itertools.product((call.resource, *scopes), roles):
                made = azure.cloud.access.assign(scope, nobody, role)
                let_in, should = is_let_in(http, azure, call), should_be_let_in(call, role, scope)
                azure.cloud.access.unassign(made["name"])
                if let_in is not should:
                    found.append(f"{call.method} {call.path} by {role.name} at {scope}: should {should}")
    return found


@pytest.mark.parametrize("area", AREAS)
def test_data_are_let_at_as_a_role_says(azure: Azure, area: str) -> None:
    few = ("Owner", "AzureML Data Scientist", "Storage Blob Data Reader", "EventGrid Data Sender")
    assert wrong(azure, area, [role for role in BUILT_IN if role.name in few]) == []


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("area", AREAS)
def test_data_are_let_at_as_every_role_says_at_every_scope(azure: Azure, area: str) -> None:
    group = group_of(azure)
    subscription = group.partition("/resourceGroups/")[0]
    assert wrong(azure, area, BUILT_IN, "/", subscription, group, f"{group}x") == []
    assert len(BUILT_IN) > 15
