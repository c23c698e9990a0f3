"""Addresses in messages and logs, which others read."""

from __future__ import annotations

import re
from typing import Final

_CREDENTIALS: Final = re.compile(r"://[^\s'\"]*@")
_QUERY: Final = re.compile(r"\?[^\s'\")]+")


def redacted(text: str) -> str:
    """Return `text` without the credentials and queries of the addresses in it: both may hold secrets."""
    return _QUERY.sub("?…", _CREDENTIALS.sub("://…@", text))
