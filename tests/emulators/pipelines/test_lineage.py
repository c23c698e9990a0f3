"""What read and wrote what, in the metadata store."""

from __future__ import annotations

from google.cloud import aiplatform_v1 as v1
from tests.emulators.pipelines.conftest import Google
from tests.emulators.pipelines.specs import Spec, artifact


def test_the_metadata_store_knows_what_a_task_read_and_wrote(google: Google) -> None:
    spec = Spec("lineage")
    spec.shell("make", 'touch "$0"', left=["data"], arguments=["{{$.outputs.artifacts['data'].path}}"])
    spec.shell(
        "use",
        'touch "$1"',
        artifacts=["data"],
        left=["model"],
        arguments=["{{$.inputs.artifacts['data'].path}}", "{{$.outputs.artifacts['model'].path}}"],
    )
    spec.task("make")
    spec.task("use", artifacts={"data": artifact("make", "data")})
    store = google.client(v1.MetadataServiceClient)

    job = google.run(spec)

    used = next(task for task in job.job_detail.task_details if task.task_name == "use")
    found = store.query_execution_inputs_and_outputs(execution=used.execution.name)
    data, model = used.inputs["data"].artifacts[0].name, used.outputs["model"].artifacts[0].name
    assert {(event.artifact, event.type_.name) for event in found.events} == {(data, "INPUT"), (model, "OUTPUT")}
    whole = store.query_context_lineage_subgraph(context=job.job_detail.pipeline_run_context.name)
    assert {one.name for one in whole.artifacts} == {data, model}
    assert job.job_detail.pipeline_run_context.parent_contexts == [job.job_detail.pipeline_context.name]
    assert job.job_detail.pipeline_context.display_name == "lineage"
