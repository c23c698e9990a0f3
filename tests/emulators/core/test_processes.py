"""Programs of an emulator end with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cloudmlops.emulators.core.processes import Processes

TREE = """
import subprocess, sys, time
own = [sys.executable, "-c", "import time; time.sleep(600)"]
inner = subprocess.Popen(own)
away = subprocess.Popen(own, start_new_session=True)
bare = subprocess.Popen(own, env={})
print(inner.pid, away.pid, bare.pid, flush=True)
time.sleep(600)
"""
EMULATOR = """
import os, subprocess, sys, time
from pathlib import Path
from cloudmlops.emulators.core.processes import Processes
processes, folder = Processes(), Path(sys.argv[1])
one = processes.start([sys.executable, "-c", sys.argv[2]], environment={}, folder=folder, log=folder / "log")
two = processes.accompany([sys.executable, "-c", sys.argv[3]], environment=os.environ)
while not (folder / "log").read_text().endswith("\\n"): time.sleep(0.01)
print(one.pid, two.pid, *(folder / "log").read_text().split(), flush=True)
time.sleep(600)
"""
NAMELESS = """
import os, subprocess, sys, time
if len(sys.argv) < 2: os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:], "bare"], {})
time.sleep(600)
"""
"""Loses its environment, as programs do that write their titles over it."""
FOREVER = [sys.executable, "-c", "import time; time.sleep(600)"]


def lives(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for_the_end_of(*wanted: int) -> None:
    deadline = time.monotonic() + 30
    while left := [process for process in wanted if lives(process)]:
        assert time.monotonic() < deadline, f"{left} outlived the emulator"
        time.sleep(0.005)


def guardians(processes: Processes) -> list[psutil.Process]:
    """Return the guardians of one emulator; the test session may have others."""
    return [child for child in psutil.Process().children() if child.cmdline()[-1:] == [processes.mark]]


@pytest.fixture
def processes() -> Iterator[Processes]:
    made = Processes()
    yield made
    made.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_killed_emulator_takes_all_with_it_that_it_started(number: signal.Signals, tmp_path: Path) -> None:
    emulator = subprocess.Popen(
        [sys.executable, "-c", EMULATOR, str(tmp_path), TREE, NAMELESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert emulator.stdout is not None
    started = [int(word) for word in emulator.stdout.readline().split()]
    try:
        assert len(started) == 5
        assert all(lives(process) for process in started)
        emulator.send_signal(number)
        emulator.wait(30)

        wait_for_the_end_of(*started)
    finally:
        emulator.kill()
        emulator.wait(30)
        emulator.stdout.close()
        for process in started:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def test_an_emulator_that_ends_in_good_order_ends_its_programs_and_leaves_the_command(tmp_path: Path) -> None:
    processes = Processes()
    log = tmp_path / "log"
    program = processes.start([sys.executable, "-c", TREE], environment={}, folder=tmp_path, log=log)
    command = processes.accompany(FOREVER, environment=os.environ)
    (guard,) = guardians(processes)
    try:
        while not log.read_text().endswith("\n"):
            assert program.poll() is None
        processes.close()

        wait_for_the_end_of(program.pid, *(int(word) for word in log.read_text().split()))
        assert command.poll() is None
        assert not guard.is_running()
    finally:
        command.kill()
        command.wait(30)


def test_a_guardian_that_was_killed_has_a_successor_that_knows_what_runs(processes: Processes, tmp_path: Path) -> None:
    processes.end(processes.start(["true"], environment={}, folder=tmp_path, log=tmp_path / "log"))
    (first,) = guardians(processes)
    first.kill()
    first.wait(30)

    program = processes.start(FOREVER, environment={}, folder=tmp_path, log=tmp_path / "log")

    (second,) = guardians(processes)
    assert second.pid != first.pid
    assert program.poll() is None
    processes.end(program)
    assert program.poll() is not None


def test_a_program_that_is_not_there_is_an_error_and_starts_nothing(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        processes.start(["no-such-program-here"], environment={}, folder=tmp_path, log=tmp_path / "log")


def test_nothing_is_started_after_the_close(tmp_path: Path) -> None:
    processes = Processes()
    processes.close()

    with pytest.raises(ChildProcessError, match="closed"):
        processes.start(FOREVER, environment={}, folder=tmp_path, log=tmp_path / "log")
