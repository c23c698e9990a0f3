from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from tests.emulators.azure.eventgrid.conftest import grid, manage, webhook

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Job, PipelineJob
    from tests.emulators.azure.conftest import Azure

__all__ = ["grid", "jobs", "manage", "webhook"]
ENDED = ("Completed", "Failed", "Canceled")
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Jobs:
    """What tests do with jobs, through the real SDK."""

    azure: Azure
    folder: Path

    @cached_property
    def client(self) -> MLClient:
        return self.azure.client()

    def code(self, **files: str) -> Path:
        """Write a folder of programs, each under the name of a keyword."""
        folder = self.folder / "code"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        return folder

    def command(self, line: str, *, image: str = "contoso.azurecr.io/trainer:1", **given: Any) -> Any:
        from azure.ai.ml import command
        from azure.ai.ml.entities import Environment

        return command(command=line, environment=Environment(image=image), experiment_name="flights", **given)

    def submit(self, job: Any, **given: Any) -> Job | PipelineJob:
        made: Job = self.client.jobs.create_or_update(job, **given)
        return made

    def ended(self, name: str | None) -> Mapping[str, Any]:
        """Wait for a job's end; return its run."""
        assert name is not None
        waited = threading.Event()
        for _ in range(int(PATIENCE_SECONDS / 0.05)):
            run = self.run(name)
            if run["status"] in ENDED:
                return run
            waited.wait(0.05)
        raise AssertionError(f"the job {name} goes on: {run}")

    def finished(self, job: Any, **given: Any) -> Mapping[str, Any]:
        """Submit a job and wait for its end."""
        return self.ended(self.submit(job, **given).name)

    def became(self, name: str, status: str) -> bool:
        """Wait until a job has a status; False when it ended before."""
        waited = threading.Event()
        for _ in range(int(PATIENCE_SECONDS / 0.05)):
            known = self.run(name)["status"]
            if known == status or known in ENDED:
                return bool(known == status)
            waited.wait(0.05)
        return False

    def run(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/history/v1.0{self.azure.workspace_id}/runs/{name}").json()
        return found

    def call(self, method: str, path: str, *, who: str = "owner", **more: Any) -> Any:
        import httpx

        token = self.azure.cloud.tokens.issue(self.azure.principal(who), "https://management.azure.com")
        return httpx.request(
            method,
            f"{self.azure.emulator.url}{path}",
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
            **more,
        )

    def log(self, name: str) -> str:
        """Read what a job has printed."""
        details = self.call("GET", f"/history/v1.0{self.azure.workspace_id}/runs/{name}/details").json()
        account, container, blob = details["logFiles"]["user_logs/std_log.txt"].partition("?")[0].split("/", 4)[2:]
        return self.azure.cloud.blobs.read(account.partition(".")[0], container, blob).decode()


@pytest.fixture
def jobs(azure: Azure, tmp_path: Path) -> Jobs:
    return Jobs(azure, tmp_path)
