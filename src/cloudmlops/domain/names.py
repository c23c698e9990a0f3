"""Names that every provider can hold."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def name_faults(kind: str, name: object) -> list[str]:
    """List what is wrong with `name`, in words; empty when every provider can hold it.

    Vertex AI's resource ids are the narrowest: a lower-case letter, then up to 62 of a-z, 0-9, `-` and `_`.
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return []
    return [f"{kind} name {name!r} must be a lower-case letter, then at most 62 of a-z, 0-9, '-' and '_'"]
