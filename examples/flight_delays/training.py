"""The model, what it must beat, and how both are measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from features import DELAYS, WEATHER

INPUTS = [*WEATHER, *DELAYS, "seats", "engines", "built", "gust_distance", "part_of_day", "distance", "scheduled_hour"]
"""What the model sees: features and request; neither the keys nor the time."""
BASELINE = "late_share_7d"
"""The trivial forecast: as many will be late as were in the last seven days of this carrier at this airport."""


def inputs(table: pl.DataFrame) -> pd.DataFrame:
    """Return the model's columns as float64; null becomes NaN, which the trees take as a value of its own."""
    return table.select(pl.col(INPUTS).cast(pl.Float64)).to_pandas()


def gradient_boosting(
    table: pl.DataFrame, *, learning_rate: float, iterations: int, leaves: int
) -> HistGradientBoostingClassifier:
    """Fit boosted trees to a training table; the same table and parameters make the same model."""
    model = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=iterations,
        max_leaf_nodes=leaves,
        min_samples_leaf=100,
        early_stopping=False,
        random_state=0,
    )
    return model.fit(inputs(table), table["late"].to_numpy())


def logistic_regression(table: pl.DataFrame) -> Pipeline:
    """Fit a linear model to the same columns: is the boosting worth its price?"""
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(max_iter=200))
    return model.fit(inputs(table), table["late"].to_numpy())


def trailing_share(table: pl.DataFrame, *, otherwise: float) -> np.ndarray:
    """Return the baseline's forecasts; `otherwise` (0 to 1) where the carrier has not flown for days."""
    return table[BASELINE].fill_null(otherwise).to_numpy()


def scores(late: np.ndarray, forecast: np.ndarray) -> dict[str, float]:
    """Measure forecasts of lateness.

    Args:
        late: (n,) of 0 and 1.
        forecast: (n,) probabilities.

    Returns:
        `roc_auc` and `average_precision` (higher is better), `log_loss` and `brier` (lower is better).
    """
    clipped = np.clip(forecast, 0.001, 0.999)
    return {
        "roc_auc": float(roc_auc_score(late, forecast)),
        "average_precision": float(average_precision_score(late, forecast)),
        "log_loss": float(log_loss(late, clipped)),
        "brier": float(brier_score_loss(late, clipped)),
    }


def importance(
    model: HistGradientBoostingClassifier, table: pl.DataFrame, *, flights: int = 10_000
) -> dict[str, float]:
    """Return for each feature the ROC AUC that is lost when its values are shuffled among a sample of flights."""
    sample = table.sample(min(flights, table.height), seed=0)
    late, columns, shuffle = sample["late"].to_numpy(), inputs(sample), np.random.default_rng(0)
    whole = roc_auc_score(late, model.predict_proba(columns)[:, 1])
    return {
        name: float(whole - roc_auc_score(late, model.predict_proba(shuffled)[:, 1]))
        for name in INPUTS
        for shuffled in [columns.assign(**{name: shuffle.permutation(columns[name])})]
    }
