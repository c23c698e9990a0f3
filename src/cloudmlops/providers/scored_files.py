"""Files that are scored and written, in whichever store they lie or on this machine."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from cloudmlops.errors import InvalidRequestError, WaitTimeoutError

if TYPE_CHECKING:
    from cloudmlops.ports.objects import ObjectStore

FOLDER: Final = "batches"
"""Folder of the platform's objects that files pass through."""
LONGEST_WAIT: Final = timedelta(days=1)
"""The longest that a job may be waited for that scores a file."""
LEFT_AFTER: Final = 2 * LONGEST_WAIT
"""What is older than this was left by a process that was killed."""
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


def too_slow(uri: str, job: str, longest: timedelta) -> WaitTimeoutError:
    """Return what is raised when a file has not been scored in time."""
    return WaitTimeoutError(
        f"{uri} has not been scored after {longest}: {job} was cancelled, and nothing was written",
        hint="Give the target a longer batch_timeout=SECONDS, or score smaller files.",
    )


def _local(uri: str) -> Path | None:
    if "://" not in uri:
        return Path(uri)
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
