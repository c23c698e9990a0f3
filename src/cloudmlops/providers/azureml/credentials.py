"""Who asks: Azure's own chain of credentials, and what its tokens say."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.actors import Actor, ActorKind
from cloudmlops.errors import AuthenticationError, ConfigurationError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.identity import DefaultAzureCredential

_VARIABLES: Final = (
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_PASSWORD",
    "AZURE_TENANT_ID",
    "AZURE_TOKEN_CREDENTIALS",
    "AZURE_USERNAME",
)


class Renewable:
    """A credential whose cached tokens can be forgotten: a service may find one too old before its time."""

    def __init__(self, make: Callable[[], DefaultAzureCredential]) -> None:
        self._make = make
        self._kept = _Shared(make())
        self._lock = Lock()

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **more: Any,
    ) -> AccessToken:
        """Return a token, as `azure.core.credentials.TokenCredential` has it."""
        with self._asked() as credential:
            return credential.get_token(*scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae, **more)

    def renew(self) -> None:
        """Forget all tokens; what was there before is closed as soon as no thread asks it any more."""
        made = _Shared(self._make())
        with self._lock:
            self._kept, former = made, self._kept
            former.replaced = True
            idle = not former.askers
        if idle:
            former.credential.close()

    def close(self) -> None:
        """Close connections."""
        self._kept.credential.close()

    @contextmanager
    def _asked(self) -> Iterator[DefaultAzureCredential]:
        with self._lock:
            kept = self._kept
            kept.askers += 1
        try:
            yield kept.credential
        finally:
            with self._lock:
                kept.askers -= 1
                done = kept.replaced and not kept.askers
            if done:
                kept.credential.close()


@dataclass(slots=True)
class _Shared:
    """A credential, and how many threads ask it just now."""

    credential: DefaultAzureCredential
    askers: int = 0
    replaced: bool = False


def chain(**options: Any) -> DefaultAzureCredential:
    """Make Azure's own chain of credentials of what the environment says.

    Args:
        options: Of `DefaultAzureCredential`.

    Raises:
        ConfigurationError: A variable is set, but nothing can be made of it.
    """
    from azure.identity import DefaultAzureCredential

    try:
        return DefaultAzureCredential(**options)
    except (ValueError, OSError) as error:
        given = [name for name in _VARIABLES if name in os.environ]
        empty = [name for name in given if not os.environ[name].strip()]
        named = f"{', '.join(empty)} is empty" if empty else f"set are {', '.join(given) or 'none of its variables'}"
        raise ConfigurationError(
            f"the environment says who asks Azure, but wrongly: {error} ({named})",
            hint="Set these variables to what your application in Entra has, or unset them and log in with `az login`.",
        ) from error


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
