"""Managed identities: the addresses at which code that runs in Azure asks for its own tokens.

Three forms: the instance metadata service at 169.254.169.254 (2018-02-01), App Service (2019-08-01) and Azure Machine
Learning's computes (2017-09-01).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final

from cloudmlops.emulators.azure.entra.principals import Principal
from cloudmlops.emulators.azure.entra.tokens import Tokens
from cloudmlops.emulators.core.answering import Answer, Asked, Operation, answer_json, app
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.core.service import Service, Surroundings

NAME: Final = "managed-identity"
PATH: Final = "/msi/token"
_INSTANCE_PATH: Final = "/metadata/identity/oauth2/token"


class ManagedIdentities:
    """Who may ask for tokens without a secret of their own, and the header by which a process is known."""

    def __init__(self, surroundings: Surroundings, tokens: Tokens) -> None:
        self._surroundings = surroundings
        self._tokens = tokens
        self._headers = surroundings.state.table("identity_headers")

    def environment(self, principal: Principal) -> dict[str, str]:
        """Return the variables of a process that runs as somebody, as Azure Machine Learning's computes set them."""
        header = secrets.token_urlsafe(24)
        self._headers.put(header, principal.object_id.encode())
        return {"MSI_ENDPOINT": f"http://{self._surroundings.address()}{PATH}", "MSI_SECRET": header}

    def app_service_environment(self, principal: Principal) -> dict[str, str]:
        """Return the variables of a process that runs as somebody, as App Service sets them."""
        own = self.environment(principal)
        return {"IDENTITY_ENDPOINT": own["MSI_ENDPOINT"], "IDENTITY_HEADER": own["MSI_SECRET"]}

    def service(self) -> Service:
        """Build the service."""

        def find(asked: Asked) -> tuple[str, Operation]:
            if asked.method == "GET" and asked.path == _INSTANCE_PATH:
                return "instance.token", self._of_instance
            if asked.method == "GET" and asked.path == PATH:
                return "process.token", self._of_process
            raise Refused("UNIMPLEMENTED", f"{asked.method} {asked.path} is not emulated")

        return Service(
            name=NAME,
            hosts=("169.254.169.254",),
            paths=(PATH, "/metadata/identity"),
            http=app(self._surroundings, NAME, find=find, refusal=_refusal),
        )

    def _of_instance(self, asked: Asked) -> Answer:
        if asked.headers.get("metadata", "").lower() != "true":
            raise Refused("INVALID_ARGUMENT", "Required metadata header not specified", reason="invalid_request")
        wanted = asked.query.get("client_id") or asked.query.get("object_id")
        principal = self._chosen(wanted, lambda one: one.kind == "ManagedIdentity")
        issued = self._issued(principal, asked)
        return answer_json(
            {**issued, "expires_in": str(self._tokens.lifetime_seconds), "client_id": principal.client_id}
        )

    def _of_process(self, asked: Asked) -> Answer:
        header = asked.headers.get("x-identity-header") or asked.headers.get("secret", "")
        owner = self._headers.get(header)
        if owner is None:
            raise Refused("UNAUTHENTICATED", "The identity header is not known.", reason="invalid_client")
        wanted = asked.query.get("client_id") or asked.query.get("clientid")
        principal = self._chosen(wanted, lambda one: one.object_id == owner.decode())
        return answer_json({**self._issued(principal, asked), "client_id": principal.client_id})

    def _chosen(self, client: str | None, own: Callable[[Principal], bool]) -> Principal:
        known = [one for one in self._tokens.directory.principals if own(one)]
        found = [one for one in known if client is None or client.lower() in (one.client_id, one.object_id)]
        if not found:
            raise Refused("INVALID_ARGUMENT", "Identity not found", reason="invalid_request")
        return found[0]

    def _issued(self, principal: Principal, asked: Asked) -> dict[str, str]:
        resource = asked.query.get("resource", "")
        if not resource:
            raise Refused("INVALID_ARGUMENT", "The resource parameter is required.", reason="invalid_request")
        now = int(time.time())
        return {
            "access_token": self._tokens.issue(principal, resource.removesuffix("/.default")),
            "expires_on": str(now + self._tokens.lifetime_seconds),
            "not_before": str(now),
            "resource": resource,
            "token_type": "Bearer",
        }


def _refusal(refused: Refused) -> Answer:
    body = {"error": refused.reason or "unknown_error", "error_description": refused.message}
    return answer_json(body, status=HTTP_STATUS.get(refused.code, 500))
