"""Access tokens: issued with real claims, signed, and known again."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from cloudmlops.emulators.azure.entra.principals import Directory, Principal
from cloudmlops.emulators.azure.entra.system_identities import SystemIdentities
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State

LIFETIME_SECONDS: Final = 3600
MANAGEMENT: Final = "https://management.azure.com"
LOGIN_HOST: Final = "login.microsoftonline.com"
_KEY_BITS: Final = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who calls a service, as its token says."""

    object_id: str
    client_id: str
    name: str
    kind: str
    audience: str


class Tokens:
    """Issues tokens and reads them again.

    Their time is the machine's and not the emulated clock's: SDKs judge by it when a token is to be refreshed.
    """

    def __init__(self, state: State, directory: Directory) -> None:
        self._given = directory
        self.system_identities = SystemIdentities(state)
        """The principals of resources."""
        self._kept = state.table("entra_keys")
        self._lock = threading.Lock()
        self._key: rsa.RSAPrivateKey | None = None
        self._good_from = 0.0
        self.lifetime_seconds = LIFETIME_SECONDS
        """How long tokens are good that are issued from now on."""

    @property
    def directory(self) -> Directory:
        """Who there is now: those of the file, and the principals of resources."""
        return replace(self._given, principals=(*self._given.principals, *self.system_identities.all()))

    @property
    def issuer(self) -> str:
        """Of all tokens."""
        return f"https://{LOGIN_HOST}/{self._given.tenant}/v2.0"

    def issue(self, principal: Principal, audience: str, *, seconds: int | None = None) -> str:
        """Return an access token.

        Args:
            principal: Whose it is.
            audience: Of the service that it is for: a scope without `/.default`.
            seconds: How long it is good; None is `lifetime_seconds`.
        """
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": self.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + (self.lifetime_seconds if seconds is None else seconds),
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": self._given.tenant,
            "appid": principal.client_id,
            "azp": principal.client_id,
            "idtyp": "user" if principal.kind == "User" else "app",
            "uti": uuid4().hex,
            "ver": "2.0",
            "issued": time.time(),
        }
        if principal.kind == "User":
            claims |= {"upn": principal.name, "unique_name": principal.name}
        return jwt.encode(claims, self._signing_key(), algorithm="RS256", headers={"kid": self._key_id()})

    def expire(self) -> None:
        """Let all tokens that were issued until now be too old."""
        self._good_from = time.time()

    def caller(self, authorization: str | None, *, audiences: tuple[str, ...]) -> Caller:
        """Return who an `Authorization` header stands for.

        Args:
            authorization: The header's value.
            audiences: Those that the service takes; a slash at the end makes no difference.

        Raises:
            Refused: There is none, or it is malformed, too old, for another service, or not signed by this tenant.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if not token:
            raise Refused(
                "UNAUTHENTICATED",
                "Authentication failed. The 'Authorization' header is missing.",
                reason="AuthenticationFailed",
            )
        if scheme.lower() != "bearer":
            raise Refused(
                "UNAUTHENTICATED",
                f"The authentication scheme {scheme} is not supported.",
                reason="AuthenticationFailedInvalidHeader",
            )
        claims = self._claims(token)
        audience = str(claims.get("aud", ""))
        if audience.rstrip("/") not in {one.rstrip("/") for one in audiences}:
            raise Refused(
                "UNAUTHENTICATED",
                "The access token has been obtained for wrong audience or resource "
                f"'{audience}'. It should exactly match with one of the allowed audiences "
                + ", ".join(f"'{one}'" for one in audiences)
                + ".",
                reason="InvalidAuthenticationTokenAudience",
            )
        object_id = str(claims.get("oid", ""))
        known = self._given.by_object(object_id) or self.directory.by_object(object_id)
        return Caller(
            object_id=object_id,
            client_id=str(claims.get("appid", "")),
            name=known.name if known is not None else object_id,
            kind=known.kind if known is not None else "ServicePrincipal",
            audience=audience,
        )

    def public_keys(self) -> Mapping[str, Any]:
        """Return the tenant's JSON Web Key Set."""
        key = RSAAlgorithm.to_jwk(self._signing_key().public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self._key_id(), "use": "sig", "issuer": self.issuer}]}

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._signing_key().public_key(),
                algorithms=["RS256"],
                issuer=self.issuer,
                options={"verify_aud": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise _too_old() from error
        except jwt.PyJWTError as error:
            raise Refused(
                "UNAUTHENTICATED", f"The access token is invalid. {error}", reason="InvalidAuthenticationToken"
            ) from error
        if float(claims.get("issued", 0)) < self._good_from:
            raise _too_old()
        return claims

    def _signing_key(self) -> rsa.RSAPrivateKey:
        with self._lock:
            if self._key is None:
                self._key = self._loaded_key()
            return self._key

    def _loaded_key(self) -> rsa.RSAPrivateKey:
        if (kept := self._kept.get("signing")) is not None:
            loaded = serialization.load_pem_private_key(kept, password=None)
            if isinstance(loaded, rsa.RSAPrivateKey):
                return loaded
        key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._kept.put("signing", pem)
        return key

    def _key_id(self) -> str:
        public = self._signing_key().public_key().public_numbers()
        return hashlib.sha256(json.dumps([public.n, public.e]).encode()).hexdigest()[:27]


def _too_old() -> Refused:
    return Refused(
        "UNAUTHENTICATED",
        "The access token expiry UTC time has passed. Current UTC time is later than it.",
        reason="ExpiredAuthenticationToken",
    )
