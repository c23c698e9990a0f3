"""Keys and tokens: who a caller is."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State

ANONYMOUS: Final = "anonymous"
"""Who calls without a token: SDKs do so with `AnonymousCredentials`."""
TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 an address
LIFETIME_SECONDS: Final = 3600
_FOR_EVER_SECONDS: Final = 100 * 365 * 86400
_SKEW_SECONDS: Final = 300
_PREFIX: Final = "ya29.emulated."


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """An access token that was issued."""

    principal: str
    expires: float
    """Seconds since the epoch on the machine's own clock, by which a client refreshes it."""
    scopes: tuple[str, ...]


class Tokens:
    """Issues tokens and knows them again.

    Their time is the machine's and not the emulated clock's: SDKs judge by it when a token is to be refreshed.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept = state.table("access_tokens")
        self._refreshing = state.table("refresh_tokens")
        self._agents = state.table("service_agents")
        self._keys = state.table("signing_keys")
        self._lock = threading.Lock()
        self._key: rsa.RSAPrivateKey | None = None

    @property
    def key(self) -> rsa.RSAPrivateKey:
        """What all service accounts of this emulator sign with."""
        with self._lock:
            if self._key is None:
                self._key = self._loaded_key()
            return self._key

    @property
    def key_id(self) -> str:
        """Of `key`."""
        public = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(public).hexdigest()[:40]

    def service_account(self, email: str, project: str) -> dict[str, str]:
        """Return the key file of a service account, which is fit for GOOGLE_APPLICATION_CREDENTIALS."""
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": project,
            "private_key_id": self.key_id,
            "private_key": private.decode(),
            "client_email": email,
            "client_id": str(int(hashlib.sha256(email.encode()).hexdigest()[:16], 16)),
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": TOKEN_URI,
            "universe_domain": "googleapis.com",
        }

    def authorized_user(self, email: str, project: str) -> dict[str, str]:
        """Return the file that `gcloud auth application-default login` would have written for a user."""
        refresh = f"1//emulated-{secrets.token_urlsafe(24)}"
        self._refreshing.put(refresh, email.encode())
        return {
            "type": "authorized_user",
            "client_id": "emulated.apps.googleusercontent.com",
            "client_secret": "emulated",
            "refresh_token": refresh,
            "quota_project_id": project,
            "universe_domain": "googleapis.com",
        }

    def user_of_refresh_token(self, refresh: str) -> str | None:
        """Return whose it is."""
        found = self._refreshing.get(refresh)
        return found.decode() if found is not None else None

    def issue(self, principal: str, scopes: Sequence[str] = (), *, seconds: int = LIFETIME_SECONDS) -> str:
        """Return a new access token."""
        token = _PREFIX + secrets.token_urlsafe(32)
        now = time.time()
        with self._state.transaction():
            for known, data in self._kept.items():
                if json.loads(data)["expires"] < now - LIFETIME_SECONDS:
                    self._kept.delete(known)
            content = {"principal": principal, "expires": now + seconds, "scopes": list(scopes)}
            self._kept.put(token, json.dumps(content).encode())
        return token

    def find(self, token: str) -> Token | None:
        """Return what is known of a token that is still good."""
        data = self._kept.get(token)
        if data is None:
            return None
        content = json.loads(data)
        if content["expires"] <= time.time():
            return None
        return Token(principal=content["principal"], expires=content["expires"], scopes=tuple(content["scopes"]))

    def agent(self, service: str, project_number: str) -> str:
        """Return the token of a service agent: what the cloud itself calls other services with, for a project.

        Args:
            service: Such as `aiplatform`.
            project_number: Of the project that it works for.
        """
        email = f"service-{project_number}@gcp-sa-{service}.iam.gserviceaccount.com"
        with self._state.transaction():
            known = self._agents.get(email)
            if known is None:
                known = self.issue(email, seconds=_FOR_EVER_SECONDS).encode()
                self._agents.put(email, known)
        return known.decode()

    def expire(self) -> None:
        """Let all issued access tokens but those of service agents be too old from now on."""
        with self._state.transaction():
            agents = {data for _, data in self._agents.items()}
            for token, data in self._kept.items():
                if token.encode() not in agents:
                    self._kept.put(token, json.dumps({**json.loads(data), "expires": 0}).encode())

    def revoke(self, token: str) -> bool:
        """Forget a token; False when there was none."""
        return self._kept.delete(token) or self._refreshing.delete(token)

    def principal(self, authorization: str | None) -> str:
        """Return who an `Authorization` header stands for; without one it is `ANONYMOUS`.

        Raises:
            Refused: The token is unknown or too old.
        """
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token:
            if (found := self.find(token)) is not None:
                return found.principal
            if token.count(".") == 2 and not token.startswith(_PREFIX):  # signed by a service account itself
                try:
                    return str(self.claims(token)["iss"])
                except ValueError:
                    pass
        raise Refused(
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
            "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
            reason="ACCESS_TOKEN_EXPIRED" if token.startswith(_PREFIX) else "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        )

    def claims(self, signed: str) -> dict[str, Any]:
        """Return what a signed token claims.

        What our key is said to have signed must be signed by it; of others' keys only form and times can be judged.

        Raises:
            ValueError: It is malformed, too old, too long-lived, or its signature is not that of our key.
        """
        parts = signed.split(".")
        if len(parts) != 3:
            raise ValueError("Invalid JWT: three parts are wanted.")
        header, claims = _unpacked(parts[0]), _unpacked(parts[1])
        if header.get("alg") != "RS256":
            raise ValueError("Invalid JWT: it must be signed by RS256.")
        if not isinstance(claims.get("iss"), str):
            raise ValueError("Invalid JWT: iss is wanted.")  # noqa: TRY004 what was sent, not a type of ours
        now = time.time()
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise ValueError("Invalid JWT: iat and exp are wanted.")  # noqa: TRY004 likewise
        if not issued - _SKEW_SECONDS <= now < expires or expires - issued > LIFETIME_SECONDS:
            raise ValueError(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
                "Check your iat and exp values in the JWT claim."
            )
        if header.get("kid") == self.key_id:
            self._check_signature(parts)
        return claims

    def sign(self, content: bytes) -> bytes:
        """Sign as a service account does."""
        return self.key.sign(content, padding.PKCS1v15(), hashes.SHA256())

    def signed(self, claims: Mapping[str, Any]) -> str:
        """Return a signed token."""
        header = {"alg": "RS256", "kid": self.key_id, "typ": "JWT"}
        content = f"{_packed(header)}.{_packed(claims)}"
        return f"{content}.{_encoded(self.sign(content.encode()))}"

    def identity(self, email: str, audience: str) -> str:
        """Return an identity token, as a push carries it."""
        now = int(time.time())
        subject = str(int(hashlib.sha256(email.encode()).hexdigest()[:16], 16))
        times = {"iat": now, "exp": now + LIFETIME_SECONDS}
        who = {"sub": subject, "azp": subject, "email": email, "email_verified": True}
        return self.signed({"iss": "https://accounts.google.com", "aud": audience, **who, **times})

    def public_jwk(self) -> dict[str, str]:
        """Return the public half of `key`, as a JSON web key."""
        numbers = self.key.public_key().public_numbers()
        modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)
        exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8)
        named = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id}
        return {**named, "n": _encoded(modulus), "e": _encoded(exponent)}

    def public_certificate(self) -> str:
        """Return the public half of `key` in a certificate, in PEM."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "emulated.gserviceaccount.com")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
        builder = builder.serial_number(int(self.key_id[:16], 16))
        builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(
            datetime(9999, 1, 1, tzinfo=UTC)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def _check_signature(self, parts: Sequence[str]) -> None:
        try:
            self.key.public_key().verify(
                _decoded(parts[2]), f"{parts[0]}.{parts[1]}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            raise ValueError("Invalid JWT Signature.") from None

    def _loaded_key(self) -> rsa.RSAPrivateKey:
        with self._state.transaction():
            kept = self._keys.get("accounts")
            if kept is not None:
                loaded = serialization.load_der_private_key(kept, password=None)
                assert isinstance(loaded, rsa.RSAPrivateKey)  # noqa: S101 we wrote it
                return loaded
            made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            data = made.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            self._keys.put("accounts", data)
            return made


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _packed(content: Mapping[str, Any]) -> str:
    return _encoded(json.dumps(content, separators=(",", ":")).encode())


def _unpacked(text: str) -> dict[str, Any]:
    try:
        content = json.loads(_decoded(text))
    except ValueError as error:
        raise ValueError(f"Invalid JWT: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("Invalid JWT: an object is wanted.")  # noqa: TRY004 likewise
    return content
