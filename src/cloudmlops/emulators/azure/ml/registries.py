"""Registries: what assets are shared in between workspaces, and how one is found by its name.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.12, 2023-10, `registry`; discovery:
azure-ai-ml 1.15, 2024-04, `model`): a registry is made and deleted by an operation that has a place of its own, and has
a storage account and a container registry in every region, in a resource group that is managed for it. Accounts of the
user's own are refused by name. Names are unique in a tenant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError, resource_not_found
from cloudmlops.emulators.azure.arm.paging import paged
from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.ml import GROUP, PROVIDER
from cloudmlops.emulators.azure.ml.workspaces import SYSTEM
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

TYPE: Final = f"{PROVIDER}/registries"
REGISTRIES: Final = f"{GROUP}/providers/{PROVIDER}/registries"
REGISTRY: Final = f"{REGISTRIES}/{{registry}}"


class Registries:
    """The handlers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._blobs = Blobs(world.surroundings)
        add = world.routes.add
        add("GET", f"/subscriptions/{{subscription}}/providers/{PROVIDER}/registries", self.list_all)
        add("GET", REGISTRIES, self.list)
        add("GET", REGISTRY, self.get)
        add("PUT", REGISTRY, self.put)
        add("DELETE", REGISTRY, self.delete)

    def list_all(self, request: ArmRequest) -> Answer:
        """List the registries of a subscription."""
        within = f"/subscriptions/{request.names['subscription']}/".lower()
        found = [one for one in self._world.resources.of_type(TYPE) if one["id"].lower().startswith(within)]
        return paged(request, found)

    def list(self, request: ArmRequest) -> Answer:
        """List the registries of a resource group."""
        return paged(request, self._world.resources.directly_below(request.path))

    def get(self, request: ArmRequest) -> Answer:
        """Show a registry."""
        return answer_json({**registry_of(self._world, request), "systemData": None})

    def put(self, request: ArmRequest) -> Answer:
        """Make or change a registry."""
        body, name = request.body, request.names["registry"]
        known = registry_named(self._world.resources, name)
        if known is not None and known["id"].lower() != request.path.lower():
            raise Refused("ALREADY_EXISTS", f"A registry with the name {name} exists.", reason="Conflict")
        given: Mapping[str, Any] = body.get("properties") or {}
        location = str(body.get("location") or "").lower().replace(" ", "")
        if not location or not given.get("regionDetails"):
            raise UserError("INVALID_ARGUMENT", "A registry needs a location and regionDetails.")
        regions = [self._region(request.path, one) for one in given["regionDetails"]]

        def work() -> None:
            self._make(request.path, body, location, regions, request.caller)

        headers = self._world.operations.begin(
            request.names["subscription"],
            location,
            request.path,
            work=work,
            version=request.version,
        )
        return Answer(status=202, headers=_of_registries(headers))

    def ensure(self, subscription: str, group: str, name: str, *, location: str = "") -> dict[str, Any]:
        """Return a registry; make it when there is none."""
        id_ = REGISTRY.format(subscription=subscription, group=group, registry=name)
        known = self._world.resources.get(id_)
        if known is not None:
            return known
        location = location or self._world.location
        return self._make(id_, {}, location, [self._region(id_, {"location": location})], SYSTEM)

    def _make(
        self, id_: str, body: Mapping[str, Any], location: str, regions: Sequence[Mapping[str, Any]], caller: Caller
    ) -> dict[str, Any]:
        given: Mapping[str, Any] = body.get("properties") or {}
        name = id_.rpartition("/")[2]
        properties = {
            "regionDetails": regions,
            "intellectualPropertyPublisher": given.get("intellectualPropertyPublisher"),
            "publicNetworkAccess": given.get("publicNetworkAccess") or "Enabled",
            "discoveryUrl": f"https://{location}.api.azureml.ms/registrymanagement/v1.0/registries/{name}/discovery",
            "managedResourceGroup": {"resourceId": _managed_group(id_)},
            "mlFlowRegistryUri": f"azureml://{location}.api.azureml.ms/mlflow/v1.0{id_}",
            "privateEndpointConnections": [],
        }
        identity = {
            "type": "SystemAssigned",
            "principalId": derived_id("object", id_.lower()),
            "tenantId": self._world.tokens.directory.tenant,
        }
        beside = {"tags": body.get("tags") or {}, "location": location, "identity": identity}
        made, _ = self._world.resources.put(id_, TYPE, properties, caller, **beside)
        return made

    def delete(self, request: ArmRequest) -> Answer:
        """Remove a registry with all that is in it."""
        known = self._world.resources.get(request.path)
        if known is None:
            return Answer(status=204)

        def work() -> None:
            self._world.resources.delete(request.path)

        headers = self._world.operations.begin(
            request.names["subscription"],
            known["location"],
            request.path,
            work=work,
            version=request.version,
        )
        return Answer(status=202, headers=_of_registries(headers))

    def _region(self, registry: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return one region, with an account and a container registry of its own."""
        for kind in ("storageAccountDetails", "acrDetails"):
            for one in given.get(kind) or ():
                if any(name.startswith("userCreated") and value for name, value in one.items()):
                    raise UserError("UNIMPLEMENTED", f"{kind} of the user's own are not emulated for a registry.")
        location, group = str(given.get("location")).lower().replace(" ", ""), _managed_group(registry)
        account = hashlib.sha256(f"{registry.lower()}/{location}".encode()).hexdigest()[:11]
        storage = f"{group}/providers/Microsoft.Storage/storageAccounts/{account}"
        self._blobs.make_account(account, storage)
        wanted = _first(given.get("storageAccountDetails"), "systemCreatedStorageAccount")
        return {
            "location": location,
            "storageAccountDetails": [
                {
                    "userCreatedStorageAccount": None,
                    "systemCreatedStorageAccount": {
                        "storageAccountName": account,
                        "storageAccountType": wanted.get("storageAccountType") or "standard_lrs",
                        "storageAccountHnsEnabled": bool(wanted.get("storageAccountHnsEnabled", False)),
                        "armResourceId": {"resourceId": storage},
                    },
                }
            ],
            "acrDetails": [
                {
                    "userCreatedAcrAccount": None,
                    "systemCreatedAcrAccount": {
                        "acrAccountName": account,
                        "acrAccountSku": "Premium",
                        "armResourceId": {
                            "resourceId": f"{group}/providers/Microsoft.ContainerRegistry/registries/{account}"
                        },
                    },
                }
            ],
        }


def registry_named(resources: Resources, name: str) -> dict[str, Any] | None:
    """Return the registry of a name, wherever it is."""
    return next((one for one in resources.of_type(TYPE) if one["name"].lower() == name.lower()), None)


def registry_of(world: World, request: ArmRequest) -> dict[str, Any]:
    """Return the registry that a request is about.

    Raises:
        Refused: There is none of that name.
    """
    names = request.names
    found = world.resources.get(REGISTRY.format(**{key: names[key] for key in ("subscription", "group", "registry")}))
    if found is None:
        raise resource_not_found(f"{TYPE}/{names['registry']}", names["group"])
    return found


def account_of(registry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the storage account of a registry: that of its first region."""
    details = registry["properties"]["regionDetails"][0]["storageAccountDetails"][0]
    account: Mapping[str, Any] = details["systemCreatedStorageAccount"]
    return account


def discovered(registry: Mapping[str, Any], tenant: str) -> dict[str, Any]:
    """Return what is told of a registry to who looks it up by its name."""
    parts = str(registry["id"]).split("/")
    location = registry["location"]
    regions = [one["location"] for one in registry["properties"]["regionDetails"]]
    return {
        "registryId": derived_id("registry", str(registry["id"]).lower()),
        "registryName": registry["name"],
        "tenantId": tenant,
        "primaryRegion": location,
        "regions": regions,
        "subscriptionId": parts[2],
        "resourceGroup": parts[4],
        "workspaceName": None,
        "primaryRegionResourceProviderUri": f"https://cert-{location}.experiments.azureml.net/",
        "registryFqdns": {one: {"uri": f"https://{one}.api.azureml.ms"} for one in regions},
        "intellectualPropertyPublisher": registry["properties"]["intellectualPropertyPublisher"],
    }


def _of_registries(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an operation on a registry: it has a place of its own."""
    place = headers["azure-asyncoperation"].replace("/mfe", "/registry")
    return {**headers, "azure-asyncoperation": f"{place}&type=async", "location": f"{place}&type=location"}


def _managed_group(registry: str) -> str:
    parts = registry.split("/")
    return f"/subscriptions/{parts[2]}/resourceGroups/azureml-rg-{parts[-1]}_{derived_id('registry', registry.lower())}"


def _first(details: Any, kind: str) -> Mapping[str, Any]:
    return (details[0].get(kind) if details else None) or {}
