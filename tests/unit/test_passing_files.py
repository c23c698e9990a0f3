"""Files that pass through a store: removed at the end, with what killed processes left, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudmlops.errors import UnavailableError
from cloudmlops.providers.passing_files import PassingFiles
from cloudmlops.storage.local import LocalStore

T = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Away(LocalStore):
    """A store that cannot be listed."""

    def list(self, prefix: str = "", *, after: str | None = None) -> Iterator[str]:
        raise UnavailableError(f"cannot list {prefix!r} after {after!r}")


def at(store: LocalStore, when: datetime) -> PassingFiles:
    return PassingFiles(store, "passing", now=lambda: when, left_after=DAY)


def leave(store: LocalStore, when: datetime) -> str:
    """Leave a file as a killed process does."""
    key = f"passing/{when:%Y%m%dt%H%M%Sz}-of-another/rows"
    store.put(key, b"")
    return key


def test_own_files_and_old_ones_of_others_are_removed_and_nothing_else_is(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, durable=False)
    kept = [leave(store, T - DAY), leave(store, T), leave(store, T + DAY)]
    leave(store, T - DAY - timedelta(seconds=1))
    for key in ("passing/notes/rows", "passing.txt", "elsewhere/20200101t000000z-x/rows"):
        store.put(key, b"")
        kept.append(key)

    with at(store, T).folder() as name:
        store.put(f"passing/{name}/deep/rows", b"")

    assert sorted(store.list()) == sorted(kept)


def test_what_cannot_be_removed_takes_nothing_from_what_was_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="cloudmlops.objects"), at(Away(tmp_path, durable=False), T).folder():
        pass

    assert "that are not needed may be left" in caplog.text


def test_an_error_within_is_told_and_the_files_are_removed_all_the_same(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, durable=False)

    with pytest.raises(ZeroDivisionError), at(store, T).folder() as name:
        store.put(f"passing/{name}/rows", str(1 // 0).encode())

    assert list(store.list()) == []
