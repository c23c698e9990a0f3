"""Source files as one archive, named for its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold: equal files make an equal archive, whenever they were written."""


def source_digest(root: Path, files: Iterable[str]) -> str:
    """Return the SHA-256 over the names and contents of `files`, which are relative to `root`."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file}\0{hashlib.sha256((root / file).read_bytes()).hexdigest()}\0".encode())
    return whole.hexdigest()


def snapshot_key(digest: str) -> str:
    """Return the archive's key in the object store."""
    return f"snapshots/{digest}.zip"


def pack(root: Path, files: Iterable[str]) -> bytes:
    """Return an archive of `files`."""
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(file, _EPOCH), (root / file).read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


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
