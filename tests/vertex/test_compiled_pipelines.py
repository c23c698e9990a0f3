"""Pipelines that Kubeflow's compiler wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.contract.conftest import vertex_target
from tests.emulators.pipelines.specs import Spec, artifact, given

import cloudmlops as cm
from cloudmlops.domain.runs import RunState, StepState
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.errors import ConflictError, InvalidPipelineError, InvalidRequestError, RunFailedError, UnsupportedError


@pytest.fixture
def compiled(tmp_path: Path) -> cm.KfpSpec:
    """Two tasks, the second of which fails when `x` is not `right`."""
    spec = Spec(
        "theirs", {"x": {"parameterType": "STRING"}, "n": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3.0}}
    )
    spec.shell(
        "make",
        'echo "making $0"; printf %s "$0" > "$1"; printf %s "$2" > "$3"',
        inputs={"x": "STRING", "n": "NUMBER_INTEGER"},
        outputs={"double": "NUMBER_INTEGER"},
        left=["data"],
        arguments=[
            "{{$.inputs.parameters['x']}}",
            "{{$.outputs.artifacts['data'].path}}",
            "{{$.inputs.parameters['n']}}",
            "{{$.outputs.parameters['double'].output_file}}",
        ],
    )
    spec.shell(
        "check", 'test "$(cat "$0")" = right', artifacts=["data"], arguments=["{{$.inputs.artifacts['data'].path}}"]
    )
    spec.task("make", parameters={"x": given("x"), "n": given("n")}, cachingOptions={"enableCache": True})
    spec.task("check", after=["make"], artifacts={"data": artifact("make", "data")})
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(spec.content()), encoding="utf-8")
    return cm.KfpSpec(file)


def test_a_compiled_pipeline_runs_and_its_tasks_are_steps(vertex_emulator: Emulator, compiled: cm.KfpSpec) -> None:
    with cm.connect(vertex_target(vertex_emulator)) as platform:
        run = platform.pipelines.run(compiled, {"x": "right"}, wait=True)
        again = platform.pipelines.run(compiled, {"x": "right"}, wait=True)
        anew = platform.pipelines.run(compiled, {"x": "right"}, wait=True, cache=False)

        assert list(run.steps) == ["make", "check"]
        assert run.output("make", "double") == 3
        assert run.output("make", "data").read_text() == "right"
        assert run.logs("make") == "making right\n"
        assert again.steps["make"].state is StepState.CACHED
        assert anew.steps["make"].state is StepState.SUCCEEDED
        assert run.lineage.parameters == {"x": "right"}
        assert [one.id for one in platform.pipelines.list("theirs")] == [anew.id, again.id, run.id]


def test_a_compiled_pipeline_that_fails_names_the_task_and_is_run_anew(
    vertex_emulator: Emulator, compiled: cm.KfpSpec
) -> None:
    with cm.connect(vertex_target(vertex_emulator)) as platform:
        with pytest.raises(RunFailedError, match="failed in step 'check'") as failure:
            platform.pipelines.run(compiled, {"x": "wrong"}, id="monday", wait=True)

        assert failure.value.run.status is RunState.FAILED
        with pytest.raises(UnsupportedError, match="compiled by Kubeflow: which of its parts"):
            failure.value.run.resume()
        with pytest.raises(ConflictError, match="other parameters"):
            platform.pipelines.run(compiled, {"x": "right"}, id="monday")


def test_what_is_wrong_with_a_compiled_pipeline_is_said_before_anything_is_sent(
    vertex_emulator: Emulator, compiled: cm.KfpSpec, tmp_path: Path
) -> None:
    (tmp_path / "other.yaml").write_text("a: b", encoding="utf-8")
    with cm.connect(vertex_target(vertex_emulator)) as platform:
        with pytest.raises(InvalidPipelineError) as refusal:
            platform.pipelines.run(compiled, {"y": 1})
        with pytest.raises(InvalidPipelineError, match="no compiled pipeline"):
            platform.pipelines.run(cm.KfpSpec(tmp_path / "other.yaml"))
        with pytest.raises(InvalidRequestError, match="cannot be read"):
            platform.pipelines.run(cm.KfpSpec(tmp_path / "none.yaml"))

    assert refusal.value.faults == (
        "pipeline 'theirs' has no parameter 'y'",
        "pipeline 'theirs' misses its parameter 'x'",
    )
    assert not [one for one in vertex_emulator.calls.list() if one.service == "aiplatform"]


def test_the_embedded_provider_says_where_a_compiled_pipeline_runs(compiled: cm.KfpSpec) -> None:
    with cm.connect("local://:memory:") as platform, pytest.raises(UnsupportedError, match="compiled by Kubeflow"):
        platform.pipelines.run(compiled, {"x": "right"})
