"""What the embedded provider does beyond the contract, and how it fails."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.unit import exiting_flow, odd_flow, threaded_flow

import cloudmlops as cm
from cloudmlops import Platform
from cloudmlops.domain.runs import RunState, StepState
from cloudmlops.errors import InvalidPipelineError, RunFailedError
from cloudmlops.materializers.digests import files_stamp


def fails(platform: Platform, pipeline, **parameters: object) -> RunFailedError:
    with pytest.raises(RunFailedError) as failure:
        platform.pipelines.run(pipeline, parameters, wait=True)
    return failure.value


def test_independent_steps_run_at_the_same_time(platform: Platform, tmp_path: Path) -> None:
    assert platform.pipelines.run(odd_flow.meeting, {"folder": str(tmp_path)}, wait=True).outputs == {"output": True}


def test_a_full_disk_fails_the_step_and_the_run_can_be_resumed(platform: Platform, tmp_path: Path) -> None:
    room = tmp_path / "room"
    error = fails(platform, odd_flow.filling, room=str(room))

    assert "failed in step 'big': OSError: [Errno 27] File too large" in str(error)
    room.touch()
    assert error.run.resume(wait=True).outputs == {"output": 1 << 20}


def test_a_damaged_table_is_named_with_its_step_and_what_to_do(platform: Platform) -> None:
    error = fails(platform, odd_flow.damaged)

    assert "failed in step 'rows'" in str(error)
    assert "broken_table.1/outputs/output/data.parquet cannot be read as Parquet" in str(error)
    assert "Run the step that makes it again without the cache" in str(error)


def test_a_step_that_is_killed_is_reported_with_its_signal(platform: Platform) -> None:
    error = fails(platform, odd_flow.killing)

    assert "failed in step 'killed': its process was killed by signal 9; the machine may have run out" in str(error)


def test_a_step_that_exits_is_a_failure(platform: Platform) -> None:
    error = fails(platform, odd_flow.leaving)

    assert "failed in step 'leaves': SystemExit: enough" in str(error)
    assert "SystemExit: enough" in error.run.logs("leaves")


def test_a_step_that_raises_an_interrupt_is_a_failure(platform: Platform) -> None:
    error = fails(platform, odd_flow.interrupting)

    assert "failed in step 'interrupts': KeyboardInterrupt: enough" in str(error)
    assert "KeyboardInterrupt: enough" in error.run.logs("interrupts")


@pytest.mark.parametrize(
    ("end", "told"),
    [("a status", "SystemExit: 0"), ("a message", "SystemExit: not here"), ("an interrupt", "KeyboardInterrupt")],
)
def test_a_module_that_exits_when_it_is_imported_fails_its_steps(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, end: str, told: str
) -> None:
    monkeypatch.setenv("IMPORT_ENDS_WITH", end)
    error = fails(platform, exiting_flow.flow)

    assert f"failed in step 'one': {told}" in str(error)
    assert "exiting_flow.py" in error.run.logs("one")


def test_an_artifact_that_was_never_written_is_explained(platform: Platform) -> None:
    error = fails(platform, odd_flow.forgetting)

    assert "step 'never_written' returned the wrong value" in str(error)
    assert "the Model that it returned was never written" in str(error)


def test_what_a_step_logs_through_mlflow_is_in_the_runs_record(platform: Platform) -> None:
    run = platform.pipelines.run(odd_flow.logging, wait=True)

    assert run.metrics == {"logs_metrics": {"auc": 0.9}}
    assert run.steps["logs_metrics"].logged == {
        "metrics": {"auc": 0.9},
        "params": {"depth": "3"},
        "tags": {"owner": "ada"},
    }


def test_a_step_that_needs_no_package_loads_none(platform: Platform) -> None:
    loaded = set(platform.pipelines.run(odd_flow.light, wait=True).outputs["output"])

    assert not loaded & {"pyarrow", "pandas", "polars", "numpy", "duckdb", "mlflow", "pydantic", "obstore", "click"}


def test_a_module_that_starts_threads_gets_a_new_interpreter_for_each_step(platform: Platform) -> None:
    run = platform.pipelines.run(threaded_flow.asking, wait=True)

    assert run.outputs == {"output": ["answered", "answered"]}


def test_a_new_interpreter_is_told_of_parameters_of_any_length(platform: Platform) -> None:
    run = platform.pipelines.run(threaded_flow.measuring, {"text": "x" * 300_000}, wait=True)

    assert run.outputs == {"output": 300_000}


def test_nobody_else_may_read_what_runs_were_given(platform_on_disk: Platform) -> None:
    platform_on_disk.pipelines.run(threaded_flow.measuring, {"text": "secret"}, wait=True)

    (database,) = Path(str(platform_on_disk.native)).glob("runs.db")
    assert database.stat().st_mode & 0o077 == 0


def test_a_step_ends_when_its_threads_have_finished_their_work(platform: Platform, tmp_path: Path) -> None:
    platform.pipelines.run(odd_flow.threads_left, {"file": str(tmp_path / "late")}, wait=True)

    assert (tmp_path / "late").exists()


def test_connect_within_a_step_is_the_same_platform(platform: Platform) -> None:
    assert platform.pipelines.run(odd_flow.connecting, wait=True).outputs == {"output": platform.target}


def test_a_step_has_its_environment(platform: Platform) -> None:
    assert platform.pipelines.run(odd_flow.colouring, wait=True).outputs == {"output": "blue"}
    assert platform.pipelines.run(odd_flow.colouring, in_process=True, cache=False).outputs == {"output": "blue"}
    assert "COLOUR" not in os.environ


def test_in_process_the_steps_are_calls(platform: Platform) -> None:
    @cm.step
    def here() -> int:
        return os.getpid()

    @cm.pipeline
    def local() -> int:
        return here()

    assert platform.pipelines.run(local, in_process=True).outputs == {"output": os.getpid()}
    with pytest.raises(InvalidPipelineError, match=r"step 'here' .* is not at the top of a module"):
        platform.pipelines.run(local)


def test_in_process_a_step_that_exits_is_a_failure_too(platform: Platform) -> None:
    with pytest.raises(RunFailedError, match="failed in step 'leaves': SystemExit: enough") as failure:
        platform.pipelines.run(odd_flow.leaving, in_process=True)

    assert failure.value.run.steps["leaves"].state is StepState.FAILED


def test_an_error_that_names_a_file_of_odd_bytes_fails_the_step_and_not_the_runs_process(platform: Platform) -> None:
    error = fails(platform, odd_flow.naming)

    assert r"failed in step 'odd_name': ValueError: file \udcff" in str(error)


def test_runs_that_nobody_waits_for_are_let_go_when_they_have_ended(platform: Platform) -> None:
    pipelines = platform._backends.pipelines
    platform.pipelines.run(odd_flow.chain, {"n": 1}, id="first", cache=False)
    pipelines._started["first"].process.wait()

    platform.pipelines.run(odd_flow.chain, {"n": 1}, id="second", cache=False)

    assert pipelines._started.keys() == {"second"}


@cm.step
def unannotated():  # type: ignore[no-untyped-def]
    return 5


def test_a_value_that_a_steps_annotation_does_not_tell_of_fails_the_step(platform: Platform) -> None:
    @cm.pipeline
    def ignoring() -> None:
        unannotated()

    @cm.pipeline
    def using() -> int:
        return odd_flow.one(unannotated())

    with pytest.raises(RunFailedError, match="returned a value of type int, but its annotation says nothing of it"):
        platform.pipelines.run(ignoring, in_process=True)
    with pytest.raises(InvalidPipelineError, match="'unannotated' has no output 'output'"):
        platform.pipelines.plan(using)


def test_in_process_a_failure_is_the_same_error(platform: Platform) -> None:
    with pytest.raises(RunFailedError, match="failed in step 'rows'"):
        platform.pipelines.run(odd_flow.damaged, in_process=True)


def test_a_cached_output_that_was_removed_is_made_again(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "room").touch()
    first = platform.pipelines.run(odd_flow.filling, {"room": str(tmp_path / "room")}, wait=True)
    first.output("big").path.unlink()

    again = platform.pipelines.run(odd_flow.filling, {"room": str(tmp_path / "room")}, wait=True)

    assert again.steps["big"].state is StepState.SUCCEEDED
    assert again.steps["size"].state is StepState.CACHED


def test_a_step_that_writes_into_its_input_fails_and_what_it_left_is_not_used(platform: Platform) -> None:
    assert "its input 'data' was changed in place" in str(fails(platform, odd_flow.scribbling))

    run = platform.pipelines.run(odd_flow.reading, wait=True)

    assert run.outputs == {"output": "abc"}
    assert "its output 'output' is gone or was changed since" in run.logs("letters")
    again = platform.pipelines.run(odd_flow.reading, wait=True)
    assert all(step.state is StepState.CACHED for step in again.steps.values())


def test_a_run_whose_first_output_was_written_into_is_resumed_with_a_new_one(platform: Platform) -> None:
    run = fails(platform, odd_flow.scribbling).run

    with pytest.raises(RunFailedError):
        run.resume(wait=True)

    assert {name: step.attempt for name, step in run.steps.items()} == {"letters": 2, "scribble": 2}


def test_a_cached_output_that_was_only_touched_is_used(platform: Platform) -> None:
    file = platform.pipelines.run(odd_flow.lettering, wait=True).outputs["output"].path
    assert file.stat().st_mode & 0o222 == 0
    file.chmod(0o644)
    file.write_text("abc")

    again = platform.pipelines.run(odd_flow.lettering, wait=True)

    assert again.steps["letters"].state is StepState.CACHED
    assert again.steps["letters"].outputs["output"].stamp == files_stamp(file)


def test_a_resumed_run_is_made_from_the_packages_of_its_resume(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fails(platform, odd_flow.filling, room=str(tmp_path / "room")).run
    (tmp_path / "later" / "quite_new-1.5.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "later"))
    (tmp_path / "room").touch()

    run.resume(wait=True)

    assert platform.pipelines.get(run.id).lineage.packages["quite-new"] == "1.5"


def write_flow(folder: Path, number: int) -> None:
    (folder / "flow.py").write_text(
        textwrap.dedent(
            f"""
            from pathlib import Path
            import cloudmlops as cm
            import constants

            @cm.step
            def first() -> int:
                return constants.NUMBER

            @cm.step
            def second(x: int, gate: str) -> list[int]:
                if not Path(gate).exists():
                    raise FileNotFoundError(gate)
                return [x, {number}]

            @cm.pipeline
            def flow(gate: str) -> list[int]:
                return second(first(), gate)
            """
        )
    )
    (folder / "constants.py").write_text(f"NUMBER = {number}\n")


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CLOUDMLOPS_TARGET": f"local://{folder / 'platform'}", "PYTHONDONTWRITEBYTECODE": "1"}
    program = "from cloudmlops.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def connect(folder: Path) -> Platform:
    return cm.connect(f"local://{folder / 'platform'}")


def test_a_changed_module_invalidates_the_cache(tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    write_flow(tmp_path, 1)
    assert command(tmp_path, "run", "flow.py:flow", "-p", "gate=gate", "--id", "gone").returncode == 5
    arguments = ("run", "flow.py", "-p", f"gate={tmp_path / 'gate'}", "--id")
    for run in ("first", "second"):
        assert command(tmp_path, *arguments, run).returncode == 0
    (tmp_path / "constants.py").write_text("NUMBER = 2\n")
    assert command(tmp_path, *arguments, "third").returncode == 0

    with connect(tmp_path) as platform:
        states = [
            [step.state for step in platform.pipelines.get(run).steps.values()] for run in ("first", "second", "third")
        ]
        assert states == [
            [StepState.CACHED, StepState.SUCCEEDED],
            [StepState.CACHED, StepState.CACHED],
            [StepState.SUCCEEDED, StepState.SUCCEEDED],
        ]
        assert platform.pipelines.get("third").outputs == {"output": [2, 1]}


def test_a_resumed_run_goes_on_with_the_source_it_began_with(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    write_flow(tmp_path, 1)
    assert command(tmp_path, "run", "flow:flow", "-p", f"gate={gate}", "--id", "old").returncode == 5
    write_flow(tmp_path, 2)
    gate.touch()

    assert command(tmp_path, "runs", "resume", "old").returncode == 0

    with connect(tmp_path) as platform:
        run = platform.pipelines.get("old")
        assert run.status is RunState.SUCCEEDED
        assert run.outputs == {"output": [1, 1]}
