from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.emulators.azure.endpoints.conftest import restarted
from tests.emulators.azure.eventgrid.conftest import grid, manage, webhook
from tests.emulators.azure.jobs.conftest import jobs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from tests.emulators.azure.conftest import Azure

__all__ = ["grid", "jobs", "manage", "restarted", "webhook"]


class Tracking:
    """A workspace's tracking store: by the wire, and by MLflow's own client."""

    def __init__(self, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
        self.azure = azure
        self._monkeypatch = monkeypatch

    @property
    def uri(self) -> str:
        return f"https://westeurope.api.azureml.ms/mlflow/v2.0{self.azure.workspace_id}"

    def client(self, who: str = "owner") -> MlflowClient:
        """The token is a variable of the process: the last client's counts for all."""
        from mlflow import MlflowClient

        self._monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", self.token(who))
        return MlflowClient(self.uri, self.uri)

    def token(self, who: str) -> str:
        return self.azure.cloud.tokens.issue(self.azure.principal(who), "https://management.azure.com")

    def call(self, method: str, operation: str, *, who: str = "owner", of: str = "v2.0", **sent: Any) -> httpx.Response:
        """Call an operation of a version of the API; what is sent goes into the query of a GET, else into the body."""
        api = "api/2.0/mlflow"
        return httpx.request(
            method,
            f"{self.azure.emulator.url}/mlflow/{of}{self.azure.workspace_id}/{api}/{operation}",
            headers={"authorization": f"Bearer {self.token(who)}"},
            trust_env=False,
            timeout=60,
            **({"params": sent} if method == "GET" else {"json": sent}),
        )

    def told(self, method: str, operation: str, **sent: Any) -> dict[str, Any]:
        """Call an operation that succeeds; return what it answers."""
        reply = self.call(method, operation, **sent)
        assert reply.status_code == 200, reply.text
        told: dict[str, Any] = reply.json()
        return told

    def refused(self, method: str, operation: str, **sent: Any) -> tuple[int, str]:
        """Call an operation that is refused; return status and error code."""
        reply = self.call(method, operation, **sent)
        return reply.status_code, reply.json()["error_code"]

    def run(self, experiment: str = "0", **sent: Any) -> str:
        """Make a run; return its id."""
        made = self.told("POST", "runs/create", experiment_id=experiment, **sent)
        return str(made["run"]["info"]["run_id"])

    def found(self, experiment: str, filter: str = "", **more: Any) -> list[str]:  # noqa: A002 MLflow's name for it
        """Search runs; return their names."""
        told = self.told("POST", "runs/search", experiment_ids=[experiment], filter=filter, **more)
        return [one["info"]["run_name"] for one in told["runs"]]


@pytest.fixture
def tracking(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return Tracking(azure, monkeypatch)
