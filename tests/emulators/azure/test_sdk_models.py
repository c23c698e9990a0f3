"""What is answered of each kind is read whole by the models of azure-ai-ml's own wire client.

Public entities leave out what they do not show. So these tests alone reach for the client's models, of whose names
nothing in src knows; with another SDK they may have to be looked for elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from tests.emulators.azure.sdk_tour import QUIET, Tour

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from conftest import Azure

MODELS: Final[Mapping[str, tuple[str, str]]] = {
    "workspaces": ("Workspace", "2024-10-01-preview"),
    "workspaces/datastores": ("Datastore", "2024-10-01-preview"),
    "workspaces/models": ("ModelContainer", "2023-08-01-preview"),
    "workspaces/models/versions": ("ModelVersion", "2023-08-01-preview"),
    "workspaces/data": ("DataContainer", "2023-04-01-preview"),
    "workspaces/data/versions": ("DataVersionBase", "2023-04-01-preview"),
    "workspaces/codes": ("CodeContainer", "2023-04-01"),
    "workspaces/codes/versions": ("CodeVersion", "2023-04-01"),
    "workspaces/environments": ("EnvironmentContainer", "2023-04-01-preview"),
    "workspaces/environments/versions": ("EnvironmentVersion", "2023-04-01-preview"),
    "workspaces/components": ("ComponentContainer", "2024-01-01-preview"),
    "workspaces/components/versions": ("ComponentVersion", "2024-01-01-preview"),
    "workspaces/featuresets": ("FeaturesetContainer", "2023-10-01"),
    "workspaces/featuresets/versions": ("FeaturesetVersion", "2023-10-01"),
    "workspaces/featuresets/versions/features": ("Feature", "2023-10-01"),
    "workspaces/featurestoreEntities": ("FeaturestoreEntityContainer", "2023-10-01"),
    "workspaces/featurestoreEntities/versions": ("FeaturestoreEntityVersion", "2023-10-01"),
    "workspaces/computes": ("ComputeResource", "2023-08-01-preview"),
    "workspaces/jobs": ("JobBase", "2024-01-01-preview"),
    "workspaces/schedules": ("Schedule", "2023-06-01-preview"),
    "workspaces/onlineEndpoints": ("OnlineEndpoint", "2022-02-01-preview"),
    "workspaces/onlineEndpoints/deployments": ("OnlineDeployment", "2023-04-01-preview"),
    "workspaces/batchEndpoints": ("BatchEndpoint", "2023-10-01"),
    "workspaces/batchEndpoints/deployments": ("BatchDeployment", "2024-01-01-preview"),
    "registries": ("Registry", "2022-10-01-preview"),
}
"""Which model reads a kind, and the api-version that is asked for."""
UNKNOWN: Final[Mapping[str, frozenset[str]]] = {
    "workspaces": frozenset(
        [
            "etag",
            "properties.EnableSoftwareBillOfMaterials",
            "properties.creationTime",
            "properties.ipAllowlist",
            "properties.linkedModelInventoryArmId",
            "properties.managedNetwork.changeableIsolationModes",
            "properties.softDeleteEnabled",
        ]
    ),
    "workspaces/models/versions": frozenset(["properties.autoDeleteSetting", "properties.intellectualProperty"]),
    "workspaces/data/versions": frozenset(
        ["properties.autoDeleteSetting", "properties.intellectualProperty", "properties.stage"]
    ),
    "workspaces/environments/versions": frozenset(["properties.autoDeleteSetting", "properties.intellectualProperty"]),
    "workspaces/components/versions": frozenset(["properties.autoDeleteSetting", "properties.stage"]),
    "workspaces/computes": frozenset(
        ["properties.properties.enableBatchPrivateLink", "properties.provisioningWarnings"]
    ),
    "workspaces/jobs": frozenset(
        [
            "properties.autologgerSettings",
            "properties.outputs.*.assetVersion",
            "properties.outputs.*.autoDeleteSetting",
            "properties.outputs.*.pathOnCompute",
            "properties.queueSettings.priority",
            "properties.resources.locations",
            "properties.resources.maxInstanceCount",
            "properties.secretsConfiguration",
        ]
    ),
    "workspaces/schedules": frozenset(["properties.action.jobDefinition.secretsConfiguration"]),
    "workspaces/onlineEndpoints/deployments": frozenset(["properties.privateNetworkConnection"]),
    "registries": frozenset(
        [
            "properties.privateEndpointConnections",
            "properties.regionDetails.*.acrDetails.*.userCreatedAcrAccount",
            "properties.regionDetails.*.storageAccountDetails.*.userCreatedStorageAccount",
        ]
    ),
}
"""What the service sends and this SDK's models do not know: it is in recorded traffic, as the golden tables say."""


@pytest.fixture
def toured(azure: Azure, tmp_path: Path) -> Azure:
    """A workspace with one of each kind."""
    Tour(azure=azure, folder=tmp_path, registry=f"models-{azure.workspace}").go()
    return azure


def unread(read: Any, path: str = "") -> Iterator[str]:
    """Read every field of a model; yield the names in it that no field stands for."""
    if hasattr(read, "_attr_to_rest_field"):
        fields = type(read)._attr_to_rest_field
        named = {field._rest_name for field in fields.values()}
        yield from (f"{path}{name}" for name in read if name not in named)
        for attribute, field in fields.items():
            yield from unread(getattr(read, attribute), f"{path}{field._rest_name}.")
    elif isinstance(read, dict | list):
        for value in read.values() if isinstance(read, dict) else read:
            yield from unread(value, f"{path}*.")


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the emulator answers of one workspace."""

    azure: Azure
    client: httpx.Client

    def get(self, path: str, version: str) -> dict[str, Any]:
        token = self.azure.cloud.tokens.issue(self.azure.principal("owner"), "https://management.azure.com")
        reply = self.client.get(
            f"{self.azure.emulator.url}{path}",
            headers={"authorization": f"Bearer {token}"},
            params={"api-version": version, "listViewType": "All"},
        )
        assert reply.status_code == 200, f"{path}: {reply.text}"
        told: dict[str, Any] = reply.json()
        return told

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield all of a kind, as lists and as they themselves show them."""
        version = MODELS[kind][1]
        if kind == "workspaces":
            yield self.get(self.azure.workspace_id, version)
            return
        parent, _, collection = kind.rpartition("/")
        above = [self.azure.workspace_id.partition("/providers/")[0] + "/providers/Microsoft.MachineLearningServices"]
        for one in [str(each["id"]) for each in self.of(parent)] if parent else above:
            for found in self.get(f"{one}/{collection}", version)["value"]:
                yield found
                yield self.get(f"{one}/{collection}/{found['name']}", version)


@pytest.mark.conformance(ci=True)
@QUIET
def test_every_answer_is_read_by_the_sdks_own_models_with_nothing_left_over(toured: Azure) -> None:
    from azure.ai.ml._restclient.arm_ml_service import models  # here: it warns when it is loaded

    left: dict[str, set[str]] = {}
    with httpx.Client(trust_env=False, verify=False) as client:
        answers = Answers(azure=toured, client=client)
        for kind, (model, _) in MODELS.items():
            found = list(answers.of(kind))
            assert found, f"the tour has made none of {kind}"
            names = {name for one in found for name in unread(getattr(models, model)._deserialize(one, []))}
            if names:
                left[kind] = names

    assert left == {kind: set(names) for kind, names in UNKNOWN.items()}
