"""How Blob Storage says no: codes, statuses and texts (learn.microsoft.com, "Blob service error codes", recordings)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Final
from xml.sax.saxutils import escape

from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.core.streaming import StreamedAnswer

_CONDITION: Final = "The condition specified using HTTP conditional header(s) is not met."
_NOT_SIGNED: Final = (
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
    "including the signature."
)
_TEXTS: Final = {
    "AccountNotFound": (404, "There is no storage account of this name."),
    "AppendPositionConditionNotMet": (412, "The append position condition specified was not met."),
    "AuthenticationFailed": (403, _NOT_SIGNED),
    "AuthorizationFailure": (403, "This request is not authorized to perform this operation."),
    "AuthorizationPermissionMismatch": (
        403,
        "This request is not authorized to perform this operation using this permission.",
    ),
    "AuthorizationProtocolMismatch": (
        403,
        "This request is not authorized to perform this operation using this protocol.",
    ),
    "AuthorizationResourceTypeMismatch": (
        403,
        "This request is not authorized to perform this operation using this resource type.",
    ),
    "AuthorizationServiceMismatch": (
        403,
        "This request is not authorized to perform this operation using this service.",
    ),
    "BlobAlreadyExists": (409, "The specified blob already exists."),
    "BlobNotFound": (404, "The specified blob does not exist."),
    "BlockCountExceedsLimit": (409, "The committed block count cannot exceed the maximum limit of 50,000 blocks."),
    "BlockListTooLong": (400, "The block list may not contain more than 50,000 blocks."),
    "CannotVerifyCopySource": (404, "Could not verify the copy source within the specified time."),
    "ConditionNotMet": (412, _CONDITION),
    "ContainerAlreadyExists": (409, "The specified container already exists."),
    "ContainerNotFound": (404, "The specified container does not exist."),
    "EmptyMetadataKey": (400, "The key for one of the metadata key-value pairs is empty."),
    "InvalidAuthenticationInfo": (
        401,
        "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.",
    ),
    "InvalidBlobOrBlock": (400, "The specified blob or block content is invalid."),
    "InvalidBlobType": (409, "The blob type is invalid for this operation."),
    "InvalidBlockId": (400, "The specified block ID is invalid. The block ID must be Base64-encoded."),
    "InvalidBlockList": (400, "The specified block list is invalid."),
    "InvalidHeaderValue": (400, "The value for one of the HTTP headers is not in the correct format."),
    "InvalidInput": (400, "One of the request inputs is not valid."),
    "InvalidMd5": (
        400,
        "The MD5 value specified in the request is invalid. MD5 value must be 128 bits and base64 encoded.",
    ),
    "InvalidMetadata": (400, "The metadata specified is invalid. It has characters that are not permitted."),
    "InvalidQueryParameterValue": (
        400,
        "Value for one of the query parameters specified in the request URI is invalid.",
    ),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "InvalidResourceName": (400, "The specifed resource name contains invalid characters."),
    "InvalidUri": (400, "The requested URI does not represent any resource on the server."),
    "InvalidXmlDocument": (400, "XML specified is not syntactically valid."),
    "InvalidXmlNodeValue": (400, "The value for one of the XML nodes is not in the correct format."),
    "LeaseAlreadyPresent": (409, "There is already a lease present."),
    "LeaseIdMismatchWithBlobOperation": (
        412,
        "The lease ID specified did not match the lease ID for the blob.",
    ),
    "LeaseIdMismatchWithLeaseOperation": (409, "The lease ID specified did not match the lease ID for the blob."),
    "LeaseIdMissing": (
        412,
        "There is currently a lease on the blob and no lease ID was specified in the request.",
    ),
    "LeaseIsBreakingAndCannotBeAcquired": (
        409,
        "The lease ID matched, but the lease is currently in breaking state and cannot be acquired until it is broken.",
    ),
    "LeaseIsBreakingAndCannotBeChanged": (
        409,
        "The lease ID matched, but the lease is currently in breaking state and cannot be changed.",
    ),
    "LeaseIsBrokenAndCannotBeRenewed": (
        409,
        "The lease ID matched, but the lease has been broken explicitly and cannot be renewed.",
    ),
    "LeaseLost": (412, "A lease ID was specified, but the lease for the blob has expired."),
    "LeaseNotPresentWithBlobOperation": (412, "There is currently no lease on the blob."),
    "LeaseNotPresentWithLeaseOperation": (409, "There is currently no lease on the blob."),
    "MaxBlobSizeConditionNotMet": (412, "The max blob size condition specified was not met."),
    "Md5Mismatch": (
        400,
        "The MD5 value specified in the request did not match with the MD5 value calculated by the server.",
    ),
    "MissingRequiredHeader": (400, "An HTTP header that's mandatory for this request is not specified."),
    "MissingRequiredQueryParameter": (
        400,
        "A query parameter that's mandatory for this request is not specified.",
    ),
    "MultipleConditionHeadersNotSupported": (400, "Multiple condition headers are not supported."),
    "NoAuthenticationInformation": (
        401,
        "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.",
    ),
    "OutOfRangeInput": (400, "One of the request inputs is out of range."),
    "OutOfRangeQueryParameterValue": (
        400,
        "One of the query parameters specified in the request URI is outside the permissible range.",
    ),
    "PublicAccessNotPermitted": (409, "Public access is not permitted on this storage account."),
    "RequestBodyTooLarge": (
        413,
        "The request body is too large and exceeds the maximum permissible limit.",
    ),
    "SourceConditionNotMet": (
        412,
        "The source condition specified using HTTP conditional header(s) is not met.",
    ),
    "UnauthorizedBlobOverwrite": (403, "This request is not authorized to perform blob overwrites."),
    "UnsatisfiableCondition": (400, "The request includes an unsatisfiable condition for this operation."),
}
_OF_STATUS: Final = {
    400: "InvalidInput",
    401: "InvalidAuthenticationInfo",
    403: "AuthorizationFailure",
    404: "ResourceNotFound",
    409: "ResourceAlreadyExists",
    429: "ServerBusy",
    500: "InternalError",
    501: "NotImplemented",
    503: "ServerBusy",
    504: "OperationTimedOut",
}
_RPC: Final = {
    304: "FAILED_PRECONDITION",
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",
    416: "OUT_OF_RANGE",
}
_BOM: Final = "\ufeff"


class BlobError(Refused):
    """What Blob Storage answers instead of a result."""

    def __init__(
        self,
        code: str,
        *,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        """Make one.

        Args:
            code: The service's own, such as `BlobNotFound`.
            details: Elements beside the message, such as `AuthenticationErrorDetail`.
            headers: Of the answer.
            status: Of HTTP, where it is not always the code's.
        """
        usual, message = _TEXTS[code]
        self.status = status or usual
        super().__init__(_RPC[self.status], message, reason=code)
        self.details = details or {}
        self.headers = headers or {}


class NotModified(BlobError):  # noqa: N818 a reply, not a mistake of ours
    """What a reader has is what there is."""

    def __init__(self) -> None:
        super().__init__("ConditionNotMet", status=int(HTTPStatus.NOT_MODIFIED))


def not_emulated(what: str) -> Refused:
    """Say what is not emulated, by name."""
    return Refused("UNIMPLEMENTED", f"{what} not emulated", reason="NotImplemented")


def not_authenticated(detail: str) -> BlobError:
    """Return the 403 of a signature that does not hold, with what is said of why."""
    return BlobError("AuthenticationFailed", details={"AuthenticationErrorDetail": detail})


def answer_error(refused: Refused, *, now: datetime, request: str, head: bool) -> StreamedAnswer:
    """Write a refusal.

    Args:
        refused: Of this service, or a fault's.
        now: The moment.
        request: The request's id.
        head: Whether no body is to be sent.
    """
    status = refused.status if isinstance(refused, BlobError) else HTTP_STATUS.get(refused.code, 500)
    code = refused.reason if refused.reason[:1].isupper() else _OF_STATUS.get(status, "InternalError")
    headers = {"x-ms-error-code": code}
    if isinstance(refused, BlobError):
        headers |= refused.headers
    if refused.retry_after_seconds is not None:
        headers["retry-after"] = str(max(1, round(refused.retry_after_seconds)))
    if head or status == HTTPStatus.NOT_MODIFIED:
        return StreamedAnswer(status=status, headers=headers)
    details = refused.details if isinstance(refused, BlobError) else {}
    more = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in details.items())
    time = f"{now:%Y-%m-%dT%H:%M:%S.%f}0Z"
    body = (
        f'{_BOM}<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code>'
        f"<Message>{escape(refused.message)}\nRequestId:{request}\nTime:{time}</Message>{more}</Error>"
    )
    return StreamedAnswer(status=status, body=body.encode(), headers={"content-type": "application/xml", **headers})
