"""Leases that no crash can leave behind: a lock on a file, held while any process of the holder lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self


class Lease:
    """A held lock. Forked processes hold it too, so it is free only when the last of them is gone."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, file: Path, *, holder: str = "", wait: bool = False) -> Self | None:
        """Take the lease; None when somebody else has it.

        Args:
            file: Made when it is missing; never removed, for a lock on a removed file excludes nobody.
            holder: Text for those who find the lease taken.
            wait: Wait for the lease instead.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        lease = cls(descriptor)
        lease.tell(holder)
        return lease

    def tell(self, holder: str) -> None:
        """Change the text for those who find the lease taken."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, holder.encode(), 0)

    def release(self) -> None:
        """Let go of this process's hold."""
        os.close(self.descriptor)


def holder(file: Path) -> str | None:
    """Return the text of whoever holds the lease; None when it is free."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 4096, 0).decode(errors="replace")
    else:
        return None
    finally:
        os.close(descriptor)
