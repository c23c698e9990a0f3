"""All that is answered is read whole by the models of Azure's own SDKs, and has all that they say must be there.

Public entities leave out what they do not show. So these tests alone reach for the models of azure-ai-ml's own wire
client, of whose names nothing in src knows; with another SDK they may have to be looked for elsewhere. What the
services beside Azure Machine Learning answer is read by azure-mgmt-authorization, -eventgrid and -monitor.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from tests.emulators.azure.sdk_reading import UNKNOWN, read
from tests.emulators.azure.sdk_tour import QUIET, Tour
from tests.emulators.azure.sdk_tour_neighbours import Neighbours

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from conftest import Azure

_ML: Final = "azure.ai.ml._restclient.arm_ml_service.models"
_HISTORY: Final = "azure.ai.ml._restclient.runhistory.models"
_DISCOVERY: Final = "azure.ai.ml._restclient.registry_discovery.models"
_RESOURCES: Final = "azure.ai.ml._vendor.azure_resources.models"
_AUTHORIZATION: Final = "azure.mgmt.authorization.v2022_04_01.models"
_GRID: Final = "azure.mgmt.eventgrid.models"
_MONITOR: Final = "azure.mgmt.monitor.models"
_ASSETS: Final[Mapping[str, str]] = {
    "models": "ModelContainer",
    "models/versions": "ModelVersion",
    "data": "DataContainer",
    "data/versions": "DataVersionBase",
    "codes": "CodeContainer",
    "codes/versions": "CodeVersion",
    "environments": "EnvironmentContainer",
    "environments/versions": "EnvironmentVersion",
    "components": "ComponentContainer",
    "components/versions": "ComponentVersion",
}
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    **{f"{place}/{kind}": (_ML, model) for place in ("workspaces", "registries") for kind, model in _ASSETS.items()},
    "workspaces": (_ML, "Workspace"),
    "workspaces/connections": (_ML, "WorkspaceConnectionPropertiesV2BasicResource"),
    "workspaces/datastores": (_ML, "Datastore"),
    "workspaces/featuresets": (_ML, "FeaturesetContainer"),
    "workspaces/featuresets/versions": (_ML, "FeaturesetVersion"),
    "workspaces/featuresets/versions/features": (_ML, "Feature"),
    "workspaces/featurestoreEntities": (_ML, "FeaturestoreEntityContainer"),
    "workspaces/featurestoreEntities/versions": (_ML, "FeaturestoreEntityVersion"),
    "workspaces/computes": (_ML, "ComputeResource"),
    "workspaces/jobs": (_ML, "JobBase"),
    "workspaces/schedules": (_ML, "Schedule"),
    "workspaces/onlineEndpoints": (_ML, "OnlineEndpoint"),
    "workspaces/onlineEndpoints/deployments": (_ML, "OnlineDeployment"),
    "workspaces/batchEndpoints": (_ML, "BatchEndpoint"),
    "workspaces/batchEndpoints/deployments": (_ML, "BatchDeployment"),
    "workspaces/experiments/runs": (_HISTORY, "Run"),
    "registries": (_ML, "Registry"),
    "registries/discovery": (_DISCOVERY, "RegistryDiscoveryDto"),
    "errors": (_ML, "ErrorResponse"),
    "deployments": (_RESOURCES, "DeploymentExtended"),
    "subscriptions/resourceGroups/deployments/operations": (_RESOURCES, "DeploymentOperation"),
    "roleAssignments": (_AUTHORIZATION, "RoleAssignment"),
    "roleDefinitions": (_AUTHORIZATION, "RoleDefinition"),
    "autoscalesettings": (_MONITOR, "AutoscaleSettingResource"),
    "topics": (_GRID, "Topic"),
    "systemTopics": (_GRID, "SystemTopic"),
    "namespaces": (_GRID, "Namespace"),
    "namespaces/topics": (_GRID, "NamespaceTopic"),
    "namespaces/topics/eventSubscriptions": (_GRID, "Subscription"),
    "eventSubscriptions": (_GRID, "EventSubscription"),
    "topics/eventSubscriptions": (_GRID, "EventSubscription"),
    "systemTopics/eventSubscriptions": (_GRID, "EventSubscription"),
}
"""Which model reads a kind, and what is in lists of it, whatever the method."""
ACTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "workspaces/datastores/listSecrets": (_ML, "DatastoreSecrets"),
    "workspaces/codes/versions/startPendingUpload": (_ML, "PendingUploadResponseDto"),
    "workspaces/onlineEndpoints/listKeys": (_ML, "EndpointAuthKeys"),
    "workspaces/onlineEndpoints/token": (_ML, "EndpointAuthToken"),
    "workspaces/onlineEndpoints/deployments/getLogs": (_ML, "DeploymentLogs"),
    "registries/datarefs/versions": (_ML, "GetBlobReferenceSASResponseDto"),
    "locations/mfeOperationResults": (_ML, "FeaturesetVersionBackfillResponse"),
    "topics/listKeys": (_GRID, "TopicSharedAccessKeys"),
    "topics/regenerateKey": (_GRID, "TopicSharedAccessKeys"),
    "namespaces/listKeys": (_GRID, "NamespaceSharedAccessKeys"),
    "namespaces/regenerateKey": (_GRID, "NamespaceSharedAccessKeys"),
    "namespaces/topics/listKeys": (_GRID, "TopicSharedAccessKeys"),
    "namespaces/topics/regenerateKey": (_GRID, "TopicSharedAccessKeys"),
    **{
        f"{kind}/{action}": (_GRID, model)
        for kind in ("eventSubscriptions", "topics/eventSubscriptions", "systemTopics/eventSubscriptions")
        for action, model in (
            ("getFullUrl", "EventSubscriptionFullUrl"),
            ("getDeliveryAttributes", "DeliveryAttributeListResult"),
        )
    },
}
"""Which model reads what an action, or the end of an operation, tells."""
_OPERATION: Final = {"id", "name", "status", "startTime", "endTime", "percentComplete", "error"}
PLAIN: Final[Mapping[str, set[str]]] = {
    "discovery": {
        *("api", "catalog", "experimentation", "history", "hyperdrive", "labeling", "modelmanagement", "pipelines"),
        "studio",
    },
    "operations": {"assetId"},
    "deployments/operationStatuses": {"status"},
    "locations/computeOperationsStatus": {"status", "percentComplete"},
    "locations/mfeOperationsStatus": _OPERATION,
    "locations/operationsStatus": {"id", "name", "status"},
    "locations/registryOperationsStatus": {"status", "percentComplete"},
    "locations/workspaceOperationsStatus": {"status", "percentComplete"},
    "registries/tempdatarefs/versions": {
        *("blobReferenceForConsumption", "imageReferenceForConsumption"),
        *("temporaryDataReferenceId", "temporaryDataReferenceType"),
    },
    "workspaces/computes/listNodes": {"nodes"},
}
"""What is answered that no SDK has a model of, or none that it uses: as recorded traffic has it."""
REFUSED: Final = {"POST workspaces/batchEndpoints/listkeys"}
"""What never answers otherwise than that it may not be asked for: batch endpoints have no keys."""
VERSIONS: Final[Mapping[str, str]] = {
    "workspaces/datastores": "2024-10-01-preview",
    "workspaces/models": "2023-08-01-preview",
    "workspaces/models/versions": "2023-08-01-preview",
    "workspaces/data": "2023-04-01-preview",
    "workspaces/data/versions": "2023-04-01-preview",
    "workspaces/codes": "2023-04-01",
    "workspaces/codes/versions": "2023-04-01",
    "workspaces/environments": "2023-04-01-preview",
    "workspaces/environments/versions": "2023-04-01-preview",
    "workspaces/components": "2024-01-01-preview",
    "workspaces/components/versions": "2024-01-01-preview",
    "workspaces/featuresets": "2023-10-01",
    "workspaces/featuresets/versions": "2023-10-01",
    "workspaces/featuresets/versions/features": "2023-10-01",
    "workspaces/featurestoreEntities": "2023-10-01",
    "workspaces/featurestoreEntities/versions": "2023-10-01",
    "workspaces/computes": "2023-08-01-preview",
    "workspaces/jobs": "2024-01-01-preview",
    "workspaces/schedules": "2023-06-01-preview",
    "workspaces/onlineEndpoints": "2022-02-01-preview",
    "workspaces/onlineEndpoints/deployments": "2023-04-01-preview",
    "workspaces/batchEndpoints": "2023-10-01",
    "workspaces/batchEndpoints/deployments": "2024-01-01-preview",
}
"""With which api-version the kinds of a workspace are listed."""
LEFT_OVER: Final[Mapping[str, frozenset[str]]] = {
    "workspaces": frozenset(
        [
            "?etag",
            "?properties.EnableSoftwareBillOfMaterials",
            "?properties.creationTime",
            "?properties.ipAllowlist",
            "?properties.linkedModelInventoryArmId",
            "?properties.managedNetwork.changeableIsolationModes",
            "?properties.softDeleteEnabled",
        ]
    ),
    "workspaces/models/versions": frozenset(["?properties.autoDeleteSetting", "?properties.intellectualProperty"]),
    "workspaces/data/versions": frozenset(
        ["?properties.autoDeleteSetting", "?properties.intellectualProperty", "?properties.stage"]
    ),
    "workspaces/environments/versions": frozenset(
        ["?properties.autoDeleteSetting", "?properties.intellectualProperty"]
    ),
    "workspaces/components/versions": frozenset(["?properties.autoDeleteSetting", "?properties.stage"]),
    "workspaces/computes": frozenset(
        [
            "?properties.properties.autologgerSettings",
            "?properties.properties.enableBatchPrivateLink",
            "?properties.properties.enableOSPatching",
            "?properties.properties.enableRootAccess",
            "?properties.properties.releaseQuotaOnStop",
            "?properties.provisioningWarnings",
        ]
    ),
    "workspaces/jobs": frozenset(
        [
            "?properties.autologgerSettings",
            "?properties.outputs.*.assetVersion",
            "?properties.outputs.*.autoDeleteSetting",
            "?properties.outputs.*.pathOnCompute",
            "?properties.parentJobName",
            "?properties.queueSettings.priority",
            "?properties.resources.locations",
            "?properties.resources.maxInstanceCount",
            "?properties.secretsConfiguration",
        ]
    ),
    "workspaces/schedules": frozenset(["?properties.action.jobDefinition.secretsConfiguration"]),
    "workspaces/onlineEndpoints/deployments": frozenset(["?properties.privateNetworkConnection"]),
    "workspaces/datastores": frozenset(["!properties.credentials.secrets"]),
    "workspaces/experiments/runs": frozenset(
        [
            "?compute.armId",
            "?compute.instanceType",
            "?compute.properties",
            "?createdBy.applicationACR",
            "?createdBy.clientApplicationId",
            "?currentAttemptId",
            "?lastModifiedBy.applicationACR",
            "?lastModifiedBy.clientApplicationId",
            "?scheduleId",
        ]
    ),
    "registries/discovery": frozenset(["?intellectualPropertyPublisher", "?registryFqdns", "?registryId"]),
    "registries/models/versions": frozenset(["?properties.intellectualProperty", "?properties.originAssetId"]),
    "subscriptions/resourceGroups/deployments/operations": frozenset(["?properties.trackingId"]),
    "topics": frozenset(["?kind", "?sku"]),
    "registries": frozenset(
        [
            "?properties.privateEndpointConnections",
            "?properties.regionDetails.*.acrDetails.*.userCreatedAcrAccount",
            "?properties.regionDetails.*.storageAccountDetails.*.userCreatedStorageAccount",
        ]
    ),
}
"""What the service sends and this SDK's models do not know, after `?`, and what they want and it does not send, after
`!`: so it is in recorded traffic, as the golden tables say."""


@dataclass
class Answers:
    """What the emulator answers of one workspace, by path and method, however it is asked."""

    azure: Azure
    told: list[tuple[str, str, int, Any]] = field(default_factory=list)

    def hook(self, response: Any) -> None:
        """Keep an answer that an SDK was given."""
        asked, reply = response.http_request, response.http_response
        self._keep(asked.method, asked.url, reply.status_code, reply.internal_response.content)

    def call(self, method: str, path: str, version: str, *, body: Any = None) -> httpx.Response:
        """Ask for what no SDK asks for."""
        token = self.azure.cloud.tokens.issue(self.azure.principal("owner"), "https://management.azure.com")
        reply = httpx.request(
            method,
            f"{self.azure.emulator.url}{path}",
            headers={"authorization": f"Bearer {token}"},
            params={"api-version": version, "listViewType": "All"} if method == "GET" else {"api-version": version},
            json=body,
            trust_env=False,
            verify=False,
        )
        assert reply.status_code < 300, f"{path}: {reply.text}"
        self._keep(method, str(reply.url), reply.status_code, reply.content)
        return reply

    def _keep(self, method: str, url: str, status: int, content: bytes) -> None:
        self.told.append((method, urlsplit(url).path, status, json.loads(content) if content else None))

    def operation(self, method: str, path: str) -> str:
        """Return the name of an operation, such as `PUT workspaces/models/versions`."""
        cloud, (_, front, below) = self.azure.cloud, path.partition("/mferp/managementfrontend")
        found = cloud.registry_routes.find(method, below) if front else cloud.routes.find(method, path)
        if found is not None:
            return found[0].operation
        _, _, resource = path.partition("/providers/Microsoft.MachineLearningServices/")
        parts = resource.split("/") if resource else path.strip("/").split("/")[2 if path.count("/") > 1 else 0 :]
        return f"{method} {'/'.join(parts[::2])}"


def unread(name: str, told: Any) -> Iterator[str]:
    """Yield what is not read of one answer, and what is missing in it."""
    method, _, kind = name.partition(" ")
    if kind in PLAIN:
        yield from (f"{UNKNOWN}{key}" for key in told if key not in PLAIN[kind])
        return
    known = ACTIONS.get(kind) or KINDS.get(kind)
    assert known is not None, f"no model is known that reads {name}: {told}"
    listed = method == "GET" and "value" in told and set(told) <= {"value", "nextLink"}
    for one in told["value"] if listed else [told]:
        yield from read(*known, one)


def ask_for_the_rest(answers: Answers, registry: str) -> None:
    """Ask for what the SDKs have no verb for, or where they show nobody what they are answered."""
    azure, workspace = answers.azure, answers.azure.workspace_id
    empty: dict[str, Any] = {"properties": {}}
    kept = "2024-10-01-preview"
    for kind in ("codes", "components", "featuresets", "featurestoreEntities"):
        answers.call("PUT", f"{workspace}/{kind}/empty", kept, body=empty)
        answers.call("GET", f"{workspace}/{kind}/empty", kept)
    front = f"/mferp/managementfrontend{azure.cloud.ensure_registry(registry, group=azure.group)}"
    of_registries = "2021-10-01-dataplanepreview"
    for kind in ("models", "data", "environments", "components", "codes"):
        body = {"properties": {"dataType": "uri_folder"}} if kind == "data" else empty
        answers.call("PUT", f"{front}/{kind}/empty", of_registries, body=body)
        answers.call("GET", f"{front}/{kind}", of_registries)
    (imported, *_) = azure.emulator.calls.list("POST registries/import")
    again = imported.request["body"]
    again["properties"]["destinationVersion"] = "2"
    answers.call("POST", f"{front}/import", of_registries, body=again)
    answers.call(
        "PATCH",
        f"{workspace}/computes/cluster",
        "2023-08-01-preview",
        body={"properties": {"properties": {"scaleSettings": {"minNodeCount": 0, "maxNodeCount": 3}}}},
    )
    answers.call("POST", f"{workspace}/computes/cluster/resize", "2023-08-01-preview", body={"targetNodeCount": 0})
    deployments = f"{workspace.partition('/providers/')[0]}/providers/Microsoft.Resources/deployments"
    template = {"resources": [{"type": "Microsoft.MachineLearningServices/workspaces"}]}
    parameters = {"workspaceName": {"value": f"deployed-{azure.workspace}"}, "location": {"value": "westeurope"}}
    deployed = {"properties": {"mode": "incremental", "template": template, "parameters": parameters}}
    begun = answers.call("PUT", f"{deployments}/tour", "2020-06-01", body=deployed)
    answers.call("GET", urlsplit(begun.headers["azure-asyncoperation"]).path, "2020-06-01")
    answers.call("GET", f"{deployments}/tour", "2020-06-01")
    group = deployments.partition("/providers/")[0]
    answers.call("GET", f"{group}/deployments/tour/operations", "2020-06-01")


def ask_for_all_that_there_is(answers: Answers) -> None:
    """List each kind of a workspace, and show each of it."""

    def of(kind: str) -> Iterator[str]:
        parent, _, collection = kind.rpartition("/")
        for above in of(parent) if parent != "workspaces" else [answers.azure.workspace_id]:
            for found in answers.call("GET", f"{above}/{collection}", VERSIONS[kind]).json()["value"]:
                path = f"{above}/{collection}/{found['name']}"
                answers.call("GET", path, VERSIONS[kind])
                yield path

    for kind in VERSIONS:
        assert list(of(kind)), f"the tour has made none of {kind}"


@pytest.mark.conformance(ci=True)
@QUIET
def test_every_answer_is_read_by_the_sdks_own_models_with_nothing_left_over_and_nothing_missing(
    azure: Azure, tmp_path: Path
) -> None:
    answers, registry = Answers(azure), f"models-{azure.workspace}"
    for tour in (Tour, Neighbours):
        options = {"raw_response_hook": answers.hook}
        tour(azure=azure, folder=tmp_path, registry=registry, options=options).go()
    ask_for_the_rest(answers, registry)
    ask_for_all_that_there_is(answers)

    told: defaultdict[str, list[Any]] = defaultdict(list)
    for method, path, status, content in answers.told:
        told[answers.operation(method, path) if status < 400 else "GET errors"].append(content)
    left: defaultdict[str, set[str]] = defaultdict(set)
    for name, contents in told.items():
        for content in contents:
            left[name.partition(" ")[2]].update(unread(name, content) if content is not None else ())
    assert {kind: found for kind, found in left.items() if found} == LEFT_OVER
    routes = {route.operation for many in (azure.cloud.routes, azure.cloud.registry_routes) for route in many}
    assert {route for route in routes - told.keys() if not route.startswith("DELETE ")} == REFUSED


def test_a_field_that_a_model_does_not_know_and_one_that_it_needs_are_noticed_in_both_makes_of_models() -> None:
    known = {"properties": {"modelType": "custom_model", "flavors": {"python": {"data": {"a": "b"}}}}}
    assert read(_ML, "ModelVersion", known) == set()
    assert read(_ML, "ModelVersion", {"properties": {"modeltype": "x"}, "stage": 1}) == {
        "?properties.modeltype",
        "?stage",
    }
    assert read(_ML, "ModelVersion", {"id": "/one"}) == {"!properties"}
    assert read(_ML, "DataContainer", {"properties": {"dataType": None}}) == {"!properties.dataType"}
    given = {"roleDefinitionId": "/one", "principalId": "two", "scopes": []}
    assert read(_AUTHORIZATION, "RoleAssignment", {"properties": given}) == {"?properties.scopes"}
    hook = {"destination": {"endpointType": "WebHook", "properties": {"endpointUrl": "http://x", "endpointurl": 1}}}
    assert read(_GRID, "EventSubscription", {"properties": hook}) == {"?properties.destination.properties.endpointurl"}
    assert read(_MONITOR, "AutoscaleSettingResource", {"properties": {"profiles": [{"name": "one", "rules": []}]}}) == {
        "!location",
        "!properties.profiles.*.capacity",
    }
