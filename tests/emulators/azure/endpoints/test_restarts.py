from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.emulators.azure.endpoints.conftest import Endpoints

from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator


def opened(emulator: Emulator, folder: Path) -> Endpoints:
    cloud = emulator.cloud(AzureCloud)
    return Endpoints(emulator, cloud, cloud.ensure_workspace("w", group="g"), folder, "w")


def test_deployments_come_up_again_after_a_restart(restarted: Callable[[], Any], tmp_path: Path) -> None:
    with restarted() as emulator:
        endpoints = opened(emulator, tmp_path)
        path = endpoints.endpoint()
        endpoints.script(path, model=endpoints.factor(3.0))
        endpoints.endpoint(traffic={"blue": 100})
        key = endpoints.key(path)

    with restarted() as emulator:
        endpoints = opened(emulator, tmp_path)
        endpoints.cloud.fleet.settle()
        assert endpoints.score(path, {"data": [2]}, token=key).json() == [6.0]
        size = endpoints.cloud.fleet.size(f"{endpoints.workspace}{path}/deployments/blue")
        assert size is not None
        assert "the factor is 3.0" in endpoints.logs(path)


def test_what_was_being_deployed_when_the_emulator_ended_is_deployed_by_the_next(
    restarted: Callable[[], Any], tmp_path: Path
) -> None:
    with restarted() as emulator:
        endpoints = opened(emulator, tmp_path)
        path = endpoints.endpoint()
        endpoints.cloud.operations.stuck = True
        code = {"codeId": endpoints.code("def run(data): return 1"), "scoringScript": "score.py"}
        body = {"codeConfiguration": code, "environmentId": endpoints.environment(), "instanceType": "Standard_F4s_v2"}
        begun = endpoints.call("PUT", f"{path}/deployments/blue", json={"properties": body})

    with restarted() as emulator:
        endpoints = opened(emulator, tmp_path)
        assert endpoints.followed(begun)["status"] == "Succeeded"
        assert endpoints.score(path, {}, **{"azureml-model-deployment": "blue"}).json() == 1


def test_a_container_that_the_emulators_end_kills_has_not_failed(restarted: Callable[[], Any], tmp_path: Path) -> None:
    flag = tmp_path / "may-start"
    script = f"""
import os, time
def init():
    print("initializing", flush=True)
    while not os.path.exists({str(flag)!r}):
        time.sleep(0.01)
def run(data): return 2
"""
    with restarted() as emulator:
        endpoints = opened(emulator, tmp_path)
        path = endpoints.endpoint()
        code = {"codeId": endpoints.code(script), "scoringScript": "score.py"}
        body = {"codeConfiguration": code, "environmentId": endpoints.environment(), "instanceType": "Standard_F4s_v2"}
        begun = endpoints.call("PUT", f"{path}/deployments/blue", json={"properties": body})
        while "initializing" not in endpoints.logs(path):
            pass  # the container starts

    flag.touch()
    with restarted() as emulator:
        endpoints = opened(emulator, tmp_path)
        assert endpoints.followed(begun)["status"] == "Succeeded"
        assert endpoints.score(path, {}, **{"azureml-model-deployment": "blue"}).json() == 2
