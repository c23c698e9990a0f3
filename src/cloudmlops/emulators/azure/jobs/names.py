"""Names of inputs and outputs: variables, and folders of a job, are named after them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import Detail, UserError

_NAME: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
"""Dots are between the names of groups."""


def check_names(where: str, *given: Mapping[str, Any] | None) -> None:
    """Refuse what cannot be the name of an input or an output; the words of the real refusal are not recorded.

    Args:
        where: What has them, for the message.
        given: Inputs or outputs by their names.

    Raises:
        Refused: One cannot; the details have all of them.
    """
    wrong = [name for part in given for name in part or {} if not _NAME.fullmatch(name)]
    if wrong:
        raise UserError(
            "INVALID_ARGUMENT",
            "Request is invalid and/or missing fields.",
            [
                Detail(
                    code="RequestInvalid",
                    message=f"The name {name!r} of an input or output of {where} is invalid: letters, digits and '_', "
                    "no digit first.",
                )
                for name in wrong
            ],
        )
