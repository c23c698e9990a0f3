"""How each API says no."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final

from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.google.storage.downloads import UnsatisfiableRange
from cloudmlops.emulators.google.storage.wire import Answer
from cloudmlops.emulators.google.storage.xml_documents import write

_STATUS: Final = {
    "conditionNotMet": 412,
    "notModified": 304,
    "requestedRangeNotSatisfiable": 416,
    "sessionGone": 410,
}
"""What `google.rpc.Code` cannot say."""
_XML_CODES: Final = {
    "conditionNotMet": "PreconditionFailed",
    "conflict": "BucketNotEmpty",
    "noSuchBucket": "NoSuchBucket",
    "notFound": "NoSuchKey",
    "notImplemented": "NotImplemented",
    "objectUnderActiveHold": "ObjectUnderActiveHold",
    "requestedRangeNotSatisfiable": "InvalidRange",
    "retentionPolicyNotMet": "RetentionPolicyNotMet",
}
_XML_BY_STATUS: Final = {
    400: "InvalidArgument",
    401: "AuthenticationRequired",
    403: "AccessDenied",
    404: "NoSuchKey",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}
_REASONS: Final = {
    400: "invalid",
    401: "required",
    403: "forbidden",
    404: "notFound",
    409: "conflict",
    429: "rateLimitExceeded",
    500: "backendError",
    503: "backendError",
}


def json_refusal(refused: Refused) -> Answer:
    """Write a refusal as the JSON API does."""
    status = _status(refused)
    if status == HTTPStatus.NOT_MODIFIED:
        return Answer(status=status)
    known = "" if refused.reason.isupper() else refused.reason  # such as ACCESS_TOKEN_EXPIRED, which this API has not
    reason = "notFound" if known == "noSuchBucket" else known or _REASONS.get(status, "backendError")
    error = {
        "code": status,
        "message": refused.message,
        "errors": [{"message": refused.message, "domain": "global", "reason": reason}],
    }
    headers = {"content-type": "application/json; charset=UTF-8", **_more(refused)}
    return Answer(status=status, body=json.dumps({"error": error}).encode(), headers=headers)


def xml_refusal(refused: Refused) -> Answer:
    """Write a refusal as the XML API does."""
    status = _status(refused)
    if status == HTTPStatus.NOT_MODIFIED:
        return Answer(status=status)
    own = refused.reason[:1].isupper() and not refused.reason.isupper()
    known = refused.reason if own else _XML_CODES.get(refused.reason)
    code = known or _XML_BY_STATUS.get(status, "InternalError")
    message = "The specified key does not exist." if code == "NoSuchKey" else refused.message
    body = write("Error", [("Code", code), ("Message", message), ("Details", refused.message)], namespace="")
    headers = {"content-type": "application/xml; charset=UTF-8", **_more(refused)}
    return Answer(status=status, body=body, headers=headers)


def _status(refused: Refused) -> int:
    return _STATUS.get(refused.reason) or HTTP_STATUS[refused.code]


def _more(refused: Refused) -> dict[str, str]:
    headers = {}
    if refused.retry_after_seconds is not None:
        headers["retry-after"] = str(max(1, round(refused.retry_after_seconds)))
    if isinstance(refused, UnsatisfiableRange):
        headers["content-range"] = f"bytes */{refused.size}"
    return headers
