"""In whose name Event Grid delivers: its own application's, or the managed identity of a topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.entra.principals import Principal, derived_id
from cloudmlops.emulators.azure.entra.tokens import Tokens
from cloudmlops.emulators.azure.eventgrid.subscriptions import destination_of

APPLICATION: Final = "4962773b-9cdb-44cf-a8bf-237846a00ab7"
"""The id of Event Grid's application in every tenant of the public cloud (learn.microsoft.com, "Secure webhook")."""


class Identities:
    """Makes what webhooks with Microsoft Entra ID are shown."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def authorization(self, subscription: Mapping[str, Any]) -> dict[str, str]:
        """Return the header of a delivery; none where the subscription names no application of Entra."""
        properties = destination_of(subscription["properties"]).get("properties") or {}
        audience = properties.get("azureActiveDirectoryApplicationIdOrUri")
        if not audience:
            return {}
        return {"authorization": f"Bearer {self._tokens.issue(self._sender(subscription), str(audience))}"}

    def _sender(self, subscription: Mapping[str, Any]) -> Principal:
        with_identity = subscription["properties"].get("deliveryWithResourceIdentity")
        if with_identity:
            of = str(subscription["properties"]["topic"]).lower()
            return _principal("ManagedIdentity", "topic", of, derived_id("client", of))
        return _principal("ServicePrincipal", "Microsoft.EventGrid", self._tokens.directory.tenant, APPLICATION)


def _principal(kind: str, name: str, of: str, client: str) -> Principal:
    return Principal(name=name, kind=kind, client_id=client, object_id=derived_id("object", f"{of}/{name}"))
