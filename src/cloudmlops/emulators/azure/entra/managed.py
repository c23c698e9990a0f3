"""Managed identities: the addresses at which code that runs in Azure asks for its own tokens.

Three forms: the instance metadata service at 169.254.169.254 (2018-02-01), App Service (2019-08-01) and Azure Machine
Learning's computes (2017-09-01).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping
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

    def __init__(self, surroundings: Surroundings, tokens: Tokens, machine: Iterable[Principal] = ()) -> None:
        """Serve them.

        Args:
            surroundings: Of the emulator.
            tokens: Issues them.
            machine: Whose tokens the instance metadata service has: of the machine that the emulator is on.
        """
        self._surroundings = surroundings
        self._tokens = tokens
        self._machine = [one for one in machine if one.kind == "ManagedIdentity"]
        self._headers = surroundings.state.table("identity_headers")

    def environment(self, default: Principal | None, *named: Principal) -> dict[str, str]:
        """Return the variables of a process, as Azure Machine Learning's computes set them.

        Args:
            default: Whose tokens it gets that names nobody; None is nobody's.
            named: Whose tokens it gets, too, when it names them by their client ids.
        """
        header = secrets.token_urlsafe(24)
        given = {
            "default": default.object_id if default is not None else "",
            "named": [one.object_id for one in (default, *named) if one is not None],
        }
        self._headers.put(header, json.dumps(given).encode())
        return {"MSI_ENDPOINT": f"http://{self._surroundings.address()}{PATH}", "MSI_SECRET": header}

    def app_service_environment(self, default: Principal | None, *named: Principal) -> dict[str, str]:
        """Return the variables of a process, as App Service sets them; see `environment`."""
        own = self.environment(default, *named)
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
        principal = _chosen(
            self._machine, _wanted(asked.query) or (self._machine[0].object_id if self._machine else "")
        )
        issued = self._issued(principal, asked)
        return answer_json(
            {**issued, "expires_in": str(self._tokens.lifetime_seconds), "client_id": principal.client_id}
        )

    def _of_process(self, asked: Asked) -> Answer:
        header = asked.headers.get("x-identity-header") or asked.headers.get("secret", "")
        kept = self._headers.get(header)
        if kept is None:
            raise Refused("UNAUTHENTICATED", "The identity header is not known.", reason="invalid_client")
        given = json.loads(kept)
        known = [one for one in self._tokens.directory.principals if one.object_id in given["named"]]
        principal = _chosen(known, _wanted(asked.query) or given["default"])
        return answer_json({**self._issued(principal, asked), "client_id": principal.client_id})

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


def _wanted(query: Mapping[str, str]) -> str:
    """Return whom a request names, by a client id or an object id; empty when it names nobody."""
    for name in ("mi_res_id", "msi_res_id"):
        if query.get(name):
            raise Refused("UNIMPLEMENTED", "an identity by its resource id is not emulated: name it by its client id")
    named = ("client_id", "clientid", "object_id", "principal_id")
    return next((query[name].lower() for name in named if query.get(name)), "")


def _chosen(known: Iterable[Principal], wanted: str) -> Principal:
    for one in known:
        if wanted in (one.client_id, one.object_id):
            return one
    raise Refused("INVALID_ARGUMENT", "Identity not found", reason="invalid_request")


def _refusal(refused: Refused) -> Answer:
    body = {"error": refused.reason or "unknown_error", "error_description": refused.message}
    return answer_json(body, status=HTTP_STATUS.get(refused.code, 500))
