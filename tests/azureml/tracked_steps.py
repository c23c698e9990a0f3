"""Steps that log through MLflow, in a module of their own."""

from __future__ import annotations

import cloudmlops as cm


@cm.step(cache=False)
def logs() -> cm.Metrics:
    """Log what a training would."""
    import mlflow

    mlflow.log_param("depth", 3)
    for step, value in enumerate((0.5, 0.25)):
        mlflow.log_metric("loss", value, step=step)
    mlflow.set_tag("owner", "ada")
    return cm.Metrics(loss=0.25)


@cm.pipeline
def tracked() -> cm.Metrics:
    """Log in a step."""
    return logs()


@cm.step(cache=False)
def trains() -> cm.Model:
    """Train with all that MLflow logs of it by itself."""
    import mlflow
    from sklearn.linear_model import LogisticRegression

    mlflow.autolog()
    fitted = LogisticRegression(C=0.5).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    model = cm.Model.new()
    mlflow.sklearn.save_model(fitted, model.path)
    return model


@cm.pipeline
def autologged() -> cm.Model:
    """Train in a step."""
    return trains()
