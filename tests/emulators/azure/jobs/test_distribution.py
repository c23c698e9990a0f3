"""Commands that run as several processes, through azure-ai-ml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import HttpResponseError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.azure.jobs.conftest import Jobs

pytestmark = [
    # azure-ai-ml 1.35 is written for marshmallow 3, which tells of its fourth
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
    pytest.mark.filterwarnings("ignore:The use of a 'BlobProperties':DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:content_as_bytes is deprecated:DeprecationWarning"),
]


def test_each_process_knows_which_it_is_and_has_a_log(jobs: Jobs, tmp_path: Path) -> None:
    from azure.ai.ml import PyTorchDistribution

    job = jobs.command(
        "echo $RANK $LOCAL_RANK $NODE_RANK $WORLD_SIZE $MASTER_ADDR",
        distribution=PyTorchDistribution(process_count_per_instance=2),
        instance_count=2,
    )

    run = jobs.finished(job)

    assert run["status"] == "Completed", run["error"]
    jobs.client.jobs.download(run["runId"], download_path=tmp_path, all=True)
    logs = {file.name: file.read_text() for file in (tmp_path / "artifacts" / "user_logs").iterdir()}
    assert logs == {f"std_log_process_{rank}.txt": f"{rank} {rank % 2} {rank // 2} 4 127.0.0.1\n" for rank in range(4)}


def test_processes_of_mpi_have_its_variables_and_one_that_fails_ends_the_others(jobs: Jobs) -> None:
    from azure.ai.ml import MpiDistribution

    job = jobs.command(
        "test $OMPI_COMM_WORLD_RANK -eq 0 && exec sleep 600; echo of $OMPI_COMM_WORLD_SIZE >&2; exit 4",
        distribution=MpiDistribution(process_count_per_instance=2),
    )

    run = jobs.finished(job)

    assert run["status"] == "Failed"
    assert "exited with status code 4" in run["error"]["error"]["message"]
    assert "of 2" in run["error"]["error"]["message"]
    assert "std_log_process_1.txt" in run["error"]["error"]["message"]


def test_other_distributions_and_nodes_without_one_are_not_emulated(jobs: Jobs) -> None:
    from azure.ai.ml import TensorFlowDistribution

    with pytest.raises(HttpResponseError, match="distribution of type 'tensorflow' is not emulated"):
        jobs.submit(jobs.command("true", distribution=TensorFlowDistribution(worker_count=2)))
    with pytest.raises(HttpResponseError, match="Several nodes without a distribution"):
        jobs.submit(jobs.command("true", instance_count=2))
