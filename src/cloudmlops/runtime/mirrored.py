"""What a step logged through MLflow, sent to the cloud's own tracking store, so that the cloud's run shows it too.

On Azure ML a job's process is told where that store is and which run it is by `MLFLOW_TRACKING_URI`, `MLFLOW_RUN_ID`
and `MLFLOW_TRACKING_TOKEN` (measured; learn.microsoft.com, "Track experiments and models by using MLflow"). The first
begins with `azureml:`, which MLflow itself understands with Azure's plugin alone; its REST API needs neither. Elsewhere
there is no such store, and nothing is sent.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloudmlops.runtime.logged import read_rows

_VARIABLES: Final = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_TOKEN")
_OTHERS: Final = ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")
_SCHEME: Final = "azureml:"
_MOST: Final = {"metrics": 1000, "params": 100, "tags": 100}
"""How many one call may log."""
_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudRun:
    """A run of a cloud's tracking store."""

    address: str
    """Of MLflow's REST API, without a slash at its end."""
    run: str
    token: str

    def log(self, folder: Path) -> None:
        """Send what all MLflow runs in a tracking folder have logged; what cannot be sent is told to the step's log."""
        for batch in _batches(read_rows(folder)):
            try:
                self._send(batch)
            except OSError as error:  # the step's own record has it all the same
                sys.stderr.write(f"cloudmlops: the run {self.run} does not show all that was logged: {error}\n")
                return

    def _send(self, batch: Mapping[str, Any]) -> None:
        import urllib.request  # here: most steps log nothing

        request = urllib.request.Request(  # noqa: S310 its scheme is https, see `taken_from`
            f"{self.address}/api/2.0/mlflow/runs/log-batch",
            json.dumps({"run_id": self.run, **batch}).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310 see above
            pass


def taken_from(variables: MutableMapping[str, str]) -> CloudRun | None:
    """Return the run of the cloud that a process belongs to, and take its variables away.

    MLflow would look for that run in the tracking folder of the step, where it is not.
    """
    address, run, token = (variables.pop(name, "") for name in _VARIABLES)
    for name in _OTHERS:
        variables.pop(name, None)
    if not address.startswith(_SCHEME) or not run or not token:
        return None
    return CloudRun(
        address=f"https:{address.removeprefix(_SCHEME)}".partition("?")[0].rstrip("/"), run=run, token=token
    )


def _batches(logged: Mapping[str, list[dict[str, Any]]]) -> Iterator[dict[str, list[dict[str, Any]]]]:
    for kind, most in _MOST.items():
        for begin in range(0, len(logged[kind]), most):
            yield {kind: logged[kind][begin : begin + most]}
