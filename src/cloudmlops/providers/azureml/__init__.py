"""Azure Machine Learning, with Blob storage for ledger, inbox and artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudmlops.ports.backends import Backends, Provider

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.settings import AzureMLSettings


def _open(target: str | AzureMLSettings) -> Backends:
    from cloudmlops.providers.azureml.backends import AzureMLBackends  # here, because it loads pydantic
    from cloudmlops.providers.azureml.settings import AzureMLSettings

    return AzureMLBackends(AzureMLSettings.from_target(target) if isinstance(target, str) else target)


provider = Provider(name="azureml", extra="azureml", open=_open)
