"""What a job logs through MLflow; it runs in whatever environment has MLflow, with Azure's plugin or without it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import mlflow

if os.environ["MLFLOW_TRACKING_URI"].startswith("azureml:") and "--plain" in sys.argv:
    os.environ["MLFLOW_TRACKING_URI"] = "https:" + os.environ["MLFLOW_TRACKING_URI"].partition(":")[2]

mlflow.log_param("rate", 0.1)
for step, value in enumerate((3.0, 2.0, 1.0)):
    mlflow.log_metric("loss", value, step=step)
mlflow.set_tag("kind", "test")
if "--plain" not in sys.argv:
    Path("notes.txt").write_text("noted")
    mlflow.log_artifact("notes.txt", "more")
    folder = Path("folder/inner")
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    mlflow.log_artifacts("folder", "whole")
    run = mlflow.active_run() or mlflow.last_active_run()
    print("listed", sorted(one.path for one in mlflow.MlflowClient().list_artifacts(run.info.run_id)))
    print(
        "read",
        Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="more/notes.txt")).read_text(),
    )
