"""Google's exceptions as ours: one table, walked by a test against every class of `google.api_core.exceptions`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import requests
from google.api_core import exceptions as google
from google.auth import exceptions as auth
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

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
from cloudmlops.providers.verdicts import verdict
from cloudmlops.providers.vertex.mapping.access import role_of, verb_of

PROVIDER: Final = "vertex"
_LATER: Final[Mapping[str, type[ServiceError]]] = {
    "MissingStatusHeaderError": UnexpectedReplyError,
    "ResumableTransferError": UnavailableError,
    "TransferStalledError": UnavailableError,
    "UnseekableStreamError": ServiceError,
    "UploadCancelledError": ServiceError,
}
"""Classes that the oldest google-api-core in our range does not have."""
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
    **{getattr(google, name): ours for name, ours in _LATER.items() if hasattr(google, name)},
}
"""By the most special class: one that Google adds later is its nearest ancestor here. Over REST a cut connection comes
as the HTTP library's own error."""
_PERMISSION: Final = re.compile(
    r"\b((?:aiplatform|bigquery|bigtable|iam|logging|pubsub|resourcemanager|storage)\.(?!googleapis)\w+\.\w+)\b(?!\.)"
)
"""As messages name permissions, where the details do not."""
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)s")
_OF_QUOTA: Final = frozenset({"quotaExceeded", "rateLimitExceeded"})
"""BigQuery's reasons for a 403 that has nothing to do with permissions."""
_RETRYABLE: Final = (UnavailableError, QuotaExceededError)
_OF_POLICIES: Final = frozenset({"access.grant", "access.list", "access.revoke"})
"""What no role of ours allows: who gives roles is above them."""
_HINTS: Final[Mapping[type[ServiceError], str]] = {
    AuthenticationError: "Log in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
    ConflictError: "It is there already, or somebody else changed it meanwhile: look at it, then try again.",
    NotFoundError: "See whether the name is right, and whether it was made, or removed by somebody else.",
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
    """Return our error for one of Google's; one that was met until there was no time to repeat is itself still."""
    said = getattr(error, "message", None) or str(error)
    if isinstance(error, google.RetryError) and (met := _ours(error.cause)) is not None:
        kind, said, error = met, str(error), error.cause
    else:
        kind = _ours(error) or ServiceError
    details: dict[str, Any] = {
        "hint": _hint(error, kind, operation),
        "provider": PROVIDER,
        "operation": operation,
        "resource": resource,
        "request_id": _request_id(error),
        "retryable": issubclass(kind, _RETRYABLE),
    }
    done = f"{operation} of {resource!r}" if resource else operation
    message = f"{done} {verdict(kind)}: {said}"
    if issubclass(kind, QuotaExceededError):
        return kind(message, retry_after=_retry_after(error), **details)
    return kind(message, **details)


def invalid(message: str, *, hint: str = "") -> InvalidRequestError:
    """Return the error for what Google would refuse, found before it is asked."""
    return InvalidRequestError(message, hint=hint)


def _ours(error: Exception | None) -> type[ServiceError] | None:
    if isinstance(error, google.Forbidden) and _OF_QUOTA & {told.get("reason") for told in _told(error)}:
        return QuotaExceededError
    return next((OURS[known] for known in type(error).__mro__ if known in OURS), None)


def _told(error: google.GoogleAPICallError) -> list[Mapping[str, Any]]:
    """Return what BigQuery says of an error, beside its status."""
    return [told for told in error.errors if isinstance(told, Mapping)]


def _hint(error: Exception, kind: type[ServiceError], operation: str) -> str:
    if kind is not PermissionDeniedError:
        return _HINTS.get(kind, "")
    missing = _permissions(error)
    # What is asked beside a verb, such as `connect`, has no permissions of its own.
    rest = f"platform.check_access(['{verb}']) lists all that is missing." if (verb := verb_of(operation)) else ""
    if operation in _OF_POLICIES:
        rest = "The IAM role resourcemanager.projectIamAdmin reads and changes who has which role."
    if not missing:
        return rest or "Ask whoever administrates the project for the role that it needs."
    roles = " and ".join(dict.fromkeys(role.value for name in missing if (role := role_of(name)) is not None))
    remedy = f" The role {roles} has it (docs/access.md)." if roles else ""
    return f"The caller lacks {', '.join(missing)}.{remedy} {rest}".rstrip()


def _permissions(error: Exception) -> list[str]:
    """Return the permissions that Google says are missing: in the details, else in the message."""
    told = [
        str(detail["metadata"]["permission"])
        for kind, detail in _details(error)
        if kind == "ErrorInfo" and "permission" in detail.get("metadata", {})
    ]
    return list(dict.fromkeys(told or _PERMISSION.findall(str(error))))


def _request_id(error: Exception) -> str:
    return next((str(detail["requestId"]) for kind, detail in _details(error) if detail.get("requestId")), "")


def _retry_after(error: Exception) -> timedelta | None:
    for kind, detail in _details(error):
        if kind == "RetryInfo" and (found := _SECONDS.fullmatch(str(detail.get("retryDelay", "")))):
            return timedelta(seconds=float(found[1]))
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    found = _SECONDS.fullmatch(f"{headers.get('retry-after', '')}s")
    return timedelta(seconds=float(found[1])) if found else None


def _details(error: Exception) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the kind and fields of each `google.rpc` detail, whether it came over gRPC or REST."""
    for detail in getattr(error, "details", None) or ():
        if isinstance(detail, Mapping):
            yield str(detail.get("@type", "")).rpartition(".")[2], detail
        elif isinstance(detail, Message):
            yield detail.DESCRIPTOR.name, MessageToDict(detail)
