from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.emulators.azure.tracking.conftest import Tracking


def test_what_a_run_logs_is_read_again(tracking: Tracking) -> None:
    from mlflow.entities import Metric, Param, RunTag

    client = tracking.client()
    experiment = client.create_experiment("flights", tags={"team": "delays"})
    run = client.create_run(experiment, run_name="first")
    client.log_metric(run.info.run_id, "loss", 0.5, step=1)
    client.log_metric(run.info.run_id, "loss", 0.25, step=2)
    client.log_param(run.info.run_id, "rate", 0.1)
    client.set_tag(run.info.run_id, "kind", "test")
    client.log_batch(
        run.info.run_id,
        [Metric("auc", 0.9, 5, 0), Metric("worst", math.nan, 5, 0), Metric("best", math.inf, 5, 0)],
        [Param("depth", "3")],
        [RunTag("more", "1")],
    )
    client.set_terminated(run.info.run_id)

    found = client.get_run(run.info.run_id)
    assert {key: found.data.metrics[key] for key in ("loss", "auc", "best")} == {
        "loss": 0.25,
        "auc": 0.9,
        "best": math.inf,
    }
    assert math.isnan(found.data.metrics["worst"])
    assert found.data.params == {"rate": "0.1", "depth": "3"}
    assert (found.data.tags["kind"], found.data.tags["more"]) == ("test", "1")
    assert (found.info.run_name, found.info.status, found.info.experiment_id) == ("first", "FINISHED", experiment)
    assert [(one.value, one.step) for one in client.get_metric_history(run.info.run_id, "loss")] == [
        (0.5, 1),
        (0.25, 2),
    ]
