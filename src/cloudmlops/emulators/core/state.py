"""What the emulated services hold: tables of bytes, in memory or in a folder."""

from __future__ import annotations

import errno
import fcntl
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, Self


class State:
    """All that one emulator knows, private keys among it: it is for this user's eyes only.

    With a folder it is there again after a restart; without one, it is gone on `close`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Open what is kept in a folder, or begin anew without one.

        Raises:
            BlockingIOError: Another emulator keeps its state there.
            OSError: The folder cannot be used, or what it holds is damaged.
        """
        self._scratch = None if folder else tempfile.TemporaryDirectory(prefix="cloudmlops-emulator-")
        self.folder: Path = Path(self._scratch.name) if self._scratch else Path(folder or ".").absolute()
        """Where services keep what is too large for a table."""
        self.durable: Final = folder is not None
        """Whether the folder is there after a restart."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own = _owned(self.folder) if folder else None
        if folder:
            _hide(self.folder)
        self._lock = threading.RLock()
        self._depth = 0
        try:
            self._database = _opened(self.folder / "state.db" if folder else ":memory:")
        except OSError:
            if self._own is not None:
                self._own.close()
            raise

    def table(self, name: str) -> Table:
        """Return a table, made at its first use. Names are identifiers of this package, never input."""
        if not name.isidentifier():
            raise ValueError(f"{name!r} is not the name of a table")
        with self._lock:
            self._database.execute(f"CREATE TABLE IF NOT EXISTS {name} (key TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID")
        return Table(self, name)

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Do several things as one: nobody sees a part, and an exception undoes all."""
        with self._lock:
            mark = f"level{self._depth}"
            self._database.execute(f"SAVEPOINT {mark}")
            self._depth += 1
            try:
                yield self
            except BaseException:
                self._database.execute(f"ROLLBACK TO {mark}")
                raise
            finally:
                self._depth -= 1
                self._database.execute(f"RELEASE {mark}")

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[bytes | str, ...]]:
        """Run one statement on the tables; for `Table`."""
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def close(self) -> None:
        """Let go; what is in memory is gone."""
        with self._lock:
            self._database.close()
        if self._own is not None:
            self._own.close()
        if self._scratch is not None:
            self._scratch.cleanup()


def _opened(file: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        database.close()
        raise OSError(errno.EIO, f"what an emulator has kept in {file} is damaged: {found}")
    return database


def _owned(folder: Path) -> IO[bytes]:
    """Take a folder for this emulator alone, until what is returned is closed or the process ends."""
    lock = (folder / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise BlockingIOError(error.errno, f"another emulator keeps its state in {folder}") from error
    return lock


def _hide(folder: Path) -> None:
    """Let nobody else read a folder, nor the database in it; what SQLite puts beside that has its mode."""
    with suppress(PermissionError):  # another user's, who shares it with us
        folder.chmod(0o700)
    (folder / "state.db").touch(mode=0o600)
    for file in folder.glob("state.db*"):
        file.chmod(0o600)


class Table:
    """Bytes under text keys, in the order of the keys."""

    def __init__(self, state: State, name: str) -> None:
        self._state = state
        self._name = name

    def get(self, key: str) -> bytes | None:
        found = self._state.execute(f"SELECT data FROM {self._name} WHERE key = ?", (key,))
        return found[0][0] if found else None  # type: ignore[return-value] # a BLOB

    def put(self, key: str, data: bytes) -> None:
        self._state.execute(f"INSERT OR REPLACE INTO {self._name} VALUES (?, ?)", (key, data))

    def create(self, key: str, data: bytes) -> bool:
        """Put unless there is one; False when there was."""
        with self._state.transaction():
            if self.get(key) is not None:
                return False
            self.put(key, data)
            return True

    def delete(self, key: str) -> bool:
        """Remove; False when there was none."""
        gone = self._state.execute(
            f"DELETE FROM {self._name} WHERE key = ? RETURNING key",
            (key,),
        )
        return bool(gone)

    def items(self, prefix: str = "", *, after: str = "") -> list[tuple[str, bytes]]:
        """Return all whose key begins with `prefix` and is greater than `after`, sorted by key."""
        end = prefix + "\U0010ffff"
        return self._state.execute(  # type: ignore[return-value] # a TEXT and a BLOB
            f"SELECT key, data FROM {self._name} WHERE key >= ? AND key < ? AND key > ? ORDER BY key",
            (prefix, end, after),
        )
