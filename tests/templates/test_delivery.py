"""What workflows call really runs: the goals of the Makefile, the login of a job, and the name of who approved."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import jwt
import pytest
from tests.templates.drawing import drawn, named_here, run
from tests.templates.receivers import clean

from cloudmlops import Stage, connect
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator

STUB = Path(__file__).with_name("docker_stub.py")
PROVIDER = "projects/1/locations/global/workloadIdentityPools/drawn-ci/providers/gitlab"
ACCOUNT = "drawn-deploy@drawn-project.iam.gserviceaccount.com"
ON_GOOGLE = """
import google.auth, google.auth.transport.requests
credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
session = google.auth.transport.requests.AuthorizedSession(credentials)
session.get("https://www.googleapis.com/oauth2/v3/certs").raise_for_status()
print(session.get("https://www.googleapis.com/oauth2/v3/tokeninfo?access_token=" + credentials.token).json()["email"])
"""
ON_AZURE = """
import azure.identity, jwt, os
with azure.identity.DefaultAzureCredential() as credential:
    token = credential.get_token("https://management.azure.com/.default").token
print(jwt.decode(token, options={"verify_signature": False})["oid"], os.environ["ARM_OIDC_TOKEN_FILE_PATH"])
"""


def make(project: Path, goal: str, environment: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    """Make a goal of a project with this interpreter's packages in place of those of a new environment."""
    installed = [f"VENV={sys.prefix}", "--assume-old", f"{sys.prefix}/made"]
    return subprocess.run(
        ["make", *installed, goal, *more], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(600)
def test_a_release_is_made_as_workflows_make_it(tmp_path: Path) -> None:
    project = drawn("train-register-deploy", {"target": "both", "ci": "github"}, tmp_path)
    tools, stub = tmp_path / "tools", tmp_path / "docker"
    tools.mkdir()
    stub.mkdir()
    (tools / "docker").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STUB}" "$@"\n')
    (tools / "docker").chmod(0o755)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    told = clean(tmp_path)
    told |= {"PATH": f"{tools}{os.pathsep}{told['PATH']}", "DOCKER_STUB": str(stub), "DOCKER_STUB_PORT": port}
    told |= {"TARGET": "dev", "APPROVER": "alice"}
    try:
        for goal in ("train", "gate", "promote"):
            done = make(project, goal, told, f"IMAGE_AT=http://127.0.0.1:{port}")
            assert done.returncode == 0, done.stdout + done.stderr
        with connect(f"local://{project / '.cloudmlops'}") as platform:
            [version] = platform.models.list("drawn", stage=Stage.PRODUCTION)
            assert version.version == (project / "version.txt").read_text().strip()
            assert "approved by alice" in [entry.reason for entry in platform.models.history("drawn")]
    finally:
        run(project, "cloudmlops", "endpoints", "delete", "drawn")
    assert list(stub.glob("*-gate")) == []

    registered = (project / "version.txt").read_text()
    for given, ended in ((registered.strip(), True), ("none-such", False), ("$(touch broken)", False)):
        done = make(project, "train", told | {"GIVEN": given})
        assert (done.returncode == 0) == ended, done.stdout + done.stderr
        assert (project / "version.txt").read_text() == (registered if ended else "")
    with connect(f"local://{project / '.cloudmlops'}") as platform:
        assert len(platform.models.list("drawn")) == 1, "nothing was trained"
    assert not (project / "broken").exists()
    (project / "version.txt").write_text(registered)

    nobody = make(project, "promote", told | {"APPROVER": ""})
    assert nobody.returncode != 0
    assert "in whose name?" in nobody.stderr


def test_a_makefile_says_what_it_makes(tmp_path: Path) -> None:
    project = drawn("minimal", {"target": "local", "ci": "none"}, tmp_path)

    listed = subprocess.run(["make"], cwd=project, env=named_here(), capture_output=True, text=True, check=True).stdout

    assert [line.split()[1] for line in listed.splitlines()] == ["help", "run", "check", "test", "newest"]


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn("train-register-deploy", {"target": "both", "ci": "gitlab"}, tmp_path_factory.mktemp("gitlab"))


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn("train-register-deploy", {"target": "both", "ci": "azure"}, tmp_path_factory.mktemp("azure"))


def login(project: Path, cloud: str, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "ci/login.sh", cloud, *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_job_becomes_an_account_of_google(gitlab: Path, vertex_emulator: Emulator, tmp_path: Path) -> None:
    told = {"ID_TOKEN": "a.b.c", "WORKLOAD_IDENTITY_PROVIDER": PROVIDER, "SERVICE_ACCOUNT": ACCOUNT}
    environment = vertex_emulator.environment() | clean(tmp_path) | {"TMPDIR": str(tmp_path)} | told

    done = login(gitlab, "vertex", environment, "python", "-c", ON_GOOGLE)

    assert done.stdout.strip() == ACCOUNT, done.stderr
    assert [*tmp_path.iterdir()] == [], "nothing of the login is left"


def test_a_job_becomes_an_identity_of_azure(gitlab: Path, azureml_emulator: Emulator, tmp_path: Path) -> None:
    cloud = azureml_emulator.cloud(AzureCloud)
    sealed = azureml_emulator.environment()
    owner = next(one for one in cloud.tokens.directory.principals if one.client_id == sealed["AZURE_CLIENT_ID"])
    told = {
        "ID_TOKEN": jwt.encode({"sub": owner.name}, "a-secret-of-who-issues-the-tokens", algorithm="HS256"),
        "CLIENT_ID": owner.client_id,
        "TENANT_ID": cloud.tokens.directory.tenant,
        "SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000001",
        "TMPDIR": str(tmp_path),
    }
    without = {name: value for name, value in sealed.items() if not name.startswith("AZURE_CLIENT_")}

    done = login(gitlab, "azureml", without | clean(tmp_path) | told, "python", "-c", ON_AZURE)

    assert done.stdout.split()[:1] == [owner.object_id], done.stdout + done.stderr
    assert not Path(done.stdout.split()[1]).exists()


def test_a_login_ends_as_its_command_does_and_knows_two_clouds(gitlab: Path, tmp_path: Path) -> None:
    told = clean(tmp_path) | dict.fromkeys(("ID_TOKEN", "WORKLOAD_IDENTITY_PROVIDER", "SERVICE_ACCOUNT"), "x")

    assert login(gitlab, "vertex", told, "sh", "-c", "exit 7").returncode == 7
    assert login(gitlab, "aws", told, "true").returncode == 2
    del told["ID_TOKEN"]
    assert login(gitlab, "vertex", told, "true").returncode != 0


def approver(project: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "ci/approver.py"], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def test_gitlab_tells_the_approver_by_its_token_and_not_by_a_variable(gitlab: Path, tmp_path: Path) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"user_login": "alice"}).encode()).decode().rstrip("=")
    told = clean(tmp_path) | {"ID_TOKEN": f"e30.{claims}.x", "GITLAB_USER_LOGIN": "mallory"}

    assert approver(gitlab, told).stdout == "alice\n"


class DevOps(BaseHTTPRequestHandler):
    """Azure DevOps, as far as a run's timeline and its approvals go, in the shape that its documents give them."""

    records: ClassVar[list[dict[str, Any]]] = [
        {"id": "s1", "type": "Stage", "identifier": "promote_vertex", "parentId": None},
        {"id": "s2", "type": "Stage", "identifier": "promote_azureml", "parentId": None},
        {"id": "c1", "type": "Checkpoint", "identifier": "Checkpoint", "parentId": "s1"},
        {"id": "c2", "type": "Checkpoint", "identifier": "Checkpoint", "parentId": "s2"},
        {"id": "a1", "type": "Checkpoint.Approval", "identifier": "Checkpoint.Approval", "parentId": "c1"},
        {"id": "a2", "type": "Checkpoint.Approval", "identifier": "Checkpoint.Approval", "parentId": "c2"},
    ]
    steps: ClassVar[dict[str, list[dict[str, Any]]]] = {
        "a1": [
            {"status": "approved", "actualApprover": {"uniqueName": "alice@example.com"}},
            {"status": "pending"},
        ],
        "a2": [{"status": "approved", "actualApprover": {"uniqueName": "bob@example.com"}}],
    }

    def do_GET(self) -> None:
        """Answer who shows the job's token."""
        path, _, query = self.path.partition("?")
        if self.headers["authorization"] != "Bearer of-the-job":
            self.send_error(401)
            return
        if path == "/org/project/_apis/build/builds/7/timeline":
            answer: Any = {"records": self.records}
        else:
            assert query == "$expand=steps&api-version=7.1"
            answer = {"steps": self.steps[path.removeprefix("/org/project/_apis/pipelines/approvals/")]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def devops() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), DevOps)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/org/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("stage", "who"),
    [("promote_vertex", "alice@example.com\n"), ("promote_azureml", "bob@example.com\n"), ("check_vertex", "\n")],
)
def test_azure_devops_tells_who_approved_a_stage(
    azure: Path, devops: str, tmp_path: Path, stage: str, who: str
) -> None:
    told = {
        "SYSTEM_COLLECTIONURI": devops,
        "SYSTEM_TEAMPROJECTID": "project",
        "SYSTEM_ACCESSTOKEN": "of-the-job",
        "SYSTEM_STAGENAME": stage,
        "BUILD_BUILDID": "7",
    }

    assert approver(azure, clean(tmp_path) | told).stdout == who
    assert approver(azure, clean(tmp_path) | told | {"SYSTEM_ACCESSTOKEN": "another"}).returncode != 0


def test_a_project_without_a_release_logs_in_nowhere(tmp_path: Path) -> None:
    assert not (drawn("minimal", {"target": "both", "ci": "gitlab"}, tmp_path) / "ci").exists()
    shutil.rmtree(tmp_path)
    assert not (drawn("train-register-deploy", {"target": "both", "ci": "github"}, tmp_path) / "ci").exists()
