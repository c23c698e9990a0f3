"""Azure's exceptions as ours: by class, and by the status and code of what was answered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from azure.core import exceptions as azure

from cloudmlops.errors import (
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ServiceError,
    UnavailableError,
    UnexpectedReplyError,
)
from cloudmlops.providers.azureml.mapping.access import verb_of
from cloudmlops.providers.azureml.mapping.roles import roles_with
from cloudmlops.providers.verdicts import UNANSWERED, verdict

PROVIDER: Final = "azureml"
OURS: Final[Mapping[type[Exception], type[ServiceError]]] = {
    azure.AzureError: ServiceError,
    azure.ClientAuthenticationError: AuthenticationError,
    azure.DecodeError: UnexpectedReplyError,
    azure.DeserializationError: UnexpectedReplyError,
    azure.HttpResponseError: ServiceError,
    azure.IncompleteReadError: UnavailableError,
    azure.ODataV4Error: ServiceError,
    azure.ResourceExistsError: ConflictError,
    azure.ResourceModifiedError: ConflictError,
    azure.ResourceNotFoundError: NotFoundError,
    azure.ResourceNotModifiedError: UnexpectedReplyError,
    azure.ResponseNotReadError: UnexpectedReplyError,
    azure.SerializationError: ServiceError,
    azure.ServiceRequestError: UnavailableError,
    azure.ServiceRequestTimeoutError: UnavailableError,
    azure.ServiceResponseError: UnavailableError,
    azure.ServiceResponseTimeoutError: UnavailableError,
    azure.StreamClosedError: UnexpectedReplyError,
    azure.StreamConsumedError: UnexpectedReplyError,
    azure.TooManyRedirectsError: UnexpectedReplyError,
}
"""By the most special class; those of azure-ai-ml and azure-identity are derived from these."""
BY_STATUS: Final[Mapping[int, type[ServiceError]]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: UnavailableError,
    409: ConflictError,
    412: ConflictError,
    429: QuotaExceededError,
    500: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}
"""What an answer's status says counts before its exception's class, which azure-core chooses for some statuses only."""
_QUOTAS: Final = frozenset(
    {"clustercorequotareached", "clusterminnodesexceedcorequota", "insufficientquota", "outofquota", "quotaexceeded"}
)
"""Codes of a quota of machines, in small letters: Azure ML's own and Azure's, in an answer of 400 or 409."""
_ENDPOINTS_SAY: Final = "Not enough quota available for "
_QUOTA_SAID: Final[Mapping[str, str]] = {
    "badrequest": _ENDPOINTS_SAY,
    "inferencingclientcreatedeploymentfailed": _ENDPOINTS_SAY,
    "operationnotallowed": "results in exceeding approved ",
    "usererror": _ENDPOINTS_SAY,
}
"""Codes of many things, in small letters, and what their message says where they mean a quota (learn.microsoft.com,
"Troubleshoot online endpoints" and "Resolve errors for resource quotas")."""
_UNANSWERED: Final = (azure.ServiceRequestError, azure.ServiceResponseError, azure.IncompleteReadError)
"""No answer came, or not all of it: nothing was refused."""
_ACTION: Final = re.compile(r"perform (?:the )?action '([^']+)'")
_SCOPE: Final = re.compile(r"over scope '([^']+)'")
_SECRETS: Final = "Microsoft.MachineLearningServices/workspaces/datastores/listSecrets/action"
_LACKS_ROLE: Final = "AuthorizationPermissionMismatch"
_MAY_BE_NETWORK: Final = "AuthorizationFailure"
"""Code of Blob storage's 403 for callers that the account's network rules keep out, and for other refusals."""
_REFUSED_BY_STORAGE: Final = frozenset({_LACKS_ROLE, _MAY_BE_NETWORK})
"""Codes of Blob storage's own 403."""
_RETRYABLE: Final = (UnavailableError, QuotaExceededError)
_HINTS: Final[Mapping[type[ServiceError], str]] = {
    AuthenticationError: "Log in with `az login`, or set AZURE_CLIENT_ID, AZURE_TENANT_ID and a secret, certificate or "
    "federated token of a service principal.",
    QuotaExceededError: "Try again later, or ask for a higher quota in the portal under Quotas.",
    UnavailableError: "Try again; nothing that was acknowledged is lost.",
}


@contextmanager
def translated(operation: str, resource: str) -> Iterator[None]:
    """Raise Azure's exceptions as ours.

    Args:
        operation: The verb, such as `models.get`.
        resource: What it is done to, in our names.
    """
    try:
        yield
    except (azure.AzureError, azure.DeserializationError, azure.SerializationError) as error:
        raise translation(error, operation, resource) from error


def translation(error: Exception, operation: str, resource: str) -> ServiceError:
    """Return our error for one of Azure's."""
    kind = _ours(error)
    said = _said(error)
    details: dict[str, Any] = {
        "hint": _hint(error, kind, operation),
        "provider": PROVIDER,
        "operation": operation,
        "resource": resource,
        "request_id": _request_id(error),
        "retryable": issubclass(kind, _RETRYABLE),
    }
    message = (
        f"{operation} of {resource!r} {_went(error, kind)}: {said}"
        if resource
        else f"{operation} {_went(error, kind)}: {said}"
    )
    if issubclass(kind, QuotaExceededError):
        return kind(message, retry_after=_retry_after(error), **details)
    return kind(message, **details)


def _ours(error: Exception) -> type[ServiceError]:
    if _refusal_of_storage(error):
        return PermissionDeniedError
    by_class = next((OURS[known] for known in type(error).__mro__ if known in OURS), ServiceError)
    if not isinstance(error, azure.HttpResponseError) or issubclass(by_class, UnexpectedReplyError):
        return by_class
    if error.status_code is None:
        return by_class
    by_status = BY_STATUS.get(error.status_code, by_class)
    return QuotaExceededError if by_status in (ServiceError, ConflictError) and _is_quota(error) else by_status


def _is_quota(error: azure.HttpResponseError) -> bool:
    return any(
        code in _QUOTAS or (code in _QUOTA_SAID and _QUOTA_SAID[code] in message) for code, message in _told(error)
    )


def _told(error: Exception) -> Iterator[tuple[str, str]]:
    """Yield codes, in small letters, and messages of an error: its own, those within it, and those of its details."""
    whole = getattr(error, "error", None)
    for one in (whole, *(getattr(whole, "details", None) or ())):
        message = str(getattr(one, "message", None) or "")
        yield str(getattr(one, "code", None) or "").lower(), message
        within = getattr(one, "innererror", None)
        while isinstance(within, Mapping):
            yield str(within.get("code") or "").lower(), message
            within = within.get("innererror") or within.get("innerError")


def _went(error: Exception, kind: type[ServiceError]) -> str:
    return UNANSWERED if isinstance(error, _UNANSWERED) else verdict(kind)


def _said(error: Exception) -> str:
    """Return what was said in a line: Azure ML's front end says what is wrong in the details."""
    said = str(getattr(error, "message", "") or error).split("\n")[0]
    details = getattr(getattr(error, "error", None), "details", None) or ()
    told = [str(one.message) for one in details if getattr(one, "message", "")]
    return " ".join([said, *(one for one in told if one not in said)])


def _hint(error: Exception, kind: type[ServiceError], operation: str) -> str:
    if kind is not PermissionDeniedError:
        return _HINTS.get(kind, "")
    rest = f"platform.check_access(['{verb}']) lists all that is missing." if (verb := verb_of(operation)) else ""
    if code := _refusal_of_storage(error):
        return f"{_storage_hint(code)} {rest}".rstrip()
    missing = list(dict.fromkeys(_ACTION.findall(str(error))))
    if not missing:
        return rest or "Ask an owner of the workspace for the role that it needs."
    scopes = list(dict.fromkeys(_SCOPE.findall(str(error))))
    on = f" on {scopes[0]}" if scopes else ""
    roles = " and ".join(roles_with(missing))
    remedy = f" Granted by: {roles}." if roles else ""
    return f"The caller lacks {', '.join(missing)}{on}.{remedy} {rest}".rstrip()


def _storage_hint(code: str) -> str:
    rights = (
        "Azure's SDK asks for the datastore's secrets first and, where it is refused them, asks Blob storage as the "
        f"caller, who is refused in turn: the caller lacks {_SECRETS} (granted by: "
        f"{' and '.join(roles_with([_SECRETS]))}), or else the role Storage Blob Data Contributor on the account"
    )
    if code == _MAY_BE_NETWORK:
        return (
            "Either the account's network rules keep this machine out (a firewall, or public access is disabled: come "
            f"from an allowed network, or have this one allowed under Networking), or rights are missing. {rights}."
        )
    return f"{rights}."


def _refusal_of_storage(error: BaseException) -> str:
    """Return the code of Blob storage's refusal that an error is, or was raised because of; empty for any other."""
    seen: BaseException | None = error
    while seen is not None:
        code = str(getattr(seen, "error_code", None) or "")
        if isinstance(seen, azure.HttpResponseError) and code in _REFUSED_BY_STORAGE:
            return code
        seen = seen.__cause__ or seen.__context__
    return ""


def _request_id(error: Exception) -> str:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return str(headers.get("x-ms-request-id", ""))


def _retry_after(error: Exception) -> timedelta | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    for name, unit in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return timedelta(seconds=float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    return None
