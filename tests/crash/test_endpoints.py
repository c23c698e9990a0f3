"""Endpoints whose processes are killed, and endpoints that several processes change."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

import cloudmlops as cm
from cloudmlops.domain.endpoints import DeploymentState
from cloudmlops.errors import CloudMLOpsError, ConfigurationError, UnavailableError
from cloudmlops.providers.local.hosting.endpoint_process import give_order
from cloudmlops.providers.local.hosting.endpoint_state import EndpointRecord
from cloudmlops.testing.model_folders import write_scaling_model

LONG = timedelta(seconds=60)


def until(condition: Callable[[], Any], *, what: str) -> Any:
    """Wait for a condition; the test's own time limit ends it."""
    for _ in range(3000):
        if found := condition():
            return found
        time.sleep(0.01)
    pytest.fail(f"never: {what}")


def processes_of(folder: Path) -> list[psutil.Process]:
    """The front names its folder; its workers run there."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        told = " ".join(process.info["cmdline"] or []) + (process.info["cwd"] or "")
        if str(folder) in told and process.pid != os.getpid():
            found.append(process)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A platform's folder; what works there is ended after the test, and nothing is left."""
    path = tmp_path / "platform"
    yield path
    with cm.connect(f"local://{path}") as platform:
        for status in platform.endpoints.list():
            platform.endpoints.delete(status.name)
    until(lambda: not processes_of(path), what="all processes of the test are gone")


@pytest.fixture
def platform(folder: Path) -> Iterator[cm.Platform]:
    with cm.connect(f"local://{folder}") as opened:
        yield opened


def register(platform: cm.Platform, tmp_path: Path, factor: float = 1.0) -> cm.ModelVersion:
    return platform.models.register("scaling", write_scaling_model(tmp_path / f"model-{factor}", factor=factor))


def pids(folder: Path, deployment: str = "v1") -> list[int]:
    return [pid for pid in give_order(folder / "endpoints" / "scaling", "status")[deployment]["pids"] if pid]


def supervisor(folder: Path) -> int:
    record = EndpointRecord.read(folder / "endpoints" / "scaling")
    assert record is not None
    return record.pid


def is_up(platform: cm.Platform) -> bool:
    """Say whether a replica serves; an endpoint whose supervisor was killed is started again."""
    platform.endpoints.revive("scaling")
    return platform.endpoints.status("scaling").deployments[0].healthy_replicas > 0


def shell(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_a_killed_worker_is_started_again_and_its_deployment_serves(
    platform: cm.Platform, folder: Path, tmp_path: Path
) -> None:
    platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)
    [killed] = pids(folder)

    os.kill(killed, signal.SIGKILL)

    def restarted() -> bool:
        [found] = platform.endpoints.status("scaling").deployments
        return found.restarts == 1 and found.state is DeploymentState.HEALTHY

    until(restarted, what="the worker is back")
    assert pids(folder) != [killed]
    assert platform.endpoints.predict("scaling", [[1, 0]]) == [1.0]


@pytest.mark.conformance
def test_a_worker_that_hangs_is_replaced(platform: cm.Platform, folder: Path, tmp_path: Path) -> None:
    platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)

    os.kill(pids(folder)[0], signal.SIGSTOP)

    for _ in range(3):
        if platform.endpoints.status("scaling").deployments[0].restarts:
            break
        time.sleep(20)
    until(lambda: platform.endpoints.status("scaling").deployments[0].restarts == 1, what="the worker is replaced")
    until(lambda: platform.endpoints.status("scaling").deployments[0].healthy_replicas == 1, what="it is healthy")
    assert platform.endpoints.predict("scaling", [[1, 0]]) == [1.0]


def test_kills_under_load_lose_no_answer_that_may_be_tried_again(
    platform: cm.Platform, folder: Path, tmp_path: Path
) -> None:
    platform.endpoints.deploy(register(platform, tmp_path, 3.0), to="scaling", replicas=(2, 2)).wait(timeout=LONG)
    wrong: list[object] = []
    ended = threading.Event()

    def ask(number: int) -> None:
        while not ended.is_set():
            try:
                if (told := platform.endpoints.predict("scaling", [[number, 0.001]])) != [3.0 * number]:
                    wrong.append(told)
            except UnavailableError as error:
                if not error.retryable:
                    wrong.append(error)
            except Exception as error:  # noqa: BLE001 whatever else comes is what this test is about
                wrong.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for kill in range(20):
            alive = until(lambda: pids(folder), what="a worker to kill")
            with contextlib.suppress(ProcessLookupError):  # the one killed before may not be buried yet
                os.kill(supervisor(folder) if kill % 7 == 6 else alive[kill % len(alive)], signal.SIGKILL)
            until(lambda: is_up(platform), what="a replica is up")
    finally:
        ended.set()
        for thread in threads:
            thread.join()

    assert wrong == []


def test_endpoints_listen_where_the_target_says(folder: Path, tmp_path: Path) -> None:
    with cm.connect(f"local://{folder}?endpoint_host=127.0.0.2") as platform:
        platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)

        assert platform.endpoints.status("scaling").address.startswith("http://127.0.0.2:")
        assert platform.endpoints.predict("scaling", [[1, 0]]) == [1.0]


NEVER = 1e6
"""Seconds that the model is made to sleep: it does not come back."""


def ask_for_ever(platform: cm.Platform, told: list[CloudMLOpsError]) -> threading.Thread:
    """Begin a request that the model does not come back from; what the caller is told goes into `told`."""

    def ask() -> None:
        try:
            platform.endpoints.predict("scaling", [[1, NEVER]])
        except CloudMLOpsError as error:
            told.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: _busy(Path(str(platform.native))), what="the request is with the worker")
    return thread


def predicted(platform: cm.Platform, value: float) -> list[object] | None:
    """Predict; None while there is no replica, or this machine is too busy to be quick."""
    try:
        return platform.endpoints.predict("scaling", [[value, 0]])
    except UnavailableError:
        return None


def test_a_model_that_does_not_come_back_costs_its_caller_an_error_and_its_worker_its_place(
    folder: Path, tmp_path: Path
) -> None:
    with cm.connect(f"local://{folder}?prediction_timeout=1") as platform:
        platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)
        [stuck] = pids(folder)
        told: list[CloudMLOpsError] = []

        ask_for_ever(platform, told).join()

        assert isinstance(told[0], UnavailableError)
        assert "answered 504: the model of 'v1' did not answer within 1 s" in told[0].message
        until(lambda: predicted(platform, 3) == [3.0], what="another worker is in its place")
        assert stuck not in pids(folder)
        assert "hangs over a request" in (folder / "endpoints" / "scaling" / "endpoint.log").read_text()


def test_another_replica_answers_while_one_does_not_come_back(folder: Path, tmp_path: Path) -> None:
    with cm.connect(f"local://{folder}?prediction_timeout=5") as platform:
        platform.endpoints.deploy(register(platform, tmp_path), to="scaling", replicas=(2, 2)).wait(timeout=LONG)
        told: list[CloudMLOpsError] = []
        asking = ask_for_ever(platform, told)

        answers = [predicted(platform, number) for number in range(20)]
        asking.join()

        assert answers == [[float(number)] for number in range(20)]
        assert "answered 504" in told[0].message


def test_undeploying_does_not_wait_for_ever_for_a_model_that_does_not_come_back(folder: Path, tmp_path: Path) -> None:
    with cm.connect(f"local://{folder}?prediction_timeout=1") as platform:
        platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)
        told: list[CloudMLOpsError] = []
        asking = ask_for_ever(platform, told)

        platform.endpoints.undeploy("scaling", "v1")
        asking.join()

        assert platform.endpoints.status("scaling").deployments == []
        assert "answered 504" in told[0].message


def test_a_worker_that_is_slow_because_many_ask_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    with cm.connect(f"local://{folder}?prediction_timeout=2") as platform:
        platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)
        before = pids(folder)
        outcomes: list[object] = []

        def ask() -> None:
            try:
                outcomes.append(platform.endpoints.predict("scaling", [[1, 0.5]]))
            except UnavailableError as error:
                outcomes.append("did not answer within 2 s" in error.message)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [1.0] in outcomes
        assert all(outcomes), "whoever got no answer was told that it came too late"
        assert pids(folder) == before


def test_other_replicas_answer_while_one_is_down(platform: cm.Platform, folder: Path, tmp_path: Path) -> None:
    platform.endpoints.deploy(register(platform, tmp_path), to="scaling", replicas=(2, 2)).wait(timeout=LONG)

    os.kill(pids(folder)[0], signal.SIGKILL)

    assert [platform.endpoints.predict("scaling", [[1, 0]]) for _ in range(50)] == [[1.0]] * 50


def test_a_request_that_a_worker_dies_over_is_not_sent_twice(platform: cm.Platform, tmp_path: Path) -> None:
    platform.endpoints.deploy(register(platform, tmp_path), to="scaling", replicas=(2, 2)).wait(timeout=LONG)

    with pytest.raises(UnavailableError, match="ended while it had this request") as caught:
        platform.endpoints.predict("scaling", [[1, -1]])

    assert caught.value.retryable
    until(
        lambda: platform.endpoints.status("scaling").deployments[0].restarts == 1,
        what="one replica died, the other not",
    )


def test_without_any_replica_a_request_is_told_when_to_come_again(
    platform: cm.Platform, folder: Path, tmp_path: Path
) -> None:
    platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)
    parts = urlsplit(platform.endpoints.status("scaling").address)

    os.kill(pids(folder)[0], signal.SIGKILL)
    until(lambda: platform.endpoints.status("scaling").deployments[0].healthy_replicas == 0, what="the death is seen")
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("POST", "/predict", b'{"instances": [[1, 0]]}', {"content-type": "application/json"})
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()

    assert response.status == 503
    assert response.headers["retry-after"] == "1"
    assert "being restarted" in body["error"]["reason"]


def test_no_worker_outlives_a_killed_supervisor_and_the_next_prediction_revives_it_and_is_answered(
    platform: cm.Platform, folder: Path, tmp_path: Path
) -> None:
    platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)
    address = platform.endpoints.status("scaling").address

    os.kill(supervisor(folder), signal.SIGKILL)

    until(lambda: not processes_of(folder), what="the workers are gone")
    [found] = platform.endpoints.status("scaling").deployments
    assert found.state is DeploymentState.DOWN

    assert platform.endpoints.predict("scaling", [[1, 0]]) == [1.0]
    assert platform.endpoints.status("scaling").address == address
    assert platform.endpoints.status("scaling").traffic == {"v1": 100}


def test_a_deployment_goes_on_when_its_supervisor_is_killed_meanwhile(
    platform: cm.Platform, folder: Path, tmp_path: Path
) -> None:
    version = register(platform, tmp_path)
    deployment = platform.endpoints.deploy(version, to="scaling")
    os.kill(supervisor(folder), signal.SIGKILL)
    until(lambda: not processes_of(folder), what="the workers are gone")

    deployment.wait(timeout=LONG)

    assert platform.endpoints.predict("scaling", [[1, 0]]) == [1.0]


def test_an_endpoint_outlives_who_started_it_and_another_shell_sees_and_stops_it(
    platform: cm.Platform, folder: Path, tmp_path: Path
) -> None:
    version = register(platform, tmp_path, 3.0)
    started = shell(
        "import sys, cloudmlops as cm\n"
        "platform = cm.connect(sys.argv[1])\n"
        "platform.endpoints.deploy(platform.models.get('scaling', sys.argv[2]), to='scaling').wait()\n",
        platform.target,
        version.version,
    )
    assert started.returncode == 0, started.stderr

    assert platform.endpoints.predict("scaling", [[2, 0]]) == [6.0]
    listed = shell(
        "from cloudmlops.cli import main; main()", "endpoints", "list", "--json", "--target", platform.target
    )
    assert json.loads(listed.stdout)[0]["states"] == {"v1": "healthy"}, listed.stderr
    deleted = shell(
        "from cloudmlops.cli import main; main()", "endpoints", "delete", "scaling", "--target", platform.target
    )
    assert deleted.returncode == 0, deleted.stderr
    assert platform.endpoints.list() == []
    until(lambda: not processes_of(folder), what="all processes are gone")


def test_two_processes_that_deploy_at_once_both_succeed(platform: cm.Platform, tmp_path: Path) -> None:
    versions = [register(platform, tmp_path, factor) for factor in (1.0, 2.0)]
    code = (
        "import sys, cloudmlops as cm\n"
        "platform = cm.connect(sys.argv[1])\n"
        "platform.endpoints.deploy(platform.models.get('scaling', sys.argv[2]), to='scaling').wait()\n"
    )
    shells = [
        subprocess.Popen(
            [sys.executable, "-c", code, platform.target, version.version], stderr=subprocess.PIPE, text=True
        )
        for version in versions
    ]

    for each in shells:
        _, told = each.communicate()
        assert each.returncode == 0, told

    status = platform.endpoints.status("scaling")
    assert {found.name for found in status.deployments} == {"v1", "v2"}
    assert sum(status.traffic.values()) == 100
    assert len(status.traffic) == 1


def test_a_request_in_flight_is_answered_when_the_endpoint_is_ended(
    platform: cm.Platform, folder: Path, tmp_path: Path
) -> None:
    platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)
    platform.endpoints.predict("scaling", [[1, 0]])
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(platform.endpoints.predict("scaling", [[7, 1.0]])))
    asking.start()
    worker = psutil.Process(pids(folder)[0])
    until(lambda: worker.threads() and _busy(folder), what="the request is with the worker")

    os.kill(supervisor(folder), signal.SIGTERM)
    asking.join()

    assert answers == [[7.0]]
    until(lambda: not processes_of(folder), what="all processes are gone")


def _busy(folder: Path) -> bool:
    return bool(give_order(folder / "endpoints" / "scaling", "status")["v1"]["in_flight"])


def test_what_a_killed_process_had_fetched_is_cleared_by_the_next_deploy(
    platform: cm.Platform, folder: Path, tmp_path: Path
) -> None:
    version = register(platform, tmp_path)
    killed = shell(
        "import os, signal, sys, cloudmlops as cm\n"
        "from cloudmlops.services.models import Models\n"
        "Models.download = lambda *arguments, **more: os.kill(os.getpid(), signal.SIGKILL)\n"
        "platform = cm.connect(sys.argv[1])\n"
        "platform.endpoints.deploy(platform.models.get('scaling', sys.argv[2]), to='scaling')\n",
        platform.target,
        version.version,
    )
    assert killed.returncode == -signal.SIGKILL
    assert list((folder / "endpoints").iterdir())
    assert platform.endpoints.list() == []

    platform.endpoints.deploy(version, to="scaling").wait(timeout=LONG)

    assert [path.name for path in (folder / "endpoints").iterdir()] == ["scaling"]


def test_a_port_in_use_is_named_with_the_way_out(platform: cm.Platform, tmp_path: Path) -> None:
    version = register(platform, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(
            ConfigurationError, match=rf"cannot listen on 127\.0\.0\.1 port {port}.*(?s:.*)give another port"
        ):
            platform.endpoints.deploy(version, to="scaling", port=port)

    assert platform.endpoints.list() == []
    platform.endpoints.deploy(version, to="scaling", port=port).wait(timeout=LONG)
    assert platform.endpoints.status("scaling").address == f"http://127.0.0.1:{port}"


def test_closing_a_memory_platform_ends_its_endpoints(tmp_path: Path) -> None:
    with cm.connect("local://:memory:") as platform:
        platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)
        folder = Path(str(platform.native))
        assert processes_of(folder)

    assert not folder.exists()
    until(lambda: not processes_of(folder), what="all processes are gone")


def test_endpoints_of_a_memory_platform_end_with_its_process(tmp_path: Path) -> None:
    model = write_scaling_model(tmp_path / "model")
    killed = shell(
        "import os, signal, sys, cloudmlops as cm\n"
        "platform = cm.connect('local://:memory:')\n"
        "platform.endpoints.deploy(platform.models.register('scaling', sys.argv[1]), to='scaling').wait()\n"
        "print(platform.native, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
        str(model),
    )
    folder = Path(killed.stdout.strip())

    until(lambda: not processes_of(folder), what="the endpoint ends with its owner")
    subprocess.run(["rm", "-r", str(folder)], check=True)


def test_a_damaged_record_is_reported(platform: cm.Platform, folder: Path, tmp_path: Path) -> None:
    damaged = folder / "endpoints" / "broken"
    damaged.mkdir(parents=True)
    (damaged / "state.json").write_text('{"name": "bro')

    with pytest.raises(CloudMLOpsError, match=r"state\.json is damaged"):
        platform.endpoints.status("broken")

    (damaged / "state.json").unlink()


def test_head_on_a_prediction_route_is_refused_and_holds_nothing_up(platform: cm.Platform, tmp_path: Path) -> None:
    platform.endpoints.deploy(register(platform, tmp_path), to="scaling").wait(timeout=LONG)
    address = urlsplit(platform.endpoints.status("scaling").address)
    connection = http.client.HTTPConnection(address.netloc, timeout=20)
    with contextlib.closing(connection):
        connection.request("HEAD", "/predict")
        response = connection.getresponse()

        assert (response.status, response.getheader("allow"), response.read()) == (405, "POST", b"")
        connection.request("HEAD", "/healthz")
        assert connection.getresponse().status == 200

    platform.endpoints.undeploy("scaling", "v1")
    assert platform.endpoints.status("scaling").deployments == []
