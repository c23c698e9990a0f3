"""The variables in which a job's process finds what it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cloudmlops.emulators.azure.jobs.runs import Run

HIDDEN: Final = (
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
)
"""The variables of whoever runs the emulator that a job's process is not given: it has an identity of its own."""
RUN_AUDIENCE: Final = "https://azureml.run"
"""Of the tokens of runs: run history, the tracking store and artifacts take them, Azure Resource Manager does not."""
RUN_TOKEN_SECONDS: Final = 14 * 24 * 3600
"""So long a run's token is good: nothing renews it."""


def token_variables(token: str) -> dict[str, str]:
    """Return the variables in which MLflow's clients, with Azure's plugin or without it, find the run's token."""
    return {"AZUREML_RUN_TOKEN": token, "MLFLOW_TRACKING_TOKEN": token}


def variables_of(
    run: Run, workspace: Mapping[str, Any], inputs: Mapping[str, str | None], outputs: Mapping[str, Path]
) -> dict[str, str]:
    """Return the variables that Azure Machine Learning sets.

    Args:
        run: Of the process.
        workspace: As it is shown.
        inputs: Values and paths, by name.
        outputs: Paths, by name.
    """
    parts = run.workspace.split("/")
    host = f"https://{workspace['location']}.api.azureml.ms"
    properties = workspace["properties"]
    return {
        "AZUREML_ARM_SUBSCRIPTION": parts[2],
        "AZUREML_ARM_RESOURCEGROUP": parts[4],
        "AZUREML_ARM_WORKSPACE_NAME": parts[8],
        "AZUREML_ARM_PROJECT_NAME": run.experiment,
        "AZUREML_WORKSPACE_ID": str(properties["workspaceId"]),
        "AZUREML_WORKSPACE_SCOPE": run.workspace,
        "AZUREML_EXPERIMENT_SCOPE": f"{run.workspace}/experiments/{run.experiment}",
        "AZUREML_EXPERIMENT_ID": run.experiment_id,
        "AZUREML_RUN_ID": run.name,
        "AZUREML_ROOT_RUN_ID": run.root or run.name,
        "AZUREML_SERVICE_ENDPOINT": host,
        "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{host}/discovery",
        "AZUREML_RUN_HISTORY_SERVICE_ENDPOINT": host,
        "MLFLOW_TRACKING_URI": str(properties["mlFlowTrackingUri"]),
        "MLFLOW_EXPERIMENT_ID": run.experiment_id,
        "MLFLOW_EXPERIMENT_NAME": run.experiment,
        "MLFLOW_RUN_ID": run.name,
        **{f"AZURE_ML_INPUT_{name}": value for name, value in inputs.items() if value is not None},
        **{f"AZURE_ML_OUTPUT_{name}": str(path) for name, path in outputs.items()},
    }
