"""How the service says no: JSON with a reason, and DuckDB's words as BigQuery's."""

from __future__ import annotations

import re
from typing import Any, Final

import duckdb

from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused
from cloudmlops.emulators.google.bigquery.arithmetic import ONCE

_REASONS: Final = {
    "NOT_FOUND": "notFound",
    "ALREADY_EXISTS": "duplicate",
    "UNIMPLEMENTED": "notImplemented",
    "PERMISSION_DENIED": "accessDenied",
    "RESOURCE_EXHAUSTED": "rateLimitExceeded",
    "UNAVAILABLE": "backendError",
    "INTERNAL": "internalError",
    "FAILED_PRECONDITION": "conditionNotMet",
    "UNAUTHENTICATED": "authError",
    "CANCELLED": "stopped",
}
_NOBODY: Final = {
    "message": "Invalid Credentials",
    "reason": "authError",
    "location": "Authorization",
    "locationType": "header",
}

_SIGNATURES: Final = {
    "add": "operator +",
    "sub": "operator -",
    "mul": "operator *",
    "div": "operator /",
    "neg": "operator -",
    "bit_and": "operator &",
    "bit_or": "operator |",
    "bit_xor": "operator ^",
    "bit_not": "operator ~",
    "shift_left": "operator <<",
    "shift_right": "operator >>",
    "int_div": "function DIV",
    "ieee_div": "function IEEE_DIVIDE",
    "safe_add": "function SAFE_ADD",
    "safe_sub": "function SAFE_SUBTRACT",
    "safe_mul": "function SAFE_MULTIPLY",
    "safe_div": "function SAFE_DIVIDE",
    "safe_neg": "function SAFE_NEGATE",
}

NOT_EMULATED: Final = "not emulated: "
"""How an error that a rewritten query raises begins, when what it met is not emulated."""


def refusal(refused: Refused) -> Answer:
    """The service's form of an error."""
    status = 412 if refused.reason == "conditionNotMet" else HTTP_STATUS[refused.code]
    error = {"message": refused.message, "domain": "global", "reason": error_proto(refused)["reason"]}
    headers = {}
    if refused.code == "UNAUTHENTICATED":
        error |= _NOBODY
        headers["www-authenticate"] = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
    content = {
        "error": {"code": status, "message": refused.message, "errors": [error], "status": refused.code},
    }
    if refused.retry_after_seconds is not None:
        headers["retry-after"] = str(int(refused.retry_after_seconds))
    return answer_json(content, status=status, headers=headers)


def error_proto(refused: Refused) -> dict[str, Any]:
    """An `ErrorProto`, as a job's status holds it."""
    # Such as ACCESS_TOKEN_EXPIRED, which this API has not.
    given = "" if refused.reason.isupper() else refused.reason
    reason = given or _REASONS.get(refused.code, "invalid")
    return {"reason": reason, "message": refused.message, "location": "query" if reason == "invalidQuery" else ""}


def not_emulated(what: str) -> Refused:
    """Refuse by name what is not emulated."""
    return Refused("UNIMPLEMENTED", f"{what} is not emulated", reason="notImplemented")


def invalid_query(message: str) -> Refused:
    """Refuse a query that cannot be run."""
    return Refused("INVALID_ARGUMENT", message, reason="invalidQuery")


def invalid(message: str) -> Refused:
    """Refuse a request whose value cannot be."""
    return Refused("INVALID_ARGUMENT", message, reason="invalid")


def signature(macro: str) -> str:
    """What BigQuery calls the function or operator that a macro is of."""
    return _SIGNATURES.get(macro.lower().removesuffix(ONCE), f"function or operator {macro.upper()}")


def of_duckdb(error: duckdb.Error) -> Refused:
    """Say in BigQuery's words what DuckDB refused."""
    text = str(error)
    first = re.sub(r"^(?:[A-Z][a-zA-Z ]*Error:\s*)+", "", text.split("\n\n")[0]).strip()
    first = re.sub(r"^Python exception occurred while executing the UDF: ValueError: ", "", first)
    if failed := re.match(
        r"""Could not convert string ['"]!(.*)['"] to [A-Z0-9(),]+""", text.split("Error: ", 1)[-1], re.DOTALL
    ):
        first = failed[1]
    if isinstance(error, duckdb.InterruptException):
        return Refused("CANCELLED", "Job execution was cancelled: User requested cancellation", reason="stopped")
    if first.startswith(NOT_EMULATED):
        return not_emulated(first.removeprefix(NOT_EMULATED))
    if volatile := re.match(r"([A-Z ]+) window expressions cannot be volatile", first):
        return not_emulated(f"a function that may fail in {volatile[1]} of a window")
    if "TRY can not be used" in first:
        return not_emulated("SAFE. before this function, or with these arguments")
    if (column := re.search(r'Referenced column "([^"]+)" (?:was )?not found', text)) or (
        column := re.search(r'does not have a column named "([^"]+)"|[cC]olumn "([^"]+)" referenced that exists', text)
    ):
        return invalid_query(f"Unrecognized name: {next(filter(None, column.groups()))}")
    if unlike := re.match(r"Cannot mix values of type .+ and .+ in (CASE|COALESCE)", first):
        kind = "operator CASE" if unlike[1] == "CASE" else "function COALESCE"
        return invalid_query(f"No matching signature for {kind}: its values do not have a common supertype")
    if table := re.match(r'Referenced table "([^"]+)" not found', first):
        return invalid_query(f"Unrecognized name: {table[1]}")
    if macro := re.match(r"Macro __([a-z0-9_]+)\(\) (?:does not support|has multiple overloads)", first, re.IGNORECASE):
        return invalid_query(f"No matching signature for {signature(macro[1])}")
    if "struct_extract(JSON" in first:
        return not_emulated("a field of JSON by its name")
    if isinstance(error, duckdb.OutOfRangeException) and "verflow" in text:
        return invalid_query(f"int64 overflow: {first}")
    if isinstance(error, duckdb.ConversionException) and not failed:
        return invalid_query(f"Bad value: {first}")
    return invalid_query(first)
