"""What each job needs on Azure, by what it is asked of: the library's own data, read by its public functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from tests.terraform.jobs import JOBS

from cloudmlops.providers.azureml.mapping.access import Where, permissions_of
from cloudmlops.providers.azureml.mapping.roles import FROM_LEAST, Definition
from cloudmlops.providers.azureml.settings import AzureMLSettings

_UUID: Final = "00000000-0000-0000-0000-000000000001"
SETTINGS: Final = AzureMLSettings(
    subscription=_UUID,
    resource_group="rg-acme",
    workspace="mlw-acme",
    datastore="cloudmlops",
    compute="cpu",
    feature_store="mlfs-acme",
    redis_url="rediss://acme.westeurope.redis.azure.net:10000",
    topic="https://evgns-acme.westeurope-1.eventgrid.azure.net/topics/mlops",
    event_subscription="worker",
    serving_image="acme.azurecr.io/cloudmlops/serving:latest",
    endpoint_identity=f"/subscriptions/{_UUID}/resourceGroups/rg-acme/providers/Microsoft.ManagedIdentity"
    "/userAssignedIdentities/id-acme-serve",
)
"""With all that the stack makes, and nothing that it does not."""
Needs = Mapping[str, frozenset[str]]
"""Actions, by what they are asked of."""

_MORE: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "deploy": {
        "identity of serve": {
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action": "an endpoint is made that acts as it",
            "Microsoft.ManagedIdentity/userAssignedIdentities/read": "an endpoint is made that acts as it",
        },
        "resource group": {
            "Microsoft.Authorization/roleAssignments/read": "policies ask who approved, and check_access who asks",
            "Microsoft.Authorization/roleDefinitions/read": "policies ask who approved, and check_access who asks",
        },
    },
    "events": {
        "resource group": {
            "Microsoft.Authorization/roleAssignments/read": "policies ask who approved when it promotes",
            "Microsoft.Authorization/roleDefinitions/read": "policies ask who approved when it promotes",
        },
        "images": {"pull": "its worker is a container"},
    },
    "serve": {"images": {"pull": "Azure ML fetches the server's image as it"}},
    "train": {"images": {"pull": "Azure ML fetches the steps' image as it"}},
}
"""What no verb needs by itself: by job, by what it is asked of, each action with the reason."""

IMAGES: Final[Mapping[str, frozenset[str]]] = {"AcrPull": frozenset({"pull"}), "AcrPush": frozenset({"push"})}
"""Azure's roles on container registries; who may push may pull."""


def needs(job: str) -> Needs:
    """Return what a job needs; Redis has no actions, and is asked about by `uses_redis`."""
    found: dict[str, set[str]] = defaultdict(set)
    for verb in JOBS[job]:
        for one in permissions_of(SETTINGS)[verb]:
            if one.scope != Where.REDIS:
                found[one.scope].add(one.name)
    for scope, actions in _MORE[job].items():
        found[scope] |= set(actions)
    return {scope: frozenset(names) for scope, names in found.items()}


def uses_redis(job: str) -> bool:
    """Say whether a job reads or writes features online."""
    return any(one.scope == Where.REDIS for verb in JOBS[job] for one in permissions_of(SETTINGS)[verb])


def least(actions: frozenset[str]) -> Definition:
    """Return the least of Azure's roles that grants all of some actions."""
    return next(role for role in FROM_LEAST if all(map(role.grants, actions)))
