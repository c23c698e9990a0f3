"""What is asked of Azure ML for pipelines, and what is made of its answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import cloudmlops as cm
from cloudmlops.domain.runs import RunState, StepState
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import InvalidPipelineError, InvalidRequestError, RunFailedError, UnsupportedError
from cloudmlops.providers.azureml.mapping import pipelines as mapping
from cloudmlops.providers.azureml.mapping.job_names import nodes
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.testing.contract.pipeline_steps import training

from .conftest import Connects
from .steps.pipelines import (
    distributed,
    exactly,
    falling,
    impossible,
    leaving,
    machines,
    ordered,
    reading,
    registering,
    single,
    talking,
    undistributed,
)

pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
PUT = "arm/PUT workspaces/jobs"


def _sent(emulator: Emulator) -> Any:
    (call,) = emulator.calls.list(PUT)
    return call.request["body"]["properties"]


def test_every_state_of_jobs_is_known() -> None:
    told = re.findall(r"\* (\w+) - ", str(ml().entities.Job.status.__doc__))

    assert len(told) > 10
    assert set(told) <= set(mapping.RUN_STATES)
    assert set(mapping.RUN_STATES) == set(mapping.STEP_STATES)


@pytest.mark.conformance(ci=True)
def test_a_job_says_what_it_is_to_everybody(connect_to_run: Connects, azureml_emulator: Emulator) -> None:
    platform = connect_to_run()
    run = platform.pipelines.run(machines, id="two_words")
    sent = _sent(azureml_emulator)
    run.wait()

    assert sent["experimentName"] == "machines"
    assert sent["displayName"] == "two_words"
    assert sent["tags"] == {"cloudmlops_pipeline": "machines", "cloudmlops_run": "two_words"}
    assert sent["properties"]["cloudmlops.source"] == run.lineage.source_digest
    job = platform.native.jobs.get("two_words")
    assert (job.experiment_name, job.status) == ("machines", "Completed")
    children = platform.native.jobs.list(parent_job_name="two_words")
    assert {child.display_name for child in children} == {"small", "cheap", "in_all"}


@pytest.mark.conformance(ci=True)
def test_a_step_gets_the_machine_and_the_image_that_it_asks_for(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    platform = connect_to_run()
    run = platform.pipelines.run(machines, wait=True)
    steps = _sent(azureml_emulator)["jobs"]

    assert run.outputs == {"output": 2}
    assert run.steps["in-all"].state is StepState.SUCCEEDED
    assert steps["small"]["resources"] == {"instance_type": "Standard_D4s_v3", "instance_count": 1}
    assert steps["small"]["environment_variables"]["A"] == "b"
    assert "resources" not in steps["in_all"]
    assert steps["cheap"]["resources"]["instance_type"] == "Standard_NC4as_T4_v3"
    assert steps["cheap"]["queue_settings"] == {"job_tier": "Spot"}
    environments = {
        json.dumps(call.request["body"]).count('"image": "mine:1"')
        for call in azureml_emulator.calls.list("arm/PUT workspaces/environments/versions")
    }
    assert environments == {1}


def test_what_cannot_be_is_refused_with_all_faults_before_anything_is_submitted(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    platform = connect_to_run(environment="")
    with pytest.raises(InvalidPipelineError) as refusal:
        platform.pipelines.run(impossible, id="a--r2")

    told = "\n".join(refusal.value.faults)
    assert "run 'a--r2' is called as the second job of another run would be" in told
    assert "step 'huge': no machine type has 1000 CPUs" in told
    assert "step 'odd': nvidia-t4 comes in numbers of 1, 4, not 3" in told
    assert "step 'odd': Azure ML takes no input 'cloudmlops_a'" in told
    assert "step 'together' has no image" in told
    assert not azureml_emulator.calls.list("arm/PUT *")


def test_debugging_in_process_is_for_the_embedded_provider(connect_to_run: Connects) -> None:
    with pytest.raises(UnsupportedError, match="containers of its own"):
        connect_to_run().pipelines.run(training, in_process=True)


def test_steps_whose_names_azure_does_not_take_have_others_there() -> None:
    graph = cm.pipeline(name="twins")(_twins).graph()

    assert nodes(graph) == {"in-all": "in_all_2", "in_all": "in_all"}


def _twins() -> None:
    from .steps.pipelines import one

    one.with_options(name="in-all")()
    one.with_options(name="in_all")()


@pytest.mark.conformance(ci=True)
def test_values_are_exact_on_their_way(connect_to_run: Connects) -> None:
    given = {"large": 2**63 + 1, "real": 0.1 + 0.2, "text": """{{$}} "quoted" 'it' null $HOME ${{x}} $[[y]] `z` \\ é"""}

    run = connect_to_run().pipelines.run(exactly, given, wait=True)

    assert run.outputs == {"output": {**given, "large": 2**63 + 2, "nothing": None}}


@pytest.mark.conformance(ci=True)
def test_what_the_first_attempt_has_left_is_taken_by_the_next(connect_to_run: Connects, tmp_path: Path) -> None:
    journal, missing = tmp_path / "journal", tmp_path / "missing"
    platform = connect_to_run()
    with pytest.raises(RunFailedError) as failure:
        platform.pipelines.run(reading, {"journal": str(journal), "missing": str(missing)}, wait=True)
    run = failure.value.run
    missing.touch()

    resumed = run.resume(wait=True)

    assert resumed.outputs == {"output": "1,2 2"}
    assert journal.read_text() == "make\n"
    assert resumed.record.attempt == 2
    assert [one.id for one in platform.pipelines.list()] == [run.id]
    assert "FileNotFoundError" in resumed.logs("read", attempt=1)
    assert resumed.logs("count").startswith("abfss://")
    assert resumed.logs("count").rstrip().endswith("/output/numbers.csv")
    assert platform.native.jobs.get(f"{run.id}--R2").tags["cloudmlops_run"] == run.id


@pytest.mark.conformance
def test_a_step_waits_for_another_without_taking_anything(connect_to_run: Connects, tmp_path: Path) -> None:
    journal = str(tmp_path / "journal")

    run = connect_to_run().pipelines.run(ordered, {"journal": journal, "missing": ""}, wait=True)

    later, made = run.steps["later"], run.steps["make"]
    assert later.started_at is not None
    assert made.ended_at is not None
    assert later.started_at >= made.ended_at


@pytest.mark.conformance(ci=True)
def test_a_scheduled_run_is_a_run_like_any_other(connect_to_run: Connects, azureml_emulator: Emulator) -> None:
    azureml_emulator.clock.freeze(datetime(2030, 1, 1, 1, 30, tzinfo=UTC))
    platform = connect_to_run()
    platform.pipelines.schedule(single, name="nightly", cron="0 3 * * *", timezone="Europe/Zurich")

    azureml_emulator.clock.advance(timedelta(hours=1))

    _until(lambda: platform.pipelines.list("single"))
    (run,) = platform.pipelines.list("single")
    assert run.id.startswith("nightly-20300101")
    assert run.wait().outputs == {"output": 1}
    (kept,) = platform.pipelines.schedules()
    assert kept.last_fired_at == datetime(2030, 1, 1, 2, tzinfo=UTC)


def test_a_time_zone_that_windows_has_not_is_refused(connect_to_run: Connects, azureml_emulator: Emulator) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        connect_to_run().pipelines.schedule(single, name="nightly", cron="0 3 * * *", timezone="Antarctica/Troll")

    assert refusal.value.faults == (
        "Azure ML has no time zone whose clocks show the same as those of Antarctica/Troll",
    )
    assert not azureml_emulator.calls.list("arm/PUT *")


@pytest.mark.conformance(ci=True)
def test_what_a_step_prints_can_be_read_while_it_goes_on(connect_to_run: Connects, tmp_path: Path) -> None:
    release = tmp_path / "release"
    platform = connect_to_run()
    run = platform.pipelines.run(talking, {"release": str(release)})

    _until(lambda: run.logs("talk") == "begun\n")
    assert run.steps["talk"].state is StepState.RUNNING
    release.touch()

    run.wait()
    assert run.logs("talk") == "begun\nended\n"


@pytest.mark.conformance(ci=True)
def test_a_step_that_leaves_no_word_is_told_by_the_end_of_its_log(connect_to_run: Connects) -> None:
    with pytest.raises(RunFailedError, match="left no word; the last that it printed:\nabout to fall"):
        connect_to_run().pipelines.run(falling, wait=True)


@pytest.mark.conformance(ci=True)
def test_nothing_of_an_attempt_goes_on_beside_the_next(connect_to_run: Connects, tmp_path: Path) -> None:
    run = connect_to_run().pipelines.run(leaving, {"journal": str(tmp_path / "journal")}, wait=True)

    assert run.outputs == {"output": True}
    assert run.steps["leave"].attempt == 2


@pytest.mark.conformance
def test_another_process_finds_the_run_by_its_id(connect_to_run: Connects) -> None:
    run = connect_to_run().pipelines.run(single, {"value": 7})

    found = connect_to_run().pipelines.get(run.id)

    assert found.wait().outputs == {"output": 7}
    assert found.steps["one"].started_at is not None


@pytest.mark.conformance
def test_within_a_step_the_platform_is_the_same_and_knows_the_run(connect_to_run: Connects) -> None:
    platform = connect_to_run()
    run = platform.pipelines.run(registering, wait=True)

    assert run.outputs == {"output": run.id}
    assert [one.model for one in platform.models.list()] == ["made-inside"]


@pytest.mark.conformance(ci=True)
def test_what_steps_have_left_is_reused_also_by_the_service(connect_to_run: Connects) -> None:
    platform = connect_to_run()
    first = platform.pipelines.run(single, wait=True)

    again = platform.pipelines.run(single, wait=True)

    assert again.steps["one"].state is StepState.CACHED
    assert again.steps["one"].cached_from == first.id
    (child,) = platform.native.jobs.list(parent_job_name=again.id)
    assert child.properties["azureml.isreused"] == "true"
    assert again.status is RunState.SUCCEEDED


@pytest.mark.conformance(ci=True)
def test_the_code_asset_has_what_steps_import_and_no_secrets(
    connect_to_run: Connects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    program = """
import sys
from pathlib import Path
import cloudmlops as cm
from shop.prices import PRICE

@cm.step
def carried() -> list[str]:
    root = Path(sys.path[0])
    return sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file() and file.suffix != ".pyc")

@cm.pipeline
def shopping() -> list[str]:
    return carried()
"""
    files = {"__init__.py": "", "prices.py": "PRICE = 1", "steps.py": program, "query.sql": "select 1"}
    kept = {".env": "PASSWORD=1", "token.json": "{}", "key.pem": "-", "data.bin": "0"}
    for name, text in {**files, **kept}.items():
        (shop / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    run = connect_to_run().pipelines.run(import_module("shop.steps").shopping, wait=True)

    assert run.outputs == {"output": [f"shop/{name}" for name in sorted(files)]}


@pytest.mark.conformance
def test_steps_run_in_an_environment_that_was_made_from_a_conda_file(connect_to_run: Connects) -> None:
    platform = connect_to_run(environment="azureml:flights:1")
    made = ml().entities.Environment(
        name="flights",
        version="1",
        image="mcr.microsoft.com/azureml/openmpi5.0-ubuntu24.04",
        conda_file={"name": "flights", "dependencies": ["python=3.11", {"pip": ["cloudmlops[local,azureml]"]}]},
    )
    platform.native.environments.create_or_update(made)

    assert platform.pipelines.run(single, wait=True).outputs == {"output": 1}


@pytest.mark.conformance(ci=True)
def test_a_step_of_several_processes_leaves_what_the_first_one_returns(
    connect_to_run: Connects, azureml_emulator: Emulator
) -> None:
    run = connect_to_run().pipelines.run(distributed, wait=True)

    assert run.output("torch") == {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "NODE_RANK": "0",
        "WORLD_SIZE": "4",
        "MASTER_ADDR": "127.0.0.1",
    }
    assert run.outputs == {"output": ["4", "0", "2"]}
    assert run.logs("torch") == "".join(f"process {rank}\n" for rank in range(4))
    assert _sent(azureml_emulator)["jobs"]["torch"]["resources"] == {"instance_count": 2}


def test_a_distribution_that_there_is_not_is_refused_and_others_have_none(connect_to_run: Connects) -> None:
    with pytest.raises(InvalidPipelineError) as refusal:
        connect_to_run().pipelines.run(undistributed)
    with cm.connect("local://:memory:") as local, pytest.raises(UnsupportedError, match=r"has no pipelines\.distrib"):
        local.pipelines.run(distributed)

    assert refusal.value.faults == (
        "step 'scattered': several nodes or processes need a distribution: 'mpi' or 'pytorch'",
        "step 'gossiping': nodes and processes must be 1 or more, not 1 and 0",
        "step 'gossiping': the distribution must be 'mpi' or 'pytorch', not 'gossip'",
    )


def _until(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)
