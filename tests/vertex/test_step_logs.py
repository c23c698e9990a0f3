"""Logs of steps are read on from where they were read to: nothing is lost, nothing told twice, little asked again."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.contract.conftest import vertex_target

import cloudmlops as cm
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.providers.vertex.logs import HOST
from cloudmlops.providers.vertex.pipeline_runs.step_logs import StepLogs
from cloudmlops.providers.vertex.rest import Rest
from cloudmlops.testing.contract.pipeline_steps import telling

from .conftest import Opened

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
JOB = "123"
_SINCE = re.compile(r'timestamp>="([^"]+)"')
_numbers = itertools.count(1)


@pytest.fixture
def rest(opened: Opened) -> Rest:
    return Rest(opened().wire)


@pytest.fixture
def logs(rest: Rest, project: str) -> StepLogs:
    return StepLogs(rest, project)


def wrote(rest: Rest, project: str, *lines: str, at: datetime = NOON, job: str = JOB) -> None:
    """Let Cloud Logging have lines of a container, all of one time."""
    entries = [
        {
            "logName": f"projects/{project}/logs/workerpool0-0",
            "resource": {"type": "ml_job", "labels": {"job_id": job}},
            "timestamp": at.isoformat(),
            "insertId": f"{next(_numbers):06}",
            "jsonPayload": {"message": line},
        }
        for line in lines
    ]
    rest.ask("POST", HOST, "/v2/entries:write", operation="test", resource="", again=False, body={"entries": entries})


def since(emulator: Emulator) -> list[datetime | None]:
    """Return from which time on entries were asked for, call by call."""
    asked: list[Any] = [call.request["filter"] for call in emulator.calls.list("logging/entries.list")]
    found = [_SINCE.search(text) for text in asked]
    return [datetime.fromisoformat(one[1]) if one else None for one in found]


def test_only_what_is_new_is_read_again(rest: Rest, project: str, logs: StepLogs, vertex_emulator: Emulator) -> None:
    wrote(rest, project, "one", "", "three")
    assert logs.printed(JOB, resource="run/step") == {"": "one\n\nthree\n"}
    later = NOON + timedelta(hours=3)
    wrote(rest, project, "four", at=later)
    assert logs.printed(JOB, resource="run/step") == {"": "one\n\nthree\nfour\n"}
    assert logs.printed(JOB, resource="run/step") == {"": "one\n\nthree\nfour\n"}

    minute = timedelta(minutes=1)
    assert since(vertex_emulator) == [None, NOON - minute, later - minute]


def test_lines_of_one_moment_are_told_once_each_whenever_they_come(rest: Rest, project: str, logs: StepLogs) -> None:
    told = ""
    for number in range(5):
        wrote(rest, project, f"{number}", "same", "same")
        told += f"{number}\nsame\nsame\n"
        assert logs.printed(JOB, resource="run/step") == {"": told}


def test_what_cloud_logging_shows_late_is_told_after_what_was_told(rest: Rest, project: str, logs: StepLogs) -> None:
    wrote(rest, project, "second")
    logs.printed(JOB, resource="run/step")

    wrote(rest, project, "first", at=NOON - timedelta(seconds=50))

    assert logs.printed(JOB, resource="run/step") == {"": "second\nfirst\n"}


def test_another_container_is_read_from_its_beginning(
    rest: Rest, project: str, logs: StepLogs, vertex_emulator: Emulator
) -> None:
    wrote(rest, project, "one")
    wrote(rest, project, "two", at=NOON - timedelta(days=1), job="456")

    assert logs.printed(JOB, resource="run/step") == {"": "one\n"}
    assert logs.printed("456", resource="run/step") == {"": "two\n"}
    assert logs.printed(JOB, resource="run/step") == {"": "one\n"}
    assert since(vertex_emulator) == [None, None, None]


@pytest.mark.conformance(ci=True)
def test_a_step_that_is_followed_is_read_on(vertex_emulator: Emulator, tmp_path: Path) -> None:
    image = "europe-west4-docker.pkg.dev/any/steps/cloudmlops:latest"
    with cm.connect(vertex_target(vertex_emulator, image=image)) as platform:
        run = platform.pipelines.run(telling, {"release": str(tmp_path / "release")})
        lines = run.follow("tell")
        assert next(lines) == "begun\n"
        begun = len(since(vertex_emulator))
        (tmp_path / "release").touch()

        first, second = "".join(lines).split("begun\n")

    assert "RuntimeError: not yet" in first
    assert second == "ended\n"
    again = since(vertex_emulator)[begun:]
    assert again.count(None) <= 3 < len(again)  # where the second attempt, another container, is looked at beside
