"""Models: read, listed, registered, and labelled with the stage that a promotion gave them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.aiplatform_v1 import (
    ListModelsRequest,
    ListModelVersionsRequest,
    Model,
    ModelServiceClient,
    UpdateModelRequest,
    UploadModelRequest,
)
from google.cloud.aiplatform_v1.types import ModelContainerSpec

import cloudmlops as cm
from benchmarks.engines.vertex.pairs import Pair
from cloudmlops.domain.ledger import Registration
from cloudmlops.domain.models import Stage
from cloudmlops.ports.models import NewVersion, Projection
from cloudmlops.testing.model_folders import write_scaling_model

_NAME = "read"
_MODELS = 10


def pairs(platform: cm.Platform, folder: Path) -> dict[str, Pair]:
    backends: Any = platform._backends
    adapter, objects, parent = backends.models, backends.objects, backends.settings.parent
    client: ModelServiceClient = backends.wire.client(ModelServiceClient)
    artifact = write_scaling_model(folder / "model")
    version = platform.models.register(_NAME, artifact).version
    for number in range(1, _MODELS):
        platform.models.register(f"other-{number}", artifact)
    name = f"{parent}/models/{_NAME}"
    stamped = ListModelVersionsRequest(name=name, filter="labels.cloudmlops-store:*")
    return {
        "got": Pair(
            ours=lambda _: platform.models.get(_NAME, version),
            bare=lambda _: client.get_model(name=name),
            same=False,  # ours reads the ledger in Cloud Storage
        ),
        "looked_up": Pair(
            ours=lambda _: adapter.store(_NAME), bare=lambda _: list(client.list_model_versions(request=stamped))
        ),
        "listed": Pair(
            ours=lambda _: adapter.stamped(),
            bare=lambda _: list(client.list_models(request=ListModelsRequest(parent=parent))),
        ),
        "registered": _registered(adapter, client, objects.uri, parent),
        "labelled": _labelled(adapter, client, objects, name, version),
    }


def _registered(adapter: Any, client: ModelServiceClient, store: str, parent: str) -> Pair:
    """Each call makes the first version of a model of its own."""

    def ours(number: int) -> None:
        registration = Registration(artifact_uri=f"{store}/models/model", manifest="0" * 64)
        adapter.create(
            NewVersion(model=f"ours-{number}", version="1", request=f"request-{number}", registration=registration)
        )

    def bare(number: int) -> None:
        name = f"{parent}/models/bare-{number}"
        wanted = ListModelVersionsRequest(name=name, filter=f'labels.request="{number}"')
        if not _versions(client, wanted):
            _operations(client, name)
            _versions(client, ListModelVersionsRequest(name=name))
            model = Model(
                display_name=f"bare-{number}",
                artifact_uri=f"{store}/models/model",
                labels={"request": str(number), "cloudmlops-store": "any"},
                container_spec=ModelContainerSpec(
                    image_uri="europe-west4-docker.pkg.dev/any/cloudmlops/serving:latest"
                ),
            )
            client.upload_model(UploadModelRequest(parent=parent, model=model, model_id=f"bare-{number}")).result()
        _versions(client, wanted)

    return Pair(ours=ours, bare=bare, share=0.2)


def _labelled(adapter: Any, client: ModelServiceClient, objects: Any, name: str, version: str) -> Pair:
    def ours(number: int) -> None:
        adapter.project(_NAME, [Projection(version=version, stage=Stage.CANDIDATE, revision=number + 1)])

    def bare(number: int) -> None:
        (shown,) = client.list_model_versions(name=name)
        objects.exists(f"registry/vertex/{_NAME}/{version}.json")
        labels = {**shown.labels, "stage_rev": str(number + 1)}
        model = Model(name=f"{shown.name}@{shown.version_id}", labels=labels, etag=shown.etag)
        client.update_model(request=UpdateModelRequest(model=model, update_mask={"paths": ["labels"]}))
        list(client.list_model_versions(name=name))

    return Pair(ours=ours, bare=bare, share=0.5)


def _versions(client: ModelServiceClient, request: ListModelVersionsRequest) -> list[Model]:
    try:
        return list(client.list_model_versions(request=request))
    except NotFound:
        return []


def _operations(client: ModelServiceClient, name: str) -> None:
    with suppress(NotFound):  # as yet there is no such model
        client.list_operations({"name": name})
