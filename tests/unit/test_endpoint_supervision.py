"""What an endpoint's supervisor decides, without a process: its deployments here have no replicas, or idle ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cloudmlops.providers.local.hosting import supervisor as supervision
from cloudmlops.providers.local.hosting.endpoint_state import DeploymentRecord, EndpointRecord
from cloudmlops.providers.local.hosting.supervisor import Running, Supervisor
from cloudmlops.providers.local.hosting.workers import Worker


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def supervisor_of(folder: Path, *names: str, traffic: dict[str, int], replicas: int = 0) -> Supervisor:
    """A supervisor of healthy deployments; their replicas have no process."""
    records = [
        DeploymentRecord(
            name=name,
            model="scaling",
            version="1",
            deployed_as=name,
            replicas=replicas,
            machine=None,
            traffic_percent=None,
            created_at="2026-01-01T00:00:00+00:00",
            actor="ann",
            target="local://x",
            prediction_timeout_s=0.01,
            healthy=True,
        )
        for name in names
    ]
    record = EndpointRecord(
        name="scaling", host="127.0.0.1", port=0, fixed_port=False, traffic=traffic, deployments=records
    )
    supervisor = Supervisor(folder, record)
    for found in records:
        workers = [
            Worker(Path(f"{found.name}.sock"), command=[], log=Path("log"), deadline_s=0.01) for _ in range(replicas)
        ]
        supervisor._running[found.name] = Running(found, workers)
    return supervisor


def test_a_request_that_never_ends_does_not_keep_its_deployment_from_being_undeployed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "_DRAIN_MARGIN_S", 0.01)

    async def undeploy() -> Supervisor:
        supervisor = supervisor_of(folder, "v1", traffic={"v1": 100}, replicas=1)
        supervisor._running["v1"].workers[0].quiet.clear()
        await supervisor.order_undeploy("v1", "ann")
        return supervisor

    assert asyncio.run(undeploy()).record.deployments == []


def test_a_deployment_takes_all_traffic_when_the_others_have_gone_while_it_started(folder: Path) -> None:
    async def start() -> Supervisor:
        supervisor = supervisor_of(folder, "v2", traffic={})
        running = supervisor._running["v2"]
        supervisor._replace(running, healthy=False, traffic_percent=20)
        await supervisor._bring_up(running)
        return supervisor

    supervisor = asyncio.run(start())

    assert supervisor.record.traffic == {"v2": 100}
    assert [record.healthy for record in supervisor.record.deployments] == [True]


def test_two_who_undeploy_the_same_deployment_at_once_both_succeed(folder: Path) -> None:
    async def undeploy() -> Supervisor:
        supervisor = supervisor_of(folder, "v1", "v2", traffic={"v1": 100}, replicas=1)
        await asyncio.gather(supervisor.order_undeploy("v1", "ann"), supervisor.order_undeploy("v1", "bob"))
        return supervisor

    record = asyncio.run(undeploy()).record

    assert record.traffic == {"v2": 100}
    assert [found.name for found in record.deployments] == ["v2"]
    assert [found.name for found in record.former] == ["v1"]


def test_a_deployment_that_is_being_undeployed_inherits_no_traffic(folder: Path) -> None:
    async def undeploy() -> Supervisor:
        supervisor = supervisor_of(folder, "v1", "v2", traffic={"v1": 100}, replicas=1)
        await asyncio.gather(supervisor.order_undeploy("v2", "ann"), supervisor.order_undeploy("v1", "bob"))
        return supervisor

    assert asyncio.run(undeploy()).record.traffic == {}
