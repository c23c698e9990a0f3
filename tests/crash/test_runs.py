"""Runs whose processes are killed at any point lose nothing and double nothing."""

import contextlib
import fcntl
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.crash import run_flow, threaded_run_flow

import cloudmlops as cm
from cloudmlops import Platform, RunCompleted
from cloudmlops.domain.runs import RunState, StepState
from cloudmlops.errors import ConflictError, RunFailedError
from cloudmlops.providers.local import pipelines
from cloudmlops.providers.local.hosting.endpoint_state import EndpointRecord
from cloudmlops.providers.local.running import leases
from cloudmlops.services.pipelines import Run
from cloudmlops.testing.model_folders import write_scaling_model


def until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


def carrier(platform: Platform, run: Run) -> int | None:
    holder = leases.holder(platform.native / "runs" / run.id / "lease")
    return int(holder) if holder and holder.isdecimal() else None


def zygotes(carrier: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(carrier).children()]
    except psutil.NoSuchProcess:
        return []


def offspring(folder: Path) -> list[int]:
    return [int(process) for process in (folder / "offspring").read_text().split()]


def kill_at_random(platform: Platform, run: Run, chance: random.Random) -> None:
    """Kill the run's process, its zygote, or both with all steps, at some moment of the run."""
    until(lambda: carrier(platform, run) or run.status.ended)
    time.sleep(chance.uniform(0.0, 0.35))
    if (process := carrier(platform, run)) is None:
        return
    victims = chance.choice([[process], zygotes(process), [process, *zygotes(process)]])
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


def survive(platform: Platform, folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    trace = folder / "trace"
    run = platform.pipelines.run(run_flow.lattice, {"folder": str(folder)})
    for _ in range(8):
        kill_at_random(platform, run, chance)
        until(lambda: run.status.ended)
        done = {name for name, step in run.steps.items() if step.state.succeeded}
        if run.status is RunState.SUCCEEDED:
            break
        seen = len(trace.read_text().splitlines()) if trace.exists() else 0
        run.resume()
        until(lambda: run.status is not RunState.INTERRUPTED)
        later = trace.read_text().splitlines()[seen:] if trace.exists() else []
        assert not {f"start {step_name(name)}" for name in done} & set(later)
    else:
        run.wait()

    lines = trace.read_text().splitlines()
    assert run.wait().outputs == {"output": 15}
    assert not [line for line in lines if line.startswith("overlap")]
    assert {step.state for step in run.steps.values()} == {StepState.SUCCEEDED}


def step_name(name: str) -> str:
    """The name that the step leaves in the trace."""
    order = ["l0", "r0", "l1", "r1", "l2", "r2", "last"]
    return order[int(name.partition("_")[2] or 1) - 1] if name.startswith("work") else name


@pytest.mark.parametrize("seed", range(4), ids=str)
def test_a_run_survives_being_killed_at_random(platform_on_disk: Platform, tmp_path: Path, seed: int) -> None:
    survive(platform_on_disk, tmp_path, seed)


@pytest.mark.conformance
@pytest.mark.parametrize("seed", range(100, 300), ids=str)
def test_a_run_survives_being_killed_at_random_many_times(
    platform_on_disk: Platform, tmp_path: Path, seed: int
) -> None:
    survive(platform_on_disk, tmp_path, seed)


def test_two_resumes_at_once_are_one(platform_on_disk: Platform, tmp_path: Path) -> None:
    run = platform_on_disk.pipelines.run(run_flow.lattice, {"folder": str(tmp_path)})
    until(lambda: (tmp_path / "trace").exists())
    os.kill(carrier(platform_on_disk, run), signal.SIGKILL)
    until(lambda: run.status.ended)
    outcomes: list[str] = []

    def resume() -> None:
        try:
            platform_on_disk.pipelines.get(run.id).resume()
            outcomes.append("resumed")
        except ConflictError as error:
            outcomes.append(error.message.partition(" is ")[2])

    threads = [threading.Thread(target=resume) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["going on", "going on", "going on", "resumed"]
    assert run.wait().outputs == {"output": 15}
    assert "overlap" not in (tmp_path / "trace").read_text()


@pytest.mark.parametrize("all_at_once", [False, True], ids=["run's process", "zygote too"])
def test_what_a_step_started_is_gone_before_it_starts_again(
    platform_on_disk: Platform, tmp_path: Path, all_at_once: bool
) -> None:
    release = tmp_path / "release"
    run = platform_on_disk.pipelines.run(run_flow.family, {"folder": str(tmp_path), "release": str(release)})
    until((tmp_path / "offspring").exists)
    process = carrier(platform_on_disk, run)
    if all_at_once:
        os.killpg(process, signal.SIGKILL)  # the zygote is in its group, the steps are not
    else:
        os.kill(process, signal.SIGKILL)
    until(lambda: run.status is RunState.INTERRUPTED)
    release.touch()

    run.resume(wait=True)

    assert (tmp_path / "trace").read_text() == "alive 0\n"
    assert run.steps["breeding"].attempt == 2


def test_a_timeout_ends_what_the_step_started(platform_on_disk: Platform, tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="it ran longer than its timeout"):
        platform_on_disk.pipelines.run(
            run_flow.strict_family, {"folder": str(tmp_path), "release": str(tmp_path / "never")}, wait=True
        )

    until(lambda: not any(run_flow.alive(int(one)) for one in (tmp_path / "offspring").read_text().split()))


def test_a_step_that_succeeded_leaves_nothing_running(platform_on_disk: Platform, tmp_path: Path) -> None:
    run = platform_on_disk.pipelines.run(run_flow.litter, {"folder": str(tmp_path)}, wait=True)

    until(lambda: not run_flow.alive(run.outputs["output"]))


def test_a_run_that_is_waited_for_ends_with_its_caller_and_can_be_resumed(
    platform_on_disk: Platform, tmp_path: Path
) -> None:
    program = (
        "import sys, cloudmlops as cm; from tests.crash.run_flow import lattice\n"
        "cm.connect(sys.argv[1]).pipelines.run(lattice, {'folder': sys.argv[2]}, id='attached', wait=True)"
    )
    root = Path(run_flow.__file__).parents[2]
    caller = subprocess.Popen(
        [sys.executable, "-c", program, platform_on_disk.target, str(tmp_path)], cwd=root, env=os.environ
    )
    until(lambda: (tmp_path / "trace").exists())
    caller.kill()
    caller.wait()

    run = platform_on_disk.pipelines.get("attached")
    until(lambda: run.status is RunState.INTERRUPTED)
    assert run.resume(wait=True).outputs == {"output": 15}
    assert "overlap" not in (tmp_path / "trace").read_text()


def test_a_success_that_was_not_recorded_is_not_repeated(platform_on_disk: Platform, tmp_path: Path) -> None:
    run = platform_on_disk.pipelines.run(run_flow.lattice, {"folder": str(tmp_path)}, wait=True)
    store = platform_on_disk.pipelines._port._store
    # As after a crash between the step's success and its record.
    with store._transaction() as db:
        db.execute("UPDATE step SET state = 'running', outputs = '{}' WHERE run = ? AND name = 'work_7'", (run.id,))
        db.execute("UPDATE run SET state = 'running' WHERE id = ?", (run.id,))
    before = (tmp_path / "trace").read_text()

    resumed = platform_on_disk.pipelines.get(run.id).resume(wait=True)

    assert resumed.outputs == {"output": 15}
    assert (tmp_path / "trace").read_text() == before


def test_the_end_of_a_detached_run_is_published_without_anybody_looking(
    platform_on_disk: Platform, tmp_path: Path
) -> None:
    run = platform_on_disk.pipelines.run(run_flow.lattice, {"folder": str(tmp_path)})

    until(lambda: platform_on_disk.events.list(kind=RunCompleted))

    assert [event.run for event in platform_on_disk.events.list(kind=RunCompleted)] == [run.id]


def test_cancelling_an_interrupted_run_leaves_no_step_running_in_its_record(
    platform_on_disk: Platform, tmp_path: Path
) -> None:
    run = platform_on_disk.pipelines.run(
        run_flow.family, {"folder": str(tmp_path), "release": str(tmp_path / "never")}, id="cut"
    )
    until((tmp_path / "offspring").exists)
    os.kill(carrier(platform_on_disk, run), signal.SIGKILL)
    until(lambda: run.status is RunState.INTERRUPTED)

    run.cancel()

    assert run.status is RunState.CANCELLED
    assert {step.state for step in run.steps.values()} == {StepState.CANCELLED}


@pytest.fixture
def haunted_folder(tmp_path: Path) -> Iterator[Path]:
    """Where steps note the daemons that they leave; none outlives a test, not even one that fails."""
    yield tmp_path
    for daemon in offspring(tmp_path) if (tmp_path / "offspring").exists() else ():
        with contextlib.suppress(ProcessLookupError):
            os.kill(daemon, signal.SIGKILL)


@pytest.mark.parametrize("flow", [run_flow, threaded_run_flow], ids=["forked step", "step of its own interpreter"])
@pytest.mark.parametrize("killed", ["run's process", "zygote", "both"])
def test_a_daemon_that_a_step_left_is_gone_before_the_step_starts_again(
    platform_on_disk: Platform, haunted_folder: Path, killed: str, flow
) -> None:
    release = haunted_folder / "release"
    run = platform_on_disk.pipelines.run(flow.haunted, {"folder": str(haunted_folder), "release": str(release)})
    until((haunted_folder / "offspring").exists)
    process = carrier(platform_on_disk, run)
    victims = {"run's process": [process], "zygote": zygotes(process), "both": [process, *zygotes(process)]}[killed]
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    until(lambda: run.status is RunState.INTERRUPTED)
    release.touch()

    run.resume(wait=True)

    assert (haunted_folder / "trace").read_text() == "alive 0\n"
    assert run.steps["haunting"].attempt == 2


def test_a_daemon_that_a_step_left_is_gone_when_the_step_has_timed_out(
    platform_on_disk: Platform, haunted_folder: Path
) -> None:
    parameters = {"folder": str(haunted_folder), "release": str(haunted_folder / "never")}
    with pytest.raises(RunFailedError, match="it ran longer than its timeout"):
        platform_on_disk.pipelines.run(run_flow.strictly_haunted, parameters, wait=True)

    assert not [daemon for daemon in offspring(haunted_folder) if run_flow.alive(daemon)]


def test_a_daemon_that_a_step_left_is_gone_when_the_run_is_cancelled(
    platform_on_disk: Platform, haunted_folder: Path
) -> None:
    run = platform_on_disk.pipelines.run(
        run_flow.haunted, {"folder": str(haunted_folder), "release": str(haunted_folder / "never")}
    )
    until((haunted_folder / "offspring").exists)

    run.cancel()

    assert run.status is RunState.CANCELLED
    assert not [daemon for daemon in offspring(haunted_folder) if run_flow.alive(daemon)]


def test_a_daemon_that_a_step_left_is_gone_when_the_step_has_succeeded(
    platform_on_disk: Platform, haunted_folder: Path
) -> None:
    run = platform_on_disk.pipelines.run(run_flow.bequest, {"folder": str(haunted_folder)}, wait=True)

    assert run.outputs == {"output": offspring(haunted_folder)}
    assert not [daemon for daemon in offspring(haunted_folder) if run_flow.alive(daemon)]


@pytest.mark.parametrize("ended_by", ["cancel", "kill"])
def test_an_endpoint_that_a_step_deployed_outlives_the_step(
    platform_on_disk: Platform, haunted_folder: Path, ended_by: str
) -> None:
    write_scaling_model(haunted_folder / "model", factor=2.0)
    release = haunted_folder / "release"
    run = platform_on_disk.pipelines.run(run_flow.served, {"folder": str(haunted_folder), "release": str(release)})
    until((haunted_folder / "offspring").exists)
    endpoint = platform_on_disk.native / "endpoints" / "scaling"
    front = EndpointRecord.read(endpoint).pid

    if ended_by == "cancel":
        run.cancel()
    else:
        os.killpg(carrier(platform_on_disk, run), signal.SIGKILL)
        until(lambda: run.status is RunState.INTERRUPTED)
        release.touch()
        run.resume(wait=True)

    try:
        assert not [daemon for daemon in offspring(haunted_folder) if run_flow.alive(daemon)]
        assert EndpointRecord.read(endpoint).pid == front
        assert run_flow.alive(front)
        assert platform_on_disk.endpoints.predict("scaling", [[3.0, 0.0]]) == [6.0]
    finally:
        platform_on_disk.endpoints.delete("scaling")


def test_a_run_that_a_step_started_outlives_the_step(platform_on_disk: Platform, tmp_path: Path) -> None:
    release = tmp_path / "release"
    platform_on_disk.pipelines.run(run_flow.commission, {"release": str(release)}, wait=True)
    commissioned = platform_on_disk.pipelines.get("commissioned")
    ended_with_the_step = commissioned.status.ended
    release.touch()

    assert not ended_with_the_step
    assert commissioned.wait().outputs == {"output": 1}
    assert commissioned.steps["patience"].attempt == 1


@contextlib.contextmanager
def held_up(platform: Platform, tmp_path: Path) -> Iterator[tuple[Run, int]]:
    """An interrupted run whose lease is held by a program that is none of ours."""
    run = platform.pipelines.run(run_flow.patient, {"release": str(tmp_path / "release")})
    until(lambda: carrier(platform, run))
    os.kill(carrier(platform, run), signal.SIGKILL)
    until(lambda: run.status is RunState.INTERRUPTED)
    with (platform.native / "runs" / run.id / "lease").open("rb") as lease:
        fcntl.flock(lease, fcntl.LOCK_EX)
        program = [sys.executable, "-c", "input('holding on')"]
        other = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[lease.fileno()])
    with other:
        try:
            yield run, other.pid
        finally:
            other.kill()


@pytest.mark.parametrize("act", [Run.resume, Run.cancel], ids=["resume", "cancel"])
def test_whoever_holds_up_a_run_is_named(
    platform_on_disk: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act
) -> None:
    monkeypatch.setattr(pipelines, "_PATIENCE", 0.0)
    with (
        held_up(platform_on_disk, tmp_path) as (run, other),
        pytest.raises(ConflictError, match=f"what is left of it is process {other} .*holding on") as held,
    ):
        act(run)

    assert held.value.hint == "If it does not end by itself, kill it, and try again."


def test_closing_a_platform_names_whoever_holds_up_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "_PATIENCE", 0.0)
    platform = cm.connect("local://:memory:")
    folder = platform.native
    with (
        held_up(platform, tmp_path) as (_, other),
        pytest.raises(ConflictError, match=f"what is left of it is process {other} .*holding on"),
    ):
        platform.close()

    platform.close()
    assert not folder.exists()


def test_a_forked_process_does_not_hold_the_lease_of_the_one_it_was_forked_from(tmp_path: Path) -> None:
    program = """if True:
        import os, pathlib, signal, sys
        from cloudmlops.providers.local.running.leases import Lease
        file = pathlib.Path(sys.argv[1])
        lease = Lease.take(file)
        told, tells = os.pipe()
        if (child := os.fork()) == 0:
            os.write(tells, b".")
            signal.pause()
        os.read(told, 1)
        lease.release()
        print(Lease.take(file) is not None)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    """
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "lease"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")
