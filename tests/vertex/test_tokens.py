"""Tokens that are too old: our own program with a user's credentials, around which the redirect is sealed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from cloudmlops.emulators.core.emulator import Emulator

pytestmark = pytest.mark.conformance(ci=True)

PROGRAM = """
import json, os, sys
from datetime import datetime
import requests
import cloudmlops as cm

def expire():
    emulator = os.environ["CLOUDMLOPS_EMULATOR"]
    requests.post(f"{emulator}/-/emulator/google/tokens", json={"expire": True}).raise_for_status()

with cm.connect(sys.argv[1]) as platform:
    told = [list(platform.endpoints.list())]
    expire()
    told.append(list(platform.endpoints.list()))
    expire()
    with open(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]) as file:
        refreshing = json.load(file)["refresh_token"]
    requests.post("https://oauth2.googleapis.com/revoke", data={"token": refreshing}).raise_for_status()
    for expiry in (None, datetime(2000, 1, 1)):
        if expiry is not None:  # by our own clock, too
            platform._context.backends.wire.credentials.expiry = expiry
        try:
            platform.endpoints.list()
        except cm.errors.CloudMLOpsError as error:
            told.append([type(error).__name__, str(error)])
print(json.dumps(told))
"""


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_token_that_is_too_old_is_renewed_once_and_one_that_cannot_be_is_told(
    vertex_emulator: Emulator, project: str, tmp_path: Path, transport: str
) -> None:
    asked = {"authorized_user": "ada@example.com", "project": project}
    made = httpx.post(
        f"{vertex_emulator.url}/-/emulator/google/credentials", json=asked, verify=False
    ).raise_for_status()
    credentials = tmp_path / "credentials.json"
    credentials.write_text(made.text)
    target = f"vertex://{project}/europe-west4?bucket={project}-bucket&transport={transport}&timeout=5"
    vertex_emulator.calls.clear()

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, target],
        env={**vertex_emulator.environment(), "GOOGLE_APPLICATION_CREDENTIALS": str(credentials)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    first, second, *refusals = json.loads(done.stdout)
    assert first == second == []
    assert len(refusals) == 2
    for kind, message in refusals:
        assert kind == "AuthenticationError"
        assert "endpoints.list" in message
        assert "Token has been expired or revoked" in message
        assert "gcloud auth application-default login" in message
    assert [call.status for call in vertex_emulator.calls.list("EndpointService.ListEndpoints")] == ["OK", "OK"]
    given = [call.status for call in vertex_emulator.calls.list("identity/token")]
    assert given[:2] == ["OK", "OK"]
    assert "OK" not in given[2:]


ACTING = """
import sys
from cloudmlops.providers.vertex.backends import VertexBackends
from cloudmlops.providers.vertex.settings import VertexSettings

backends = VertexBackends(VertexSettings.from_target(sys.argv[1]))
print(backends.actor().id)
backends.wire.credentials.token = None
print(bool(list(backends.wire.headers({}))))
backends.close()
"""


def test_no_connection_is_left_open_by_who_asks_who_they_are(
    vertex_emulator: Emulator, project: str, tmp_path: Path
) -> None:
    asked = {"authorized_user": "ada@example.com", "project": project}
    made = httpx.post(
        f"{vertex_emulator.url}/-/emulator/google/credentials", json=asked, verify=False
    ).raise_for_status()
    credentials = tmp_path / "credentials.json"
    credentials.write_text(made.text)

    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "always::ResourceWarning",
            "-c",
            ACTING,
            f"vertex://{project}/europe-west4?bucket=my-bucket",
        ],
        env={**vertex_emulator.environment(), "GOOGLE_APPLICATION_CREDENTIALS": str(credentials)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "ada@example.com" in done.stdout
    assert "unclosed" not in done.stderr
