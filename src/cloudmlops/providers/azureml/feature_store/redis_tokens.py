"""Who asks Redis: tokens of Entra, renewed before they end, and told to every connection that is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from redis import BlockingConnectionPool, CredentialProvider
from redis.exceptions import AuthenticationError

from cloudmlops.providers.azureml.credentials import caller

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.credentials import Renewable

SCOPE: Final = "https://redis.azure.com/.default"
"""Of tokens for Redis, in all of Azure's clouds."""
_MARGIN_SECONDS: Final = 300.0
"""Azure closes connections whose token ends, and asks for a new one three minutes before."""
_MARGIN_SHARE: Final = 0.25
_OK: Final = (b"OK", "OK")


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class _Token:
    text: str
    user: str
    renewed_at: float
    """When it is to be renewed, in seconds since 1970."""


class RedisTokens(CredentialProvider):
    """User name and password of the caller: the object id in Entra, and a token for Redis."""

    def __init__(self, credential: Callable[[], Renewable]) -> None:
        self._credential = credential
        self._kept: _Token | None = None
        self._asking = Lock()

    def get_credentials(self) -> tuple[str, str]:
        """Return both, as redis asks for them when it connects."""
        token = self.current()
        return token.user, token.text

    def current(self) -> _Token:
        """Return the token of now; another one when it comes near its end: a quarter of its time, at most 5 minutes."""
        kept = self._kept
        if kept is not None and time.time() < kept.renewed_at:
            return kept
        with self._asking:
            kept = self._kept
            if kept is None or time.time() >= kept.renewed_at:
                given = self._credential().get_token(SCOPE)
                left = given.expires_on - time.time()
                margin = min(_MARGIN_SECONDS, left * _MARGIN_SHARE)
                renewed_at = given.expires_on - margin
                if kept is None or kept.text != given.token:
                    kept = _Token(text=given.token, user=caller(given.token).id, renewed_at=renewed_at)
                else:  # Azure's chain keeps it still: ask again, not with every call
                    kept = _Token(text=kept.text, user=kept.user, renewed_at=renewed_at)
                self._kept = kept
        return kept

    def renew(self) -> None:
        """Forget the token: the server finds it too old."""
        with self._asking:
            self._credential().renew()
            self._kept = None


class AuthenticatedPool(BlockingConnectionPool):
    """Connections that are told a new token before they are used again."""

    def __init__(self, tokens: RedisTokens, **options: Any) -> None:
        super().__init__(credential_provider=tokens, **options)  # type: ignore[no-untyped-call] # of redis
        self._tokens = tokens
        self._told: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def get_connection(self, *args: Any, **options: Any) -> Any:
        """Return a connection that the server knows by the token of now."""
        token = self._tokens.current()
        connection = super().get_connection(*args, **options)  # type: ignore[no-untyped-call] # of redis
        try:
            if self._told.setdefault(connection, token.text) != token.text:
                connection.send_command("AUTH", token.user, token.text, check_health=False)
                if connection.read_response() not in _OK:
                    raise AuthenticationError("the new token was not taken")
                self._told[connection] = token.text
        except BaseException:
            connection.disconnect()
            self.release(connection)  # type: ignore[no-untyped-call] # of redis
            raise
        return connection
