"""Receivers of events that a project draws, each begun as its host begins it, with none of this process's variables."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HOST = Path(__file__).with_name("function_host.py")


def entrypoint(file: Path) -> list[str]:
    """Read what a Dockerfile begins."""
    [line] = [line for line in file.read_text().splitlines() if line.startswith("ENTRYPOINT ")]
    return list(json.loads(line.removeprefix("ENTRYPOINT ")))


def variables(file: Path) -> dict[str, str]:
    """Read the variables that a Dockerfile sets."""
    lines = [line.removeprefix("ENV ") for line in file.read_text().splitlines() if line.startswith("ENV ")]
    return dict(line.split("=", 1) for line in lines)


def clean(home: Path) -> dict[str, str]:
    """Return what an image has in its environment before anybody says anything."""
    packages = Path(sys.executable).parent
    return {"PATH": f"{packages}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(home), "PYTHONUNBUFFERED": "1"}


@contextmanager
def image(project: Path, environment: Mapping[str, str], port: int = 0) -> Iterator[str]:
    """Run what docker/events.Dockerfile begins, at another port; yield the address."""
    file = project / "docker/events.Dockerfile"
    command = entrypoint(file)
    command[command.index("--port") + 1] = str(port)
    with begun(command, project, variables(file) | environment) as address:
        yield address


@contextmanager
def function(project: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run function_app.py under what stands for Azure's host; yield the address."""
    with begun(["python", str(HOST), str(project)], project, environment) as address:
        yield address


@contextmanager
def begun(command: list[str], project: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Begin a server that says its address; end it."""
    server = subprocess.Popen(command, cwd=project, env=dict(environment), stderr=subprocess.PIPE, text=True)
    told = []
    try:
        for line in server.stderr or ():
            told.append(line)
            if at := re.search(r"http://[\w.:]+\d", line):
                yield at[0].replace("0.0.0.0", "127.0.0.1")
                return
        raise AssertionError("it did not start:\n" + "".join(told))
    finally:
        server.terminate()
        server.communicate()
