"""What somebody does with Azure's plugin of MLflow on a machine of their own: `python FILE TRACKING_URI`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("by-hand")
with mlflow.start_run(run_name="outer", tags={"kind": "hand"}) as outer:
    mlflow.log_params({"rate": "0.1", "depth": "3"})
    mlflow.log_metric("auc", 0.9)
    with mlflow.start_run(run_name="inner", nested=True) as inner:
        mlflow.log_metric("auc", 0.8, synchronous=False)
    folder = Path("model")
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    mlflow.log_artifacts("model", "model")

client = MlflowClient()
experiment = client.get_experiment_by_name("by-hand")
found = client.search_runs(
    [experiment.experiment_id], "metrics.auc > 0.85 and params.rate = '0.1' and tags.kind = 'hand'"
)
children = client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{outer.info.run_id}'")
client.create_registered_model("scaling", tags={"of": "hand"})
version = client.create_model_version("scaling", f"{outer.info.artifact_uri}/model", run_id=outer.info.run_id)
client.set_model_version_tag("scaling", version.version, "checked", "yes")
client.transition_model_version_stage("scaling", version.version, "Production")
fetched = mlflow.artifacts.download_artifacts("models:/scaling/1", dst_path="fetched")
print(
    json.dumps(
        {
            "outer": outer.info.run_id,
            "found": [run.info.run_id for run in found],
            "children": [run.info.run_name for run in children],
            "absent": client.get_experiment_by_name("nowhere") is None,
            "version": version.version,
            "production": [one.version for one in client.get_latest_versions("scaling", ["Production"])],
            "tags": client.get_model_version("scaling", version.version).tags,
            "files": sorted(file.name for file in Path(fetched).rglob("*") if file.is_file()),
        }
    )
)
