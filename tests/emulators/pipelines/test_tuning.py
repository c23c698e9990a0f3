"""Hyperparameter tuning jobs run trials."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1
from tests.emulators.pipelines.conftest import Google

from cloudmlops.emulators.google import vertex_emulator

REPORTING = """
import json, os, sys
given = dict(word.removeprefix("--").split("=") for word in sys.argv[1:])
def report(step, **metrics):
    line = {"timestamp": 0, "trial": os.environ["CLOUD_ML_TRIAL_ID"], "global_step": str(step)}
    lines.append(json.dumps({**line, **{name: str(value) for name, value in metrics.items()}}))
    with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "w") as file: file.write("\\n".join(lines) + "\\n")
lines = []
"""
"""What cloudml-hypertune does, and the arguments."""
_ENDED = (v1.JobState.JOB_STATE_SUCCEEDED, v1.JobState.JOB_STATE_FAILED, v1.JobState.JOB_STATE_CANCELLED)
_RANGE = {"parameter_id": "x", "double_value_spec": {"min_value": -2.0, "max_value": 2.0}}
_LAYERS = {"parameter_id": "layers", "integer_value_spec": {"min_value": 1, "max_value": 3}}
_KIND = {"parameter_id": "kind", "categorical_value_spec": {"values": ["tree", "linear"]}}
_UNITS = {"parameter_id": "units", "discrete_value_spec": {"values": [0.5, 8, 16]}}


def _job(
    google: Google,
    program: str,
    parameters: list[Mapping[str, Any]],
    *,
    trials: int = 4,
    parallel: int = 1,
    study: Mapping[str, Any] | None = None,
    arguments: list[str] | None = None,
    **fields: Any,
) -> v1.HyperparameterTuningJob:
    pool = {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {
            "image_uri": "any",
            "command": ["python", "-c", REPORTING + program],
            "args": arguments or [],
        },
    }
    return v1.HyperparameterTuningJob(
        display_name="tests",
        max_trial_count=trials,
        parallel_trial_count=parallel,
        study_spec={
            "metrics": [{"metric_id": "loss", "goal": "MINIMIZE"}],
            "parameters": parameters,
            "algorithm": "RANDOM_SEARCH",
            **(study or {}),
        },
        trial_job_spec={
            "worker_pool_specs": [pool],
            "base_output_directory": {"output_uri_prefix": f"gs://{google.bucket}/out"},
        },
        **fields,
    )


def _jobs(google: Google, transport: str = "grpc") -> v1.JobServiceClient:
    if transport == "grpc":
        return google.client(v1.JobServiceClient)
    options = {"api_endpoint": google.emulator.url}
    return v1.JobServiceClient(transport="rest", credentials=AnonymousCredentials(), client_options=options)


def _create(google: Google, *given: Any, **fields: Any) -> v1.HyperparameterTuningJob:
    job = _job(google, *given, **fields)
    return _jobs(google).create_hyperparameter_tuning_job(parent=google.parent, hyperparameter_tuning_job=job)


def _ended(google: Google, job: v1.HyperparameterTuningJob) -> v1.HyperparameterTuningJob:
    until = time.monotonic() + 60
    while (known := _jobs(google).get_hyperparameter_tuning_job(name=job.name)).state not in _ENDED:
        assert time.monotonic() < until, known
        time.sleep(0.01)
    return known


def _run(google: Google, *given: Any, **fields: Any) -> v1.HyperparameterTuningJob:
    return _ended(google, _create(google, *given, **fields))


def _points(job: v1.HyperparameterTuningJob) -> list[dict[str, Any]]:
    return [{one.parameter_id: one.value for one in trial.parameters} for trial in job.trials]


def _states(job: v1.HyperparameterTuningJob) -> list[str]:
    return [trial.state.name for trial in job.trials]


def _wait_for(*files: Path) -> None:
    until = time.monotonic() + 30
    while not all(file.exists() for file in files):
        assert time.monotonic() < until, f"{files} did not come to be"
        time.sleep(0.005)


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_trials_run_and_the_best_one_is_found(google: Google, transport: str) -> None:
    jobs = _jobs(google, transport)
    program = "report(1, loss=99); report(2, loss=(float(given['x']) - 1) ** 2)"
    made = jobs.create_hyperparameter_tuning_job(
        parent=google.parent, hyperparameter_tuning_job=_job(google, program, [_RANGE], trials=5, parallel=2)
    )
    assert made.state is v1.JobState.JOB_STATE_PENDING
    assert not made.trials
    _ended(google, made)
    job = jobs.get_hyperparameter_tuning_job(name=made.name)

    assert job.state is v1.JobState.JOB_STATE_SUCCEEDED
    assert _states(job) == ["SUCCEEDED"] * 5
    assert sorted(trial.id for trial in job.trials) == ["1", "2", "3", "4", "5"]
    assert job.create_time <= job.start_time <= job.end_time
    points = [point["x"] for point in _points(job)]
    assert len(set(points)) == 5
    for x, trial in zip(points, job.trials, strict=True):
        (metric,) = trial.final_measurement.metrics
        assert metric.metric_id == "loss"
        assert metric.value == pytest.approx((x - 1) ** 2)
        assert trial.final_measurement.step_count == 2
        assert [one.metrics[0].value for one in trial.measurements] == [99, metric.value]
        assert job.start_time <= trial.start_time <= trial.end_time <= job.end_time
    best = min(job.trials, key=lambda trial: trial.final_measurement.metrics[0].value)
    assert best.parameters[0].value == min(points, key=lambda x: abs(x - 1))
    assert made.name in [known.name for known in jobs.list_hyperparameter_tuning_jobs(parent=google.parent)]


def test_a_trial_is_a_custom_job_with_its_parameters_as_arguments(google: Google) -> None:
    program = """
os.makedirs(given["at"], exist_ok=True)
with open(os.path.join(given["at"], os.environ["CLOUD_ML_TRIAL_ID"]), "w") as file:
    json.dump([os.environ["AIP_MODEL_DIR"], *sys.argv[2:]], file)
report(1, loss=1)
"""
    parameters = [_LAYERS, _KIND, _UNITS, _RANGE]
    job = _run(google, program, parameters, trials=6, parallel=3, arguments=[f"--at=/gcs/{google.bucket}/seen"])

    assert {point["units"] for point in _points(job)} <= {0.5, 8, 16}
    for trial, point in zip(job.trials, _points(job), strict=True):
        custom = _jobs(google).get_custom_job(name=trial.custom_job)
        assert custom.state is v1.JobState.JOB_STATE_SUCCEEDED
        output = f"gs://{google.bucket}/out/{trial.id}"
        assert custom.job_spec.base_output_directory.output_uri_prefix == output
        told, *words = json.loads(google.object(f"gs://{google.bucket}/seen/{trial.id}"))
        assert told == f"{output}/model/"
        units = "0.5" if point["units"] == 0.5 else f"{point['units']:.0f}"
        assert words == [
            f"--layers={point['layers']:.0f}",
            f"--kind={point['kind']}",
            f"--units={units}",
            f"--x={point['x']!r}",
        ]


def test_a_grid_is_walked_to_its_end(google: Google) -> None:
    job = _run(
        google,
        "report(1, loss=given['layers'])",
        [_LAYERS, _KIND],
        trials=50,
        parallel=3,
        study={"algorithm": "GRID_SEARCH"},
    )

    assert job.state is v1.JobState.JOB_STATE_SUCCEEDED
    assert sorted((point["layers"], point["kind"]) for point in _points(job)) == [
        (layers, kind) for layers in (1, 2, 3) for kind in ("linear", "tree")
    ]


def test_the_default_search_comes_nearer_to_the_best_than_it_began_and_the_same_way_each_time(google: Google) -> None:
    program = "report(1, loss=(float(given['x']) - 1.3) ** 2)"
    first, second = (
        _run(google, program, [_RANGE], trials=14, study={"algorithm": "ALGORITHM_UNSPECIFIED"}) for _ in range(2)
    )

    distances = [abs(point["x"] - 1.3) for point in _points(first)]
    assert min(distances[5:]) < min(distances[:5])
    assert _points(first) == _points(second)


def test_of_several_measurements_the_last_counts_or_the_best_as_is_asked(google: Google) -> None:
    program = "report(3, loss=1); report(1, loss=5, accuracy=2); report(2, accuracy=1)"
    last = _run(google, program, [_RANGE], trials=1)
    best = _run(google, program, [_RANGE], trials=1, study={"measurement_selection_type": "BEST_MEASUREMENT"})
    most = {"metrics": [{"metric_id": "loss", "goal": "MAXIMIZE"}], "measurement_selection_type": "BEST_MEASUREMENT"}
    highest = _run(google, program, [_RANGE], trials=1, study=most)

    found = [job.trials[0].final_measurement for job in (last, best, highest)]
    assert [(one.metrics[0].value, one.step_count) for one in found] == [(5, 1), (1, 3), (5, 1)]
    assert [one.step_count for one in last.trials[0].measurements] == [1, 3]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("sys.exit(3)", "non-zero status of 3"),
        ("report(1, accuracy=1)", "reported no value of the metric 'loss'"),
        ("report(1, loss='nan')", "not finite"),
        ("lines.append('what?'); report(1, loss=1)", "not what hypertune writes: 'what?'"),
    ],
    ids=["fails", "another metric", "not a number", "not JSON"],
)
def test_a_trial_that_cannot_be_compared_is_infeasible(google: Google, program: str, reason: str) -> None:
    job = _run(
        google,
        f"if given['layers'] == '2':\n    {program}\nelse: report(1, loss=1)",
        [_LAYERS],
        trials=3,
        study={"algorithm": "GRID_SEARCH"},
    )

    assert job.state is v1.JobState.JOB_STATE_SUCCEEDED
    assert _states(job) == ["SUCCEEDED", "INFEASIBLE", "SUCCEEDED"]
    assert reason in job.trials[1].infeasible_reason
    assert not job.trials[1].final_measurement.metrics


def test_too_many_failed_trials_fail_the_job_and_end_the_others(google: Google, tmp_path: Path) -> None:
    program = f"""
if given['layers'] == '3':
    open('{tmp_path}/begun', 'w').close()
    while True: pass
import time
while not os.path.exists('{tmp_path}/begun'): time.sleep(0.01)
sys.exit(1)
"""
    job = _run(
        google, program, [_LAYERS], trials=9, parallel=3, study={"algorithm": "GRID_SEARCH"}, max_failed_trial_count=2
    )

    assert job.state is v1.JobState.JOB_STATE_FAILED
    assert job.error.message == "2 of 3 trials have failed, which is too many."
    assert _states(job) == ["INFEASIBLE"] * 3
    assert "cancelled" in job.trials[2].infeasible_reason


def test_a_job_none_of_whose_trials_succeeds_fails(google: Google) -> None:
    job = _run(google, "sys.exit(1)", [_RANGE], trials=2)

    assert job.state is v1.JobState.JOB_STATE_FAILED
    assert "2 of 2 trials have failed" in job.error.message


def test_no_more_trials_run_at_once_than_is_asked(google: Google, tmp_path: Path) -> None:
    program = f"""
import pathlib, time
own = pathlib.Path('{tmp_path}', os.environ['CLOUD_ML_TRIAL_ID'])
own.touch()
while not os.path.exists('{tmp_path}/go'): time.sleep(0.01)
beside = len([name for name in os.listdir('{tmp_path}') if name != 'go'])
own.unlink()
report(1, loss=beside)
"""
    job = _create(google, program, [_RANGE], trials=5, parallel=2)
    _wait_for(tmp_path / "1", tmp_path / "2")
    known = _jobs(google).get_hyperparameter_tuning_job(name=job.name)
    assert known.state is v1.JobState.JOB_STATE_RUNNING
    assert _states(known) == ["ACTIVE", "ACTIVE"]
    (tmp_path / "go").touch()

    beside = [trial.final_measurement.metrics[0].value for trial in _ended(google, job).trials]
    assert len(beside) == 5
    assert max(beside) <= 2


def test_a_job_is_cancelled_with_its_trials_and_then_deleted(google: Google, tmp_path: Path) -> None:
    jobs = _jobs(google)
    program = f"open('{tmp_path}/' + os.environ['CLOUD_ML_TRIAL_ID'], 'w').close()\nwhile True: pass"
    job = _create(google, program, [_RANGE], trials=9, parallel=2)
    _wait_for(tmp_path / "1", tmp_path / "2")
    with pytest.raises(exceptions.FailedPrecondition, match="cancel it first"):
        jobs.delete_hyperparameter_tuning_job(name=job.name)

    jobs.cancel_hyperparameter_tuning_job(name=job.name)

    ended = _ended(google, job)
    assert ended.state is v1.JobState.JOB_STATE_CANCELLED
    assert _states(ended) == ["INFEASIBLE"] * 2
    customs = [jobs.get_custom_job(name=trial.custom_job).state.name for trial in ended.trials]
    assert customs == ["JOB_STATE_CANCELLED"] * 2
    with pytest.raises(exceptions.FailedPrecondition, match="has ended"):
        jobs.cancel_hyperparameter_tuning_job(name=job.name)
    jobs.delete_hyperparameter_tuning_job(name=job.name).result()
    with pytest.raises(exceptions.NotFound):
        jobs.get_hyperparameter_tuning_job(name=job.name)


_CONDITIONAL = {
    **_LAYERS,
    "conditional_parameter_specs": [{"parameter_spec": _UNITS, "parent_int_values": {"values": [1]}}],
}


@pytest.mark.parametrize(
    ("parameters", "fields", "kind", "said"),
    [
        ([_CONDITIONAL], {}, exceptions.MethodNotImplemented, "Conditional parameters, such as those of 'layers'"),
        ([_RANGE], {"study": {"algorithm": "GRID_SEARCH"}}, exceptions.InvalidArgument, "'x' is a DOUBLE"),
        ([_RANGE], {"trials": 0}, exceptions.InvalidArgument, "max_trial_count"),
        ([_RANGE], {"parallel": 0}, exceptions.InvalidArgument, "parallel_trial_count"),
        ([_RANGE], {"max_failed_trial_count": -1}, exceptions.InvalidArgument, "must not be negative"),
        ([_RANGE, _RANGE], {}, exceptions.InvalidArgument, "two parameters of one"),
        ([{**_RANGE, "scale_type": "UNIT_LOG_SCALE"}], {}, exceptions.InvalidArgument, "must be positive"),
        ([{"parameter_id": "x"}], {}, exceptions.InvalidArgument, "no specification of its values"),
        (
            [{"parameter_id": "x", "integer_value_spec": {"min_value": 2, "max_value": 1}}],
            {},
            exceptions.InvalidArgument,
            "no values between 2 and 1",
        ),
        (
            [{"parameter_id": "x", "double_value_spec": {"min_value": 0, "max_value": 1, "default_value": 0.5}}],
            {},
            exceptions.InvalidArgument,
            "only Vizier supports",
        ),
        (
            [_RANGE],
            {"study": {"median_automated_stopping_spec": {}}},
            exceptions.MethodNotImplemented,
            "median_automated_stopping_spec is not emulated",
        ),
        (
            [_RANGE],
            {"study": {"metrics": [{"metric_id": name, "goal": "MAXIMIZE"} for name in "ab"]}},
            exceptions.MethodNotImplemented,
            "anything but one metric",
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_cannot_be_searched_is_refused_by_name(
    google: Google, parameters: list[Any], fields: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        _create(google, "", parameters, **fields)
    assert not list(_jobs(google).list_hyperparameter_tuning_jobs(parent=google.parent))


def test_a_job_that_a_restart_cut_short_has_failed(tmp_path: Path) -> None:
    program = f"open('{tmp_path}/' + os.environ['CLOUD_ML_TRIAL_ID'], 'w').close()\nwhile True: pass"
    with vertex_emulator(state=tmp_path / "state") as first, grpc.insecure_channel(first.address) as channel:
        google = Google(emulator=first, project="restarted", channel=channel)
        httpx.post(
            f"{first.url}/storage/v1/b", params={"project": "restarted"}, json={"name": google.bucket}, verify=False
        )
        job = _create(google, program, [_RANGE], trials=9, parallel=2)
        _wait_for(tmp_path / "1", tmp_path / "2")

    with vertex_emulator(state=tmp_path / "state") as second, grpc.insecure_channel(second.address) as channel:
        google = Google(emulator=second, project="restarted", channel=channel)
        found = _jobs(google).get_hyperparameter_tuning_job(name=job.name)
        customs = [_jobs(google).get_custom_job(name=trial.custom_job) for trial in found.trials]

    assert found.state is v1.JobState.JOB_STATE_FAILED
    assert "emulator was stopped" in found.error.message
    assert _states(found) == ["INFEASIBLE"] * 2
    assert all("emulator was stopped" in one.infeasible_reason for one in found.trials)
    assert all("emulator was stopped" in one.error.message for one in customs)
    assert found.trials[0].end_time <= found.end_time
