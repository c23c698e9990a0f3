"""Asking Redis: connections made at first use; deadlines and repetition, configured here and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from cloudmlops.errors import ConfigurationError, UnavailableError
from cloudmlops.providers.azureml.errors import translated as translated_by_azure
from cloudmlops.providers.azureml.feature_store.redis_errors import our_kind, translated
from cloudmlops.providers.azureml.feature_store.redis_tokens import AuthenticatedPool, RedisTokens

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.settings import AzureMLSettings
    from cloudmlops.providers.azureml.wire import Wire

_REPLY = TypeVar("_REPLY")
_ATTEMPTS: Final = 3
"""A server that says nothing is waited for so often, in the time of one call."""
_LONGEST_CONNECTING_SECONDS: Final = 10.0
_FIRST_PAUSE_SECONDS: Final = 0.05
_CONNECTIONS: Final = 64


class RedisConnection:
    """One platform's way to Redis."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._making = RLock()

    def ask(self, call: Callable[[redis.Redis], _REPLY], *, operation: str, resource: str) -> _REPLY:
        """Do a call that may be done twice; again while Redis is away and the time of one call has not passed.

        Args:
            call: It.
            operation: The verb, such as `features.online`.
            resource: The feature view.

        Raises:
            ConfigurationError: The settings name no Redis.
            ServiceError: Redis's answer, as ours.
        """
        client = self._connected(operation, resource)
        ends = time.monotonic() + self._wire.timeout
        pause, renewed = _FIRST_PAUSE_SECONDS, False
        with translated_by_azure(operation, resource), translated(operation, resource):
            while True:
                try:
                    return call(client)
                except AuthenticationError:
                    if renewed or self._tokens is None:
                        raise
                    renewed = True
                    self._tokens.renew()
                except RedisError as error:
                    if our_kind(error) is not UnavailableError or time.monotonic() + pause > ends:
                        raise
                    time.sleep(pause)
                    pause *= 2

    def close(self) -> None:
        """Close connections."""
        with self._making:
            client = self.__dict__.pop("_client", None)
        if client is not None:
            client.connection_pool.disconnect()

    def _connected(self, operation: str, resource: str) -> redis.Redis:
        if self._settings.redis_url is None:
            raise ConfigurationError(
                f"{operation} of {resource!r} needs Redis, and the settings name none",
                hint="Give the target redis_url=rediss://HOST:PORT, or set CLOUDMLOPS_AZUREML_REDIS_URL.",
            )
        with self._making:
            return self._client

    @property
    def _settings(self) -> AzureMLSettings:
        return self._wire.settings

    @cached_property
    def _tokens(self) -> RedisTokens | None:
        encrypted = str(self._settings.redis_url).startswith("rediss:")
        return RedisTokens(lambda: self._wire.credential) if encrypted else None

    @cached_property
    def _client(self) -> redis.Redis:
        url = urlsplit(self._settings.redis_url or "")
        longest = self._wire.timeout / _ATTEMPTS
        options: dict[str, Any] = {
            "host": url.hostname,
            "port": url.port or 6379,
            "db": int(url.path.strip("/") or 0),
            "max_connections": _CONNECTIONS,
            "timeout": self._wire.timeout,
            "socket_timeout": longest,
            "socket_connect_timeout": min(longest, _LONGEST_CONNECTING_SECONDS),
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        if self._tokens is None:
            pool = redis.BlockingConnectionPool(**options)  # type: ignore[no-untyped-call] # of redis
            return redis.Redis(connection_pool=pool)
        options |= {"connection_class": redis.SSLConnection, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
        return redis.Redis(connection_pool=AuthenticatedPool(self._tokens, **options))
