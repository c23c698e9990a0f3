"""Train the classifier in the environment that will serve it: `python -m benchmarks.engines.serving.train FILE|FOLDER`.

A folder is saved in MLflow's format with a signature, a file ending in `.pickle` as it is.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression


def main(destination: Path) -> None:
    rows = np.random.default_rng(1).standard_normal((500, 4))
    model = LogisticRegression().fit(rows, (rows.sum(1) > 0).astype(int))
    if destination.suffix == ".pickle":
        destination.write_bytes(pickle.dumps(model))
        return
    import mlflow.sklearn

    signature = mlflow.models.infer_signature(rows, model.predict(rows))
    # Named, for to find them out it would load the model in another process.
    mlflow.sklearn.save_model(model, destination, signature=signature, pip_requirements=["scikit-learn"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
