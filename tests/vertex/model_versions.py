"""Model versions in Vertex AI's registry, as tests make them and look at them."""

from __future__ import annotations

from google.cloud.aiplatform_v1 import ModelServiceClient
from google.cloud.aiplatform_v1.types import (
    ListModelVersionsRequest,
    MergeVersionAliasesRequest,
    Model,
    UpdateModelRequest,
    UploadModelRequest,
)

from cloudmlops.domain.ledger import Registration
from cloudmlops.domain.models import Stage
from cloudmlops.ports.models import NewVersion, Projection
from cloudmlops.providers.vertex.backends import VertexBackends

DIGEST = "ab" * 32


def new(version: str = "1", *, request: str = "r1", model: str = "churn", **known: object) -> NewVersion:
    registration = Registration(artifact_uri=f"gs://bucket/models/{model}/{version}/", manifest=DIGEST, **known)  # type: ignore[arg-type]
    return NewVersion(model=model, version=version, request=request, registration=registration)


def shown(version: str = "1", stage: Stage = Stage.NONE, revision: int = 2, **tags: str) -> Projection:
    return Projection(version=version, stage=stage, revision=revision, tags=tags, head=7, head_digest=DIGEST)


def client(backends: VertexBackends) -> ModelServiceClient:
    return backends.wire.client(ModelServiceClient)


def versions(backends: VertexBackends, model: str = "churn") -> list[Model]:
    request = ListModelVersionsRequest(name=f"{backends.settings.parent}/models/{model}")
    return sorted(client(backends).list_model_versions(request=request), key=lambda known: int(known.version_id))


def uploaded_by_others(backends: VertexBackends, *, model_id: str = "", **known: object) -> None:
    """Upload a version of churn, or the model, without this library."""
    place = {"model_id": model_id} if model_id else {"parent_model": f"{backends.settings.parent}/models/churn"}
    model = Model(display_name="churn", artifact_uri="gs://elsewhere/model", **known)
    request = UploadModelRequest(parent=backends.settings.parent, model=model, **place)
    client(backends).upload_model(request=request).result()


def alias(backends: VertexBackends, version: str, name: str) -> None:
    """Move an alias without this library."""
    native = f"{backends.settings.parent}/models/churn@{version}"
    client(backends).merge_version_aliases(request=MergeVersionAliasesRequest(name=native, version_aliases=[name]))


def relabel(backends: VertexBackends, labels: dict[str, str]) -> None:
    """Replace the labels of churn's first version without this library."""
    model = Model(name=f"{backends.settings.parent}/models/churn@1", labels=labels)
    client(backends).update_model(request=UpdateModelRequest(model=model, update_mask={"paths": ["labels"]}))


def fill(labels: dict[str, str]) -> dict[str, str]:
    """Add labels of others up to as many as there may be."""
    return labels | {f"other-{number}": "x" for number in range(64 - len(labels))}
