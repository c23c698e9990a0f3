"""Versions as tests make them, with this library and without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloudmlops.domain.ledger import Registration
from cloudmlops.domain.models import Stage
from cloudmlops.ports.models import NewVersion, Projection
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.sdk import ml

DIGEST = "ab" * 32
PUT = "arm/PUT workspaces/models/versions"
GET = "arm/GET workspaces/models/versions"


def new(
    backends: AzureMLBackends, version: str = "1", *, request: str = "r1", model: str = "churn", **known: Any
) -> NewVersion:
    uri = f"{backends.objects.uri}/models/{model}/{version}/"
    registration = Registration(artifact_uri=uri, manifest=DIGEST, **known)
    return NewVersion(model=model, version=version, request=request, registration=registration)


def shown(version: str = "1", stage: Stage = Stage.NONE, revision: int = 2, **tags: str) -> Projection:
    return Projection(version=version, stage=stage, revision=revision, tags=tags, head=7, head_digest=DIGEST)


def versions(backends: AzureMLBackends, model: str = "churn", *, archived: bool = False) -> list[Any]:
    constants = ml().constants.ListViewType
    view = constants.ALL if archived else constants.ACTIVE_ONLY
    found = backends.native.models.list(name=model, list_view_type=view)
    return sorted(found, key=lambda known: str(known.version))


def registered_by_others(backends: AzureMLBackends, version: str = "1", *, model: str = "churn", **known: Any) -> Any:
    path = "azureml://datastores/workspaceblobstore/paths/elsewhere/model"
    given = {"name": model, "version": version, "path": path, **known}
    return backends.native.models.create_or_update(ml().entities.Model(**given))


def change(backends: AzureMLBackends, version: str = "1", **known: Any) -> None:
    """Put a version without this library, with all else as it is."""
    present = backends.native.models.get("churn", version)
    for name, value in known.items():
        setattr(present, name, value)
    backends.native.models.create_or_update(present)


def once_within(act: Callable[[], object]) -> Callable[[], None]:
    """Return what does something, but not while it is doing it: its own calls match the fault, too."""
    busy = False

    def guarded() -> None:
        nonlocal busy
        if busy:
            return
        busy = True
        try:
            act()
        finally:
            busy = False

    return guarded
