"""One call of MLflow's REST API, and how it is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloudmlops.emulators.azure.entra.tokens import Caller
from cloudmlops.emulators.core.answering import Answer, Asked, answer_json
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused

INVALID: Final = "INVALID_PARAMETER_VALUE"
ABSENT: Final = "RESOURCE_DOES_NOT_EXIST"
EXISTS: Final = "RESOURCE_ALREADY_EXISTS"
_CODES: Final = {
    "UNAUTHENTICATED": "UNAUTHENTICATED",
    "PERMISSION_DENIED": "PERMISSION_DENIED",
    "NOT_FOUND": ABSENT,
    "INVALID_ARGUMENT": INVALID,
    "UNIMPLEMENTED": "NOT_IMPLEMENTED",
    "RESOURCE_EXHAUSTED": "REQUEST_LIMIT_EXCEEDED",
    "UNAVAILABLE": "TEMPORARILY_UNAVAILABLE",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A call that was let in."""

    asked: Asked
    caller: Caller
    workspace: Mapping[str, Any]
    """As Azure Resource Manager shows it."""
    version: str
    """Of the API, `v1.0` or `v2.0`: addresses of artifacts are written with it."""
    given: Mapping[str, Any]
    """What was sent, as JSON or in the query."""

    @property
    def workspace_id(self) -> str:
        """Of the workspace."""
        return str(self.workspace["id"])

    def text(self, name: str, default: str = "") -> str:
        """Return a text that was sent."""
        value = self.given.get(name)
        return default if value is None else str(value)

    def needed(self, name: str) -> str:
        """Return a text that must have been sent.

        Raises:
            Refused: It was not.
        """
        if not (value := self.text(name)):
            raise invalid(f"Missing value for required parameter '{name}'.")
        return value

    def number(self, name: str, default: int) -> int:
        """Return a whole number that was sent.

        Raises:
            Refused: It is none.
        """
        value = self.given.get(name)
        if value is None or value == "":
            return default
        try:
            return int(value)
        except (TypeError, ValueError) as error:
            raise invalid(f"Invalid value {value!r} for parameter '{name}': it must be a whole number.") from error

    def listed(self, name: str) -> list[Any]:
        """Return a list that was sent; in a query it is given by repeating the name."""
        value = self.given.get(name)
        if isinstance(value, list):
            return value
        return self.asked.values(name) if value is not None else []


def invalid(message: str) -> Refused:
    """Return the refusal of something that makes no sense."""
    return Refused("INVALID_ARGUMENT", message, reason=INVALID)


def absent(message: str) -> Refused:
    """Return the refusal of something that there is not."""
    return Refused("NOT_FOUND", message, reason=ABSENT)


def taken(message: str) -> Refused:
    """Return the refusal of a name that is taken; MLflow's server answers it with 400."""
    return Refused("INVALID_ARGUMENT", message, reason=EXISTS)


def refusal(refused: Refused) -> Answer:
    """Return an error as MLflow's clients read it."""
    code = refused.reason if refused.reason.isupper() else _CODES.get(refused.code, "INTERNAL_ERROR")
    headers = {} if refused.retry_after_seconds is None else {"retry-after": str(round(refused.retry_after_seconds))}
    return answer_json(
        {"error_code": code, "message": refused.message}, status=HTTP_STATUS.get(refused.code, 500), headers=headers
    )


def number_shown(value: float) -> float | str:
    """Return a number as JSON can hold it: those that are none become text, as protocol buffers write them."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
