from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from tests.emulators.azure.conftest import Azure


class Tracking:
    """MLflow's own client at a workspace's tracking store, as somebody."""

    def __init__(self, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
        self._azure = azure
        self._monkeypatch = monkeypatch

    @property
    def uri(self) -> str:
        return f"https://westeurope.api.azureml.ms/mlflow/v2.0{self._azure.workspace_id}"

    def client(self, who: str = "owner") -> MlflowClient:
        """The token is a variable of the process: the last client's counts for all."""
        from mlflow import MlflowClient

        token = self._azure.cloud.tokens.issue(self._azure.principal(who), "https://management.azure.com")
        self._monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
        return MlflowClient(self.uri, self.uri)


@pytest.fixture
def tracking(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return Tracking(azure, monkeypatch)
