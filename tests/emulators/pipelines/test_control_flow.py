"""Conditions, loops, nested DAGs, exit handlers, failures and cancellation."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.emulators.pipelines.conftest import Google, left, states
from tests.emulators.pipelines.specs import Spec, given, output, task


def _echo(spec: Spec, kind: str = "STRING") -> None:
    """Add a component that leaves what it is given."""
    spec.shell(
        "echo",
        'printf %s "$0" > "$1"',
        inputs={"x": kind},
        outputs={"y": kind},
        arguments=["{{$.inputs.parameters['x']}}", "{{$.outputs.parameters['y'].output_file}}"],
    )


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("inputs.parameter_values['x'] == 5", True),
        ("int(inputs.parameter_values['x']) > 7", False),
        ("!(inputs.parameter_values['x'] == 5) && inputs.parameter_values['x'] > 1", False),
        ("inputs.parameter_values['x'] >= 5.0 || false", True),
        ("inputs.parameter_values['x'] != 4 && (inputs.parameter_values['x'] < 6)", True),
    ],
)
def test_a_condition_decides_whether_a_task_runs(google: Google, condition: str, runs: bool) -> None:
    spec = Spec()
    _echo(spec, "NUMBER_INTEGER")
    spec.task("asked", "echo", parameters={"x": 5}, triggerPolicy={"condition": condition})
    spec.task("after", "echo", parameters={"x": output("asked", "y")})

    job = google.run(spec)

    expected = "SUCCEEDED" if runs else "NOT_TRIGGERED"
    assert states(job) == {"asked": expected, "after": expected}
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"


def test_a_condition_that_is_not_understood_fails_its_task(google: Google) -> None:
    spec = Spec()
    _echo(spec)
    spec.task("asked", "echo", parameters={"x": "1"}, triggerPolicy={"condition": "inputs.parameter_values['y'] ~ 3"})

    job = google.run(spec)

    assert "is not understood" in job.job_detail.task_details[1].error.message


def test_a_loop_runs_for_each_item_and_its_outputs_are_a_list(google: Google) -> None:
    spec = Spec()
    _echo(spec, "NUMBER_INTEGER")
    spec.shell(
        "sum",
        'printf %s "$0" > "$1"',
        inputs={"xs": "LIST"},
        outputs={"text": "STRING"},
        arguments=["{{$.inputs.parameters['xs']}}", "{{$.outputs.parameters['text'].output_file}}"],
    )
    spec.dag(
        "each",
        {"echo": task("echo", parameters={"x": given("item")})},
        outputs={"parameters": {"all": {"valueFromParameter": {"producerSubtask": "echo", "outputParameterKey": "y"}}}},
        inputDefinitions={
            "parameters": {"items": {"parameterType": "LIST"}, "item": {"parameterType": "NUMBER_INTEGER"}}
        },
        outputDefinitions={"parameters": {"all": {"parameterType": "LIST"}}},
    )
    spec.task(
        "loop",
        "each",
        parameters={"items": [3, 1, 2]},
        parameterIterator={"itemInput": "item", "items": {"inputParameter": "items"}},
        iteratorPolicy={"parallelismLimit": 2},
    )
    spec.task("sum", parameters={"xs": output("loop", "all")})

    job = google.run(spec)

    assert left(job, "sum") == {"text": "[3, 1, 2]"}
    assert list(states(job)).count("loop") == 1
    assert {"loop-0", "loop-1", "loop-2"} <= states(job).keys()


def test_a_loop_over_constants_takes_parts_of_its_items(google: Google) -> None:
    spec = Spec()
    _echo(spec)
    spec.dag(
        "each",
        {
            "echo": task(
                "echo",
                parameters={"x": {**given("item"), "parameterExpressionSelector": 'parseJson(string_value)["a"]'}},
            )
        },
        inputDefinitions={"parameters": {"item": {"parameterType": "STRUCT"}}},
    )
    spec.task("loop", "each", parameterIterator={"itemInput": "item", "items": {"raw": '[{"a": "u"}, {"a": "v"}]'}})

    job = google.run(spec)

    found = [dict(one.execution.metadata)["output:y"] for one in job.job_detail.task_details if one.task_name == "echo"]
    assert sorted(found) == ["u", "v"]


def test_of_several_branches_the_one_that_ran_supplies_the_output(google: Google) -> None:
    spec = Spec(parameters={"x": {"parameterType": "STRING"}})
    _echo(spec)
    branches = {
        name: task(
            "echo",
            parameters={"x": name, "asked": given("asked")},
            triggerPolicy={"condition": f"inputs.parameter_values['asked'] == '{name}'"},
        )
        for name in ("left", "right")
    }
    spec.components["echo"]["inputDefinitions"]["parameters"]["asked"] = {"parameterType": "STRING"}
    spec.dag(
        "branches",
        branches,
        outputs={
            "parameters": {
                "chosen": {
                    "valueFromOneof": {
                        "parameterSelectors": [
                            {"producerSubtask": name, "outputParameterKey": "y"} for name in branches
                        ]
                    }
                }
            }
        },
        inputDefinitions={"parameters": {"asked": {"parameterType": "STRING"}}},
        outputDefinitions={"parameters": {"chosen": {"parameterType": "STRING"}}},
    )
    spec.task("branches", parameters={"asked": given("x")})
    spec.task("after", "echo", parameters={"x": output("branches", "chosen"), "asked": ""})

    assert left(google.run(spec, {"x": "right"}), "after") == {"y": "right"}


def _failing(journal: Path) -> Spec:
    spec = Spec()
    spec.shell("fail", "echo it fails; exit 7")
    spec.shell("note", f'echo "$0" >> {journal}', inputs={"x": "STRING"}, arguments=["{{$.inputs.parameters['x']}}"])
    spec.task("fail")
    spec.task("next", "note", after=["fail"], parameters={"x": "next"})
    return spec


def test_what_needs_a_failed_task_does_not_run_and_all_else_does(google: Google, tmp_path: Path) -> None:
    spec = _failing(tmp_path / "journal")
    spec.task("slow", "note", parameters={"x": "slow"})
    spec.task("beside", "note", after=["slow"], parameters={"x": "beside"})

    job = google.run(spec)

    assert job.state.name == "PIPELINE_STATE_FAILED"
    assert "The failed tasks are: [fail]" in job.error.message
    assert states(job) == {"fail": "FAILED", "next": "NOT_TRIGGERED", "slow": "SUCCEEDED", "beside": "SUCCEEDED"}
    assert (tmp_path / "journal").read_text() == "slow\nbeside\n"


def test_failing_fast_begins_no_task_after_a_failure(google: Google, tmp_path: Path) -> None:
    spec = _failing(tmp_path / "journal")
    spec.shell("wait", f"while ! test -f {tmp_path}/go; do sleep 0.02; done")
    spec.task("wait")
    spec.task("beside", "note", after=["wait"], parameters={"x": "beside"})
    started = google.start(spec, fast=True)
    until = time.monotonic() + 30
    while states(google.pipelines.get_pipeline_job(name=started.name)).get("fail") != "FAILED":
        assert time.monotonic() < until
    (tmp_path / "go").touch()

    job = google.ended(started)

    assert states(job) == {"fail": "FAILED", "next": "NOT_TRIGGERED", "wait": "SUCCEEDED", "beside": "NOT_TRIGGERED"}


def test_an_exit_handler_runs_after_a_failure_and_knows_of_it(google: Google) -> None:
    spec = Spec()
    spec.shell("fail", "exit 7")
    spec.dag("body", {"fail": task("fail")})
    spec.shell(
        "after",
        'printf %s "$0" > "$1"',
        inputs={"status": "TASK_FINAL_STATUS"},
        outputs={"seen": "STRUCT"},
        arguments=["{{$.inputs.parameters['status']}}", "{{$.outputs.parameters['seen'].output_file}}"],
    )
    spec.task("body")
    spec.task(
        "after",
        after=["body"],
        parameters={"status": {"taskFinalStatus": {"producerTask": "body"}}},
        triggerPolicy={"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
    )

    job = google.run(spec)

    seen = left(job, "after")["seen"]
    assert job.state.name == "PIPELINE_STATE_FAILED"
    assert (seen["state"], seen["pipelineTaskName"]) == ("FAILED", "body")
    assert "[fail]" in seen["error"]["message"]


def test_a_cancelled_job_ends_its_processes(google: Google, tmp_path: Path) -> None:
    spec = Spec()
    spec.shell("forever", f"touch {tmp_path}/begun; sleep 600 & wait")
    spec.shell("next", "true")
    spec.task("forever")
    spec.task("next", after=["forever"])
    started = google.start(spec)
    until = time.monotonic() + 30
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < until
        time.sleep(0.01)

    google.pipelines.cancel_pipeline_job(name=started.name)

    job = google.ended(started)
    assert job.state.name == "PIPELINE_STATE_CANCELLED"
    assert states(job) == {"forever": "CANCELLED", "next": "CANCELLED"}


def test_the_pause_before_a_retry_is_of_the_emulators_time(google: Google, tmp_path: Path) -> None:
    spec = Spec()
    spec.shell("flaky", f"echo tried >> {tmp_path}/tries; test $(wc -l < {tmp_path}/tries) = 2")
    spec.task("flaky", retryPolicy={"maxRetryCount": 1, "backoffDuration": "3600s"})
    started = google.start(spec)
    until = time.monotonic() + 30
    while not any(
        task.executor_detail.container_detail.failed_main_jobs
        for task in google.pipelines.get_pipeline_job(name=started.name).job_detail.task_details
    ):
        assert time.monotonic() < until
    from datetime import timedelta

    while google.pipelines.get_pipeline_job(name=started.name).state.name == "PIPELINE_STATE_RUNNING":
        google.emulator.clock.advance(timedelta(hours=1))
        assert time.monotonic() < until

    assert google.ended(started).state.name == "PIPELINE_STATE_SUCCEEDED"
