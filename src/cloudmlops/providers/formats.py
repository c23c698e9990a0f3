"""How settings write folders and addresses: what is malformed is told before anything is asked."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from cloudmlops.domain.addresses import redacted


def looking(pattern: str, wanted: str) -> AfterValidator:
    """Return the check that a whole text looks so."""
    compiled = re.compile(pattern)

    def check(given: str) -> str:
        if not compiled.fullmatch(given):
            raise ValueError(f"{redacted(given)!r} is not {wanted}")
        return given

    return AfterValidator(check)


def _prefix(given: str) -> str:
    if given and (
        any(part in ("", ".", "..") for part in given.split("/")) or re.search(r"[\x00-\x1f\x7f?#*\[\]]", given)
    ):
        raise ValueError(f"{given!r} is not a folder of a bucket such as team/cloudmlops")
    return given


def _api_url(given: str) -> str:
    try:
        parts = urlsplit(given)
        parts.port  # noqa: B018 reading it checks it
    except ValueError:
        parts = urlsplit("")
    if "@" in given:
        raise ValueError("an address of services holds no credentials: leave out what stands before the @")
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.path.strip("/")
        or "?" in given
        or "#" in given
    ):
        raise ValueError(f"{redacted(given)!r} is not an address such as http://127.0.0.1:8080")
    return f"{parts.scheme}://{parts.netloc}"


Prefix = Annotated[str, AfterValidator(_prefix)]
"""A folder in a bucket or container; empty is its root."""
ApiUrl = Annotated[str, AfterValidator(_api_url)]
"""The address of services, without a path."""
