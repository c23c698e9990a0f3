"""Every error that cloudmlops raises, as one tree.

Each also derives from the builtin that says the same, so that `except ValueError` or `except LookupError` work without
importing anything of ours:

    CloudMLOpsError (message, hint)
    ├─ ConfigurationError(ValueError) · ProviderNotInstalledError(ImportError) · UnsupportedError(NotImplementedError)
    ├─ InvalidRequestError(ValueError), before any I/O:
    │     InvalidPipelineError · InvalidMoveError · InvalidEntitiesError · InvalidTrafficError
    ├─ ServiceError (provider, operation, resource, request_id, retryable):
    │     AuthenticationError · PermissionDeniedError(PermissionError) · NotFoundError(LookupError) · ConflictError
    │     · QuotaExceededError(retry_after) · UnavailableError(ConnectionError) · UnexpectedReplyError
    └─ RunFailedError(run) · DeploymentFailedError(deployment) · WaitTimeoutError(TimeoutError)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta


class CloudMLOpsError(Exception):
    """What happened, to what; and, as a hint, what to do about it."""

    message: str
    hint: str

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments are attributes, so an error crosses a process boundary whole.
        return (_rebuild, (type(self), self.args, dict(self.__dict__)))


def _rebuild(kind: type[CloudMLOpsError], args: tuple[Any, ...], state: dict[str, Any]) -> CloudMLOpsError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(CloudMLOpsError, ValueError):
    """A setting is missing or contradicts another."""


class ProviderNotInstalledError(CloudMLOpsError, ImportError):
    """The packages that a provider needs are not installed; the hint names the extra."""


class UnsupportedError(CloudMLOpsError, NotImplementedError):
    """The provider lacks a capability; the hint gives a way round."""


class InvalidRequestError(CloudMLOpsError, ValueError):
    """The request is wrong in itself; nothing was read or written. `faults` lists all that is wrong with it."""

    faults: tuple[str, ...]

    def __init__(self, message: str, *, hint: str = "", faults: Iterable[str] = ()) -> None:
        self.faults = tuple(faults)
        listed = "".join(f"\n  - {fault}" for fault in self.faults)
        super().__init__(message + listed, hint=hint)


class InvalidPipelineError(InvalidRequestError):
    """A pipeline's graph, types or names are wrong."""


class InvalidMoveError(InvalidRequestError):
    """A model version may not move to that stage."""


class InvalidEntitiesError(InvalidRequestError):
    """Entity rows lack a key or a time, or have the wrong type."""


class InvalidTrafficError(InvalidRequestError):
    """Traffic shares do not sum to 100 or name an unknown deployment."""


class ServiceError(CloudMLOpsError):
    """The provider answered with an error."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        provider: str = "",
        operation: str = "",
        resource: str = "",
        request_id: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.provider = provider
        self.operation = operation
        self.resource = resource
        self.request_id = request_id
        self.retryable = retryable


class AuthenticationError(ServiceError):
    """The provider does not know who is calling."""


class PermissionDeniedError(ServiceError, PermissionError):
    """The caller is known and may not do this."""


class NotFoundError(ServiceError, LookupError):
    """The thing asked for does not exist."""


class ConflictError(ServiceError):
    """Somebody else changed it first, or it exists already."""


class QuotaExceededError(ServiceError):
    """Too much, or too often; try again after `retry_after`."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class UnavailableError(ServiceError, ConnectionError):
    """The provider could not be reached, or could not answer now."""


class UnexpectedReplyError(ServiceError):
    """The provider's answer, or a stored file, is not what its format promises."""


class RunFailedError(CloudMLOpsError):
    """A pipeline run ended without success; `run` is its handle or its record."""

    def __init__(self, message: str, *, run: Any, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.run = run


class DeploymentFailedError(CloudMLOpsError):
    """A deployment did not become healthy; the endpoint is as it was before."""

    def __init__(self, message: str, *, deployment: Any, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.deployment = deployment


class WaitTimeoutError(CloudMLOpsError, TimeoutError):
    """We stopped waiting; what was waited for goes on, unless the message says that it was cancelled."""
