"""What containers print, as entries of Cloud Logging: resource `ml_job`, one entry a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cloudmlops.emulators.core.service import Surroundings
from cloudmlops.emulators.google.logs import Logs, timestamp

_REPLICA = "workerpool0-0"


class TaskLog:
    """The log of one custom job."""

    def __init__(self, surroundings: Surroundings, *, project: str, location: str, job: str) -> None:
        self._logs = Logs(surroundings)
        self._clock = surroundings.clock
        self._project = project
        self._location = location
        self.job = job
        """Number of the custom job that runs the container."""
        self._read = 0
        self._lines = 0

    def ship(self, file: Path, *, last: bool = False) -> None:
        """Write the lines of a file that are new as entries; the last may have no end yet."""
        if not file.exists():
            return
        with file.open("rb") as stream:
            stream.seek(self._read)
            fresh = stream.read()
        whole = fresh if last else fresh[: fresh.rfind(b"\n") + 1]
        if not whole:
            return
        self._read += len(whole)
        lines = whole.decode("utf-8", errors="replace").removesuffix("\n").split("\n")
        self._logs.write([self._entry(line) for line in lines])

    def _entry(self, line: str) -> dict[str, Any]:
        self._lines += 1
        return {
            "logName": f"projects/{self._project}/logs/{_REPLICA}",
            "resource": {
                "type": "ml_job",
                "labels": {"job_id": self.job, "project_id": self._project, "task_name": _REPLICA},
            },
            "labels": {"ml.googleapis.com/job_id": self.job, "ml.googleapis.com/location": self._location},
            "severity": "INFO",
            "timestamp": timestamp(self._clock.now()),
            "insertId": f"{self.job}-{self._lines:09}",
            "jsonPayload": {"message": line, "levelname": "INFO"},
        }
