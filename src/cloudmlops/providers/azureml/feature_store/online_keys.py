"""The keys that rows have in Redis. `docs/azureml.md` tells the layout to others: what is here is there.

cloudmlops:PLATFORM:VIEW:LAYOUT:GENERATION:PART…    a hash, the rows kept of one entity
cloudmlops:PLATFORM:VIEW:LAYOUT:generation          the generation that is served; none is 0
cloudmlops:PLATFORM:VIEW:LAYOUT:rebuilds            the generations that were begun
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.feature_types import type_name
from cloudmlops.domain.features import FeatureView

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.settings import AzureMLSettings

_DIGITS: Final = 16


def platform_id(settings: AzureMLSettings) -> str:
    """Return what stands for a workspace and the folder of a platform in it: 16 hexadecimal digits of a SHA-256."""
    # Azure's names are the same in capitals, folders are not.
    return _digest(f"{settings.workspace_id.lower()}#{settings.prefix}")


class ViewKeys:
    """The keys of one view's rows."""

    def __init__(self, platform: str, view: FeatureView) -> None:
        self.root: Final = f"cloudmlops:{platform}:{view.name}:{_digest(view.layout)}:".encode()
        self.generation: Final = self.root + b"generation"
        self.rebuilds: Final = self.root + b"rebuilds"
        parts = [_PARTS[type_name(kind) or ""] for kind in view.entity.keys.values()]
        self.entity: Final = _single(parts[0]) if len(parts) == 1 else _composite(parts)
        """From the value of a key, or a tuple of values, to what stands for it; None for nobody: a part is null."""

    def rows(self, generation: int) -> bytes:
        """Return what the keys of a generation's rows begin with, before the entity."""
        return b"%s%d:" % (self.root, generation)

    def generation_of(self, key: bytes) -> int | None:
        """Return to which generation a key belongs; None when it holds no rows."""
        generation, _, rest = key.removeprefix(self.root).partition(b":")
        return int(generation) if rest and generation.isdigit() else None


def _single(part: Callable[[Any], bytes]) -> Callable[[Any], bytes | None]:
    return lambda key: None if key is None else part(key)


def _composite(parts: Sequence[Callable[[Any], bytes]]) -> Callable[[Any], bytes | None]:
    def written(key: Sequence[Any]) -> bytes | None:
        return None if None in key else b":".join(part(value) for part, value in zip(parts, key, strict=True))

    return written


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _bytes(value: bytes) -> bytes:
    return b"y%d:%s" % (len(value), value)


def _str(value: str) -> bytes:
    encoded = value.encode()
    return b"s%d:%s" % (len(encoded), encoded)


def _int(value: int) -> bytes:
    written = b"%d" % value
    return b"i%d:%s" % (len(written), written)


def _bool(value: bool) -> bytes:
    return b"b1:1" if value else b"b1:0"


def _date(value: date) -> bytes:
    return b"d10:%s" % value.isoformat().encode()


_PARTS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "bool": _bool,
    "bytes": _bytes,
    "date": _date,
    "int": _int,
    "str": _str,
}
"""The type's letter, the length in bytes, the value: no two keys are written alike."""
