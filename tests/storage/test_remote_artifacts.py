"""A run's artifacts in a remote object store."""

import shutil
from pathlib import Path

import pytest
from tests.unit import odd_flow

import cloudmlops as cm
from cloudmlops.domain.runs import StepState
from cloudmlops.testing.contract.pipeline_steps import training


@pytest.mark.parametrize("mode", [{"wait": True}, {"in_process": True}], ids=["processes", "in process"])
def test_artifacts_are_kept_in_the_store_and_brought_back(s3: str, tmp_path: Path, mode: dict[str, bool]) -> None:
    with cm.connect(f"local://{tmp_path / 'platform'}?store={s3}") as platform:
        run = platform.pipelines.run(training, {"rows": 8}, **mode)
        model = run.steps["train"].outputs["output"]
        assert model.uri == f"{s3}/artifacts/{model.digest}/model"
        shutil.rmtree(platform.native / "runs" / run.id)

        again = platform.pipelines.run(training, {"rows": 8}, **mode)

        assert {step.state for step in again.steps.values()} == {StepState.CACHED}
        assert (again.outputs["model"].path / "MLmodel").read_text() == "4 of 8"
        assert again.output("load").to_arrow().num_rows == 8


def test_a_snapshot_is_kept_in_the_store(s3: str, tmp_path: Path) -> None:
    with cm.connect(f"local://{tmp_path / 'platform'}?store={s3}") as platform:
        run = platform.pipelines.run(odd_flow.chain, wait=True)

        assert platform._backends.objects.exists(f"snapshots/{run.lineage.source_digest}.zip")
