"""Files that are scored and written, in whichever store they lie or on this machine."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote, urlsplit

from cloudmlops.errors import InvalidRequestError, WaitTimeoutError
from cloudmlops.providers.awaited_jobs import cancelled, seen

if TYPE_CHECKING:
    from cloudmlops.ports.objects import ObjectStore

FOLDER: Final = "batches"
"""Folder of the platform's objects that files pass through."""
LONGEST_WAIT: Final = timedelta(days=1)
"""The longest that a job may be waited for that scores a file."""
LEFT_AFTER: Final = 2 * LONGEST_WAIT
"""What is older than this was left by a process that was killed."""
_SHORTEST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 30.0
_JOB = TypeVar("_JOB")
_log: Final = logging.getLogger("cloudmlops.endpoints")
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


def ended(
    look: Callable[[], _JOB | None], *, cancel: Callable[[], object], job: str, uri: str, longest: timedelta
) -> _JOB:
    """Wait for the end of a job that scores a file; one that is waited for no more is cancelled.

    Args:
        look: Returns the job, or None as long as it goes on. That the provider cannot answer now is no end of it.
        cancel: Ends it: what it would write is removed.
        job: What it is called.
        uri: Address of the file.
        longest: So long is waited.

    Raises:
        WaitTimeoutError: It has not ended in time; says whether it was cancelled.
    """
    begun = time.monotonic()
    try:
        while (found := seen(look, job=job, log=_log)) is None:
            waited = time.monotonic() - begun
            if (left := longest.total_seconds() - waited) <= 0:
                break
            time.sleep(min(max(_SHORTEST_PAUSE_S, waited / 20), _LONGEST_PAUSE_S, left))
    except BaseException:
        cancelled(cancel, job=job, log=_log)
        raise
    if found is None:
        raise WaitTimeoutError(
            f"{uri} has not been scored after {longest}: {cancelled(cancel, job=job, log=_log)}, "
            "and nothing was written",
            hint="Nothing of the call remains but the job's record. Give the target a longer batch_timeout=SECONDS, or "
            "score smaller files.",
        )
    return found


def _local(uri: str) -> Path | None:
    if "://" not in uri:
        return Path(uri)
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
