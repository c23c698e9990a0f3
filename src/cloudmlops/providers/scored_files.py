"""Files that are scored and written, in whichever store they lie or on this machine."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cloudmlops.errors import InvalidRequestError

if TYPE_CHECKING:
    from cloudmlops.ports.objects import ObjectStore

Open = Callable[[str], "ObjectStore"]
"""Opens the store at an address."""


def fetched(uri: str, place: Path, open_store: Open) -> Path:
    """Return a file of this machine with what lies at an address; another one is copied to a folder first."""
    if (path := _local(uri)) is not None:
        return path
    parent, _, key = uri.rpartition("/")
    open_store(parent).download(key, place / key)
    return place / key


def put(written: Path, uri: str, open_store: Open) -> None:
    """Write a file to an address, whole or not at all."""
    if (path := _local(uri)) is None:
        parent, _, key = uri.rpartition("/")
        open_store(parent).upload(key, written)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    scratch.write_bytes(written.read_bytes())
    scratch.replace(path)


def suffix(uri: str) -> str:
    """Return the ending of an address.

    Raises:
        InvalidRequestError: It is neither `.parquet` nor `.jsonl`.
    """
    found = Path(urlsplit(uri).path).suffix
    if found not in (".jsonl", ".parquet"):
        raise InvalidRequestError(
            f"{uri} is neither .parquet nor .jsonl", hint="Give a file with one of these endings."
        )
    return found


def _local(uri: str) -> Path | None:
    if "://" not in uri:
        return Path(uri)
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
