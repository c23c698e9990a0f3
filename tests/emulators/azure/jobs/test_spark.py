from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import HttpResponseError

from cloudmlops.emulators.azure.jobs.images import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulators.azure.jobs.conftest import Jobs

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]
RUNTIME = "spark:3.5"
TELLS = """
import json, os, sys
from pathlib import Path
print("begun")
folder = Path(sys.argv[4])
told = {"given": sys.argv[1:3], "read": Path(sys.argv[3], "a.csv").read_text()}
told["conf"] = os.environ["PYSPARK_SUBMIT_ARGS"]
(folder / "told.json").write_text(json.dumps(told))
"""
COUNTS = """
import sys
from pyspark.sql import SparkSession, functions
spark = SparkSession.builder.getOrCreate()
read = spark.read.csv(sys.argv[1], header=True, inferSchema=True)
counted = read.groupBy("carrier").agg(functions.sum("delay").alias("delay"))
counted.coalesce(1).write.mode("overwrite").csv(sys.argv[2], header=True)
print("partitions", spark.conf.get("spark.sql.shuffle.partitions"))
spark.stop()
"""


@pytest.fixture
def spark_is_this_interpreter(jobs: Jobs) -> Iterator[None]:
    """What stands for the Spark runtime: enough for a program that needs no Spark."""
    jobs.azure.cloud.images.let(RUNTIME, Image(python=sys.executable))
    yield
    jobs.azure.cloud.images.forget(RUNTIME)


def spark_job(
    jobs: Jobs, tmp_path: Path, program: str, args: str, *, instance: str = "standard_e4s_v3", **given: Any
) -> Any:
    from azure.ai.ml import Input, Output, spark

    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    (data / "a.csv").write_text("carrier,delay\nAA,1\nAA,2\nBB,5\n")
    return spark(
        experiment_name="flights",
        code=str(jobs.code(entry=program)),
        entry={"file": "entry.py"},
        driver_cores=1,
        driver_memory="2g",
        executor_cores=2,
        executor_memory="2g",
        executor_instances=2,
        inputs={"data": Input(type="uri_folder", path=str(data), mode="direct")},
        outputs={"left": Output(type="uri_folder", mode="direct")},
        args=args,
        resources={"instance_type": instance, "runtime_version": "3.5"},
        **given,
    )


@pytest.mark.usefixtures("spark_is_this_interpreter")
def test_a_spark_job_s_program_runs_with_its_arguments_and_configuration(jobs: Jobs, tmp_path: Path) -> None:
    job = spark_job(
        jobs,
        tmp_path,
        TELLS,
        "--text 'a b; echo $HOME' ${{inputs.data}} ${{outputs.left}}",
        conf={"spark.sql.shuffle.partitions": "3"},
    )

    submitted = jobs.submit(job)
    run = jobs.ended(submitted.name)

    assert run["status"] == "Completed", run["error"]
    jobs.client.jobs.download(str(submitted.name), download_path=tmp_path / "got", all=True)
    told = json.loads((tmp_path / "got" / "named-outputs" / "left" / "told.json").read_text())
    assert told["given"] == ["--text", "a b; echo $HOME"]
    assert told["read"].startswith("carrier,delay\n")
    assert "spark.sql.shuffle.partitions=3" in told["conf"]
    assert "spark.master=local[*]" in told["conf"]
    assert "spark.executor.memory" not in told["conf"]
    assert (tmp_path / "got" / "artifacts" / "logs" / "azureml" / "driver" / "stdout").read_text() == "begun\n"


@pytest.mark.usefixtures("spark_is_this_interpreter")
def test_a_spark_job_is_shown_as_it_was_submitted_with_what_the_service_shows(jobs: Jobs, tmp_path: Path) -> None:
    job = spark_job(jobs, tmp_path, TELLS, "a b ${{inputs.data}} ${{outputs.left}}")

    name = jobs.submit(job).name
    jobs.ended(name)

    known = jobs.client.jobs.get(str(name))
    assert (known.type, known.status, known.args) == ("spark", "Completed", "a b ${{inputs.data}} ${{outputs.left}}")
    assert (known.entry.entry, known.resources.runtime_version, known.executor_instances) == ("entry.py", "3.5", "2")
    path = f"{jobs.azure.workspace_id}/jobs/{name}"
    shown = jobs.call("GET", path, params={"api-version": "2023-08-01-preview"}).json()["properties"]
    assert set(shown) == {
        *("description", "tags", "properties", "displayName", "status", "experimentName", "services", "isArchived"),
        *("computeId", "identity", "componentId", "notificationSetting", "secretsConfiguration", "jobType"),
        *("resources", "args", "codeId", "entry", "environmentId", "inputs", "outputs", "pyFiles", "jars", "files"),
        *("archives", "conf", "queueSettings", "environmentVariables"),
    }
    assert set(shown["services"]) == {"Studio"}
    assert shown["inputs"]["data"]["mode"] == "Direct"
    assert [one.name for one in jobs.client.jobs.list()] == [name]


def test_without_an_interpreter_for_its_runtime_a_spark_job_is_refused_by_name(jobs: Jobs, tmp_path: Path) -> None:
    job = spark_job(jobs, tmp_path, TELLS, "a b ${{inputs.data}} ${{outputs.left}}")

    with pytest.raises(HttpResponseError, match=r'images.let\("spark:3.5"') as refused:
        jobs.submit(job)

    assert refused.value.status_code == 501
    assert list(jobs.client.jobs.list()) == []


@pytest.mark.usefixtures("spark_is_this_interpreter")
def test_a_spark_program_that_fails_is_a_failed_job(jobs: Jobs, tmp_path: Path) -> None:
    run = jobs.finished(spark_job(jobs, tmp_path, "raise SystemExit('no such column')", "${{inputs.data}}"))

    assert run["status"] == "Failed"
    assert "no such column" in run["error"]["error"]["message"]
    assert "logs/azureml/driver/stdout" in run["error"]["error"]["message"]


@pytest.mark.usefixtures("spark_is_this_interpreter")
def test_jobs_are_listed_by_their_type_tags_and_properties(jobs: Jobs, tmp_path: Path) -> None:
    spark = jobs.submit(spark_job(jobs, tmp_path, "", "${{inputs.data}}", tags={"team": "a"}))
    command = jobs.submit(jobs.command("true", tags={"team": "b"}))
    path = f"{jobs.azure.workspace_id}/jobs"

    for query, found in (
        ({"jobType": "Spark"}, [spark.name]),
        ({"tag": "team=b"}, [command.name]),
        ({"tag": "team"}, [command.name, spark.name]),
        ({"properties": "JobType=Spark,azureml.CloudSystem=AmlSparkCloud"}, [spark.name]),
        ({"properties": "JobType=Other"}, []),
    ):
        reply = jobs.call("GET", path, params={"api-version": "2023-08-01-preview", **query})
        assert [one["name"] for one in reply.json()["value"]] == found


@pytest.fixture(scope="session")
def pyspark() -> str:
    """An interpreter with pyspark, which no extra of ours has: an environment of its own."""
    script = Path(__file__).parents[4] / "tools" / "spark_environment.py"
    made = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout.splitlines()[-1]


@pytest.mark.conformance
def test_a_real_spark_reads_and_writes_what_a_job_is_given(jobs: Jobs, tmp_path: Path, pyspark: str) -> None:
    jobs.azure.cloud.images.let(RUNTIME, Image(python=pyspark))
    try:
        job = spark_job(
            jobs,
            tmp_path,
            COUNTS,
            "${{inputs.data}} ${{outputs.left}}",
            conf={"spark.sql.shuffle.partitions": "3"},
        )
        run = jobs.finished(job)
    finally:
        jobs.azure.cloud.images.forget(RUNTIME)

    assert run["status"] == "Completed", run["error"]
    jobs.client.jobs.download(str(run["runId"]), download_path=tmp_path / "got", all=True)
    (written,) = (tmp_path / "got" / "named-outputs" / "left").glob("*.csv")
    assert sorted(written.read_text().splitlines()) == ["AA,3", "BB,5", "carrier,delay"]
    log = (tmp_path / "got" / "artifacts" / "logs" / "azureml" / "driver" / "stdout").read_text()
    assert "partitions 3" in log


@pytest.mark.usefixtures("spark_is_this_interpreter")
def test_a_spark_job_is_a_step_of_a_pipeline(jobs: Jobs, tmp_path: Path) -> None:
    from azure.ai.ml import Input, dsl

    step = spark_job(jobs, tmp_path, TELLS, "a w ${{inputs.data}} ${{outputs.left}}", name="tells")
    show = jobs.command("cat ${{inputs.told}}/told.json", inputs={"told": Input(type="uri_folder")}, name="show")

    @dsl.pipeline(default_compute="serverless")
    def told() -> None:
        begun = step()
        show(told=begun.outputs.left)

    job = told()
    job.experiment_name = "flights"
    submitted = jobs.submit(job)
    run = jobs.ended(submitted.name)

    assert run["status"] == "Completed", run["error"]
    steps = {one.display_name: one.name for one in jobs.client.jobs.list(parent_job_name=submitted.name)}
    assert json.loads(jobs.log(steps["show"]))["given"] == ["a", "w"]
