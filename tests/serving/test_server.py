"""The scoring server as a process: started as Vertex AI, Azure ML and a user start it, and ended."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cloudmlops.testing.model_folders import write_scaling_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_scaling_model(tmp_path / "model", factor=2.0)


@contextmanager
def server(*arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A running server; its log is in a pipe. It is ended after the block."""
    command = [sys.executable, "-m", "cloudmlops.serving", *arguments]
    with subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def address_of(process: subprocess.Popen[str]) -> str:
    """Wait for the line with which the server tells where it listens."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "http://" in line:
            return line.split("http://")[1].strip()
    pytest.fail("the server ended:\n" + "".join(lines))


def ask(address: str, path: str, body: object = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def test_vertex_starts_it_by_variables(model: Path) -> None:
    port = free_port()
    variables = {
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/v1/health",
        "AIP_PREDICT_ROUTE": "/v1/predict",
        "AIP_STORAGE_URI": model.as_uri(),
    }

    with server(**variables) as process:
        assert address_of(process) == f"0.0.0.0:{port}"
        assert ask(f"127.0.0.1:{port}", "/v1/health") == (200, {"status": "ok"})
        assert ask(f"127.0.0.1:{port}", "/v1/predict", {"instances": [[2, 0]]}) == (200, {"predictions": [4.0]})


def test_azure_mounts_the_model(model: Path) -> None:
    with server("--port", "0", "--host", "127.0.0.1", AZUREML_MODEL_DIR=str(model.parent)) as process:
        assert ask(address_of(process), "/score", {"input_data": [[2, 0]]}) == (200, [4.0])


def test_a_terminated_server_finishes_what_it_has_and_takes_no_more(model: Path) -> None:
    with server("--model", str(model), "--port", "0") as process:
        address = address_of(process)
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(ask(address, "/predict", {"instances": [[3, 1.5]]})))
        asking.start()
        time.sleep(0.5)  # nothing tells from outside that a request is in flight

        process.send_signal(signal.SIGTERM)
        asking.join()
        process.wait()

        assert answers == [(200, {"predictions": [6.0]})]
        with pytest.raises(ConnectionRefusedError):
            ask(address, "/healthz")


def test_health_is_answered_during_a_long_prediction(model: Path) -> None:
    with server("--model", str(model), "--port", "0") as process:
        address = address_of(process)
        # The first one tells the server that this model is slow; from then on it predicts in a thread.
        ask(address, "/predict", {"instances": [[1, 0.2]]})
        answers: list[str] = []
        asking = threading.Thread(
            target=lambda: answers.append(str(ask(address, "/predict", {"instances": [[1, 2.0]]})[0]))
        )
        asking.start()

        for _ in range(10):
            assert ask(address, "/healthz")[0] == 200
        answers.append("health")
        asking.join()

        assert answers == ["health", "200"]


def test_a_port_in_use_is_named_before_the_model_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "cloudmlops.serving", "--model", str(tmp_path / "missing"), "--port", port],
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 cannot be used: Address already in use" in done.stderr
    assert "another --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_model_the_ways_to_give_one_are_named() -> None:
    done = subprocess.run([sys.executable, "-m", "cloudmlops.serving"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "--model FOLDER, or set AIP_STORAGE_URI or AZUREML_MODEL_DIR" in done.stderr


def test_it_ends_when_its_lifeline_is_cut(model: Path) -> None:
    theirs, ours = os.pipe()
    command = [
        sys.executable,
        "-m",
        "cloudmlops.serving",
        "--model",
        str(model),
        "--port",
        "0",
        "--lifeline",
        str(theirs),
    ]
    with subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.PIPE, text=True) as process:
        os.close(theirs)
        address_of(process)

        os.close(ours)

        assert process.wait(timeout=30) == 0
