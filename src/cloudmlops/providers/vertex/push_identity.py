"""Who sends a push: the identity token that Eventarc and Pub/Sub put into each, verified by Google's certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import requests
from google.auth import exceptions
from google.auth.transport.requests import Request
from google.oauth2 import id_token

from cloudmlops.errors import AuthenticationError, PermissionDeniedError
from cloudmlops.providers.signing_keys import SKEW_SECONDS, KeptKeys
from cloudmlops.providers.vertex.errors import PROVIDER, translated

if TYPE_CHECKING:
    from cloudmlops.ports.events import PushRequest
    from cloudmlops.providers.vertex.settings import VertexSettings

_ISSUERS: Final = frozenset({"accounts.google.com", "https://accounts.google.com"})
_GOOGLE: Final = "https://www.googleapis.com"
_CERTIFICATES: Final = "/oauth2/v1/certs"


class PushIdentity:
    """Lets pushes of one account pass."""

    def __init__(self, settings: VertexSettings) -> None:
        self._settings = settings
        self._url = f"{settings.api_url or _GOOGLE}{_CERTIFICATES}"
        self._certificates = _Certificates(self._url)

    def check(self, request: PushRequest) -> None:
        """Let a push pass that the configured account signed for the configured audience.

        Raises:
            AuthenticationError: It has no token, or one that does not hold.
            PermissionDeniedError: Somebody else sent it.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _refused("it has no identity token")
        with translated("events.receive", self._settings.push_account):
            try:
                claims = id_token.verify_token(
                    token,
                    self._certificates,
                    audience=self._settings.push_audience,
                    certs_url=self._url,
                    clock_skew_in_seconds=SKEW_SECONDS,
                )
            except exceptions.TransportError:
                raise
            except (ValueError, exceptions.GoogleAuthError) as error:
                raise _refused(str(error)) from error
        if claims.get("iss") not in _ISSUERS:
            raise _refused(f"{claims.get('iss')!r} is not Google")
        if claims.get("email") != self._settings.push_account or claims.get("email_verified") is not True:
            raise PermissionDeniedError(
                f"the push was sent by {claims.get('email') or claims.get('sub')!r}",
                hint=f"Let the trigger or subscription push as {self._settings.push_account}, "
                "or change the setting push_account.",
                provider=PROVIDER,
                operation="events.receive",
            )

    def close(self) -> None:
        """Close connections."""
        self._certificates.close()


class _Certificates:
    """Asks for certificates in the way that Google's library does, for the one address that they are at."""

    def __init__(self, url: str) -> None:
        self._session = requests.Session()
        self._request = Request(self._session)
        self._url = url
        self._kept = KeptKeys(self._asked)

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self._kept.get()

    def _asked(self) -> Any:
        reply = self._request(self._url, method="GET")
        if reply.status != requests.codes.ok:
            raise exceptions.TransportError(f"{self._url} answered {reply.status}")
        return reply

    def close(self) -> None:
        self._session.close()


def _refused(reason: str) -> AuthenticationError:
    return AuthenticationError(
        f"the push does not prove who sends it: {reason}",
        hint="Let the trigger or subscription push with an OIDC token for the audience that the setting "
        "push_audience names.",
        provider=PROVIDER,
        operation="events.receive",
    )
