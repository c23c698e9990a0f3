"""Google's exceptions as ours: one table, walked by a test against every class of `google.api_core.exceptions`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import requests
from google.api_core import exceptions as google
from google.auth import exceptions as auth

from cloudmlops.errors import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ServiceError,
    UnavailableError,
    UnexpectedReplyError,
)

PROVIDER: Final = "vertex"
OURS: Final[Mapping[type[Exception], type[ServiceError]]] = {
    google.Aborted: ConflictError,
    google.AlreadyExists: ConflictError,
    google.AsyncRestUnsupportedParameterError: UnexpectedReplyError,
    google.BadGateway: UnavailableError,
    google.BadRequest: ServiceError,
    google.Cancelled: UnavailableError,
    google.ClientError: ServiceError,
    google.Conflict: ConflictError,
    google.DataLoss: UnexpectedReplyError,
    google.DeadlineExceeded: UnavailableError,
    google.DuplicateCredentialArgs: ServiceError,
    google.FailedPrecondition: ServiceError,
    google.Forbidden: PermissionDeniedError,
    google.GatewayTimeout: UnavailableError,
    google.GoogleAPICallError: ServiceError,
    google.GoogleAPIError: ServiceError,
    google.InternalServerError: UnavailableError,
    google.InvalidArgument: ServiceError,
    google.LengthRequired: ServiceError,
    google.MethodNotAllowed: ServiceError,
    google.MethodNotImplemented: ServiceError,
    google.MovedPermanently: UnexpectedReplyError,
    google.NotFound: NotFoundError,
    google.NotModified: UnexpectedReplyError,
    google.OutOfRange: ServiceError,
    google.PermissionDenied: PermissionDeniedError,
    google.PreconditionFailed: ConflictError,
    google.Redirection: UnexpectedReplyError,
    google.RequestRangeNotSatisfiable: ServiceError,
    google.ResourceExhausted: QuotaExceededError,
    google.ResumeIncomplete: UnavailableError,
    google.RetryError: UnavailableError,
    google.ServerError: UnavailableError,
    google.ServiceUnavailable: UnavailableError,
    google.TemporaryRedirect: UnexpectedReplyError,
    google.TooManyRequests: QuotaExceededError,
    google.Unauthenticated: AuthenticationError,
    google.Unauthorized: AuthenticationError,
    google.Unknown: UnavailableError,
    auth.GoogleAuthError: AuthenticationError,
    auth.TransportError: UnavailableError,
    requests.RequestException: UnavailableError,
}
"""By the most special class: one that Google adds later is its nearest ancestor here. Over REST a cut connection comes as
the HTTP library's own error."""
_RETRYABLE: Final = (UnavailableError, QuotaExceededError)
_HINTS: Final[Mapping[type[ServiceError], str]] = {
    AuthenticationError: "Log in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
    PermissionDeniedError: "`cloudmlops doctor` lists the permissions that are missing, and the role that has them.",
    QuotaExceededError: "Try again later, or ask for a higher quota in the console under IAM & Admin > Quotas.",
    UnavailableError: "Try again; nothing that was acknowledged is lost.",
}


@contextmanager
def translated(operation: str, resource: str) -> Iterator[None]:
    """Raise Google's exceptions as ours.

    Args:
        operation: The verb, such as `models.get`.
        resource: What it is done to, in our names.
    """
    try:
        yield
    except (google.GoogleAPIError, auth.GoogleAuthError, requests.RequestException) as error:
        raise translation(error, operation, resource) from error


def translation(error: Exception, operation: str, resource: str) -> ServiceError:
    """Return our error for one of Google's."""
    kind = next(OURS[known] for known in type(error).__mro__ if known in OURS)
    said = getattr(error, "message", None) or str(error)
    details: dict[str, Any] = {
        "hint": _hint(error, kind),
        "provider": PROVIDER,
        "operation": operation,
        "resource": resource,
        "request_id": _request_id(error),
        "retryable": issubclass(kind, _RETRYABLE),
    }
    message = f"{operation} of {resource!r} was refused: {said}" if resource else f"{operation} was refused: {said}"
    if issubclass(kind, QuotaExceededError):
        return kind(message, retry_after=_retry_after(error), **details)
    return kind(message, **details)


def invalid(message: str, *, hint: str = "") -> InvalidRequestError:
    """Return the error for what Google would refuse, found before it is asked."""
    return InvalidRequestError(message, hint=hint)


def _hint(error: Exception, kind: type[ServiceError]) -> str:
    missing = [
        f"{detail.metadata['permission']}"
        for detail in getattr(error, "details", None) or ()
        if getattr(detail, "reason", "") == "IAM_PERMISSION_DENIED" and "permission" in detail.metadata
    ]
    if missing:
        return f"The caller lacks {', '.join(missing)}. {_HINTS[PermissionDeniedError]}"
    return _HINTS.get(kind, "")


def _request_id(error: Exception) -> str:
    for detail in getattr(error, "details", None) or ():
        if (found := getattr(detail, "request_id", "")) and isinstance(found, str):
            return found
    return ""


def _retry_after(error: Exception) -> timedelta | None:
    for detail in getattr(error, "details", None) or ():
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return timedelta(seconds=delay.seconds, microseconds=delay.nanos // 1000)
    response = getattr(error, "response", None)
    after = getattr(response, "headers", {}).get("retry-after") if response is not None else None
    return timedelta(seconds=float(after)) if after is not None and after.isdigit() else None
