"""A program beside an emulator: when the emulator is gone, however it went, what it started is killed.

It is run by its path, with the standard library alone. Its input tells it of the groups that run, `+GROUP` and
`-GROUP`, and of commands beside the emulator, `=PROCESS`, and ends with the emulator; `done` before that says that the
emulator ends in good order. Where processes can be asked for their environment (Linux), all that bears the mark is
killed, in whatever group or session it is.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

PROGRAM: Final = "program"
"""Value of the mark of what an emulated service started."""
COMMAND: Final = "command"
"""Value of the mark of a command that runs beside the emulator: it is left alone if the emulator ends in good order."""
_LOOK_SECONDS: Final = 0.01


def watch(told: IO[str], mark: str) -> None:
    """Wait for the end of the emulator, and kill what is left of it."""
    groups: set[int] = set()
    commands: set[int] = set()
    in_order = False
    for line in told:
        if line == "done\n":
            in_order = True
        elif line.startswith("="):
            commands.add(int(line[1:]))
        elif line.startswith("+"):
            groups.add(int(line))
        else:
            groups.discard(-int(line))
    for kill, processes in ((os.killpg, groups), (os.kill, set() if in_order else commands)):
        for process in processes:
            with suppress(ProcessLookupError, PermissionError):
                kill(process, signal.SIGKILL)
    marks = {f"{mark}={PROGRAM}".encode(), *(() if in_order else (f"{mark}={COMMAND}".encode(),))}
    refused: set[int] = set()
    while found := set(_marked(marks)) - refused:
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
            except PermissionError:  # it has become another user's
                refused.add(process)
        time.sleep(_LOOK_SECONDS)  # for what was killed to be gone


def _marked(marks: set[bytes]) -> Iterator[int]:
    """Return the processes in whose environment one of the marks is; those that have ended have none."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if not marks.isdisjoint((folder / "environ").read_bytes().split(b"\0")):
                yield int(folder.name)


if __name__ == "__main__":
    watch(sys.stdin, sys.argv[1])
