# Without the annotations of the future: azure-ai-ml reads those of a pipeline's function as types.
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.azure.jobs.conftest import Jobs

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]


def writing(jobs: "Jobs") -> Any:
    """A step that writes a literal into a file of its output."""
    from azure.ai.ml import Output

    return jobs.command(
        "echo ${{inputs.said}} > ${{outputs.left}}/said.txt",
        inputs={"said": "nothing"},
        outputs={"left": Output(type="uri_folder")},
    )


def joining(jobs: "Jobs") -> Any:
    """A step that joins what two others left."""
    from azure.ai.ml import Input, Output

    nowhere = Input(type="uri_folder", path="azureml://datastores/workspaceblobstore/paths/nowhere/")
    return jobs.command(
        "cat ${{inputs.one}}/said.txt ${{inputs.other}}/said.txt > ${{outputs.left}}/said.txt",
        inputs={"one": nowhere, "other": nowhere},
        outputs={"left": Output(type="uri_folder")},
    )


def diamond(jobs: "Jobs", *, said: str = "hello", **settings: Any) -> Any:
    from azure.ai.ml import dsl

    write, join = writing(jobs), joining(jobs)

    @dsl.pipeline(default_compute="serverless")
    def build(said: str) -> dict[str, Any]:
        first = write(said=said)
        second = write(said="fixed")
        both = join(one=first.outputs.left, other=second.outputs.left)
        return {"whole": both.outputs.left}

    pipeline = build(said=said)
    for name, value in settings.items():
        setattr(pipeline.settings, name, value)
    return pipeline


def children(jobs: "Jobs", name: str) -> dict[str, Any]:
    return {one.display_name: one for one in jobs.client.jobs.list(parent_job_name=name)}


def said(jobs: "Jobs", name: str, folder: "Path") -> str:
    jobs.client.jobs.download(name, download_path=folder, output_name="whole")
    return (folder / "named-outputs" / "whole" / "said.txt").read_text()


@pytest.mark.conformance(ci=True)
def test_steps_are_bound_to_inputs_and_to_each_other(jobs: "Jobs", tmp_path: "Path") -> None:
    submitted = jobs.submit(diamond(jobs), experiment_name="flights")
    run = jobs.ended(submitted.name)

    assert submitted.status == "NotStarted"
    assert run["status"] == "Completed", run["error"]
    assert said(jobs, run["runId"], tmp_path) == "hello\nfixed\n"
    steps = children(jobs, run["runId"])
    assert set(steps) == {"first", "second", "both"}
    assert {step.status for step in steps.values()} == {"Completed"}
    assert jobs.client.jobs.get(steps["both"].name).properties["azureml.pipelinerunid"] == run["runId"]
    assert jobs.client.jobs.get(run["runId"]).jobs.keys() == steps.keys()


@pytest.mark.conformance(ci=True)
def test_what_a_step_left_is_used_again(jobs: "Jobs", tmp_path: "Path") -> None:
    before = children(jobs, jobs.finished(diamond(jobs), experiment_name="flights")["runId"])

    run = jobs.finished(diamond(jobs, said="other"), experiment_name="flights")

    steps = children(jobs, run["runId"])
    reused = {name: step.properties.get("azureml.reusedrunid") for name, step in steps.items()}
    assert reused == {"first": None, "second": before["second"].name, "both": None}
    assert steps["second"].properties["azureml.isreused"] == "true"
    assert said(jobs, run["runId"], tmp_path / "changed") == "other\nfixed\n"
    again = jobs.finished(diamond(jobs), experiment_name="flights")
    assert {step.properties["azureml.isreused"] for step in children(jobs, again["runId"]).values()} == {"true"}
    assert said(jobs, again["runId"], tmp_path / "again") == "hello\nfixed\n"


@pytest.mark.conformance(ci=True)
def test_nothing_is_used_again_when_that_is_not_wanted(jobs: "Jobs") -> None:
    jobs.finished(diamond(jobs), experiment_name="flights")

    run = jobs.finished(diamond(jobs, force_rerun=True), experiment_name="flights")

    steps = children(jobs, run["runId"]).values()
    assert [step.name for step in steps if "azureml.isreused" in step.properties] == []


def failing(jobs: "Jobs", *, goes_on: bool | None) -> Any:
    """A pipeline with a step that fails, one that needs it, and two in a row beside them."""
    from azure.ai.ml import Input, Output, dsl

    nowhere = Input(type="uri_folder", path="azureml://datastores/workspaceblobstore/paths/nowhere/")
    left = {"left": Output(type="uri_folder")}
    fail = jobs.command("echo broken >&2; exit 1", outputs=left)
    write = jobs.command("sleep 0.5; touch ${{outputs.left}}/x", outputs=left)
    read = jobs.command("ls ${{inputs.given}} > ${{outputs.left}}/x", inputs={"given": nowhere}, outputs=left)

    @dsl.pipeline(default_compute="serverless")
    def build() -> None:
        broken = fail()
        after = read(given=broken.outputs.left)
        beside = write()
        beyond = read(given=beside.outputs.left)
        after.name, beyond.name = "after", "beyond"

    pipeline = build()
    pipeline.settings.continue_on_step_failure = goes_on
    return pipeline


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("goes_on", [None, True], ids=["unsaid", "said"])
def test_what_does_not_need_a_failed_step_goes_on(jobs: "Jobs", *, goes_on: bool | None) -> None:
    run = jobs.finished(failing(jobs, goes_on=goes_on), experiment_name="flights")

    assert run["status"] == "Failed"
    assert "Failed nodes: /broken" in run["error"]["error"]["message"]
    statuses = {name: step.status for name, step in children(jobs, run["runId"]).items()}
    assert statuses == {"broken": "Failed", "beside": "Completed", "beyond": "Completed"}


@pytest.mark.conformance(ci=True)
def test_a_failed_step_ends_the_pipeline_when_that_is_wanted(jobs: "Jobs") -> None:
    run = jobs.finished(failing(jobs, goes_on=False), experiment_name="flights")

    assert run["status"] == "Failed"
    statuses = {name: step.status for name, step in children(jobs, run["runId"]).items()}
    assert "beyond" not in statuses
    assert statuses["broken"] == "Failed"
    assert statuses.get("beside", "Canceled") == "Canceled"


@pytest.mark.conformance(ci=True)
def test_steps_that_do_not_need_each_other_go_side_by_side(jobs: "Jobs", tmp_path: "Path") -> None:
    """Each of two steps waits for what the other one does."""
    from azure.ai.ml import dsl

    def meeting(own: str, other: str) -> Any:
        return jobs.command(f"touch {tmp_path / own}; until [ -e {tmp_path / other} ]; do sleep 0.05; done")

    one, two = meeting("a", "b"), meeting("b", "a")

    @dsl.pipeline(default_compute="serverless")
    def build() -> None:
        one()
        two()

    assert jobs.finished(build(), experiment_name="flights")["status"] == "Completed"


@pytest.mark.conformance(ci=True)
def test_a_cancel_ends_all_steps(jobs: "Jobs") -> None:
    from azure.ai.ml import dsl

    long = jobs.command("sleep 600")

    @dsl.pipeline(default_compute="serverless")
    def build() -> None:
        long()

    name = str(jobs.submit(build(), experiment_name="flights").name)
    waited = threading.Event()
    while not any(step.status == "Running" for step in children(jobs, name).values()):
        waited.wait(0.05)

    jobs.client.jobs.begin_cancel(name).result()

    assert jobs.ended(name)["status"] == "Canceled"
    assert {step.status for step in children(jobs, name).values()} == {"Canceled"}


@pytest.mark.conformance(ci=True)
def test_a_pipeline_can_be_a_step_of_another(jobs: "Jobs", tmp_path: "Path") -> None:
    from azure.ai.ml import Input, dsl

    write, join = writing(jobs), joining(jobs)

    @dsl.pipeline()
    def inner(said: str, given: Input(type="uri_folder")) -> dict[str, Any]:  # type: ignore[valid-type]
        own = write(said=said)
        both = join(one=own.outputs.left, other=given)
        return {"joined": both.outputs.left}

    @dsl.pipeline(default_compute="serverless")
    def outer(said: str) -> dict[str, Any]:
        first = write(said="first")
        nested = inner(said=said, given=first.outputs.left)
        last = join(one=nested.outputs.joined, other=first.outputs.left)
        return {"whole": last.outputs.left}

    run = jobs.finished(outer(said="hello"), experiment_name="flights")

    assert run["status"] == "Completed", run["error"]
    assert said(jobs, run["runId"], tmp_path) == "hello\nfirst\nfirst\n"
    steps = children(jobs, run["runId"])
    assert set(steps) == {"first", "nested", "last"}
    within = jobs.call("GET", f"/history/v1.0{jobs.azure.workspace_id}/runs/{steps['nested'].name}/children").json()
    assert {one["displayName"] for one in within["value"]} == {"own", "both"}
    assert {one["rootRunId"] for one in within["value"]} == {run["runId"]}


@pytest.mark.conformance(ci=True)
def test_steps_take_nodes_of_the_pipelines_compute(jobs: "Jobs") -> None:
    from azure.ai.ml import dsl
    from azure.ai.ml.entities import AmlCompute

    size = AmlCompute(name="small", size="STANDARD_DS3_V2", min_instances=0, max_instances=1)
    jobs.client.compute.begin_create_or_update(size).result()
    step = jobs.command("true")

    @dsl.pipeline(default_compute="small")
    def build() -> None:
        step()
        step()

    run = jobs.finished(build(), experiment_name="flights")

    assert run["status"] == "Completed"
    assert {one.compute for one in children(jobs, run["runId"]).values()} == {"small"}
    account = jobs.azure.cloud.clusters.get(f"{jobs.azure.workspace_id}/computes/small")
    assert account is not None
    assert account.busy_node_seconds > 0


@pytest.mark.conformance(ci=True)
def test_a_pipeline_tells_which_steps_have_begun_and_ended(
    jobs: "Jobs", tmp_path: "Path", capsys: pytest.CaptureFixture[str]
) -> None:
    from azure.ai.ml import dsl

    go = tmp_path / "go"
    wait = jobs.command(f"until [ -e {go} ]; do sleep 0.05; done")

    @dsl.pipeline(default_compute="serverless")
    def build() -> None:
        wait().name = "wait"

    name = str(jobs.submit(build(), experiment_name="flights").name)
    threading.Timer(1, go.touch).start()
    jobs.client.jobs.stream(name)

    assert jobs.ended(name)["status"] == "Completed"
    step = children(jobs, name)["wait"].name
    said = capsys.readouterr().out
    assert "Streaming logs/azureml/executionlogs.txt" in said
    assert f"Submitting 1 runs, first five are: wait:{step}" in said


@pytest.mark.conformance(ci=True)
def test_a_pipeline_is_shown_with_what_it_runs_as(jobs: "Jobs") -> None:
    run = jobs.finished(diamond(jobs), experiment_name="flights")

    properties = jobs.client.jobs.get(run["runId"]).properties
    assert properties["azureml.runsource"] == "azureml.PipelineRun"
    assert properties["azureml.continue_on_step_failure"] == "True"
    assert properties["azureml.enforceRerun"] == "False"
    assert properties["azureml.parameters"] == '{"said": "hello"}'


def put(jobs: "Jobs", steps: dict[str, Any]) -> Any:
    body = {"properties": {"jobType": "Pipeline", "settings": {}, "jobs": steps}}
    return jobs.call("PUT", f"{jobs.azure.workspace_id}/jobs/one?api-version=2024-01-01-preview", json=body)


@pytest.mark.parametrize("kind", ["if_else", "do_while", "parallel_for", "automl", "parallel"])
def test_a_step_of_a_type_that_is_not_emulated_is_refused_by_name(jobs: "Jobs", kind: str) -> None:
    reply = put(jobs, {"one": {"type": kind}})

    assert reply.status_code == 501
    assert kind in reply.json()["error"]["message"]


def test_a_step_of_no_component_is_refused(jobs: "Jobs") -> None:
    reply = put(jobs, {"one": {"type": "command", "componentId": f"{jobs.azure.workspace_id}/components/a/versions/1"}})

    assert reply.status_code == 404


def copying(jobs: "Jobs") -> str:
    """Register a component that copies its input to its output; return its id."""
    from azure.ai.ml.entities import CommandComponent

    component = jobs.client.components.create_or_update(
        CommandComponent(
            name="copying",
            version="1",
            command="cp -r ${{inputs.given}}/. ${{outputs.left}}",
            environment="azureml:AzureML-minimal:1",
            inputs={"given": {"type": "uri_folder"}},
            outputs={"left": {"type": "uri_folder"}},
        )
    )
    return str(component.id)


def bound(component: str, value: str) -> dict[str, Any]:
    given = {"value": f"${{{{{value}}}}}", "job_input_type": "literal"}
    return {"type": "command", "componentId": component, "inputs": {"given": given}}


def test_steps_that_wait_for_each_other_are_refused(jobs: "Jobs") -> None:
    component = copying(jobs)

    reply = put(
        jobs,
        {
            "one": bound(component, "parent.jobs.two.outputs.left"),
            "two": bound(component, "parent.jobs.one.outputs.left"),
        },
    )

    assert reply.status_code == 400
    assert "wait for each other" in reply.json()["error"]["message"]


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize("value", ["parent.inputs.unsaid", "parent.jobs.two.outputs.left", "parent.jobs.one.outputs.x"])
def test_a_binding_to_what_there_is_not_is_refused(jobs: "Jobs", value: str) -> None:
    reply = put(jobs, {"one": bound(copying(jobs), value)})

    assert reply.status_code == 400
    assert value in reply.json()["error"]["message"]


def test_an_input_that_is_required_is_asked_for(jobs: "Jobs") -> None:
    reply = put(jobs, {"one": {"type": "command", "componentId": copying(jobs)}})

    assert reply.status_code == 400
    assert "given" in reply.json()["error"]["message"]
