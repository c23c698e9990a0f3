"""A small model in MLflow's format, written by hand: it needs neither training nor MLflow."""

from __future__ import annotations

import json
from pathlib import Path

_DESCRIPTION = """\
flavors:
  python_function:
    loader_module: cloudmlops_scaling_model
    code: code
    data: scaling.json
signature:
  inputs: '{inputs}'
"""

_CODE = """\
import json, os, time


class ScalingModel:
    def __init__(self, factor):
        self.factor = factor

    def predict(self, rows):
        values = rows if hasattr(rows, "tolist") else rows.to_numpy()
        seconds = float(values[:, 1].max())
        if seconds < 0:
            os._exit(9)
        time.sleep(seconds)
        return self.factor * values[:, 0]


def _load_pyfunc(path):
    with open(path) as file:
        settings = json.load(file)
    if "fails" in settings:
        raise RuntimeError(settings["fails"])
    return ScalingModel(settings["factor"])
"""


def write_scaling_model(folder: Path, *, factor: float = 1.0, fails: str | None = None) -> Path:
    """Write a model that takes rows of two numbers, `[value, seconds]`, and predicts `factor * value` so much later.

    Negative seconds end its process, as a crash of native code would.

    Args:
        folder: Where it goes; made if need be.
        factor: What values are multiplied by.
        fails: The message of an error with which loading the model fails.
    """
    (folder / "code").mkdir(parents=True)
    inputs = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}])
    (folder / "MLmodel").write_text(_DESCRIPTION.format(inputs=inputs), encoding="utf-8")
    (folder / "code" / "cloudmlops_scaling_model.py").write_text(_CODE, encoding="utf-8")
    settings = {"factor": factor} | ({"fails": fails} if fails else {})
    (folder / "scaling.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
