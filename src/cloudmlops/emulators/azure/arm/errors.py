"""Errors as Azure Resource Manager and Azure Machine Learning write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused

_CODES: Final = {
    "UNAUTHENTICATED": "AuthenticationFailed",
    "PERMISSION_DENIED": "AuthorizationFailed",
    "NOT_FOUND": "ResourceNotFound",
    "ALREADY_EXISTS": "Conflict",
    "ABORTED": "Conflict",
    "INVALID_ARGUMENT": "BadRequest",
    "FAILED_PRECONDITION": "BadRequest",
    "OUT_OF_RANGE": "BadRequest",
    "RESOURCE_EXHAUSTED": "TooManyRequests",
    "UNAVAILABLE": "ServiceUnavailable",
    "DEADLINE_EXCEEDED": "GatewayTimeout",
    "UNIMPLEMENTED": "NotImplemented",
    "INTERNAL": "InternalServerError",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Detail:
    """One of the things that are wrong."""

    code: str
    message: str


class UserError(Refused):
    """What Azure Machine Learning's front end says of a request: its code is `UserError`, details say what."""

    def __init__(self, code: str, message: str, details: Sequence[Detail] = (), *, status: int | None = None) -> None:
        super().__init__(code, message, reason="UserError")
        self.details = tuple(details)
        self.status = status


def not_found(code: str, message: str) -> UserError:
    """Return the 404 of something that lies in a workspace.

    Args:
        code: Such as `ModelNotFound`.
        message: Such as `Model container with name: x not found.`
    """
    return UserError("NOT_FOUND", "The specified resource was not found.", (Detail(code=code, message=message),))


def resource_not_found(resource: str, group: str) -> Refused:
    """Return the 404 of something in a resource group, such as a workspace, by `TYPE/NAME`."""
    return Refused(
        "NOT_FOUND",
        f"The Resource '{resource}' under resource group '{group}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
        reason="ResourceNotFound",
    )


def error_body(refused: Refused, *, now: datetime, location: str) -> dict[str, Any]:
    """Return the JSON of an error."""
    error: dict[str, Any] = {
        "code": refused.reason or _CODES.get(refused.code, refused.code),
        "message": refused.message,
    }
    if isinstance(refused, UserError):
        error["details"] = [
            {"code": one.code, "message": one.message, "details": [], "additionalInfo": []} for one in refused.details
        ]
        error["additionalInfo"] = [
            _info("ComponentName", "managementfrontend"),
            _info("Correlation", {"operation": uuid4().hex, "request": uuid4().hex[:16]}),
            _info("Environment", location),
            _info("Location", location),
            _info("Time", now.isoformat()),
        ]
    return {"error": error}


def answer_error(refused: Refused, *, now: datetime, location: str) -> Answer:
    """Return the answer of an error."""
    status = refused.status if isinstance(refused, UserError) and refused.status else HTTP_STATUS.get(refused.code, 500)
    request = str(uuid4())
    headers = {
        "x-ms-request-id": request,
        "x-ms-correlation-request-id": request,
        "x-ms-response-type": "error",
    }
    if refused.code == "UNAUTHENTICATED":
        headers["www-authenticate"] = (
            'Bearer authorization_uri="https://login.microsoftonline.com/", error="invalid_token", '
            f'error_description="{refused.reason}"'
        )
    if refused.retry_after_seconds is not None:
        headers["retry-after"] = str(max(1, round(refused.retry_after_seconds)))
        headers["retry-after-ms"] = str(round(refused.retry_after_seconds * 1000))
    return answer_json(error_body(refused, now=now, location=location), status=status, headers=headers)


def _info(kind: str, value: object) -> dict[str, Any]:
    return {"type": kind, "info": {"value": value}}
