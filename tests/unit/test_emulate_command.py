from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from click.testing import CliRunner

from cloudmlops.cli.emulate import emulate
from cloudmlops.errors import ConfigurationError

COMMAND = [sys.executable, "-c", "from cloudmlops.cli import main; main()", "emulate"]
SEALED = """
import sys, google.auth, requests
from google.auth.transport.requests import AuthorizedSession
session = AuthorizedSession(google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])[0])
print(session.get("https://cloudresourcemanager.googleapis.com/v3/projects/mine").json()["projectId"])
try: requests.get("https://elsewhere.example/")
except requests.exceptions.ProxyError: print("refused")
sys.exit(int(sys.argv[1]))
"""


def test_a_command_is_sealed_its_code_passed_on_and_refused_hosts_are_listed() -> None:
    done = subprocess.run(
        [*COMMAND, "vertex", "--", sys.executable, "-c", SEALED, "5"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 5, done.stderr
    assert done.stdout.split() == ["mine", "refused"]
    assert done.stderr.splitlines() == ["Not emulated, and therefore refused:", "  elsewhere.example  1 time"]


BUCKETS = """
from google.cloud import storage
print(sorted((bucket.name, bucket.location) for bucket in storage.Client().list_buckets()))
"""


@pytest.mark.conformance(ci=True)
def test_buckets_are_there_from_the_start_and_stay_in_a_kept_state(tmp_path: Path) -> None:
    kept = ["vertex", "--state", str(tmp_path), "--bucket", "flights", "--bucket", "us-central1/planes"]
    for _ in range(2):
        done = subprocess.run(
            [*COMMAND, *kept, "--", sys.executable, "-c", BUCKETS],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout.strip() == "[('flights', 'EUROPE-WEST4'), ('planes', 'US-CENTRAL1')]", done.stderr


def test_a_damaged_state_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database" * 1000)

    with pytest.raises(ConfigurationError, match="is damaged: file is not a database") as raised:
        CliRunner().invoke(emulate, ["vertex", "--state", str(tmp_path), "--", "true"], catch_exceptions=False)

    assert "choose others" in raised.value.hint


def test_a_bucket_lies_where_google_has_a_place() -> None:
    with pytest.raises(ConfigurationError, match="'mars/flights' cannot be made: The specified location"):
        CliRunner().invoke(emulate, ["vertex", "--bucket", "mars/flights", "--", "true"], catch_exceptions=False)


def test_a_bucket_that_can_have_no_such_name_is_a_wrong_request() -> None:
    with pytest.raises(ConfigurationError, match="the bucket 'FLIGHTS!' cannot be made: Invalid bucket name"):
        CliRunner().invoke(emulate, ["vertex", "--bucket", "FLIGHTS!", "--", "true"], catch_exceptions=False)


def test_without_a_command_it_serves_until_ctrl_c_and_keeps_its_state(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for verb, status in (("PUT", 200), ("PUT", 409)):
        serving = subprocess.Popen(
            [*COMMAND, "vertex", "--json", "--state", str(state)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert serving.stdout is not None
        assert serving.stderr is not None
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(serving.stdout.readline())
            assert lines[-1], serving.stderr.read()
        told = json.loads("".join(lines))
        topic = f"{told['url']}/v1/projects/p/topics/kept"
        assert httpx.request(verb, topic, json={}, trust_env=False, verify=False).status_code == status
        serving.send_signal(signal.SIGINT)
        assert serving.wait(30) == 0
        assert json.loads(serving.stderr.read()) == {"refused": {}}
        serving.stdout.close()
        serving.stderr.close()

    assert told["environment"]["HTTPS_PROXY"] == told["url"] == f"http://{told['address']}"
    assert "aiplatform.googleapis.com" in told["services"]["aiplatform"]
    assert "PATH" not in told["environment"]


def test_a_command_that_is_ended_by_a_signal_says_so_as_a_shell_does() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"

    done = subprocess.run([*COMMAND, "vertex", "--", sys.executable, "-c", program], timeout=120, check=False)

    assert done.returncode == 128 + signal.SIGTERM


SERVER = """
import http.server, os, sys
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.answer(b"{}")
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(b'{"predictions": ["%s"]}' % sys.argv[1].encode())
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Answers).serve_forever()
"""
IMAGES = """
import time
from google.cloud import aiplatform_v1 as v1
options = {"api_endpoint": "us-central1-aiplatform.googleapis.com"}
parent = "projects/emulated/locations/us-central1"
image = {"image_uri": "registry.example/demo/both:1", "args": ["world"]}
jobs, endpoints = v1.JobServiceClient(client_options=options), v1.EndpointServiceClient(client_options=options)
models, predictions = v1.ModelServiceClient(client_options=options), v1.PredictionServiceClient(client_options=options)
model = v1.Model(display_name="m", container_spec=image)
model = models.upload_model(parent=parent, model=model).result().model
endpoint = endpoints.create_endpoint(parent=parent, endpoint=v1.Endpoint(display_name="e")).result().name
machine = {"machine_spec": {"machine_type": "n1-standard-2"}}
deployed = v1.DeployedModel(model=model, dedicated_resources={**machine, "min_replica_count": 1})
endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed, traffic_split={"0": 100}).result()
print(predictions.predict(endpoint=endpoint, instances=[1]).predictions[0])
pool = {**machine, "replica_count": 1, "container_spec": {**image, "image_uri": "registry.example/demo/job:1"}}
job = jobs.create_custom_job(
    parent=parent, custom_job=v1.CustomJob(display_name="j", job_spec={"worker_pool_specs": [pool]})
)
while (job := jobs.get_custom_job(name=job.name)).state.name in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"):
    time.sleep(0.01)
print(job.state.name, job.error.message)
"""


@pytest.mark.conformance(ci=True)
def test_what_runs_for_the_images_of_endpoints_and_jobs_is_said_on_the_command_line(tmp_path: Path) -> None:
    server = tmp_path / "a server.py"
    server.write_text(SERVER)
    said = ["--image", "registry.example/*=sh -c 'exit 3'", "--image", f"*/both:*=python '{server}'"]
    done = subprocess.run(
        [*COMMAND, "vertex", *said, "--", sys.executable, "-c", IMAGES],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    predicted, ended = done.stdout.splitlines()
    assert predicted == "world"
    assert ended.startswith("JOB_STATE_FAILED The replica workerpool0-0 exited with a non-zero status of 3")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("any", "'any' has no pattern or no command"),
        ("=true", "'=true' has no pattern or no command"),
        ("any=", "'any=' has no pattern or no command"),
        ("any='true", "No closing quotation"),
        ("any=no-such-program-here", "There is no program 'no-such-program-here'"),
    ],
)
def test_an_image_that_nothing_can_run_for_is_a_wrong_request(image: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        CliRunner().invoke(emulate, ["vertex", "--image", image, "--", "true"], catch_exceptions=False)


TOLD = """
import signal, sys, time
asked = []
def note(number, _):
    asked.append(number)
    print(signal.Signals(number).name, flush=True)
for name in sys.argv[2:]: signal.signal(getattr(signal, name), note)
print("up", flush=True)
while len(asked) < int(sys.argv[1]): time.sleep(0.01)
"""


def emulated(*wanted: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, "vertex", "--", sys.executable, "-c", TOLD, *wanted], **options)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_a_signal_to_the_emulator_alone_is_passed_on_to_the_command(name: str) -> None:
    around = emulated("1", name, stdout=subprocess.PIPE, start_new_session=True)
    assert around.stdout is not None
    with around.stdout:
        assert around.stdout.readline() == b"up\n"

        around.send_signal(getattr(signal, name))

        assert around.stdout.read().split() == [name.encode()]
    assert around.wait(60) == 0


def test_a_signal_that_comes_as_the_command_begins_is_passed_on_as_it_is() -> None:
    at_once = "trap 'echo told; exit 0' HUP; kill -HUP $PPID; while :; do sleep 0.01; done"
    done = subprocess.run(
        [*COMMAND, "vertex", "--", "sh", "-c", at_once],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )

    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr


def test_a_command_does_not_outlive_an_emulator_that_is_killed() -> None:
    around = emulated("1", stdout=subprocess.PIPE, start_new_session=True)
    assert around.stdout is not None
    with around.stdout:
        assert around.stdout.readline() == b"up\n"
        left = psutil.Process(around.pid).children(recursive=True)
        assert left

        around.kill()

        assert around.stdout.read() == b""  # the command, which has it too, is gone
    around.wait(60)
    _, alive = psutil.wait_procs(left, timeout=60)
    assert not alive


IN_A_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
)


def test_ctrl_c_in_a_terminal_reaches_the_command_once() -> None:
    terminal, inner = os.openpty()
    around = subprocess.Popen(
        [
            sys.executable,
            "-c",
            IN_A_TERMINAL,
            *COMMAND,
            "vertex",
            "--",
            sys.executable,
            "-c",
            TOLD,
            "2",
            "SIGINT",
            "SIGHUP",
        ],
        stdin=inner,
        stdout=subprocess.PIPE,
        stderr=inner,
        start_new_session=True,
    )
    os.close(inner)
    assert around.stdout is not None
    with around.stdout:
        assert around.stdout.readline() == b"up\n"

        os.write(terminal, b"\x03")
        assert around.stdout.readline() == b"SIGINT\n"
        around.send_signal(signal.SIGHUP)

        assert around.stdout.read().split() == [b"SIGHUP"]
    assert around.wait(60) == 0
    os.close(terminal)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["moon"], 2, "'moon' is not one of 'azureml', 'vertex'"),
        ([], 2, "Missing argument"),
        (["vertex", "--port", "70000"], 2, "70000"),
        (["vertex", "--", "no-such-program-here"], 127, "no program 'no-such-program-here'"),
    ],
    ids=["unknown cloud", "no cloud", "no port", "no program"],
)
def test_what_cannot_be_run_is_said(arguments: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(emulate, arguments)

    assert result.exit_code == code
    assert said in result.output


def test_a_state_folder_that_is_in_use_is_a_wrong_request(tmp_path: Path) -> None:
    from cloudmlops.emulators.core.state import State

    own = State(tmp_path)
    done = subprocess.run(
        [*COMMAND, "vertex", "--state", str(tmp_path), "--", "true"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    own.close()

    assert done.returncode == 2
    assert "another emulator keeps its state" in done.stderr
    assert "choose others with --port and --state" in done.stderr


ALL_SDKS = """
from google.cloud import aiplatform, bigquery, storage
from google.cloud.bigtable import Client
for transport in ("grpc", "rest"):
    aiplatform.init(project="emulated", location="us-central1", api_transport=transport)
    aiplatform.Model.upload(display_name=transport, serving_container_image_uri="gcr.io/p/i")
print(sorted(model.display_name for model in aiplatform.Model.list()))
print(list(bigquery.Client().query_and_wait("SELECT 1 + 1"))[0][0])
bucket = storage.Client().create_bucket("emulated-bucket")
bucket.blob("a").upload_from_string("kept")
print(bucket.blob("a").download_as_bytes())
instance = Client(project="emulated", admin=True).instance("instance-1")
instance.create(clusters=[instance.cluster("cluster-1", location_id="us-central1-a", serve_nodes=1)]).result(30)
table = instance.table("t")
table.create(column_families={"f": None})
row = table.direct_row(b"key")
row.set_cell("f", b"q", b"value")
row.commit()
print(table.read_row(b"key").cell_value("f", b"q"))
"""


@pytest.mark.conformance
def test_unmodified_programs_of_all_sdks_reach_the_emulator_and_nothing_else() -> None:
    done = subprocess.run(
        [*COMMAND, "vertex", "--", sys.executable, "-c", ALL_SDKS],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[-4:] == ["['grpc', 'rest']", "2", "b'kept'", "b'value'"]
    assert "refused" not in done.stderr
