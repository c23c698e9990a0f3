"""What workspaces tell Event Grid of.

Subjects and data are those of Microsoft's examples (learn.microsoft.com, "Azure Machine Learning as an Event Grid
source"), whose names are not written alike: `ModelName`, but `runId`. Versions that are numbers are numbers there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from cloudmlops.emulators.azure.eventgrid.events import written
from cloudmlops.emulators.azure.eventgrid.subscribing import EventSubscriptions
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.core.clock import Clock


class SystemEvents:
    """Tells of what happens in workspaces to all who subscribed."""

    def __init__(self, subscriptions: EventSubscriptions, clock: Clock) -> None:
        self._subscriptions = subscriptions
        self._clock = clock

    def model_registered(
        self, workspace: str, *, name: str, version: str, tags: Mapping[str, str], properties: Mapping[str, str]
    ) -> None:
        """Tell of a new version of a model; a changed one is not told of."""
        data = {
            "ModelName": name,
            "ModelVersion": int(version) if version.isdigit() else version,
            "ModelTags": dict(tags),
            "ModelProperties": dict(properties),
        }
        self.tell(workspace, "ModelRegistered", f"models/{name}:{version}", data)

    def model_deployed(
        self,
        workspace: str,
        *,
        service: str,
        compute_type: str,
        models: Sequence[tuple[str, str]],
        tags: Mapping[str, str],
        properties: Mapping[str, str],
    ) -> None:
        """Tell of a deployment that is done.

        Args:
            workspace: Its id.
            service: Name of the endpoint.
            compute_type: Such as `Managed`, `ACI`, `AKS`.
            models: Names and versions.
            tags: Of the endpoint.
            properties: Of the endpoint.
        """
        data = {
            "ServiceName": service,
            "ServiceComputeType": compute_type,
            "ModelIds": ",".join(f"{name}:{version}" for name, version in models),
            "ServiceTags": dict(tags),
            "ServiceProperties": dict(properties),
        }
        self.tell(workspace, "ModelDeployed", f"endpoints/{service}", data)

    def run_completed(
        self,
        workspace: str,
        *,
        experiment_id: str,
        experiment: str,
        run: str,
        run_type: str | None,
        tags: Mapping[str, str],
        properties: Mapping[str, str],
    ) -> None:
        """Tell of a run that ended well."""
        data = _run(experiment_id, experiment, run, run_type, tags, properties)
        self.tell(workspace, "RunCompleted", f"experiments/{experiment_id}/runs/{run}", data)

    def run_status_changed(
        self,
        workspace: str,
        *,
        experiment_id: str,
        experiment: str,
        run: str,
        run_type: str | None,
        tags: Mapping[str, str],
        properties: Mapping[str, str],
        status: str,
    ) -> None:
        """Tell of a run's new status; the real service does so only of `failed`."""
        data = {**_run(experiment_id, experiment, run, run_type, tags, properties), "runStatus": status}
        self.tell(workspace, "RunStatusChanged", f"experiments/{experiment_id}/runs/{run}", data)

    def dataset_drift_detected(
        self,
        workspace: str,
        *,
        drift_id: str,
        drift: str,
        run: str,
        base_dataset: str,
        target_dataset: str,
        coefficient: float,
        start: datetime,
        end: datetime,
    ) -> None:
        """Tell of data that are no more as they were.

        Args:
            workspace: Its id.
            drift_id: Of the monitor.
            drift: The monitor's name.
            run: That found it.
            base_dataset: Id of what it was compared with.
            target_dataset: Id of what drifted.
            coefficient: How much.
            start: Of the data that drifted.
            end: Of the data that drifted.
        """
        data = {
            "DataDriftId": drift_id,
            "DataDriftName": drift,
            "RunId": run,
            "BaseDatasetId": base_dataset,
            "TargetDatasetId": target_dataset,
            "DriftCoefficient": coefficient,
            "StartTime": start.isoformat(),
            "EndTime": end.isoformat(),
        }
        self.tell(workspace, "DatasetDriftDetected", f"datadrift/{drift_id}/run/{run}", data)

    def tell(self, workspace: str, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        """Tell of anything.

        Args:
            workspace: Its id.
            kind: Such as `ModelRegistered`.
            subject: Of the event.
            data: As the service writes it.
        """
        event = {
            "topic": workspace,
            "subject": subject,
            "eventType": f"{PROVIDER}.{kind}",
            "eventTime": written(self._clock.now()),
            "id": str(uuid4()),
            "data": dict(data),
            "dataVersion": "",
            "metadataVersion": "1",
        }
        self._subscriptions.publish(workspace, event)


def _run(
    experiment_id: str,
    experiment: str,
    run: str,
    run_type: str | None,
    tags: Mapping[str, str],
    properties: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "experimentId": experiment_id,
        "experimentName": experiment,
        "runId": run,
        "runType": run_type,
        "runTags": dict(tags),
        "runProperties": dict(properties),
    }
