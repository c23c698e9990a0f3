"""Who sends a push: a token of Entra that Event Grid puts into each, a key that both sides know, or this machine."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import jwt

from cloudmlops.errors import AuthenticationError, PermissionDeniedError, UnexpectedReplyError
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.signing_keys import SKEW_SECONDS, KeptKeys

if TYPE_CHECKING:
    from cloudmlops.ports.events import PushRequest
    from cloudmlops.providers.azureml.settings import AzureMLSettings
    from cloudmlops.providers.azureml.wire import Wire

_OPERATION: Final = "events.receive"
_KEY: Final = "key"
_KEY_HEADER: Final = "x-cloudmlops-key"
_AGAIN_SECONDS: Final = 60.0
"""So often is looked for a key that is not known: anybody can name one."""
_FORWARDED: Final = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"})


class PushIdentity:
    """Lets pushes pass that prove who sends them, in one of the ways that are set."""

    def __init__(self, settings: AzureMLSettings, wire: Wire) -> None:
        self._settings = settings
        self._keys = _SigningKeys(settings.push_tenant, wire)

    def check(self, request: PushRequest) -> None:
        """Let a push pass; where no proof is set, only one of this machine.

        Raises:
            AuthenticationError: It proves nothing.
            PermissionDeniedError: Somebody else sent it.
        """
        settings = self._settings
        key = settings.push_key.get_secret_value()
        if not key and not settings.push_audience:
            if not settings.push_unproven and not _is_of_this_machine(request):
                raise _refused("no way to prove it is set, and it is from another machine")
        elif not (key and _has_key(request, key)):
            self._check_token(request)

    def _check_token(self, request: PushRequest) -> None:
        if not self._settings.push_audience:
            raise _refused("it does not have the key")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _refused("it has neither a token nor a key that is known")
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
            version_2 = str(claims.get("iss", "")).endswith("/v2.0")
            known = self._keys.find(str(jwt.get_unverified_header(token).get("kid", "")), version_2=version_2)
            if known is None:
                raise _refused("its token is signed with a key that Entra does not know")
            claims = jwt.decode(
                token,
                known.key,
                algorithms=["RS256"],
                audience=self._settings.push_audience,
                issuer=known.issuer,
                leeway=SKEW_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise _refused(str(error)) from error
        sender = str(claims.get("azp") or claims.get("appid") or "")
        if sender.lower() != self._settings.push_account.lower():
            raise PermissionDeniedError(
                f"the push was sent by the application {sender or claims.get('sub')!r}",
                hint=f"Let the event subscription push as {self._settings.push_account}, or change the setting "
                "push_account.",
                provider=PROVIDER,
                operation=_OPERATION,
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _SigningKey:
    key: Any
    issuer: str


class _SigningKeys:
    """The keys that Entra signs tokens of a tenant with, kept for a while: each push needs them."""

    def __init__(self, tenant: str, wire: Wire) -> None:
        self._tenant = tenant
        self._wire = wire
        self._kept = {version_2: KeptKeys(partial(self._asked, version_2=version_2)) for version_2 in (False, True)}

    def find(self, name: str, *, version_2: bool) -> _SigningKey | None:
        """Return a key for tokens of a version; None when there is none of that name."""
        kept = self._kept[version_2]
        return kept.get().get(name) or kept.get(seconds=_AGAIN_SECONDS).get(name)

    def _asked(self, *, version_2: bool) -> Mapping[str, _SigningKey]:
        version = "/v2.0" if version_2 else ""
        path = f"{self._tenant}{version}/.well-known/openid-configuration"
        shown = self._wire.public(path, operation=_OPERATION)
        try:
            listed = self._wire.public(shown["jwks_uri"], operation=_OPERATION)
            issuer = str(shown["issuer"])
            keys = jwt.PyJWKSet.from_dict(listed).keys
            return {str(one.key_id): _SigningKey(key=one, issuer=issuer) for one in keys}
        except (KeyError, TypeError, jwt.PyJWTError) as error:
            raise UnexpectedReplyError(
                f"Entra shows the keys of the tenant {self._tenant} in a form that is not known: {error}",
                provider=PROVIDER,
                operation=_OPERATION,
                resource=path,
            ) from error


def _has_key(request: PushRequest, key: str) -> bool:
    given = [*parse_qs(request.query).get(_KEY, ()), request.headers.get(_KEY_HEADER, "")]
    return any(hmac.compare_digest(one.encode(), key.encode()) for one in given)


def _is_of_this_machine(request: PushRequest) -> bool:
    """Say whether a push comes from this machine, and not from a proxy here, which says for whom it asks."""
    try:
        here = ip_address(request.sender).is_loopback
    except ValueError:
        return False
    return here and not _FORWARDED & request.headers.keys()


def _refused(reason: str) -> AuthenticationError:
    return AuthenticationError(
        f"the push does not prove who sends it: {reason}",
        hint="Let the event subscription push with a token of Entra for the audience that the setting push_audience "
        "names, or with the key of the setting push_key as `?key=`; push_unproven=true where something before this "
        "authenticates pushes.",
        provider=PROVIDER,
        operation=_OPERATION,
    )
