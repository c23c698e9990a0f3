from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.ml.clusters import Cluster, occupied, resized, settled, vacated
from cloudmlops.emulators.core.emulator import Emulator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.azure.conftest import Azure

API = "2023-08-01-preview"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CREATING = {
    "createdOn",
    "modifiedOn",
    "disableLocalAuth",
    "description",
    "resourceId",
    "computeType",
    "provisioningState",
    "provisioningErrors",
    "provisioningWarnings",
    "isAttachedCompute",
    "properties",
}
"""The properties of a compute that is being made, in recorded traffic of 2024-12."""
CLUSTER = {
    "vmSize",
    "vmPriority",
    "scaleSettings",
    "subnet",
    "currentNodeCount",
    "targetNodeCount",
    "nodeStateCounts",
    "allocationState",
    "errors",
    "remoteLoginPortPublicAccess",
    "osType",
    "virtualMachineImage",
    "isolatedNetwork",
    "enableNodePublicIp",
    "enableBatchPrivateLink",
}
"""What is shown of a cluster in it."""
NODE_STATES = {f"{state}NodeCount" for state in ("preparing", "running", "idle", "unusable", "leaving", "preempted")}


def call(azure: Azure, method: str, path: str, **more: Any) -> httpx.Response:
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")
    return httpx.request(
        method,
        f"{azure.emulator.url}{azure.workspace_id}{path}",
        headers={"authorization": f"Bearer {token}"},
        params={"api-version": API, **more.pop("params", {})},
        trust_env=False,
        **more,
    )


def cluster(azure: Azure, name: str = "cpu", **more: Any) -> str:
    from azure.ai.ml.entities import AmlCompute

    settings = {"size": "Standard_DS2_v2", "min_instances": 0, "max_instances": 2, "idle_time_before_scale_down": 120}
    azure.client().compute.begin_create_or_update(AmlCompute(name=name, **{**settings, **more})).result()
    return f"{azure.workspace_id}/computes/{name}"


def nodes(azure: Azure, name: str = "cpu") -> dict[str, int]:
    shown = call(azure, "GET", f"/computes/{name}").json()["properties"]["properties"]["nodeStateCounts"]
    return {state.removesuffix("NodeCount"): count for state, count in shown.items() if count}


def body(kind: str = "AmlCompute", **inner: Any) -> dict[str, Any]:
    return {"location": "westeurope", "properties": {"computeType": kind, "properties": {"vmSize": "x", **inner}}}


def test_a_cluster_is_made_changed_and_deleted_by_the_sdk(azure: Azure) -> None:
    computes = azure.client().compute
    cluster(azure)

    made = computes.get("cpu")
    assert (made.size, made.tier, made.min_instances, made.max_instances) == ("STANDARD_DS2_V2", "dedicated", 0, 2)
    assert made.idle_time_before_scale_down == 120
    assert made.provisioning_state == "Succeeded"
    made.max_instances = 5
    computes.begin_update(made).result()
    assert [one.max_instances for one in computes.list()] == [5]
    computes.begin_delete("cpu").result()
    assert list(computes.list()) == []
    with pytest.raises(ResourceNotFoundError, match="cpu"):
        computes.get("cpu")


def test_a_cluster_is_shown_with_all_that_the_service_shows(azure: Azure) -> None:
    given = body(
        vmSize="Standard_DS2_v2",
        scaleSettings={"maxNodeCount": 2, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT1M40S"},
        userAccountCredentials={"adminUserName": "user", "adminUserPassword": "secret"},
    )
    making = call(azure, "PUT", "/computes/cpu", json=given)

    assert making.status_code == 201
    assert "/computeOperationsStatus/" in making.headers["azure-asyncoperation"]
    assert "location" not in making.headers
    shown = making.json()
    assert set(shown) == {"id", "name", "type", "location", "tags", "properties"}
    assert set(shown["properties"]) == CREATING
    assert shown["properties"]["provisioningState"] == "Creating"
    assert set(shown["properties"]["properties"]) == CLUSTER | {"userAccountCredentials"}
    assert shown["properties"]["properties"]["nodeStateCounts"] is None

    made = call(azure, "GET", "/computes/cpu")
    assert "secret" not in made.text
    properties = made.json()["properties"]
    assert set(properties) == CREATING | {"computeLocation"}
    assert properties["provisioningState"] == "Succeeded"
    assert set(properties["properties"]["nodeStateCounts"]) == NODE_STATES
    assert properties["properties"]["allocationState"] == "Steady"
    assert properties["properties"]["scaleSettings"]["nodeIdleTimeBeforeScaleDown"] == "PT1M40S"


def test_an_operation_on_a_compute_is_told_in_few_words(azure: Azure) -> None:
    azure.cloud.operations.takes = timedelta(minutes=1)
    azure.emulator.clock.freeze(AT)
    told = call(azure, "PUT", "/computes/cpu", json=body()).headers["azure-asyncoperation"]
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")
    url = told.replace("https://management.azure.com", azure.emulator.url)

    def followed() -> object:
        return httpx.get(url, headers={"authorization": f"Bearer {token}"}, trust_env=False, verify=False).json()

    assert followed() == {"status": "InProgress"}
    azure.emulator.clock.advance(timedelta(minutes=1))
    assert followed() == {"status": "Succeeded", "percentComplete": 100.0}


def test_nodes_come_with_runs_and_go_when_they_were_idle_for_long(azure: Azure) -> None:
    azure.emulator.clock.freeze(AT)
    compute = cluster(azure)
    ready: list[str] = []
    assert nodes(azure) == {}

    azure.cloud.clusters.allocate(compute, "first", lambda: ready.append("first"))
    assert (ready, nodes(azure)) == (["first"], {"running": 1})
    azure.emulator.clock.advance(timedelta(minutes=10))
    azure.cloud.clusters.release(compute, "first")
    assert nodes(azure) == {"idle": 1}
    azure.emulator.clock.advance(timedelta(minutes=1, seconds=59))
    assert nodes(azure) == {"idle": 1}
    azure.emulator.clock.advance(timedelta(seconds=1))
    assert nodes(azure) == {}

    bill = azure.cloud.billing.of(compute)
    assert (bill.busy_node_seconds, bill.idle_node_seconds) == (600, 120)


def test_which_run_has_a_node_is_listed(azure: Azure) -> None:
    compute = cluster(azure, min_instances=1)
    azure.cloud.clusters.allocate(compute, "train", lambda: None, nodes=2)
    azure.cloud.clusters.release(compute, "train")
    azure.cloud.clusters.allocate(compute, "again", lambda: None)

    assert len(list(azure.client().compute.list_nodes("cpu"))) == 2
    found = call(azure, "POST", "/computes/cpu/listNodes").json()["nodes"]
    assert sorted((node["nodeState"], node["runId"]) for node in found) == [("idle", None), ("running", "again")]


def test_runs_wait_for_nodes_and_nobody_overtakes(azure: Azure) -> None:
    compute = cluster(azure)
    ready: list[str] = []
    for run, count in (("one", 1), ("both", 2), ("other", 1)):
        azure.cloud.clusters.allocate(compute, run, lambda run=run: ready.append(run), nodes=count)  # type: ignore[misc]

    assert ready == ["one"]
    assert azure.cloud.clusters.waiting(compute) == 2
    azure.cloud.clusters.release(compute, "one")
    assert ready == ["one", "both"]
    azure.cloud.clusters.release(compute, "both")
    assert ready == ["one", "both", "other"]


def test_a_run_that_waits_begins_when_the_cluster_may_grow(azure: Azure) -> None:
    compute = cluster(azure, max_instances=1)
    ready: list[str] = []
    for run in ("first", "second"):
        azure.cloud.clusters.allocate(compute, run, lambda run=run: ready.append(run))  # type: ignore[misc]

    cluster(azure, max_instances=2)

    assert ready == ["first", "second"]


def test_a_run_that_wants_more_nodes_than_there_can_be_is_refused(azure: Azure) -> None:
    compute = cluster(azure)

    with pytest.raises(Exception, match="2 at most"):
        azure.cloud.clusters.allocate(compute, "large", lambda: None, nodes=3)


def test_a_cluster_that_never_sleeps_is_seen_in_the_account(azure: Azure) -> None:
    azure.emulator.clock.freeze(AT)
    asleep = cluster(azure, "asleep")
    zombie = cluster(azure, "zombie", min_instances=2)

    azure.emulator.clock.advance(timedelta(days=30))

    assert azure.cloud.billing.of(asleep).cost == 0
    bill = azure.cloud.billing.of(zombie)
    assert (bill.nodes, bill.minimum, bill.busy_node_seconds) == (2, 2, 0)
    assert bill.idle_cost == pytest.approx(2 * 720 * 0.146)
    assert bill.least_monthly_cost == pytest.approx(2 * 730 * 0.146)
    mine = [one.compute for one in azure.cloud.billing.bills() if one.compute.startswith(azure.workspace_id.lower())]
    assert mine == [zombie.lower(), asleep.lower()]


def test_prices_are_the_users_to_set_and_unknown_where_nobody_did(azure: Azure) -> None:
    azure.emulator.clock.freeze(AT)
    compute = cluster(azure, size="Standard_ND96", min_instances=1, tier="low_priority")
    azure.emulator.clock.advance(timedelta(hours=10))

    assert azure.cloud.billing.of(compute).cost is None
    azure.cloud.billing.prices["STANDARD_ND96"] = 30.0
    assert azure.cloud.billing.of(compute).cost == pytest.approx(60)


def test_the_account_of_a_cluster_that_is_gone_stays(azure: Azure) -> None:
    azure.emulator.clock.freeze(AT)
    compute = cluster(azure, min_instances=1)
    azure.emulator.clock.advance(timedelta(hours=1))
    azure.client().compute.begin_delete("cpu").result()
    azure.emulator.clock.advance(timedelta(hours=1))

    bill = azure.cloud.billing.of(compute)
    assert (bill.nodes, bill.idle_node_seconds) == (0, 3600)
    with pytest.raises(Exception, match="Unable to find compute target cpu"):
        azure.cloud.clusters.allocate(compute, "late", lambda: None)


def test_a_cluster_is_resized_by_hand(azure: Azure) -> None:
    azure.emulator.clock.freeze(AT)
    cluster(azure)

    assert call(azure, "POST", "/computes/cpu/resize", json={"targetNodeCount": 2}).status_code == 202
    assert nodes(azure) == {"idle": 2}
    refused = call(azure, "POST", "/computes/cpu/resize", json={"targetNodeCount": 3})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "UserError")


def test_scale_settings_are_patched(azure: Azure) -> None:
    cluster(azure)
    scale = {"scaleSettings": {"minNodeCount": 1, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT5M"}}

    reply = call(azure, "PATCH", "/computes/cpu", json={"properties": {"properties": scale}})

    assert reply.status_code == 200
    assert nodes(azure) == {"idle": 1}


def test_an_instance_is_stopped_and_started_by_the_sdk(azure: Azure) -> None:
    from azure.ai.ml.entities import ComputeInstance

    azure.emulator.clock.freeze(AT)
    computes = azure.client().compute
    computes.begin_create_or_update(ComputeInstance(name="mine", size="Standard_DS3_v2")).result()
    compute = f"{azure.workspace_id}/computes/mine"
    assert computes.get("mine").state == "Running"
    azure.emulator.clock.advance(timedelta(hours=1))
    computes.begin_stop("mine").result()
    assert computes.get("mine").state == "Stopped"
    azure.emulator.clock.advance(timedelta(hours=5))
    computes.begin_start("mine").result()
    computes.begin_restart("mine").result()
    assert computes.get("mine").state == "Running"
    assert computes.get("mine").last_operation["operationName"] == "Restart"

    assert azure.cloud.billing.of(compute).idle_cost == pytest.approx(0.293)


def test_an_instance_that_nobody_uses_stops_by_itself_when_it_is_told_to(azure: Azure) -> None:
    from azure.ai.ml.entities import ComputeInstance

    azure.emulator.clock.freeze(AT)
    computes = azure.client().compute
    instance = ComputeInstance(name="mine", size="Standard_DS3_v2", idle_time_before_shutdown_minutes=30)
    computes.begin_create_or_update(instance).result()
    azure.emulator.clock.advance(timedelta(hours=1))

    assert computes.get("mine").state == "Stopped"
    assert azure.cloud.billing.of(f"{azure.workspace_id}/computes/mine").idle_node_seconds == 1800


@pytest.mark.parametrize("kind", ["AKS", "Kubernetes", "VirtualMachine", "Databricks", "SynapseSpark"])
def test_computes_of_other_kinds_are_refused_by_name(azure: Azure, kind: str) -> None:
    reply = call(azure, "PUT", "/computes/other", json=body(kind))

    assert reply.status_code == 501
    assert f"a compute of type {kind} is not emulated" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"scaleSettings": {"minNodeCount": 3, "maxNodeCount": 2}}, "from 3 to 2"),
        ({"scaleSettings": {"maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "2m"}}, "'2m'"),
        ({"vmSize": ""}, "vmSize"),
    ],
)
def test_settings_that_make_no_sense_are_refused(azure: Azure, given: dict[str, Any], told: str) -> None:
    reply = call(azure, "PUT", "/computes/cpu", json=body(**given))

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "UserError")
    assert told in reply.json()["error"]["message"]


def test_the_size_of_machines_cannot_be_changed(azure: Azure) -> None:
    cluster(azure)

    with pytest.raises(HttpResponseError, match="vmSize"):
        cluster(azure, size="Standard_DS3_v2")


def test_a_data_scientist_makes_no_computes(azure: Azure) -> None:
    """The built-in role AzureML Data Scientist leaves them out by its notActions."""
    from azure.ai.ml.entities import AmlCompute

    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        azure.client("scientist").compute.begin_create_or_update(AmlCompute(name="cpu", size="Standard_DS2_v2"))


def test_nodes_and_accounts_are_there_after_a_restart_and_runs_are_not(tmp_path: Path) -> None:
    with Emulator([AzureCloud()], state=tmp_path) as emulator:
        emulator.clock.freeze(AT)
        clusters = emulator.cloud(AzureCloud).clusters
        clusters.define("/c", Cluster(vm_size="x", priority="Dedicated", minimum=1, maximum=2, idle_seconds=60))
        clusters.allocate("/c", "run", lambda: None, nodes=2)
    with Emulator([AzureCloud()], state=tmp_path) as emulator:
        emulator.clock.freeze()
        emulator.clock.advance(timedelta(minutes=1))
        found = emulator.cloud(AzureCloud).clusters.get("/c")
        assert found is not None
        assert (found.busy, found.idle) == (0, 1)
        assert found.busy_node_seconds > 0


def test_a_compute_that_was_being_made_is_there_after_a_restart(tmp_path: Path, principals_file: Path) -> None:
    with Emulator([AzureCloud(principals_file)], state=tmp_path / "state") as emulator:
        cloud = emulator.cloud(AzureCloud)
        cloud.operations.stuck = True
        path = cloud.ensure_workspace("w", group="g") + "/computes/cpu"
        token = cloud.tokens.issue(cloud.tokens.directory.by_name("owner"), "https://management.azure.com")
        scale = {"scaleSettings": {"minNodeCount": 1, "maxNodeCount": 2}}
        httpx.put(
            f"{emulator.url}{path}?api-version={API}",
            headers={"authorization": f"Bearer {token}"},
            json=body(**scale),
            trust_env=False,
            verify=False,
        ).raise_for_status()
        assert cloud.clusters.get(path) is None
    with Emulator([AzureCloud(principals_file)], state=tmp_path / "state") as emulator:
        found = emulator.cloud(AzureCloud).clusters.get(path)
        assert found is not None
        assert found.idle == 1


def test_time_is_counted_to_the_moment_at_which_a_node_went() -> None:
    made = Cluster(vm_size="x", priority="Dedicated", minimum=0, maximum=3, idle_seconds=100)
    taken = occupied(made, "run", 3, 0)
    assert taken is not None
    gone = settled(vacated(resized(taken, 1, 10), "run", 50), 1000)

    assert gone.nodes == ()
    assert (gone.busy_node_seconds, gone.idle_node_seconds) == (150, 300)
