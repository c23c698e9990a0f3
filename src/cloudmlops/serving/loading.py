"""Loading a model folder in MLflow's format.

Scikit-learn models and loader modules that are not MLflow's own are loaded straight from what the `MLmodel` file says:
that spares importing MLflow (about a second of a server's start). Every other flavour goes through `mlflow.pyfunc`.

Loading a pickle runs code. The folder comes from the registry, where the user put it, or was named on the command line:
either is the user's word for it. `MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false` is obeyed and refuses every such model.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from cloudmlops.errors import InvalidRequestError, UnexpectedReplyError

DESCRIPTION: Final = "MLmodel"


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready to predict."""

    folder: Path
    predict: Callable[[Any], Any]
    inputs: str | None
    """MLflow's JSON text of the input signature; None when the model has none."""
    frames: bool
    """Whether named columns go in as a pandas frame; else as an array."""
    features: int | None = None
    """Values in a row, where the model knows."""
    fitted_names: tuple[str, ...] = ()
    """Columns of the frame that it was fitted on, where it knows them itself."""


def find_model(folder: Path) -> Path:
    """Return the folder that holds the `MLmodel` file: `folder`, or the only one below it that does.

    Azure ML mounts a registered folder inside `AZUREML_MODEL_DIR`.

    Raises:
        InvalidRequestError: There is none, or more than one.
    """
    if (folder / DESCRIPTION).is_file():
        return folder
    found = sorted(path.parent for path in folder.glob(f"*/{DESCRIPTION}"))
    if len(found) != 1:
        held = "no MLmodel file" if not found else f"several models: {', '.join(path.name for path in found)}"
        raise InvalidRequestError(
            f"{folder} is not a model folder: it has {held}",
            hint="Save the model in MLflow's format, for instance with mlflow.sklearn.save_model(model, folder).",
        )
    return found[0]


def load_model(folder: Path) -> LoadedModel:
    """Load the model that lies in `folder`.

    Raises:
        InvalidRequestError: There is no model, or pickles are not allowed.
        UnexpectedReplyError: Its `MLmodel` file is damaged.
    """
    folder = find_model(folder.absolute())
    described = _described(folder)
    function: Mapping[str, Any] = described["flavors"]["python_function"]
    inputs = (described.get("signature") or {}).get("inputs")
    _extend_path(folder, function.get("code"))
    if "sklearn" in described["flavors"] and function["loader_module"] == "mlflow.sklearn":
        return _load_sklearn(folder, described["flavors"]["sklearn"], function, inputs)
    if str(function["loader_module"]).partition(".")[0] == "mlflow":
        return _load_with_mlflow(folder, inputs)
    return _load_own(folder, function, inputs)


def _described(folder: Path) -> Mapping[str, Any]:
    import yaml

    path = folder / DESCRIPTION
    try:
        described = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 both are safe
        described["flavors"]["python_function"]["loader_module"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UnexpectedReplyError(
            f"{path} does not describe a model with the flavour python_function: {error!r}",
            hint="Save the model again in MLflow's format.",
        ) from error
    return dict(described)


def _extend_path(folder: Path, code: str | None) -> None:
    # MLflow's own folder for a model's code, and ours for on-demand features: first, so that the model's copy wins.
    for name in dict.fromkeys(filter(None, (code, "code"))):
        if (path := folder / name).is_dir() and str(path) not in sys.path:
            sys.path.insert(0, str(path))


def _load_sklearn(
    folder: Path, flavour: Mapping[str, Any], function: Mapping[str, Any], inputs: str | None
) -> LoadedModel:
    if os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() in ("false", "0"):
        raise InvalidRequestError(
            f"the model in {folder} may not be loaded: MLFLOW_ALLOW_PICKLE_DESERIALIZATION is false",
            hint="Unset it for models that you trust; loading a pickle runs the code in it.",
        )
    path = folder / flavour["pickled_model"]
    kind = flavour.get("serialization_format", "pickle")
    if kind == "skops":
        import skops.io

        model = skops.io.load(path, trusted=flavour.get("skops_trusted_types"))
    else:
        if kind == "cloudpickle":
            import cloudpickle  # noqa: F401 it registers what its pickles need
        with path.open("rb") as file:
            model = pickle.load(file)  # noqa: S301 the user's word, see the module's docstring
    return LoadedModel(
        folder=folder,
        predict=getattr(model, function.get("predict_fn", "predict")),
        inputs=inputs,
        frames=hasattr(model, "feature_names_in_") or not hasattr(model, "n_features_in_"),
        features=getattr(model, "n_features_in_", None),
        # Only the model's own: a pipeline answers for its first step, which may choose columns by name.
        fitted_names=tuple(vars(model).get("feature_names_in_", ())),
    )


def _load_own(folder: Path, function: Mapping[str, Any], inputs: str | None) -> LoadedModel:
    loader = import_module(function["loader_module"])
    data = folder / function["data"] if "data" in function else folder

    settings = (function["config"],) if function.get("config") else ()
    model = loader._load_pyfunc(str(data), *settings)  # noqa: SLF001 the name is of MLflow's contract
    return LoadedModel(
        folder=folder, predict=getattr(model, function.get("predict_fn", "predict")), inputs=inputs, frames=True
    )


def _load_with_mlflow(folder: Path, inputs: str | None) -> LoadedModel:
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(folder))
    return LoadedModel(folder=folder, predict=model.predict, inputs=inputs, frames=True)
