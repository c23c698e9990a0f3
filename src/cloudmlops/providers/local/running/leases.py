"""Leases that no crash can leave behind: a lock on a file, held while a process of the holder lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final, Self


class Lease:
    """A held lock. Forked processes do not hold it; programs that are started with its descriptor do."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        _HELD.add(descriptor)

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
        _HELD.discard(self.descriptor)
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


_HELD: Final[set[int]] = set()
"""The descriptors of this process's leases."""


def _leave() -> None:
    # A daemon that a step forks would otherwise hold the run's lease for as long as it lives.
    while _HELD:
        os.close(_HELD.pop())


os.register_at_fork(after_in_child=_leave)
