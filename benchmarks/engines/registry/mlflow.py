"""MLflow's registry on its own sqlite store, in process: production is an alias, which is moved."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient

_MODEL = "bench"


class Mlflow:
    def __init__(self, folder: Path, versions: int) -> None:
        address = f"sqlite:///{folder / 'mlflow.db'}"
        self._client = MlflowClient(tracking_uri=address, registry_uri=address)
        self._client.create_registered_model(_MODEL)
        source = f"file://{folder}"
        self._versions = [self._client.create_model_version(_MODEL, source=source).version for _ in range(versions)]

    def promote(self, index: int) -> object:
        return self._client.set_registered_model_alias(_MODEL, "production", str(self._versions[index]))

    def production(self) -> object:
        return self._client.get_model_version_by_alias(_MODEL, "production")


def open_registry(folder: Path, versions: int) -> Mlflow:
    return Mlflow(folder, versions)
