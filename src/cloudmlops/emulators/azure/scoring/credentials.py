"""Keys and tokens of online endpoints.

What a token says, and that it lasts a day and is to be refreshed after half of it, follows recorded traffic of the real
service (azure-sdk-for-python, azure-ai-ml 1.1, `online_services`). Theirs are signed with a key pair, these with a
secret that nobody but the emulator needs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import jwt

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.azure.ml import PROVIDER
from cloudmlops.emulators.core.faults import Refused

ENTRA_AUDIENCE: Final = "https://ml.azure.com"
SCORE: Final = f"{PROVIDER}/workspaces/onlineEndpoints/score/action"
LIFETIME: Final = timedelta(hours=24)
REFRESHED: Final = timedelta(hours=12)
_ISSUER: Final = "azureml"
KINDS: Final = ("Primary", "Secondary")


class Credentials:
    """What lets somebody score."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._state = world.surroundings.state
        self._kept = world.surroundings.state.table("ml_endpoint_keys")
        self._kept.create("secret", secrets.token_hex(32).encode())

    def keys(self, endpoint: str) -> dict[str, str]:
        """Return the two keys of an endpoint, by its id; they are made when they are first asked for."""
        fresh = json.dumps({kind: secrets.token_urlsafe(32) for kind in KINDS}).encode()
        self._kept.create(endpoint.lower(), fresh)
        data = self._kept.get(endpoint.lower())
        keys: dict[str, str] = json.loads(data or fresh)
        return keys

    def renew(self, endpoint: str, kind: str, value: str) -> None:
        """Have another key.

        Args:
            endpoint: Its id.
            kind: One of `KINDS`.
            value: What it is to be. The SDK sends the present one, which is not to stay: then, and when it is empty,
                one is chosen.
        """
        with self._state.transaction():
            keys = self.keys(endpoint)
            keys[kind] = value if value and value != keys[kind] else secrets.token_urlsafe(32)
            self._kept.put(endpoint.lower(), json.dumps(keys).encode())

    def forget(self, endpoint: str) -> None:
        """Remove the keys of an endpoint that is gone."""
        self._kept.delete(endpoint.lower())

    def token(self, endpoint: Mapping[str, Any], workspace: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Return a token for somebody to score with, as the service shows it."""
        now = self._world.surroundings.clock.now()
        expires = int((now + LIFETIME).timestamp())
        claims = {
            "canRefresh": "False",
            "workspaceId": workspace["properties"]["workspaceId"],
            "tid": self._world.tokens.directory.tenant,
            "oid": caller.object_id,
            "actions": json.dumps([SCORE]),
            "endpointName": endpoint["name"],
            "serviceId": endpoint["name"],
            "exp": expires,
            "iss": _ISSUER,
            "aud": _ISSUER,
        }
        return {
            "accessToken": jwt.encode(claims, self._secret(), algorithm="HS256"),
            "tokenType": "Bearer",
            "expiryTimeUtc": expires,
            "refreshAfterTimeUtc": int((now + REFRESHED).timestamp()),
        }

    def check(self, endpoint: Mapping[str, Any], authorization: str) -> None:
        """Let a request with an `Authorization` header in.

        Raises:
            Refused: UNAUTHENTICATED or PERMISSION_DENIED; its message is what the front door says.
        """
        scheme, _, given = authorization.partition(" ")
        mode = endpoint["properties"]["authMode"].lower()
        if scheme.lower() != "bearer" or not given:
            raise Refused("UNAUTHENTICATED", f"{_WORDS[mode]}_bad_header_forbidden")
        if mode == "key":
            if not any(secrets.compare_digest(given, key) for key in self.keys(endpoint["id"]).values()):
                raise Refused("UNAUTHENTICATED", "key_auth_access_denied")
        elif mode == "amltoken":
            self._check_token(endpoint, given)
        else:
            caller = self._world.tokens.caller(authorization, audiences=(ENTRA_AUDIENCE,))
            self._world.access.check(caller, SCORE, endpoint["id"])

    def _check_token(self, endpoint: Mapping[str, Any], token: str) -> None:
        try:
            claims = jwt.decode(
                token,
                self._secret(),
                algorithms=["HS256"],
                audience=_ISSUER,
                issuer=_ISSUER,
                options={"verify_exp": False},
            )
        except jwt.PyJWTError as error:
            raise Refused("UNAUTHENTICATED", "token_auth_access_denied") from error
        if claims["exp"] <= self._world.surroundings.clock.now().timestamp():
            raise Refused("UNAUTHENTICATED", "token_auth_access_denied: the token is expired")
        if claims["endpointName"] != endpoint["name"]:
            raise Refused("UNAUTHENTICATED", "token_auth_access_denied: the token is for another endpoint")

    def _secret(self) -> str:
        return (self._kept.get("secret") or b"").decode()


_WORDS: Final = {"key": "key_auth", "amltoken": "token_auth", "aadtoken": "token_auth"}
