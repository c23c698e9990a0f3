"""Source files as one archive, named for its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from cloudmlops.domain.runs import SourceRoot
from cloudmlops.materializers.digests import stamp

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold: equal files make an equal archive, whenever they were written."""


def source_digest(roots: Iterable[SourceRoot]) -> str:
    """Return the SHA-256 over the names and contents of the roots' files."""
    whole = hashlib.sha256()
    for name, file in _named(roots):
        whole.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return whole.hexdigest()


def source_stamp(roots: Iterable[SourceRoot]) -> str:
    """Return what tells files that nobody has written to since from others, without reading them.

    Raises:
        FileNotFoundError: One is gone.
    """
    return stamp(_named(roots))


def snapshot_key(digest: str) -> str:
    """Return the archive's key in the object store."""
    return f"snapshots/{digest}.zip"


def pack(roots: Iterable[SourceRoot]) -> bytes:
    """Return an archive of the roots' files; each root is a folder, called by its number."""
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in _named(roots):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpacked(roots: Iterable[SourceRoot], folder: Path) -> tuple[SourceRoot, ...]:
    """Return the roots as they lie in the folder into which their archive was unpacked."""
    return tuple(replace(root, path=str(folder / str(place))) for place, root in enumerate(roots))


def unpack(archive: Path, folder: Path) -> None:
    """Lay out what `pack` took up; the folder appears whole or not at all."""
    import shutil
    import tempfile
    import zipfile

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    try:
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(temporary)
        temporary.rename(folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not folder.is_dir():  # else somebody else was faster, with the same content
            raise


def _named(roots: Iterable[SourceRoot]) -> Iterator[tuple[str, Path]]:
    for place, root in enumerate(roots):
        for file in root.files:
            yield f"{place}/{file}", Path(root.path, file)
