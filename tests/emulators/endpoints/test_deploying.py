"""Endpoints serve for real: a deployed model is a process that answers."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google import vertex_cloud
from cloudmlops.emulators.google.aiplatform.images import Image
from cloudmlops.emulators.google.cloud import GoogleCloud

from .conftest import Served, serving_processes

pytestmark = pytest.mark.conformance(ci=True)

SLEEPING = [sys.executable, "-c", "import time; time.sleep(600)"]
ECHO = """
import http.server, json, os
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == os.environ["AIP_HEALTH_ROUTE"] else 404)
        self.send_header("content-length", "0")
        self.end_headers()
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        told = {name: value for name, value in os.environ.items() if name.startswith(("AIP_", "GREETING"))}
        body = json.dumps({"predictions": [told]})
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Echo).serve_forever()
"""


COMING_UP = """
import sys
from pathlib import Path
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google import vertex_cloud
from tests.emulators.endpoints.conftest import Served
from tests.emulators.endpoints.test_deploying import SLEEPING
folder = Path(sys.argv[1])
with Emulator([vertex_cloud({"*/slow": SLEEPING})], state=folder / "state") as emulator:
    served = Served.at(emulator, "coming-up", folder)
    endpoint = served.endpoint()
    begun = served.begin(endpoint, served.model(image_uri="any/slow"), id="7", split={"0": 100})
    print(endpoint, begun.operation.name, flush=True)
    sys.stdin.read()
    served.channel.close()
"""


def split_of(served: Served, endpoint: str) -> dict[str, int]:
    return dict(served.endpoints.get_endpoint(name=endpoint).traffic_split)


def test_a_deployed_model_predicts_and_is_gone_when_it_is_undeployed(served: Served) -> None:
    endpoint = served.endpoint()

    identity = served.deploy(endpoint, served.model(2.0), split={"0": 100})

    assert served.predict(endpoint, 1.5) == 3.0
    assert [(machine.deployed_model, machine.replicas) for machine in served.fleet.machines()] == [(identity, 1)]
    served.endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=identity).result(timeout=30)
    assert served.fleet.machines() == []
    assert serving_processes(endpoint) == []
    assert split_of(served, endpoint) == {}
    with pytest.raises(exceptions.FailedPrecondition, match="no deployed model that traffic is assigned to"):
        served.predict(endpoint)


def test_requests_follow_the_split_and_obey_at_once(served: Served) -> None:
    endpoint = served.endpoint()
    one = served.deploy(endpoint, served.model(1.0), split={"0": 100})
    two = served.deploy(endpoint, served.model(2.0), id="77", split={one: 80, "0": 20})
    assert two == "77"

    assert Counter(served.predict(endpoint) for _ in range(50)) == {1.0: 40, 2.0: 10}

    changed = v1.Endpoint(name=endpoint, traffic_split={two: 100})
    served.endpoints.update_endpoint(endpoint=changed, update_mask={"paths": ["traffic_split"]})
    assert {served.predict(endpoint) for _ in range(5)} == {2.0}
    for wrong in ({two: 99}, {two: 150, one: -50}, {"1234": 100}):
        with pytest.raises(exceptions.InvalidArgument):
            served.endpoints.update_endpoint(
                endpoint=v1.Endpoint(name=endpoint, traffic_split=wrong), update_mask={"paths": ["traffic_split"]}
            )
    assert split_of(served, endpoint) == {two: 100}
    with pytest.raises(exceptions.InvalidArgument, match="has 100 percent of the traffic"):
        served.endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=two)
    with pytest.raises(exceptions.FailedPrecondition, match="deployed or being-deployed"):
        served.endpoints.delete_endpoint(name=endpoint)
    served.endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=two, traffic_split={one: 100}).result()
    assert served.predict(endpoint) == 1.0
    with pytest.raises(exceptions.NotFound):
        served.endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=two)


def test_a_container_that_fails_fails_the_operation_and_leaves_nothing(served: Served) -> None:
    endpoint = served.endpoint()
    begun = served.begin(endpoint, served.model(fails="weights are missing"), id="5", split={"0": 100})

    with pytest.raises(exceptions.FailedPrecondition, match=r"Model server exited unexpectedly.*logs can be found at"):
        begun.result(timeout=60)

    shown = served.endpoints.get_endpoint(name=endpoint)
    assert (list(shown.deployed_models), dict(shown.traffic_split)) == ([], {})
    assert served.fleet.machines() == []
    assert any("weights are missing" in line for line in served.log(endpoint, "5"))
    served.endpoints.delete_endpoint(name=endpoint).result()


def test_a_container_that_never_becomes_healthy_is_given_up(served: Served) -> None:
    served.emulator.cloud(GoogleCloud).images.let("*/sleeping", Image.running(SLEEPING))
    served.fleet.patience_seconds = 0.3
    endpoint = served.endpoint()
    begun = served.begin(endpoint, served.model(image_uri="any/sleeping"), id="5")
    with pytest.raises(exceptions.AlreadyExists):
        served.begin(endpoint, served.model(), id="5")
    with pytest.raises(exceptions.FailedPrecondition, match="being-deployed"):
        served.endpoints.delete_endpoint(name=endpoint)

    with pytest.raises(exceptions.FailedPrecondition, match="Model server never became ready"):
        begun.result(timeout=60)

    assert served.fleet.machines() == []
    assert serving_processes(endpoint) == []


def test_machines_beyond_the_quota_are_refused_before_anything_starts(served: Served) -> None:
    served.fleet.quota = 2
    endpoint, model = served.endpoint(), served.model()
    resources = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 3, "max_replica_count": 5}

    with pytest.raises(exceptions.ResourceExhausted, match="CustomModelServingCPUs"):
        served.begin(endpoint, model, dedicated_resources=resources)

    assert served.fleet.machines() == []


def test_what_cannot_be_deployed_is_refused(served: Served) -> None:
    endpoint, model = served.endpoint(), served.model()
    machine = {"machine_type": "n1-standard-2"}
    cases = [
        ({"dedicated_resources": {"machine_spec": machine, "min_replica_count": 0}}, exceptions.InvalidArgument),
        (
            {"dedicated_resources": {"machine_spec": machine, "min_replica_count": 2, "max_replica_count": 1}},
            exceptions.InvalidArgument,
        ),
        ({"dedicated_resources": {"min_replica_count": 1}}, exceptions.InvalidArgument),
        (
            {"automatic_resources": {"min_replica_count": 1}, "dedicated_resources": None},
            exceptions.InvalidArgument,
        ),
        ({"shared_resources": f"{served.parent}/deploymentResourcePools/p", "dedicated_resources": None},
         exceptions.MethodNotImplemented),
        ({"id": "12345678901"}, exceptions.InvalidArgument),
        ({"model": f"{served.parent}/models/none"}, exceptions.NotFound),
        ({"model": served.model(image_uri="us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest")},
         exceptions.MethodNotImplemented),
    ]  # fmt: skip
    for fields, error in cases:
        with pytest.raises(error):
            served.begin(endpoint, **{"model": model, **fields}).result(timeout=30)
    for split in ({"0": 90}, {"0": 50, "9": 50}):
        with pytest.raises(exceptions.InvalidArgument):
            served.begin(endpoint, model, split=split)
    assert served.fleet.machines() == []
    assert list(served.endpoints.get_endpoint(name=endpoint).deployed_models) == []


def test_a_container_of_ones_own_gets_the_variables_of_the_contract(served: Served) -> None:
    endpoint = served.endpoint()
    model = served.model(
        command=["python", "-c", ECHO],
        env=[{"name": "NAME", "value": "Ada"}, {"name": "GREETING", "value": "Hello $(NAME), $$(NAME)"}],
        health_route="",
        predict_route="",
    )

    identity = served.deploy(endpoint, model, split={"0": 100})

    told = dict(served.predict(endpoint))
    number = endpoint.rpartition("/")[2]
    assert told["GREETING"] == "Hello Ada, $(NAME)"
    assert told["AIP_HEALTH_ROUTE"] == f"/v1/endpoints/{number}/deployedModels/{identity}"
    assert told["AIP_PREDICT_ROUTE"] == f"/v1/endpoints/{number}/deployedModels/{identity}:predict"
    assert told["AIP_STORAGE_URI"].startswith(f"gs://{served.bucket}/model-")
    assert told["AIP_DEPLOYED_MODEL_ID"] == identity
    assert told["AIP_MACHINE_TYPE"] == "n1-standard-2"


def test_replicas_can_be_changed_and_are_counted_as_machines(served: Served) -> None:
    endpoint = served.endpoint()
    identity = served.deploy(endpoint, served.model(), split={"0": 100})
    resources = {"min_replica_count": 2, "max_replica_count": 4}

    served.endpoints.mutate_deployed_model(
        endpoint=endpoint,
        deployed_model=v1.DeployedModel(id=identity, dedicated_resources=resources),
        update_mask={
            "paths": ["dedicated_resources.min_replica_count", "dedicated_resources.max_replica_count"],
        },
    ).result(timeout=30)

    deployed = served.endpoints.get_endpoint(name=endpoint).deployed_models[0]
    assert deployed.dedicated_resources.max_replica_count == 4
    assert deployed.status.available_replica_count == 2
    assert [machine.replicas for machine in served.fleet.machines()] == [2]
    with pytest.raises(exceptions.InvalidArgument, match="cannot be mutated"):
        served.endpoints.mutate_deployed_model(
            endpoint=endpoint,
            deployed_model=v1.DeployedModel(id=identity, service_account="a@b"),
            update_mask={"paths": ["service_account"]},
        )


def test_endpoints_have_ids_labels_and_etags(served: Served) -> None:
    made = served.endpoints.create_endpoint(
        parent=served.parent, endpoint=v1.Endpoint(display_name="e", labels={"a": "b"}), endpoint_id="my-endpoint"
    ).result()

    assert made.name.endswith("/endpoints/my-endpoint")
    with pytest.raises(exceptions.AlreadyExists):
        served.endpoints.create_endpoint(
            parent=served.parent, endpoint=v1.Endpoint(display_name="e"), endpoint_id="my-endpoint"
        )
    for wrong in ("My-endpoint", "ends-", "012", "under_score"):
        with pytest.raises(exceptions.InvalidArgument):
            served.endpoints.create_endpoint(
                parent=served.parent, endpoint=v1.Endpoint(display_name="e"), endpoint_id=wrong
            )
    stale = v1.Endpoint(name=made.name, labels={"c": "d"}, etag="stale")
    with pytest.raises(exceptions.Aborted):
        served.endpoints.update_endpoint(endpoint=stale, update_mask={"paths": ["labels"]})
    found = served.endpoints.list_endpoints(request={"parent": served.parent, "filter": 'labels.a="b"'})
    assert [endpoint.name for endpoint in found] == [made.name]
    config = v1.ClientConnectionConfig(inference_timeout={"seconds": 90})
    changed = served.endpoints.update_endpoint_long_running(
        endpoint=v1.Endpoint(name=made.name, client_connection_config=config)
    ).result()
    assert changed.client_connection_config.inference_timeout.seconds == 90


def test_containers_end_with_the_emulator_and_start_again_with_its_state(tmp_path: Path) -> None:
    with Emulator([vertex_cloud()], state=tmp_path / "state") as emulator:
        served = Served.at(emulator, "served-again", tmp_path)
        endpoint = served.endpoint()
        served.deploy(endpoint, served.model(2.0), split={"0": 100})
        assert len(serving_processes(endpoint)) == 1
        model = served.model(2.0)
        emulator.cloud(GoogleCloud).vertex.operations.takes = timedelta(hours=1)
        unfinished = served.begin(endpoint, model).operation.name
        served.channel.close()
    assert serving_processes(endpoint) == []

    with Emulator([vertex_cloud()], state=tmp_path / "state") as emulator:
        served = Served.at(emulator, "served-again", tmp_path)
        assert served.predict(endpoint, 3.0) == 6.0
        assert not served.endpoints.get_operation({"name": unfinished}).done
        emulator.clock.advance(timedelta(hours=1))
        served.wait_until(lambda: served.endpoints.get_operation({"name": unfinished}).done)
        assert served.endpoints.get_operation({"name": unfinished}).error.message == ""
        assert len(served.endpoints.get_endpoint(name=endpoint).deployed_models) == 2
        assert len(serving_processes(endpoint)) == 2
        served.channel.close()
    assert serving_processes(endpoint) == []


@pytest.mark.parametrize("killed", [False, True], ids=["in good order", "killed"])
def test_a_deployment_that_was_coming_up_when_the_emulator_ended_comes_up_with_the_next(
    tmp_path: Path, killed: bool
) -> None:
    beginning = subprocess.Popen(
        [sys.executable, "-c", COMING_UP, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert beginning.stdin is not None
    assert beginning.stdout is not None
    with beginning.stdin, beginning.stdout:
        endpoint, name = beginning.stdout.readline().decode().split()
        while not (begun := serving_processes(endpoint)):
            assert beginning.poll() is None
        if killed:
            beginning.kill()
    assert beginning.wait(60) == (-signal.SIGKILL if killed else 0)
    psutil.wait_procs([psutil.Process(process) for process in begun if psutil.pid_exists(process)], timeout=60)
    assert serving_processes(endpoint) == []

    serving = {"*/slow": [sys.executable, "-c", ECHO]}
    with Emulator([vertex_cloud(serving)], state=tmp_path / "state") as emulator:
        served = Served.at(emulator, "coming-up", tmp_path)
        served.wait_until(lambda: served.endpoints.get_operation({"name": name}).done)
        assert served.endpoints.get_operation({"name": name}).error.message == ""
        (deployed,) = served.endpoints.get_endpoint(name=endpoint).deployed_models
        assert deployed.id == "7"
        assert dict(served.predict(endpoint))["AIP_DEPLOYED_MODEL_ID"] == "7"
        assert len(served.fleet.machines()) == 1
        served.channel.close()
