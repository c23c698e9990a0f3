"""One self-contained HTML page: figures, four plots, and what the model does not know."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, WeekdayLocator
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from ingest import NEW_YORK

MODEL, BASELINE, OBSERVED = "#1f5fa8", "#c2702a", "#333333"


def page(
    test: pl.DataFrame,
    *,
    measured: Mapping[str, Mapping[str, float]],
    importance: Mapping[str, float],
    parameters: Mapping[str, float],
) -> str:
    """Return the page.

    Args:
        test: (n, …) with `event_time`, `late`, `scheduled_hour`, `forecast` and `baseline`.
        measured: Name of a forecaster to its scores.
        importance: Feature to the ROC AUC that is lost when its values are shuffled.
        parameters: What the model was trained with.
    """
    days = test["event_time"].dt.convert_time_zone(NEW_YORK)
    first, last = days.min(), days.max()
    names = list(next(iter(measured.values())))
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{html.escape(who)}</td>" + "".join(f"<td>{values[name]:.4f}</td>" for name in names) + "</tr>"
        for who, values in measured.items()
    )
    given = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in parameters.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Will this flight leave late?</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse }}
th, td {{ padding: .3rem .8rem; border-bottom: 1px solid #ccc; text-align: right }}
td:first-child {{ text-align: left }} img {{ max-width: 100% }}
</style></head><body>
<h1>Will this flight leave late?</h1>
<p>Late is more than 15 minutes after the schedule. Asked one hour before the schedule, for {test.height:,} flights from
{first:%-d %B} to {last:%-d %B %Y}, of which {test["late"].mean():.1%} left late. None of them was trained on.</p>
<table><tr><th></th>{head}</tr>{rows}</table>
<p>ROC AUC and average precision: higher is better. Log loss and Brier score: lower is better.</p>
<p>Trained with {html.escape(given)}.</p>
<img alt="Four plots" src="data:image/png;base64,{_png(_plots(test, importance))}">
<h2>What it does not know</h2>
<p>Flights that were cancelled; the delay of the very aircraft on its way in; weather at the destination and forecasts
of any weather; anything but New York in 2013.</p>
</body></html>
"""


def _plots(test: pl.DataFrame, importance: Mapping[str, float]) -> Figure:
    figure = Figure(figsize=(11, 8), layout="constrained")
    (by_week, calibration), (by_hour, shuffled) = figure.subplots(2, 2)
    _draw_weeks(by_week, test)
    _draw_calibration(calibration, test)
    _draw_hours(by_hour, test)
    _draw_importance(shuffled, importance)
    for axes in (by_week, calibration, by_hour, shuffled):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_weeks(axes: Axes, test: pl.DataFrame) -> None:
    weeks = test.sort("event_time").group_by_dynamic("event_time", every="1w")
    measured = [
        (week, roc_auc_score(part["late"], part["forecast"]), roc_auc_score(part["late"], part["baseline"]))
        for (week,), part in weeks
        if part["late"].n_unique() == 2
    ]
    days, model, baseline = zip(*measured, strict=True)
    axes.plot(days, model, "o-", color=MODEL, label="model")
    axes.plot(days, baseline, "o-", color=BASELINE, label="baseline")
    axes.axhline(0.5, color="#aaaaaa", linewidth=1, linestyle=":")
    axes.set(title="Ranking of flights, week by week", ylabel="ROC AUC", ylim=(0.45, 0.9))
    axes.xaxis.set_major_locator(WeekdayLocator(interval=2))
    axes.xaxis.set_major_formatter(DateFormatter("%d %b"))
    axes.legend(frameon=False)


def _draw_calibration(axes: Axes, test: pl.DataFrame) -> None:
    bins = (
        test.with_columns(bin=(pl.col("forecast") * 10).floor())
        .group_by("bin")
        .agg(pl.col("forecast").mean(), pl.col("late").mean(), flights=pl.len())
    )
    bins = bins.filter(pl.col("flights") >= 30).sort("forecast")
    axes.plot([0, 1], [0, 1], color="#aaaaaa", linewidth=1, linestyle=":")
    axes.plot(bins["forecast"], bins["late"], "o-", color=MODEL)
    axes.set(title="Forecast against outcome", xlabel="forecast", ylabel="share that left late")


def _draw_hours(axes: Axes, test: pl.DataFrame) -> None:
    hours = test.group_by("scheduled_hour").agg(pl.col("late", "forecast", "baseline").mean(), flights=pl.len())
    hours = hours.filter(pl.col("flights") >= 30).sort("scheduled_hour")
    axes.bar(hours["scheduled_hour"], hours["late"], color="#d9d9d9", label="left late")
    axes.plot(hours["scheduled_hour"], hours["forecast"], "o-", color=MODEL, label="model")
    axes.plot(hours["scheduled_hour"], hours["baseline"], "o-", color=BASELINE, label="baseline")
    axes.set(title="Over the day", xlabel="scheduled hour in New York", ylabel="share", xticks=range(0, 25, 3))
    axes.legend(frameon=False)


def _draw_importance(axes: Axes, importance: Mapping[str, float]) -> None:
    top = sorted(importance.items(), key=lambda item: item[1])[-10:]
    axes.barh([name.replace("_", " ") for name, _ in top], np.array([lost for _, lost in top]), color=MODEL)
    axes.set(title="What it looks at", xlabel="ROC AUC lost when the feature is shuffled")


def _png(figure: Figure) -> str:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    return base64.b64encode(image.getvalue()).decode()
