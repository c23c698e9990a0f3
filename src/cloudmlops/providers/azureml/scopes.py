"""On what Azure's roles count for a platform: resource ids, read where Azure says them and never guessed."""

from __future__ import annotations

from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import ConfigurationError
from cloudmlops.providers.azureml import datastores
from cloudmlops.providers.azureml.mapping.access import Where, registry_of

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.backends import AzureMLBackends
    from cloudmlops.providers.azureml.datastores import Place

_VERSION: Final = "2024-10-01"


class Scopes:
    """The resources of one platform that rights are asked of and roles given on."""

    def __init__(self, backends: AzureMLBackends, *, operation: str) -> None:
        self._backends = backends
        self._settings = backends.settings
        self._wire = backends.wire
        self._operation = operation
        self._asking = RLock()

    def scope(self, where: Where) -> str:
        """Return the id of what roles are given on.

        Raises:
            ConfigurationError: Neither settings nor Azure say where it is.
            ServiceError: Azure's answer to the question where it is, as ours.
        """
        settings = self._settings
        match where:
            case Where.WORKSPACE:
                return settings.workspace_id
            case Where.FEATURE_STORE:
                return self._workspace_id(settings.feature_store)
            case Where.TOPIC:
                return settings.topic_id
            case Where.GROUP:
                return f"/subscriptions/{settings.subscription}/resourceGroups/{settings.resource_group}"
            case Where.ACCOUNT:
                with self._asking:
                    return self._account
            case Where.FEATURE_ACCOUNT:
                with self._asking:
                    return self._account_of_features
            case Where.REGISTRY | Where.REDIS:
                what = f"registry {registry_of(settings)}" if where is Where.REGISTRY else "cache"
                raise ConfigurationError(f"the address of the {what} does not say which resource group it is in")

    def asked(self, where: Where) -> str:
        """Return the id of what permissions are asked of: in an account, the container.

        Raises:
            ConfigurationError: Neither settings nor Azure say where it is.
            ServiceError: Azure's answer to the question where it is, as ours.
        """
        scope = self.scope(where)
        if where is Where.ACCOUNT:
            return f"{scope}/blobServices/default/containers/{self._backends.place.container}"
        if where is Where.FEATURE_ACCOUNT:
            return f"{scope}/blobServices/default/containers/{self._place_of_features.container}"
        return scope

    @cached_property
    def _account(self) -> str:
        return self._account_id(self._backends.place, self._settings.workspace)

    @cached_property
    def _account_of_features(self) -> str:
        return self._account_id(self._place_of_features, self._settings.feature_store)

    @cached_property
    def _place_of_features(self) -> Place:
        client = self._wire.client_of(self._settings.feature_store)
        return datastores.default(self._wire, client, operation=self._operation)

    def _account_id(self, place: Place, workspace: str) -> str:
        """Return the id of a datastore's account: as the datastore says it, or the workspace, where it is its own."""
        datastore = self._shown(f"{self._workspace_id(workspace)}/datastores/{place.datastore}", place.datastore)
        subscription, group = datastore.get("subscriptionId"), datastore.get("resourceGroup")
        if subscription and group:
            return (
                f"/subscriptions/{subscription}/resourceGroups/{group}"
                f"/providers/Microsoft.Storage/storageAccounts/{place.account}"
            )
        own = str(self._shown(self._workspace_id(workspace), workspace).get("storageAccount") or "")
        if own.rpartition("/")[2].lower() == place.account.lower():
            return own
        raise ConfigurationError(
            f"the datastore {place.datastore!r} does not say which resource group its storage account "
            f"{place.account!r} is in",
            hint="Register the datastore with its subscriptionId and resourceGroup, as the studio does; or look at the "
            "roles on the account in the portal.",
        )

    def _workspace_id(self, workspace: str) -> str:
        return f"{self._settings.workspace_id.rpartition('/')[0]}/{workspace}"

    def _shown(self, path: str, resource: str) -> dict[str, Any]:
        """Return the properties of a resource; azure-ai-ml does not show all of them."""
        answer = self._wire.send(
            "GET", f"{path}?api-version={_VERSION}", operation=self._operation, resource=resource
        ).json()
        properties: dict[str, Any] = answer["properties"]
        return properties
