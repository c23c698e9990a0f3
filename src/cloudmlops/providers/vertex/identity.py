"""Who is calling, as Google knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cloudmlops.errors import AuthenticationError
from cloudmlops.providers.vertex.errors import PROVIDER, translated

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.wire import Wire

_USERINFO: Final = "https://openidconnect.googleapis.com/v1/userinfo"


def caller(wire: Wire) -> str:
    """Return the e-mail address of the account behind the credentials.

    A service account's credentials name it; for a user's, Google is asked whose the token is.
    """
    named = getattr(wire.credentials, "service_account_email", None)
    if isinstance(named, str) and named not in ("", "default"):
        return named
    from google.auth.transport.requests import AuthorizedSession

    with (
        translated("identify the caller", wire.settings.address),
        AuthorizedSession(wire.credentials) as session,
    ):
        reply = session.get(_USERINFO, timeout=wire.timeout)
    if reply.ok and (email := reply.json().get("email")):
        return str(email)
    raise AuthenticationError(
        f"Google does not say whose the credentials are: {reply.status_code}",
        hint="Log in with `gcloud auth application-default login --scopes=openid,"
        "https://www.googleapis.com/auth/userinfo.email,https://www.googleapis.com/auth/cloud-platform`.",
        provider=PROVIDER,
        operation="identify the caller",
    )
