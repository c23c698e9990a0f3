"""The register of the api-versions that Azure's SDKs send, by operation: what is new there is noticed here.

Drawn from a tour through all that the SDKs of `constraints/tested.txt` do (`sdk_tour.py`). The emulator answers all
api-versions of a route in one form but for those of jobs, so a version that nobody has looked at may want another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx
import pytest
from tests.emulators.azure.sdk_tour import QUIET, Tour

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conftest import Azure

TEN: Final = (
    *("2022-02-01-preview", "2023-04-01", "2023-04-01-preview", "2023-06-01-preview", "2023-08-01-preview"),
    *("2023-10-01", "2024-01-01-preview", "2024-04-01-preview", "2024-10-01-preview", "2025-01-01-preview"),
)
"""That azure-ai-ml 1.35 sends of Microsoft.MachineLearningServices in workspaces."""
_REGISTRIES: Final = "2021-10-01-dataplanepreview"
_EVENT_GRID: Final = "2025-02-15"
_AUTHORIZATION: Final = "2022-04-01"
_BLOB: Final = "2026-10-06"

REGISTER: Final[Mapping[str, tuple[str, ...]]] = {
    "GET locations/computeOperationsStatus": ("2023-08-01-preview",),
    "GET locations/mfeOperationResults": ("2023-04-01-preview",),
    "GET locations/mfeOperationsStatus": (
        "2022-02-01-preview",
        "2023-04-01-preview",
        "2023-06-01-preview",
        "2023-10-01",
        "2024-01-01-preview",
    ),
    "GET locations/operationsStatus": (_EVENT_GRID,),
    "GET locations/registryOperationsStatus": ("2022-10-01-preview",),
    "GET namespaces": (_EVENT_GRID,),
    "PUT namespaces": (_EVENT_GRID,),
    "GET namespaces/topics": (_EVENT_GRID,),
    "PUT namespaces/topics": (_EVENT_GRID,),
    "GET namespaces/topics/eventSubscriptions": (_EVENT_GRID,),
    "PUT namespaces/topics/eventSubscriptions": (_EVENT_GRID,),
    "GET registries": ("2022-10-01-preview",),
    "PUT registries": ("2022-10-01-preview",),
    "GET registries/environments/versions": (_REGISTRIES,),
    "PUT registries/environments/versions": (_REGISTRIES,),
    "GET registries/models/versions": (_REGISTRIES,),
    "PUT registries/models/versions": (_REGISTRIES,),
    "PUT registries/tempdatarefs/versions": (_REGISTRIES,),
    "DELETE roleAssignments": (_AUTHORIZATION,),
    "GET roleAssignments": (_AUTHORIZATION,),
    "PUT roleAssignments": (_AUTHORIZATION,),
    "GET roleDefinitions": (_AUTHORIZATION,),
    "GET topics": (_EVENT_GRID,),
    "PUT topics": (_EVENT_GRID,),
    "POST topics/listKeys": (_EVENT_GRID,),
    "GET workspaces": ("2023-08-01-preview", "2024-10-01-preview"),
    "PATCH workspaces": ("2024-10-01-preview",),
    "GET workspaces/batchEndpoints": ("2023-10-01", "2024-01-01-preview"),
    "PUT workspaces/batchEndpoints": ("2023-10-01",),
    "GET workspaces/batchEndpoints/deployments": ("2024-01-01-preview",),
    "PUT workspaces/batchEndpoints/deployments": ("2024-01-01-preview",),
    "GET workspaces/codes/versions": ("2023-04-01",),
    "PUT workspaces/codes/versions": ("2023-04-01",),
    "POST workspaces/codes/versions/startPendingUpload": ("2023-04-01",),
    "GET workspaces/components": ("2024-01-01-preview",),
    "GET workspaces/components/versions": ("2024-01-01-preview",),
    "PUT workspaces/components/versions": ("2024-01-01-preview",),
    "DELETE workspaces/computes": ("2023-08-01-preview",),
    "GET workspaces/computes": ("2023-08-01-preview",),
    "PUT workspaces/computes": ("2023-08-01-preview",),
    "POST workspaces/computes/listNodes": ("2023-08-01-preview",),
    "POST workspaces/computes/restart": ("2023-08-01-preview",),
    "POST workspaces/computes/start": ("2023-08-01-preview",),
    "POST workspaces/computes/stop": ("2023-08-01-preview",),
    "GET workspaces/connections": ("2024-04-01-preview",),
    "GET workspaces/data": ("2023-04-01-preview",),
    "PUT workspaces/data": ("2023-04-01-preview",),
    "GET workspaces/data/versions": ("2023-04-01-preview",),
    "PUT workspaces/data/versions": ("2023-04-01-preview",),
    "DELETE workspaces/datastores": ("2024-10-01-preview",),
    "GET workspaces/datastores": ("2024-10-01-preview",),
    "PUT workspaces/datastores": ("2024-10-01-preview",),
    "POST workspaces/datastores/listSecrets": ("2024-10-01-preview",),
    "GET workspaces/environments": ("2023-04-01-preview",),
    "PUT workspaces/environments": ("2023-04-01-preview",),
    "GET workspaces/environments/versions": ("2023-04-01-preview",),
    "PUT workspaces/environments/versions": ("2023-04-01-preview",),
    "GET workspaces/featuresets": ("2023-10-01",),
    "GET workspaces/featuresets/versions": ("2023-10-01",),
    "PUT workspaces/featuresets/versions": ("2023-10-01",),
    "GET workspaces/featuresets/versions/features": ("2023-10-01",),
    "GET workspaces/featurestoreEntities": ("2023-10-01",),
    "GET workspaces/featurestoreEntities/versions": ("2023-10-01",),
    "PUT workspaces/featurestoreEntities/versions": ("2023-10-01",),
    "GET workspaces/jobs": ("2024-01-01-preview",),
    "PUT workspaces/jobs": ("2024-01-01-preview", "2025-01-01-preview"),
    "POST workspaces/jobs/cancel": ("2023-04-01-preview",),
    "GET workspaces/models": ("2023-08-01-preview",),
    "PUT workspaces/models": ("2023-08-01-preview",),
    "GET workspaces/models/versions": ("2023-08-01-preview",),
    "PUT workspaces/models/versions": ("2023-08-01-preview",),
    "DELETE workspaces/onlineEndpoints": ("2022-02-01-preview",),
    "GET workspaces/onlineEndpoints": ("2022-02-01-preview", "2023-04-01-preview"),
    "PUT workspaces/onlineEndpoints": ("2022-02-01-preview",),
    "GET workspaces/onlineEndpoints/deployments": ("2022-02-01-preview", "2023-04-01-preview"),
    "PUT workspaces/onlineEndpoints/deployments": ("2023-04-01-preview",),
    "POST workspaces/onlineEndpoints/deployments/getLogs": ("2023-04-01-preview",),
    "POST workspaces/onlineEndpoints/listKeys": ("2022-02-01-preview",),
    "DELETE workspaces/schedules": ("2023-06-01-preview",),
    "GET workspaces/schedules": ("2023-06-01-preview",),
    "PUT workspaces/schedules": ("2023-06-01-preview",),
    "blob GetBlob": (_BLOB,),
    "blob GetBlobProperties": (_BLOB,),
    "blob ListBlobs": (_BLOB,),
    "blob PutBlob": (_BLOB,),
    "blob SetBlobMetadata": (_BLOB,),
    "eventgrid events.publish": ("2018-01-01",),
    "eventgrid namespaces.acknowledge": ("2024-06-01",),
    "eventgrid namespaces.publish": ("2024-06-01",),
    "eventgrid namespaces.receive": ("2024-06-01",),
    "history runs.change": ("v1.0",),
}


@pytest.mark.conformance(ci=True)
@QUIET
def test_the_api_versions_that_the_sdks_send_are_those_of_the_register(azure: Azure, tmp_path: Path) -> None:
    azure.cloud.reset()  # the versions that others asked for

    Tour(azure=azure, folder=tmp_path, registry=f"tour-{azure.workspace}").go()

    sent = {operation: set(versions) for operation, versions in azure.cloud.versions.items()}
    new = {
        operation: sorted(versions - set(REGISTER.get(operation, ())))
        for operation, versions in sent.items()
        if versions - set(REGISTER.get(operation, ()))
    }
    assert not new, (
        "an SDK sends an api-version that nobody has looked at: read what it changes (azure-rest-api-specs, recordings "
        "of azure-sdk-assets), let the emulator answer in its form, then add it to REGISTER"
    )
    assert sorted(REGISTER.keys() - sent.keys()) == [], (
        "no SDK asks for these any more: the tour or the register is old"
    )


@pytest.mark.parametrize("version", TEN)
def test_each_of_the_ten_api_versions_is_accepted_and_recorded(azure: Azure, version: str) -> None:
    token = azure.cloud.tokens.issue(azure.principal("owner"), "https://management.azure.com")

    for kind in ("models", "onlineEndpoints", "jobs", "schedules", "computes", "datastores"):
        reply = httpx.get(
            f"{azure.emulator.url}{azure.workspace_id}/{kind}",
            headers={"authorization": f"Bearer {token}"},
            params={"api-version": version},
            trust_env=False,
            verify=False,
        )

        assert reply.status_code == 200, reply.text
        assert version in azure.cloud.versions[f"GET workspaces/{kind}"]


def test_the_register_has_the_ten_api_versions_of_machine_learning() -> None:
    machine_learning = {
        version
        for operation, versions in REGISTER.items()
        if "workspaces" in operation or "mfeOperations" in operation
        for version in versions
    }

    assert machine_learning == set(TEN)
