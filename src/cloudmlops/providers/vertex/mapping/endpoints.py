"""Endpoints as Vertex AI has them: ids, messages and splits, and back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from google.cloud.aiplatform_v1.types import (
    BatchDedicatedResources,
    BatchPredictionJob,
    DedicatedResources,
    DeployedModel,
    EncryptionSpec,
    Endpoint,
    GcsDestination,
    GcsSource,
    MachineSpec,
)

from cloudmlops.domain.endpoints import DeploymentState, DeploymentStatus

if TYPE_CHECKING:
    from cloudmlops.providers.deployment_journal import Act
    from cloudmlops.providers.vertex.settings import VertexSettings

NEW: Final = "0"
"""Stands in a split for the model that is being deployed."""
OURS: Final = "cloudmlops"
"""Label of the endpoints that are ours."""
_ENDPOINT_ID: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MARK: Final = "-x"
_DIGEST_LENGTH: Final = 8
_LONGEST_ID: Final = 63
_IDS: Final = 10**10


def endpoint_id(name: str) -> str:
    """Return the id of an endpoint: its name, or where Vertex AI has no such ids, a readable and unique form of it."""
    if _ENDPOINT_ID.fullmatch(name) and not re.search(rf"{_MARK}[0-9a-f]{{{_DIGEST_LENGTH}}}$", name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{name.replace('_', '-')[: _LONGEST_ID - _DIGEST_LENGTH - len(_MARK)]}{_MARK}{digest}"


def deployed_id(deployed_as: str) -> str:
    """Return the id of a deployed model: up to ten digits, the same for an act of deploying whenever it is tried."""
    return str(int.from_bytes(hashlib.sha256(deployed_as.encode()).digest()[:8]) % (_IDS - 1) + 1)


def endpoint(name: str, settings: VertexSettings) -> Endpoint:
    """Return the message that makes an endpoint."""
    made = Endpoint(display_name=name, labels={OURS: "endpoint"})
    if settings.encryption_key:
        made.encryption_spec = EncryptionSpec(kms_key_name=settings.encryption_key)
    if settings.endpoints == "dedicated":
        made.dedicated_endpoint_enabled = True
    elif settings.endpoints == "private":
        made.network = settings.network
    return made


def deployed_model(act: Act, settings: VertexSettings) -> DeployedModel:
    """Return the message that deploys."""
    least, most = act.replicas
    return DeployedModel(
        id=act.deployed_id,
        model=act.native_model,
        display_name=act.name,
        service_account=settings.service_account,
        dedicated_resources=DedicatedResources(
            machine_spec=MachineSpec(machine_type=act.machine), min_replica_count=least, max_replica_count=most
        ),
    )


def batch_job(name: str, native_model: str, folder: str, *, settings: VertexSettings, key: str) -> BatchPredictionJob:
    """Return the message that scores `folder/input.jsonl` into `folder`, rows known by the field `key`."""
    machine = MachineSpec(machine_type=settings.machine)
    return BatchPredictionJob(
        display_name=name,
        model=native_model,
        input_config=BatchPredictionJob.InputConfig(
            instances_format="jsonl", gcs_source=GcsSource(uris=[f"{folder}/input.jsonl"])
        ),
        output_config=BatchPredictionJob.OutputConfig(
            predictions_format="jsonl", gcs_destination=GcsDestination(output_uri_prefix=folder)
        ),
        instance_config=BatchPredictionJob.InstanceConfig(instance_type="object", key_field=key),
        dedicated_resources=BatchDedicatedResources(machine_spec=machine, starting_replica_count=1),
        service_account=settings.service_account,
        encryption_spec=EncryptionSpec(kms_key_name=settings.encryption_key) if settings.encryption_key else None,
        labels={OURS: "batch"},
    )


def split_by_id(traffic: Mapping[str, int], shown: Endpoint, *, coming: str = "") -> dict[str, int]:
    """Return a split by our names as Vertex AI has it; `coming` is what is being deployed."""
    ids = {deployed.display_name: deployed.id for deployed in shown.deployed_models} | ({coming: NEW} if coming else {})
    return {ids[name]: share for name, share in traffic.items() if share}


def split_by_name(shown: Endpoint) -> dict[str, int]:
    """Return an endpoint's split by our names."""
    names = {deployed.id: deployed.display_name or deployed.id for deployed in shown.deployed_models}
    return {names[identity]: share for identity, share in shown.traffic_split.items() if share and identity in names}


def deployed_status(endpoint_name: str, shown: Endpoint, deployed: DeployedModel, act: Act | None) -> DeploymentStatus:
    """Return how a deployed model is; without an act it was deployed by other tools."""
    replicas = deployed.dedicated_resources.min_replica_count
    told = "status" in deployed  # an output that older services do not have
    healthy = deployed.status.available_replica_count if told else replicas
    return DeploymentStatus(
        endpoint=endpoint_name,
        name=deployed.display_name or deployed.id,
        model=act.model if act else deployed.model.rpartition("/")[2].partition("@")[0],
        version=act.version if act else deployed.model_version_id,
        deployed_as=act.deployed_as if act else deployed.id,
        state=DeploymentState.HEALTHY if healthy >= replicas else DeploymentState.DEGRADED,
        traffic_percent=shown.traffic_split.get(deployed.id, 0),
        replicas=replicas,
        healthy_replicas=healthy,
        restarts=0,
        created_at=datetime.fromisoformat(act.created_at) if act else _moment(deployed),
        machine=act.machine_asked if act else deployed.dedicated_resources.machine_spec.machine_type,
        announced=act.announced if act else True,
    )


def _moment(deployed: DeployedModel) -> datetime:
    found: datetime = deployed.create_time
    return found.astimezone(UTC)
