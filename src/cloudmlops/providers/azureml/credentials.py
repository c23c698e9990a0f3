"""Who asks: Azure's own chain of credentials, and what its tokens say."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from cloudmlops.domain.actors import Actor, ActorKind
from cloudmlops.errors import AuthenticationError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.identity import DefaultAzureCredential


class Renewable:
    """A credential whose cached tokens can be forgotten: a service may find one too old before its time."""

    def __init__(self, make: Callable[[], DefaultAzureCredential]) -> None:
        self._make = make
        self._kept = make()
        self._before: list[DefaultAzureCredential] = []
        self._renewing = Lock()

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **more: Any,
    ) -> AccessToken:
        """Return a token, as `azure.core.credentials.TokenCredential` has it."""
        return self._kept.get_token(*scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae, **more)

    def renew(self) -> None:
        """Forget all tokens."""
        with self._renewing:
            self._before.append(self._kept)  # other threads may be asking it
            self._kept = self._make()

    def close(self) -> None:
        """Close connections."""
        for one in (*self._before, self._kept):
            one.close()


def ends(token: AccessToken) -> datetime:
    """Return when a token ends."""
    return datetime.fromtimestamp(token.expires_on, UTC)


def caller(token: str) -> Actor:
    """Return whose a token is: the object id in Entra of a user, service principal or managed identity.

    Raises:
        AuthenticationError: It does not say.
    """
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return Actor(id=claims["oid"], kind=ActorKind.SERVICE if claims.get("idtyp") == "app" else ActorKind.USER)
    except (IndexError, KeyError, ValueError) as error:
        raise AuthenticationError(
            "the token of the credentials does not say whose it is",
            hint="Log in with `az login`, or use a service principal or a managed identity.",
            provider="azureml",
            operation="identify the caller",
        ) from error
