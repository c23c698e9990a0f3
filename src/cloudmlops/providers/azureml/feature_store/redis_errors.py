"""Redis's exceptions as ours: by class, and by the code that an answer begins with."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from redis import exceptions as redis

from cloudmlops.errors import (
    AuthenticationError,
    ConflictError,
    PermissionDeniedError,
    QuotaExceededError,
    ServiceError,
    UnavailableError,
    UnexpectedReplyError,
)
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.verdicts import verdict

OURS: Final[Mapping[str, type[ServiceError]]] = {
    "AskError": ServiceError,
    "AuthenticationError": AuthenticationError,
    "AuthenticationWrongNumberOfArgsError": AuthenticationError,
    "AuthorizationError": PermissionDeniedError,
    "BusyLoadingError": UnavailableError,
    "ChildDeadlockedError": UnavailableError,
    "ClusterCrossSlotError": ServiceError,
    "ClusterDownError": UnavailableError,
    "ClusterError": ServiceError,
    "ConnectionError": UnavailableError,
    "CrossSlotTransactionError": ServiceError,
    "DataError": ServiceError,
    "ExecAbortError": ServiceError,
    "ExternalAuthProviderError": AuthenticationError,
    "IncorrectPolicyType": ServiceError,
    "InvalidPipelineStack": ServiceError,
    "InvalidResponse": UnexpectedReplyError,
    "LockError": ConflictError,
    "LockNotOwnedError": ConflictError,
    "MasterDownError": UnavailableError,
    "MaxConnectionsError": UnavailableError,
    "ModuleError": ServiceError,
    "MovedError": ServiceError,
    "NoPermissionError": PermissionDeniedError,
    "NoScriptError": UnavailableError,
    "NoSuchFieldsetError": ServiceError,
    "OutOfMemoryError": QuotaExceededError,
    "PubSubError": ServiceError,
    "ReadOnlyError": UnavailableError,
    "RedisClusterException": ServiceError,
    "RedisError": ServiceError,
    "ResponseError": ServiceError,
    "SlotNotCoveredError": UnavailableError,
    "TimeoutError": UnavailableError,
    "TryAgainError": UnavailableError,
    "WatchError": ConflictError,
}
"""By the name of the most special class: no release of redis has them all."""
BY_CODE: Final[Mapping[str, type[ServiceError]]] = {
    "BUSY": UnavailableError,
    "MISCONF": UnavailableError,
    "NOREPLICAS": UnavailableError,
    "WRONGTYPE": UnexpectedReplyError,
}
"""Of answers that redis has no class for."""
_OF_SCRIPTS: Final = "The user executing the script can't "
"""So begins, without a code, what a script is told that lacks rights."""
_RETRYABLE: Final = (UnavailableError, QuotaExceededError)
_CLUSTERED: Final = ("AskError", "MovedError")
_HINTS: Final[Mapping[type[ServiceError], str]] = {
    AuthenticationError: "At a rediss:// address the caller's object id in Entra must be a user of the cache: assign "
    "it a data access policy. At a redis:// address nobody proves who asks.",
    PermissionDeniedError: "The caller's data access policy must allow the commands that docs/azureml.md lists.",
    QuotaExceededError: "The cache's memory is full: choose a larger size. Nothing was displaced.",
    UnavailableError: "Try again; what was acknowledged is there.",
}


@contextmanager
def translated(operation: str, resource: str) -> Iterator[None]:
    """Raise Redis's exceptions as ours.

    Args:
        operation: The verb, such as `features.online`.
        resource: The feature view.
    """
    try:
        yield
    except (redis.RedisError, redis.RedisClusterException, redis.ChildDeadlockedError) as error:
        raise translation(error, operation, resource) from error


def translation(error: Exception, operation: str, resource: str) -> ServiceError:
    """Return our error for one of Redis's."""
    kind = our_kind(error)
    return kind(
        f"{operation} of {resource!r} {verdict(kind)} (Redis): {_said(error)}",
        hint=_hint(error, kind),
        provider=PROVIDER,
        operation=operation,
        resource=resource,
        retryable=issubclass(kind, _RETRYABLE) and not _is_mistrusted(error),
    )


def our_kind(error: Exception) -> type[ServiceError]:
    """Return which error of ours one of Redis's is."""
    if _is_mistrusted(error):
        return ServiceError
    if type(error) is redis.ResponseError:
        if _OF_SCRIPTS in str(error):
            return PermissionDeniedError
        return BY_CODE.get(str(error).partition(" ")[0], ServiceError)
    return next((OURS[known.__name__] for known in type(error).__mro__ if known.__name__ in OURS), ServiceError)


def _said(error: Exception) -> str:
    return str(error).split("\n")[0] or type(error).__name__


def _hint(error: Exception, kind: type[ServiceError]) -> str:
    if type(error).__name__ in _CLUSTERED:
        return (
            "The cache answers as an open-source cluster: give it the clustering policy Enterprise, or no clustering."
        )
    if _is_mistrusted(error):
        return (
            "Nobody that this machine trusts vouches for the cache's certificate; SSL_CERT_FILE names who is trusted."
        )
    return _HINTS.get(kind, "")


def _is_mistrusted(error: BaseException) -> bool:
    """Say whether the server's certificate was the reason."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
