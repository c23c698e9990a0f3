"""What holds for pipelines on every provider."""

from __future__ import annotations

import os
import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from cloudmlops.domain.events import RunCompleted, RunFailed
from cloudmlops.domain.runs import RunState, StepState
from cloudmlops.errors import (
    ConflictError,
    InvalidPipelineError,
    InvalidRequestError,
    NotFoundError,
    RunFailedError,
    WaitTimeoutError,
)
from cloudmlops.services.effects import handling
from cloudmlops.testing.contract.pipeline_steps import (
    endless,
    needs_file,
    stubborn,
    telling,
    too_slow,
    training,
    two_places,
    wrong_content,
    wrong_output,
)

if TYPE_CHECKING:
    from cloudmlops._platform import Platform
    from cloudmlops.services.pipelines import Run


class PipelinesContract:
    """Inherit from it, supply the fixture `platform`, and a provider's pipelines are tested."""

    def test_values_tables_models_metrics_and_reports_pass_from_step_to_step(self, platform: Platform) -> None:
        run = platform.pipelines.run(training, {"rows": 8}, wait=True)

        assert run.status is RunState.SUCCEEDED
        assert (run.outputs["model"].path / "MLmodel").read_text() == "4 of 8"
        assert run.outputs["metrics"] == {"rows": 4.0}
        assert run.outputs["report"].text() == "# 2013-01-01: 4 rows"
        assert run.output("load").to_arrow().num_rows == 8

    def test_each_step_runs_in_its_own_process_and_folder(self, platform: Platform) -> None:
        run = platform.pipelines.run(two_places, wait=True)

        first, second = run.outputs["output"]
        assert first["process"] != second["process"] != str(os.getpid())
        assert first["folder"] != second["folder"]
        assert first["run"] == f"{run.id}/two_places/where"

    def test_what_a_step_prints_is_in_its_log_alone(self, platform: Platform) -> None:
        run = platform.pipelines.run(training, {"rows": 3}, wait=True)

        assert run.logs("load") == "loading 3 rows\n"
        assert "loading" not in run.logs("split")

    def test_what_a_step_prints_is_followed_as_it_comes(self, platform: Platform, tmp_path: Path) -> None:
        release = tmp_path / "release"
        run = platform.pipelines.run(telling, {"release": str(release)})

        lines = run.follow("tell")
        assert next(lines) == "begun\n"
        assert run.steps["tell"].state is StepState.RUNNING
        release.touch()

        first, second = "".join(lines).split("begun\n")
        assert "RuntimeError: not yet" in first
        assert second == "ended\n"
        assert list(run.follow("tell")) == ["begun\n", "ended\n"]
        with pytest.raises(NotFoundError, match="has no step 'tel'"):
            run.follow("tel")

    def test_waiting_shows_where_the_steps_stand(self, platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
        platform.pipelines.run(two_places).wait(progress=True)

        told = [line.partition(" (")[0] for line in capsys.readouterr().err.splitlines()]
        assert {"where: succeeded", "where_2: succeeded", "both: succeeded"} <= set(told)
        assert len(told) == len(set(told))

    def test_a_run_goes_on_while_nobody_waits(self, platform: Platform) -> None:
        started = platform.pipelines.run(training)

        found = platform.pipelines.get(started.id)
        assert found.wait(timedelta(seconds=60)).status is RunState.SUCCEEDED

    def test_a_failure_names_the_step_and_nothing_downstream_runs(self, platform: Platform, tmp_path: Path) -> None:
        journal = tmp_path / "journal"

        with pytest.raises(RunFailedError, match=r"failed in step 'unless': FileNotFoundError") as failure:
            platform.pipelines.run(needs_file, _files(journal, tmp_path / "missing"), wait=True)

        run: Run = failure.value.run
        assert run.status is RunState.FAILED
        assert run.steps["last"].state is StepState.SKIPPED
        assert run.steps["note_2"].state is StepState.SUCCEEDED
        assert "FileNotFoundError" in run.logs("unless")
        assert f"cloudmlops logs {run.id} unless" in failure.value.hint

    def test_a_resumed_run_repeats_no_step_that_succeeded(self, platform: Platform, tmp_path: Path) -> None:
        journal, missing = tmp_path / "journal", tmp_path / "missing"
        with pytest.raises(RunFailedError) as failure:
            platform.pipelines.run(needs_file, _files(journal, missing), wait=True)
        missing.touch()

        run = failure.value.run.resume(wait=True)

        assert run.outputs == {"output": 3}
        assert sorted(journal.read_text().split()) == ["beside", "first", "last", "unless", "unless"]
        assert [run.steps[name].attempt for name in ("note", "unless")] == [1, 2]
        assert "FileNotFoundError" in run.logs("unless", attempt=1)

    def test_what_has_succeeded_is_not_resumed(self, platform: Platform) -> None:
        run = platform.pipelines.run(training, wait=True)

        with pytest.raises(ConflictError, match="has succeeded: there is nothing to resume"):
            run.resume()

    def test_a_failed_attempt_is_tried_again(self, platform: Platform, tmp_path: Path) -> None:
        run = platform.pipelines.run(stubborn, {"journal": str(tmp_path / "journal")}, wait=True)

        assert run.outputs == {"output": 2}
        assert run.steps["flaky"].attempt == 3
        assert "RuntimeError: not yet" in run.logs("flaky", attempt=1)
        assert run.logs("flaky") == "attempt 3\n"

    def test_a_step_that_takes_too_long_is_killed(self, platform: Platform) -> None:
        with pytest.raises(RunFailedError, match=r"step 'slow': it ran longer than its timeout"):
            platform.pipelines.run(too_slow, wait=True)

    def test_a_cancelled_run_stops_its_steps(self, platform: Platform, tmp_path: Path) -> None:
        journal = tmp_path / "journal"
        run = platform.pipelines.run(endless, {"journal": str(journal)})
        _until(journal.exists)

        run.cancel()

        with pytest.raises(RunFailedError, match="was cancelled"):
            run.wait(timedelta(seconds=60))
        assert run.steps["forever"].state is StepState.CANCELLED
        assert run.steps["note"].state is StepState.CANCELLED
        assert journal.read_text() == ""

    def test_waiting_ends_at_its_timeout_and_the_run_goes_on(self, platform: Platform, tmp_path: Path) -> None:
        run = platform.pipelines.run(endless, {"journal": str(tmp_path / "journal")})

        with pytest.raises(WaitTimeoutError, match="It goes on"):
            run.wait(timedelta(milliseconds=50))

        assert run.status in (RunState.WAITING, RunState.RUNNING)
        run.cancel()

    def test_unchanged_steps_are_cached(self, platform: Platform) -> None:
        platform.pipelines.run(training, {"rows": 6}, wait=True)

        again = platform.pipelines.run(training, {"rows": 6}, wait=True)

        assert {step.state for step in again.steps.values()} == {StepState.CACHED}
        assert again.outputs["metrics"] == {"rows": 3.0}
        assert again.logs("load") == "loading 6 rows\n"

    def test_a_changed_parameter_runs_what_depends_on_it_again(self, platform: Platform) -> None:
        platform.pipelines.run(training, {"rows": 6}, wait=True)

        again = platform.pipelines.run(training, {"rows": 6, "keep": 1.0}, wait=True)

        assert again.steps["load"].state is StepState.CACHED
        assert again.steps["split"].state is StepState.SUCCEEDED
        assert again.outputs["metrics"] == {"rows": 6.0}

    def test_without_the_cache_every_step_runs(self, platform: Platform) -> None:
        platform.pipelines.run(training, wait=True)

        again = platform.pipelines.run(training, wait=True, cache=False)

        assert {step.state for step in again.steps.values()} == {StepState.SUCCEEDED}

    def test_a_plan_says_what_would_run(self, platform: Platform) -> None:
        assert platform.pipelines.plan(training, {"rows": 6}).to_run == (
            "load",
            "split",
            "train",
            "evaluate",
            "describe",
        )
        platform.pipelines.run(training, {"rows": 6}, wait=True)

        assert platform.pipelines.plan(training, {"rows": 6}).to_run == ()
        assert platform.pipelines.plan(training, {"rows": 6, "on": date(2014, 1, 1)}).to_run == ("describe",)

    def test_the_same_id_is_the_same_run(self, platform: Platform) -> None:
        first = platform.pipelines.run(training, {"rows": 4}, id="monday", wait=True)

        again = platform.pipelines.run(training, {"rows": 4}, id="monday", wait=True)

        assert again.record == first.record
        assert [run.id for run in platform.pipelines.list("training")] == ["monday"]
        with pytest.raises(ConflictError, match="another pipeline or other parameters"):
            platform.pipelines.run(training, {"rows": 5}, id="monday")

    def test_a_handler_that_is_called_again_starts_no_second_run(self, platform: Platform) -> None:
        started = []
        for _ in range(2):
            with handling("validate/event-1"):
                started += [platform.pipelines.run(training, {"rows": rows}, wait=True).id for rows in (4, 5)]

        assert started[:2] == started[2:]
        assert len(set(started)) == 2

    def test_the_newest_run_is_listed_first(self, platform: Platform) -> None:
        older = platform.pipelines.run(training, wait=True)
        newer = platform.pipelines.run(two_places, wait=True)

        assert [run.id for run in platform.pipelines.list()] == [newer.id, older.id]
        assert [run.id for run in platform.pipelines.list("training")] == [older.id]

    def test_all_faults_are_listed_before_anything_runs(self, platform: Platform) -> None:
        with pytest.raises(InvalidPipelineError) as refusal:
            platform.pipelines.run(training, {"rows": "many", "colour": 1})

        assert refusal.value.faults == (
            "pipeline 'training' has no parameter 'colour'",
            "pipeline 'training': parameter 'rows': expected int, not 'many' (str)",
        )
        assert platform.pipelines.list() == []

    def test_a_result_of_the_wrong_type_is_explained(self, platform: Platform) -> None:
        with pytest.raises(RunFailedError) as failure:
            platform.pipelines.run(wrong_output, wait=True)

        assert "step 'wrong' returned the wrong value for its output 'output'" in str(failure.value)
        assert "expected a Model or a Path to one, not a value of type list" in str(failure.value)
        assert "return that, or change the annotation" in str(failure.value)

    def test_an_output_that_cannot_be_stored_is_explained(self, platform: Platform) -> None:
        with pytest.raises(RunFailedError, match=r"the value of 'x': expected float, not <object object"):
            platform.pipelines.run(wrong_content, wait=True)

    def test_a_run_knows_where_it_comes_from(self, platform: Platform) -> None:
        lineage = platform.acting_as("ada").pipelines.run(training, {"rows": 4}, wait=True).lineage

        assert lineage.parameters == {"rows": 4, "keep": 0.5, "on": "2013-01-01"}
        assert lineage.actor.id == "ada"
        assert lineage.packages["pyarrow"] == pa.__version__
        assert len(lineage.source_digest) == 64
        assert lineage.input_digests.keys() == {
            "split.data",
            "train.data",
            "train.rows",
            "evaluate.model",
            "describe.metrics",
        }

    def test_the_end_of_a_run_is_an_event(self, platform: Platform, tmp_path: Path) -> None:
        done = platform.pipelines.run(training, wait=True)
        with pytest.raises(RunFailedError) as failure:
            platform.pipelines.run(needs_file, _files(tmp_path / "journal", tmp_path / "missing"), wait=True)

        assert [event.run for event in platform.events.list(kind=RunCompleted)] == [done.id]
        (failed,) = platform.events.list(kind=RunFailed)
        assert (failed.run, failed.step) == (failure.value.run.id, "unless")

    def test_what_does_not_exist_is_not_found(self, platform: Platform) -> None:
        run = platform.pipelines.run(training, wait=True)

        with pytest.raises(NotFoundError, match="there is no run 'sunday'"):
            platform.pipelines.get("sunday")
        with pytest.raises(NotFoundError, match="has no step 'tran'"):
            run.logs("tran")
        with pytest.raises(NotFoundError, match="there is no schedule 'nightly'"):
            platform.pipelines.unschedule("nightly")

    def test_a_schedule_is_kept_replaced_and_removed(self, platform: Platform) -> None:
        platform.pipelines.schedule(training, name="nightly", cron="0 2 * * *", parameters={"rows": 3})
        platform.pipelines.schedule(training, name="nightly", cron="0 3 * * *", timezone="Europe/Zurich")

        (kept,) = platform.pipelines.schedules()
        assert (kept.name, kept.pipeline, kept.cron, kept.timezone) == (
            "nightly",
            "training",
            "0 3 * * *",
            "Europe/Zurich",
        )
        platform.pipelines.unschedule("nightly")
        assert platform.pipelines.schedules() == []

    def test_a_wrong_schedule_is_refused_with_all_faults(self, platform: Platform) -> None:
        with pytest.raises(InvalidRequestError) as refusal:
            platform.pipelines.schedule(training, name="nightly", cron="at noon", timezone="Mars/Olympus")

        assert len(refusal.value.faults) == 2
        assert platform.pipelines.schedules() == []


def _files(journal: Path, missing: Path) -> dict[str, object]:
    return {"journal": str(journal), "missing": str(missing)}


def _until(condition: object, *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator] # a function without arguments
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)
