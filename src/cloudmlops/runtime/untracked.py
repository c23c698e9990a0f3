"""Libraries that report to their makers what is done with them are told not to, in steps and in servers.

MLflow does so since 3.2 unless `MLFLOW_DISABLE_TELEMETRY` is true (mlflow.org, "Usage tracking"), others unless
`DO_NOT_TRACK` is set. They may look when they are imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SILENT: Final[Mapping[str, str]] = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}


def untracked(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables to add to an environment; none where one of them is set: who runs it has decided."""
    return {} if _SILENT.keys() & environment.keys() else _SILENT
