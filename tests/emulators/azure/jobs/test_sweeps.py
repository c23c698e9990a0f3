from __future__ import annotations

import json
import math
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import HttpResponseError
from hypothesis import given
from hypothesis import strategies as st

from cloudmlops.emulators.azure.jobs.early_termination import read_policy
from cloudmlops.emulators.azure.jobs.search_spaces import read_space, sampler_of
from cloudmlops.emulators.azure.jobs.sobol import DIMENSIONS, sobol
from cloudmlops.emulators.core.faults import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.azure.jobs.conftest import Jobs

pytestmark = pytest.mark.conformance(ci=True)

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]
LOG = """
import json, os, urllib.request
def log(value, step):
    "As MLflow's client does, without the seconds that importing it takes."
    uri = "https:" + os.environ["MLFLOW_TRACKING_URI"].partition(":")[2]
    sent = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": "score", "value": value, "timestamp": 1, "step": step}
    request = urllib.request.Request(f"{uri}/api/2.0/mlflow/runs/log-metric", json.dumps(sent).encode())
    request.add_header("content-type", "application/json")
    request.add_header("authorization", "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"])
    urllib.request.urlopen(request).read()
"""
TRAIN = """
import sys
from pathlib import Path
from log import log
rate, depth = float(sys.argv[1]), int(sys.argv[2])
log(0.1, 0)
log(rate + depth, 1)
Path(sys.argv[3], "model.txt").write_text(f"{rate} {depth}")
print("trained", sys.argv[4])
"""


def sweep(jobs: Jobs, *, program: str = TRAIN, space: Any = None, **chosen: Any) -> Any:
    from azure.ai.ml import Output
    from azure.ai.ml.sweep import Choice

    trial = jobs.command(
        "python train.py ${{inputs.rate}} ${{inputs.depth}} ${{outputs.model}} ${{inputs.word}}",
        code=str(jobs.code(train=program, log=LOG)),
        inputs={"rate": 0.5, "depth": 1, "word": "well"},
        outputs={"model": Output(type="uri_folder")},
    )
    limits = chosen.pop("limits", {})
    job = trial(**(space or {"rate": Choice([0.25, 0.5]), "depth": Choice([1, 2])})).sweep(
        primary_metric="score",
        goal=chosen.pop("goal", "Maximize"),
        sampling_algorithm=chosen.pop("sampling", "grid"),
        **chosen,
    )
    job.experiment_name = "flights"
    job.set_limits(**{"max_total_trials": 4, "max_concurrent_trials": 2, **limits})
    return job


def test_a_sweep_tries_all_of_a_grid_and_names_the_best(jobs: Jobs, tmp_path: Path) -> None:
    submitted = jobs.submit(sweep(jobs))
    run = jobs.ended(submitted.name)

    assert run["status"] == "Completed", run["error"]
    assert run["properties"]["best_child_run_id"] == f"{submitted.name}_3"
    assert float(run["properties"]["score"]) == 2.5
    known = jobs.client.jobs.get(str(submitted.name))
    assert (known.type, known.status, known.objective.primary_metric) == ("sweep", "Completed", "score")
    trials = [jobs.run(f"{submitted.name}_{number}") for number in range(4)]
    assert [trial["parentRunId"] for trial in trials] == [submitted.name] * 4
    assert [json.loads(trial["tags"]["hyperparameters"]) for trial in trials] == [
        {"rate": rate, "depth": depth} for rate in (0.25, 0.5) for depth in (1, 2)
    ]
    jobs.client.jobs.download(str(submitted.name), download_path=tmp_path / "got", all=True)
    assert (tmp_path / "got" / "named-outputs" / "model" / "model.txt").read_text() == "0.5 2"
    assert jobs.log(f"{submitted.name}_3") == "trained well\n"
    assert {one.name for one in jobs.client.jobs.list(parent_job_name=submitted.name)} == {
        f"{submitted.name}_{number}" for number in range(4)
    }
    assert [one.name for one in jobs.client.jobs.list()] == [submitted.name]


def test_a_sweep_is_shown_with_what_the_service_shows(jobs: Jobs) -> None:
    from azure.ai.ml.sweep import Uniform

    job = sweep(jobs, space={"rate": Uniform(0.1, 0.2)}, sampling="random", limits={"max_total_trials": 1})
    name = str(jobs.submit(job).name)
    jobs.ended(name)

    path = f"{jobs.azure.workspace_id}/jobs/{name}"
    shown = jobs.call("GET", path, params={"api-version": "2024-01-01-preview"}).json()["properties"]

    assert set(shown) == {
        *("description", "tags", "properties", "displayName", "status", "experimentName", "services", "isArchived"),
        *("computeId", "identity", "componentId", "notificationSetting", "secretsConfiguration", "jobType"),
        *("searchSpace", "samplingAlgorithm", "limits", "earlyTermination", "objective", "trial", "inputs", "outputs"),
        *("queueSettings", "resources", "componentConfiguration"),
    }
    assert shown["searchSpace"] == {"rate": ["uniform", [0.1, 0.2]]}
    assert set(shown["samplingAlgorithm"]) == {"samplingAlgorithmType", "seed", "logbase", "rule"}
    assert set(shown["limits"]) == {"timeout", "jobLimitsType", "maxTotalTrials", "maxConcurrentTrials", "trialTimeout"}
    assert {"primary_metric_config", "resume_from", "runTemplate", "azureml.runsource", "platform"} <= set(
        shown["properties"]
    )
    trial = jobs.client.jobs.get(f"{name}_0")
    assert trial.type == "command"
    assert "${{search_space.rate}}" not in str(trial.command)


def test_what_is_to_be_small_is_best_when_it_is_smallest(jobs: Jobs) -> None:
    program = TRAIN.replace("log(0.1, 0)", "")
    run = jobs.finished(sweep(jobs, program=program, goal="Minimize"))

    assert run["properties"]["best_child_run_id"] == f"{run['runId']}_0"
    assert float(run["properties"]["score"]) == 1.25


def test_a_trial_that_fails_is_not_the_best_and_only_all_of_them_fail_a_sweep(jobs: Jobs) -> None:
    some = TRAIN.replace("rate, depth =", "assert sys.argv[2] == '1'\nrate, depth =")
    run = jobs.finished(sweep(jobs, program=some))
    assert run["status"] == "Completed"
    assert run["properties"]["best_child_run_id"] == f"{run['runId']}_2"

    run = jobs.finished(sweep(jobs, program="raise SystemExit(1)"))
    assert run["status"] == "Failed"
    assert "All trials" in run["error"]["error"]["message"]
    assert "best_child_run_id" not in run["properties"]


def test_a_bandit_ends_trials_that_are_too_far_behind(jobs: Jobs, tmp_path: Path) -> None:
    from azure.ai.ml.sweep import BanditPolicy, Choice

    go = tmp_path / "go"
    waits = f"""
import sys, time
from pathlib import Path
from log import log
rate = float(sys.argv[1])
log(rate, 0)
log(rate, 1)
while rate < 1 or not Path({str(go)!r}).exists():
    time.sleep(0.01)
"""
    policy = BanditPolicy(slack_factor=0.5, evaluation_interval=2)
    job = sweep(
        jobs,
        program=waits,
        space={"rate": Choice([0.1, 1.0])},
        early_termination_policy=policy,
        limits={"max_total_trials": 2},
    )
    name = str(jobs.submit(job).name)

    assert jobs.ended(f"{name}_0")["status"] == "Canceled"
    assert jobs.run(f"{name}_1")["status"] not in ("Canceled", "Failed")
    go.touch()
    run = jobs.ended(name)

    assert run["status"] == "Completed"
    assert run["properties"]["best_child_run_id"] == f"{name}_1"


def test_a_sweep_whose_timeout_is_over_is_canceled_with_its_trials(jobs: Jobs) -> None:
    clock = jobs.azure.emulator.clock
    clock.freeze()
    job = sweep(jobs, program="import time; time.sleep(600)", limits={"timeout": 3600})
    name = str(jobs.submit(job).name)
    assert jobs.became(f"{name}_0", "Running")

    clock.advance(timedelta(hours=1))

    assert jobs.ended(name)["status"] == "Canceled"
    assert jobs.ended(f"{name}_0")["status"] == "Canceled"


def test_a_canceled_sweep_begins_no_further_trial(jobs: Jobs) -> None:
    job = sweep(jobs, program="import time; time.sleep(600)", limits={"max_concurrent_trials": 1})
    name = str(jobs.submit(job).name)
    assert jobs.became(f"{name}_0", "Running")

    jobs.client.jobs.begin_cancel(name).result()

    assert jobs.ended(name)["status"] == "Canceled"
    assert [one.name for one in jobs.client.jobs.list(parent_job_name=name)] == [f"{name}_0"]


@pytest.mark.parametrize(
    ("space", "sampling", "told"),
    [
        ({"a": ["uniform", [0, 1]]}, {"samplingAlgorithmType": "Grid"}, "Grid sampling takes choice only"),
        ({"a": ["normal", [0, 1]]}, {"samplingAlgorithmType": "Bayesian"}, "Bayesian sampling takes choice"),
        ({"a": ["other", [0, 1]]}, {"samplingAlgorithmType": "Random"}, "distribution"),
        ({"a": ["uniform", [0]]}, {"samplingAlgorithmType": "Random"}, "distribution"),
        ({"a": ["choice", [[{"b": 1}]]]}, {"samplingAlgorithmType": "Random"}, "within a choice"),
        ({"a": ["choice", [[1]]]}, {"samplingAlgorithmType": "Other"}, "none of Random"),
        ({}, {"samplingAlgorithmType": "Random"}, "searchSpace"),
    ],
)
def test_what_cannot_be_sampled_is_refused(space: Any, sampling: Any, told: str) -> None:
    with pytest.raises(Refused, match=told):
        sampler_of(sampling, read_space(space), name="job")


def test_a_sweep_that_is_malformed_is_refused_before_anything_has_begun(jobs: Jobs) -> None:
    from azure.ai.ml.sweep import Uniform

    with pytest.raises(HttpResponseError, match="Grid sampling takes choice only"):
        jobs.submit(sweep(jobs, space={"rate": Uniform(0, 1)}))

    assert list(jobs.client.jobs.list()) == []


@pytest.mark.parametrize(
    ("kind", "arguments", "low", "high"),
    [
        ("uniform", [2, 3], 2, 3),
        ("quniform", [0, 10, 2.5], 0, 10),
        ("loguniform", [-3, 0], math.exp(-3), 1),
        ("qloguniform", [0, 3, 1], 1, 20),
        ("normal", [5, 1], -10, 20),
        ("qnormal", [5, 1, 0.5], -10, 20),
        ("lognormal", [0, 1], 0, math.inf),
        ("qlognormal", [0, 1, 0.5], 0, math.inf),
        ("randint", [7], 0, 6),
        ("choice", [[3, 4]], 3, 4),
    ],
)
@given(share=st.floats(0, 1))
def test_a_distribution_stays_where_it_is_and_grows_with_the_share(
    kind: str, arguments: list[Any], low: float, high: float, share: float
) -> None:
    distribution = read_space({"a": [kind, arguments]})["a"]

    value = distribution.at(share)

    assert low <= value <= high
    assert distribution.at(share / 2) <= value
    if kind.startswith("q"):
        assert math.isclose(value / arguments[-1], round(value / arguments[-1]), abs_tol=1e-9)


def test_sobol_s_points_fill_every_dimension_evenly() -> None:
    points = [[0.0] * DIMENSIONS, *islice(sobol(DIMENSIONS), 63)]

    for dimension in range(DIMENSIONS):
        assert sorted(int(point[dimension] * 64) for point in points) == list(range(64))
    squares = {(int(x * 8), int(y * 8)) for x, y, *_ in points}
    assert len(squares) == 64


def test_a_seed_chooses_the_same_points_and_the_name_is_one() -> None:
    space = read_space({"a": ["uniform", [0, 1]], "b": ["choice", [[1, 2, 3]]]})

    def points(seed: int | None, name: str) -> list[Any]:
        sampler = sampler_of({"samplingAlgorithmType": "Random", "seed": seed}, space, name=name)
        return [sampler.next([]) for _ in range(5)]

    assert points(7, "x") == points(7, "y") != points(8, "x")
    assert points(None, "x") == points(None, "x") != points(None, "y")


def test_a_bayesian_search_comes_nearer_to_the_best() -> None:
    space = read_space({"a": ["uniform", [0, 1]]})
    sampler = sampler_of({"samplingAlgorithmType": "Bayesian"}, space, name="job")
    tried: list[tuple[Any, float | None]] = []
    for _ in range(40):
        point = sampler.next(tried)
        assert point is not None
        tried.append((point, -abs(point["a"] - 0.3)))

    first, last = tried[:4], tried[-20:]
    assert sum(score or 0 for _, score in last) / 20 > sum(score or 0 for _, score in first) / 4
    assert max(score or -1 for _, score in tried) > -0.03


def policy(kind: str, *, minimizes: bool = False, **given: Any) -> Any:
    read = read_policy({"policyType": kind, **given}, minimizes=minimizes)
    assert read is not None
    return read


def test_the_documented_examples_of_policies_hold() -> None:
    bandit = policy("Bandit", slackFactor=0.2)  # the best has 0.8: below 0.8 / 1.2 = 0.66 is ended
    assert bandit.ends("b", {"a": [0.8], "b": [0.66]})
    assert not bandit.ends("b", {"a": [0.8], "b": [0.67]})
    amount = policy("Bandit", slackAmount=0.2)
    assert amount.ends("b", {"a": [0.8], "b": [0.59]})
    assert not amount.ends("b", {"a": [0.8], "b": [0.61]})
    smallest = policy("Bandit", slackFactor=0.2, minimizes=True)  # the best has 1.0: above 1.2 is ended
    assert smallest.ends("b", {"a": [-1.0], "b": [-1.21]})
    assert not smallest.ends("b", {"a": [-1.0], "b": [-1.19]})
    median = policy("MedianStopping")
    assert median.ends("c", {"a": [0.5, 0.7], "b": [0.6, 0.6], "c": [0.1, 0.2]})
    assert not median.ends("b", {"a": [0.5, 0.7], "b": [0.6, 0.6], "c": [0.1, 0.2]})
    worst = policy("TruncationSelection", truncationPercentage=20)
    five = {name: [float(number)] for number, name in enumerate("abcde")}
    assert [name for name in five if worst.ends(name, five)] == ["a"]


def test_a_policy_waits_for_its_interval_and_its_delay() -> None:
    bandit = policy("Bandit", slackAmount=0.1, evaluationInterval=2, delayEvaluation=4)

    assert not bandit.ends("b", {"a": [1.0] * 9, "b": [0.0] * 3})
    assert bandit.ends("b", {"a": [1.0] * 9, "b": [0.0] * 5})


@pytest.mark.parametrize(
    "given", [{"policyType": "Other"}, {"policyType": "Bandit"}, {"policyType": "TruncationSelection"}]
)
def test_a_policy_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(Refused):
        read_policy(given, minimizes=False)


def test_a_sweep_is_a_step_of_a_pipeline_whose_best_trial_feeds_the_next_one(jobs: Jobs, tmp_path: Path) -> None:
    from azure.ai.ml import Input, Output, dsl
    from azure.ai.ml.sweep import Choice

    train = jobs.command(
        "python train.py ${{inputs.rate}} ${{inputs.depth}} ${{outputs.model}} ${{inputs.word}}",
        code=str(jobs.code(train=TRAIN, log=LOG)),
        inputs={"rate": 0.5, "depth": 1, "word": "none"},
        outputs={"model": Output(type="uri_folder")},
        name="train",
    )
    show = jobs.command("cat ${{inputs.model}}/model.txt", inputs={"model": Input(type="uri_folder")}, name="show")

    @dsl.pipeline(default_compute="serverless")
    def tuned() -> dict[str, Any]:
        trial = train(rate=Choice([0.25, 0.5]), depth=Choice([1, 2]), word="piped")
        step = trial.sweep(primary_metric="score", goal="Maximize", sampling_algorithm="grid")
        step.set_limits(max_total_trials=4, max_concurrent_trials=2, trial_timeout=600)
        show(model=step.outputs.model)
        return {"model": step.outputs.model}

    job = tuned()
    job.experiment_name = "flights"
    submitted = jobs.submit(job)
    run = jobs.ended(submitted.name)

    steps = {one.display_name: one.name for one in jobs.client.jobs.list(parent_job_name=submitted.name)}
    assert run["status"] == "Completed", jobs.run(steps["step"])["error"]
    best = jobs.run(steps["step"])["properties"]["best_child_run_id"]
    assert best == f"{steps['step']}_3"
    assert jobs.log(best) == "trained piped\n"
    assert jobs.log(steps["show"]) == "0.5 2"
    jobs.client.jobs.download(str(submitted.name), download_path=tmp_path / "got", output_name="model")
    assert (tmp_path / "got" / "named-outputs" / "model" / "model.txt").read_text() == "0.5 2"
