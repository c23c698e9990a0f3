"""Models saved by MLflow itself are loaded without it, and answer as it does."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloudmlops.errors import InvalidRequestError, UnexpectedReplyError
from cloudmlops.serving.dialects import Array, Table
from cloudmlops.serving.loading import load_model
from cloudmlops.serving.scoring import Scorer, dumps, plain
from cloudmlops.testing.model_folders import write_scaling_model

_SAVE = """
import sys, json, warnings
from pathlib import Path
import mlflow.sklearn, mlflow.pyfunc, numpy as np, pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

folder = Path(sys.argv[1])
rng = np.random.default_rng(1)
x = rng.standard_normal((200, 3))
y = (x.sum(1) > 0).astype(int)
frame = pd.DataFrame(x, columns=["a", "b", "c"])
named = frame.assign(c=np.where(frame.c > 0, "up", "down"))
transformer = make_column_transformer((OneHotEncoder(), ["c"]), remainder="passthrough")
models = {
    "array": (LogisticRegression().fit(x, y), x, "pickle", "predict"),
    "frame": (LogisticRegression().fit(frame, y), frame, "cloudpickle", "predict_proba"),
    "safe": (LogisticRegression().fit(frame, y), frame, "skops", "predict"),
    "mixed": (make_pipeline(transformer, LogisticRegression()).fit(named, y), named, "cloudpickle", "predict"),
}
answers = {}
for name, (model, data, kind, function) in models.items():
    signature = infer_signature(data, getattr(model, function)(data))
    mlflow.sklearn.save_model(
        model,
        folder / name,
        signature=signature,
        serialization_format=kind,
        pyfunc_predict_fn=function,
        pip_requirements=[],
    )
    rows = data[:5].tolist() if name == "array" else data[:5].to_dict("records")
    told = mlflow.pyfunc.load_model(folder / name).predict(data[:5])
    answers[name] = {"rows": rows, "predictions": np.asarray(told).tolist()}
(folder / "bare").mkdir()
bare = folder / "bare" / "model"
mlflow.sklearn.save_model(models["array"][0], bare, serialization_format="pickle", pip_requirements=[])
(folder / "answers.json").write_text(json.dumps(answers))
"""


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models saved by MLflow, with what MLflow predicts; in a process of its own, for MLflow warns when imported."""
    folder = tmp_path_factory.mktemp("saved")
    done = subprocess.run([sys.executable, "-c", _SAVE, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ["array", "frame", "safe", "mixed"])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_a_scikit_learn_model_answers_as_mlflow_does(saved: Path, name: str) -> None:
    expected = json.loads((saved / "answers.json").read_text())[name]
    scorer = Scorer(load_model(saved / name))
    rows: list[Any] = expected["rows"]

    predictions, _ = scorer.score_now(Array(rows=rows) if name == "array" else Table(rows=rows))

    np.testing.assert_allclose(json.loads(dumps(plain(predictions))), expected["predictions"])


def test_loading_a_scikit_learn_model_does_not_import_mlflow(saved: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cloudmlops.serving.loading import load_model\n"
        "load_model(Path(sys.argv[1])); assert 'sklearn' in sys.modules; assert 'mlflow' not in sys.modules"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(saved / "array")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_a_model_without_signature_checks_the_width_that_it_knows(saved: Path) -> None:
    scorer = Scorer(load_model(saved / "bare"))

    with pytest.raises(Exception, match=r"row 1: expected an array of 3 values, got array \[1, 2\]"):
        scorer.score_now(Array(rows=[[1, 2, 3], [1, 2]]))
    with pytest.raises(Exception, match="refused the input: ValueError"):
        scorer.score_now(Array(rows=[["x", 2, 3]]))


def test_the_only_model_below_a_mounted_folder_is_found(tmp_path: Path) -> None:
    write_scaling_model(tmp_path / "INPUT_model")

    assert load_model(tmp_path).folder == tmp_path / "INPUT_model"

    write_scaling_model(tmp_path / "other")
    with pytest.raises(InvalidRequestError, match="several models: INPUT_model, other"):
        load_model(tmp_path)


def test_a_folder_without_a_model_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"it has no MLmodel file(?s:.*)save_model"):
        load_model(tmp_path)


@pytest.mark.parametrize("text", ["a: [", "flavors: {}", "3"])
def test_a_damaged_description_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "MLmodel").write_text(text)

    with pytest.raises(UnexpectedReplyError, match="MLmodel does not describe a model"):
        load_model(tmp_path)


def test_pickles_are_not_loaded_where_the_environment_forbids_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps("never read"))
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  python_function: {loader_module: mlflow.sklearn}\n  sklearn: {pickled_model: model.pkl}\n"
    )

    with pytest.raises(InvalidRequestError, match="may not be loaded"):
        load_model(tmp_path)
