"""What a query may say: which names are honoured, and which the service has and the emulator has not.

The names are those of the published OpenAPI (azure-rest-api-specs: Microsoft.MachineLearningServices 2023-10-01 to
2025-01-01-preview, Microsoft.Authorization 2022-04-01, Microsoft.EventGrid 2025-02-15, Microsoft.Insights 2022-10-01,
run history 1.0) and of MLflow's REST API; a test holds the table against what the installed SDKs can send. A name that
nobody has published is ignored, as the service does, unless it begins with `$`: an option that would change the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cloudmlops.emulators.core.faults import Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Queries:
    """The names of one operation, in lower case."""

    honoured: frozenset[str]
    absent: frozenset[str]
    """That the service has, and the emulator has not."""


def check_query(operation: str, query: Mapping[str, str]) -> None:
    """Let a query pass when all of it is honoured, or is nothing that the service knows.

    Args:
        operation: Such as `GET workspaces/models`, `mlflow GET experiments/search`.
        query: What was sent.

    Raises:
        Refused: A name is known and not emulated: 501, which says which.
    """
    known = PUBLISHED.get(operation, _NOTHING)
    for name, value in query.items():
        lower = name.lower()
        if value == "" or lower in known.honoured:
            continue
        if lower in known.absent or lower.startswith("$"):
            raise Refused("UNIMPLEMENTED", f"The query {name} of {operation} is not emulated.")


def _names(honoured: str = "", absent: str = "") -> Queries:
    return Queries(
        honoured=frozenset(f"{honoured} $skipToken".lower().split()),
        absent=frozenset(f"{absent} $skip".lower().split()),
    )


_NOTHING: Final = _names()
_ASSETS: Final = _names("listViewType")
_VERSIONS: Final = _names("$orderBy $top listViewType stage tags")
_DEPLOYMENTS: Final = _names("$top", "$orderBy")
_FEATURES: Final = _names("listViewType tags description name pageSize", "createdBy")
_FEATURE_VERSIONS: Final = _names(
    "$orderBy $top listViewType tags description version stage pageSize versionName", "createdBy"
)
_OF_EVENT_GRID: Final = _names("$top", "$filter")

PUBLISHED: Final[Mapping[str, Queries]] = {
    "GET workspaces": _names("kind", "aiCapabilities"),
    "DELETE workspaces": _names("forceToPurge"),
    "GET workspaces/connections": _names("category target includeAll"),
    "GET workspaces/datastores": _names("count isDefault names searchText orderBy orderByAsc"),
    "PUT workspaces/datastores": _names("skipValidation"),
    "GET workspaces/models": _names("listViewType count"),
    "GET workspaces/models/versions": _names(
        "$orderBy $top listViewType stage tags properties description version offset", "feed"
    ),
    "GET workspaces/data": _ASSETS,
    "GET workspaces/data/versions": _names("$orderBy $top listViewType stage tags $tags"),
    "GET workspaces/environments": _ASSETS,
    "GET workspaces/environments/versions": _VERSIONS,
    "GET workspaces/components": _ASSETS,
    "GET workspaces/components/versions": _VERSIONS,
    "GET workspaces/codes": _ASSETS,
    "GET workspaces/codes/versions": _names("$orderBy $top listViewType tags hash hashVersion"),
    "GET workspaces/featuresets": _FEATURES,
    "GET workspaces/featuresets/versions": _FEATURE_VERSIONS,
    "GET workspaces/featuresets/versions/features": _names("featureName description tags pageSize listViewType"),
    "GET workspaces/featurestoreEntities": _FEATURES,
    "GET workspaces/featurestoreEntities/versions": _FEATURE_VERSIONS,
    "GET workspaces/jobs": _names("jobType tag listViewType properties", "scheduled scheduleId assetName"),
    "GET workspaces/computes": _names("computeType"),
    "DELETE workspaces/computes": _names("underlyingResourceAction"),
    "GET workspaces/schedules": _names("listViewType"),
    "GET workspaces/onlineEndpoints": _names("name count computeType tags properties orderBy"),
    "GET workspaces/onlineEndpoints/deployments": _DEPLOYMENTS,
    "GET workspaces/batchEndpoints": _names("count"),
    "GET workspaces/batchEndpoints/deployments": _DEPLOYMENTS,
    "GET registries/models": _ASSETS,
    "GET registries/models/versions": _names("$orderBy $top listViewType tags properties description version"),
    "GET registries/data": _ASSETS,
    "GET registries/data/versions": _names("$orderBy $top listViewType tags $tags"),
    "GET registries/environments": _ASSETS,
    "GET registries/environments/versions": _VERSIONS,
    "GET registries/components": _ASSETS,
    "GET registries/components/versions": _VERSIONS,
    "GET registries/codes": _ASSETS,
    "GET registries/codes/versions": _VERSIONS,
    "GET subscriptions/resourceGroups/deployments/operations": _names(absent="$top"),
    "GET roleDefinitions": _names("$filter"),
    "GET roleAssignments": _names("$filter", "tenantId"),
    "DELETE roleAssignments": _names(absent="tenantId"),
    "GET topics": _OF_EVENT_GRID,
    "GET topics/eventSubscriptions": _OF_EVENT_GRID,
    "GET systemTopics": _OF_EVENT_GRID,
    "GET systemTopics/eventSubscriptions": _OF_EVENT_GRID,
    "GET eventSubscriptions": _OF_EVENT_GRID,
    "GET namespaces": _OF_EVENT_GRID,
    "GET namespaces/topics": _OF_EVENT_GRID,
    "GET namespaces/topics/eventSubscriptions": _OF_EVENT_GRID,
    "history runs.children": _names("$top", "$filter $continuationtoken $orderby $sortorder $count"),
    "mlflow GET experiments/search": _names("max_results page_token filter order_by view_type"),
    "mlflow GET experiments/list": _names("max_results page_token view_type"),
    "mlflow GET metrics/get-history": _names("run_id run_uuid metric_key max_results page_token"),
    "mlflow GET artifacts/list": _names("run_id run_uuid path", "page_token"),
    "mlflow GET registered-models/search": _names("max_results page_token filter", "order_by"),
    "mlflow GET model-versions/search": _names("max_results page_token filter", "order_by"),
}
