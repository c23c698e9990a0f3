"""What several ask at once is decided for one after the other: nothing is lost, made twice, or brought back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

from cloudmlops.emulators.core.faults import Refused

if TYPE_CHECKING:
    from tests.emulators.azure.conftest import Azure

MANY = 4
ROUNDS = 20
TIMES = 5
ML = "2023-10-01"
GRID = "2025-02-15"


@pytest.fixture(autouse=True)
def others_have_their_turn_often() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


class Crowd:
    """Several who ask as the owner, beginning at the same moment."""

    def __init__(self, azure: Azure, threads: ThreadPoolExecutor, http: httpx.Client) -> None:
        self.azure = azure
        self._threads = threads
        self._http = http

    @property
    def group(self) -> str:
        return f"/subscriptions/{self.azure.subscription}/resourceGroups/{self.azure.group}"

    def call(self, method: str, path: str, body: Any = None, *, api: str = ML, **query: str) -> httpx.Response:
        return self._http.request(method, path, json=body, params={"api-version": api, **query})

    def mlflow(self, operation: str, **sent: Any) -> httpx.Response:
        path = f"/mlflow/v2.0{self.azure.workspace_id}/api/2.0/mlflow/{operation}"
        return self._http.request("POST", path, json=sent)

    def do(self, *acts: Callable[[], httpx.Response]) -> list[httpx.Response]:
        begin = Barrier(len(acts))

        def act(one: Callable[[], httpx.Response]) -> httpx.Response:
            begin.wait()
            return one()

        return list(self._threads.map(act, acts))


@pytest.fixture
def crowd(azure: Azure) -> Iterator[Crowd]:
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")
    headers = {"authorization": f"Bearer {token}"}
    with (
        ThreadPoolExecutor(2 * MANY) as threads,
        httpx.Client(base_url=azure.emulator.url, headers=headers, verify=False, trust_env=False, timeout=60) as http,
    ):
        yield Crowd(azure, threads, http)


def again(act: Callable[[], httpx.Response]) -> Callable[[], httpx.Response]:
    """Return what does something several times, one after the other, and tells of the last time."""
    return lambda: [act() for _ in range(TIMES)][-1]


def statuses(replies: Sequence[httpx.Response]) -> list[int]:
    return sorted(reply.status_code for reply in replies)


def test_tags_of_an_experiment_and_of_a_model_that_are_set_at_once_all_stay(crowd: Crowd) -> None:
    experiment = crowd.mlflow("experiments/create", name="tagged").json()["experiment_id"]
    crowd.mlflow("registered-models/create", name="tagged").raise_for_status()
    keys = [f"k{number}" for number in range(MANY)]
    for turn in map(str, range(ROUNDS)):
        crowd.do(
            *(
                partial(crowd.mlflow, "experiments/set-experiment-tag", experiment_id=experiment, key=key, value=turn)
                for key in keys
            ),
            *(partial(crowd.mlflow, "registered-models/set-tag", name="tagged", key=key, value=turn) for key in keys),
        )
        found = crowd.call("GET", f"{crowd.azure.workspace_id}/models/tagged").json()["properties"]["tags"]
        assert {key: found.get(key) for key in keys} == dict.fromkeys(keys, turn)


def test_an_experiment_that_many_make_at_once_is_made_by_one(crowd: Crowd) -> None:
    for number in range(ROUNDS):
        made = crowd.do(*[partial(crowd.mlflow, "experiments/create", name=f"one-{number}")] * MANY)
        assert statuses(made) == [200] + [400] * (MANY - 1)


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("kind", ["models", "data"])
def test_the_highest_version_is_known_whatever_else_is_said_of_a_container_at_once(crowd: Crowd, kind: str) -> None:
    container = f"{crowd.azure.workspace_id}/{kind}/counted"
    of_kind = {"models": {"modelUri": "azureml://x/y"}, "data": {"dataUri": "azureml://x/y", "dataType": "uri_file"}}
    version = {"properties": of_kind[kind]}
    crowd.call("PUT", f"{container}/versions/1", version).raise_for_status()
    for number in range(2, 2 + ROUNDS):
        crowd.do(
            partial(crowd.call, "PUT", f"{container}/versions/{number}", version),
            *[again(partial(crowd.call, "PUT", container, {"properties": {"description": "told"}}))] * MANY,
        )
        assert crowd.call("GET", container).json()["properties"]["nextVersion"] == str(number + 1)


@pytest.mark.conformance(ci=True)
def test_a_compute_that_is_removed_while_it_is_changed_is_gone(crowd: Crowd) -> None:
    given = {"properties": {"computeType": "AmlCompute", "properties": {"vmSize": "STANDARD_DS3_V2"}}}
    for number in range(ROUNDS):
        path = f"{crowd.azure.workspace_id}/computes/gone-{number}"
        crowd.call("PUT", path, given).raise_for_status()
        crowd.do(
            *[again(partial(crowd.call, "PATCH", path, {"properties": {"properties": {}}}))] * MANY,
            partial(crowd.call, "DELETE", path, underlyingResourceAction="Delete"),
        )
        assert crowd.call("GET", path).status_code == 404


def test_a_workspace_that_is_removed_while_it_is_described_is_gone(crowd: Crowd) -> None:
    for number in range(ROUNDS):
        path = crowd.azure.cloud.ensure_workspace(f"leaving-{number}", group=crowd.azure.group)
        describe = [again(partial(crowd.call, "PATCH", path, {"properties": {"description": "told"}}))] * MANY
        crowd.do(*describe, partial(crowd.call, "DELETE", path))
        assert crowd.call("GET", path).status_code == 404


@pytest.mark.parametrize(("kind", "mode"), [("onlineEndpoints", "Key"), ("batchEndpoints", "AADToken")])
def test_an_endpoint_that_many_make_at_once_is_made_once(crowd: Crowd, kind: str, mode: str) -> None:
    given = {"location": "westeurope", "properties": {"authMode": mode}}
    for number in range(ROUNDS):
        path = f"{crowd.azure.workspace_id}/{kind}/once-{number}-{crowd.azure.workspace[-3:].strip('-')}"
        made = crowd.do(*[partial(crowd.call, "PUT", path, given)] * MANY)
        assert [status for status in statuses(made) if status not in (200, 409)] == [201]
        assert crowd.call("GET", path).json()["properties"]["provisioningState"] == "Succeeded"
        crowd.call("DELETE", path).raise_for_status()


def deployment(crowd: Crowd) -> dict[str, Any]:
    """Return a deployment of a model that is not there, whose container does not come up."""
    model = f"{crowd.azure.workspace_id}/models/absent/versions/1"
    kind = {"modelUri": "azureml://datastores/workspaceblobstore/paths/absent", "modelType": "mlflow_model"}
    crowd.call("PUT", model, {"properties": kind}).raise_for_status()
    return {"location": "westeurope", "properties": {"instanceType": "Standard_F4s_v2", "model": model}}


def test_a_deployment_that_many_make_at_once_is_made_by_one(crowd: Crowd) -> None:
    given = deployment(crowd)
    paths = [
        f"{crowd.azure.workspace_id}/onlineEndpoints/each-{number}-{crowd.azure.workspace[-3:].strip('-')}"
        for number in range(ROUNDS)
    ]
    for path in paths:
        crowd.call("PUT", path, {"location": "westeurope", "properties": {"authMode": "Key"}}).raise_for_status()
    crowd.azure.cloud.operations.stuck = True
    for path in paths:
        made = crowd.do(*[partial(crowd.call, "PUT", f"{path}/deployments/blue", given)] * MANY)
        assert statuses(made) == [201] + [409] * (MANY - 1)


def test_traffic_is_not_given_to_a_deployment_that_is_removed_at_once(crowd: Crowd) -> None:
    path = f"{crowd.azure.workspace_id}/onlineEndpoints/split-{crowd.azure.workspace[-3:].strip('-')}"
    given = {"location": "westeurope", "properties": {"authMode": "Key"}}
    crowd.call("PUT", path, given).raise_for_status()
    for number in range(ROUNDS):
        name = f"d-{number}x"
        kept = {"provisioningState": "Succeeded", "instanceType": "Standard_F4s_v2"}
        one = {"id": f"{path}/deployments/{name}", "name": name, "type": "deployments", "properties": kept}
        crowd.azure.cloud.resources.update({**one, "systemData": {"createdAt": str(number)}})
        split = {**given, "properties": {"authMode": "Key", "traffic": {name: 100}}}
        crowd.do(
            *[partial(crowd.call, "PUT", path, split)] * MANY,
            partial(crowd.call, "DELETE", f"{path}/deployments/{name}"),
        )
        crowd.azure.cloud.fleet.settle()
        named = crowd.call("GET", path).json()["properties"]["traffic"]
        assert not named or crowd.azure.cloud.resources.get(f"{path}/deployments/{name}") is not None
        crowd.call("PUT", path, given).raise_for_status()
    crowd.call("DELETE", path).raise_for_status()


@pytest.mark.conformance(ci=True)
def test_an_endpoint_that_is_removed_while_deployments_are_made_keeps_no_machines(crowd: Crowd) -> None:
    given = deployment(crowd)
    for number in range(ROUNDS):
        path = f"{crowd.azure.workspace_id}/onlineEndpoints/left-{number}-{crowd.azure.workspace[-3:].strip('-')}"
        crowd.call("PUT", path, {"location": "westeurope", "properties": {"authMode": "Key"}}).raise_for_status()
        put = [partial(crowd.call, "PUT", f"{path}/deployments/d-{one}x", given) for one in range(MANY)]
        crowd.do(*put, partial(crowd.call, "DELETE", path))
        crowd.azure.cloud.fleet.settle()
        if crowd.call("GET", path).status_code == 404:  # it may have been refused, while a deployment was under way
            assert [one for one in crowd.azure.cloud.fleet.deployments() if one.startswith(f"{path}/".lower())] == []


@pytest.mark.conformance(ci=True)
def test_both_keys_of_an_endpoint_that_are_made_anew_at_once_are_new(crowd: Crowd) -> None:
    path = f"{crowd.azure.workspace_id}/onlineEndpoints/keys-{crowd.azure.workspace[-3:].strip('-')}"
    crowd.call("PUT", path, {"location": "westeurope", "properties": {"authMode": "Key"}}).raise_for_status()
    for number in range(ROUNDS):
        crowd.do(
            *(
                again(
                    partial(
                        crowd.call, "POST", f"{path}/regenerateKeys", {"keyType": kind, "keyValue": f"{kind}-{number}"}
                    )
                )
                for kind in ("Primary", "Secondary")
            )
        )
        keys = crowd.call("POST", f"{path}/listKeys").json()
        assert f"Primary-{number - 1}" not in keys["primaryKey"]
        assert f"Secondary-{number - 1}" not in keys["secondaryKey"]
    crowd.call("DELETE", path).raise_for_status()


def test_of_autoscale_settings_of_one_resource_that_are_made_at_once_one_is_kept(crowd: Crowd) -> None:
    profile = {"name": "one", "capacity": {"minimum": "1", "maximum": "2", "default": "1"}, "rules": []}
    for number in range(ROUNDS):
        target = f"{crowd.azure.workspace_id}/onlineEndpoints/scaled/deployments/d{number}"
        crowd.azure.cloud.resources.update(
            {
                "id": target,
                "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
                "properties": {"provisioningState": "Failed"},
            }
        )
        given = {"location": "westeurope", "properties": {"targetResourceUri": target, "profiles": [profile]}}
        base = f"{crowd.group}/providers/Microsoft.Insights/autoscaleSettings"
        paths = [f"{base}/s{uuid4().hex}" for _ in range(MANY)]
        made = crowd.do(*(partial(crowd.call, "PUT", path, given, api="2022-10-01") for path in paths))
        assert statuses(made) == [201] + [400] * (MANY - 1)


@pytest.mark.conformance(ci=True)
def test_the_rule_of_autoscale_is_looked_at_while_settings_are_made(crowd: Crowd) -> None:
    """Both take the state's lock and the rule's, and neither waits for ever."""
    profile = {"name": "one", "capacity": {"minimum": "1", "maximum": "2", "default": "1"}, "rules": [rule()]}
    target = f"{crowd.azure.workspace_id}/onlineEndpoints/watched/deployments/blue"
    sku = {"name": "Default", "tier": "Standard", "capacity": 1}
    kept = {"provisioningState": "Succeeded", "instanceType": "Standard_F4s_v2"}
    crowd.azure.cloud.resources.update({"id": target, "type": "deployments", "sku": sku, "properties": kept})
    given = {"targetResourceUri": target, "enabled": True, "profiles": [profile]}
    path = f"{crowd.group}/providers/Microsoft.Insights/autoscaleSettings/s{uuid4().hex}"
    clock = crowd.azure.emulator.clock

    def pass_time() -> httpx.Response:
        clock.advance(timedelta(minutes=5))
        return crowd.call("GET", path, api="2022-10-01")

    put = partial(crowd.call, "PUT", path, {"location": "westeurope", "properties": given}, api="2022-10-01")
    for _ in range(ROUNDS):
        assert set(statuses(crowd.do(*[again(put)] * MANY, again(pass_time)))) <= {200, 201, 404}
    crowd.call("DELETE", path, api="2022-10-01").raise_for_status()


def rule() -> dict[str, Any]:
    return {
        "metricTrigger": {
            "metricName": "CpuUtilizationPercentage",
            "metricResourceUri": "/any",
            "timeGrain": "PT1M",
            "statistic": "Average",
            "timeWindow": "PT5M",
            "timeAggregation": "Average",
            "operator": "GreaterThan",
            "threshold": 70,
        },
        "scaleAction": {"direction": "Increase", "type": "ChangeCount", "value": "1", "cooldown": "PT1M"},
    }


def test_of_roles_of_one_name_that_are_defined_at_once_one_is_kept(crowd: Crowd) -> None:
    for number in range(ROUNDS):
        given = {"properties": {"roleName": f"role {uuid4()} {number}", "permissions": [{"actions": ["*/read"]}]}}
        base = "/providers/Microsoft.Authorization/roleDefinitions"
        paths = [f"/subscriptions/{crowd.azure.subscription}{base}/{uuid4()}" for _ in range(MANY)]
        made = crowd.do(*(partial(crowd.call, "PUT", path, given, api="2022-04-01") for path in paths))
        assert statuses(made) == [201] + [409] * (MANY - 1)


def test_a_role_is_not_removed_and_given_at_once(crowd: Crowd) -> None:
    access, who = crowd.azure.cloud.access, crowd.azure.principal("nobody").object_id
    for number in range(ROUNDS):
        permissions = [{"actions": ["*/read"]}]
        role = access.define(
            {"name": str(uuid4()), "properties": {"roleName": f"{number}", "permissions": permissions}}
        )
        base, scope = "/providers/Microsoft.Authorization", crowd.group
        given = {"properties": {"roleDefinitionId": f"{base}/roleDefinitions/{role.id}", "principalId": who}}
        assigning = [partial(crowd.call, "PUT", f"{scope}{base}/roleAssignments/{uuid4()}", given, api="2022-04-01")]
        undefining = partial(crowd.call, "DELETE", f"{scope}{base}/roleDefinitions/{role.id}", api="2022-04-01")
        assigned, removed = crowd.do(*assigning, undefining)
        assert (assigned.status_code == 201) is (access.role(role.id) is not None), (assigned.text, removed.text)
        if assigned.status_code == 201:
            access.unassign(assigned.json()["name"])


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("kind", ["topics", "namespaces"])
def test_a_topic_that_is_removed_while_it_is_changed_is_gone(crowd: Crowd, kind: str) -> None:
    for number in range(ROUNDS):
        path = f"{crowd.group}/providers/Microsoft.EventGrid/{kind}/gone{number}-{crowd.azure.workspace}"
        crowd.call("PUT", path, {"location": "westeurope", "properties": {}}, api=GRID).raise_for_status()
        tag = [again(partial(crowd.call, "PATCH", path, {"tags": {"a": "b"}}, api=GRID))] * MANY
        crowd.do(*tag, partial(crowd.call, "DELETE", path, api=GRID))
        assert crowd.call("GET", path, api=GRID).status_code == 404


@pytest.mark.conformance(ci=True)
def test_nothing_lies_in_a_namespace_that_was_removed_while_topics_were_made_in_it(crowd: Crowd) -> None:
    for number in range(ROUNDS):
        path = f"{crowd.group}/providers/Microsoft.EventGrid/namespaces/left{number}-{crowd.azure.workspace}"
        crowd.call("PUT", path, {"location": "westeurope", "properties": {}}, api=GRID).raise_for_status()
        topics = [f"{path}/topics/topic{one}" for one in range(MANY)]
        put = [partial(crowd.call, "PUT", topic, {"properties": {}}, api=GRID) for topic in topics]
        crowd.do(*put, partial(crowd.call, "DELETE", path, api=GRID))
        assert [topic for topic in topics if crowd.azure.cloud.resources.get(topic)] == []


def test_an_operation_ends_once(crowd: Crowd) -> None:
    operations = crowd.azure.cloud.operations
    begin = Barrier(MANY)

    def end(name: str, number: int) -> Any:
        begin.wait()
        if number % 2:
            operations.succeed(name)
        else:
            operations.fail(name, Refused("ABORTED", "no"))
        return (operations.status(name, "") or {})["status"]

    with ThreadPoolExecutor(MANY) as threads:
        for _ in range(ROUNDS):
            name = operations.start("/any")
            assert len(set(threads.map(end, [name] * MANY, range(MANY)))) == 1


@pytest.mark.conformance(ci=True)
def test_a_registry_takes_a_version_once(crowd: Crowd) -> None:
    source = f"{crowd.azure.workspace_id}/models/shared"
    workspace = crowd.call("GET", crowd.azure.workspace_id).json()
    account = workspace["properties"]["storageAccount"].rpartition("/")[2]
    crowd.azure.cloud.blobs.make_container(account, "shared")
    crowd.azure.cloud.blobs.write(account, "shared", "model/a.txt", b"a")
    uri = f"https://{account}.blob.core.windows.net/shared/model"
    crowd.call("PUT", f"{source}/versions/1", {"properties": {"modelUri": uri}}).raise_for_status()
    registry = crowd.azure.cloud.ensure_registry(f"takes-{crowd.azure.workspace}", group=crowd.azure.group)
    asset = (
        f"azureml://locations/westeurope/workspaces/{workspace['properties']['workspaceId']}/models/shared/versions/1"
    )
    for number in range(ROUNDS):
        given = {"properties": {"referenceType": "Id", "sourceAssetId": asset, "destinationVersion": str(number + 1)}}
        base = f"/mferp/managementfrontend{registry}/import"
        taken = crowd.do(*[partial(crowd.call, "POST", base, given, api="2021-10-01-dataplanepreview")] * MANY)
        assert statuses(taken) == [202] + [400] * (MANY - 1), [one.text for one in taken]
