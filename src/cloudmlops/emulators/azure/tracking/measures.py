"""Metrics and parameters of runs, by the run's name: what MLflow's clients log, and others read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from cloudmlops.emulators.core.state import State

_MIDDLE: Final = 2**63
"""What makes any whole number of 64 bits a positive one, so that texts sort as numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One value of a metric."""

    key: str
    value: float
    timestamp: int
    """Milliseconds since 1970."""
    step: int


class Measures:
    """What runs have logged; any number of these objects on one state see the same."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._metrics = state.table("mlflow_metrics")
        self._latest = state.table("mlflow_latest")
        self._params = state.table("mlflow_params")

    def log(self, workspace: str, run: str, metrics: Iterable[Metric]) -> None:
        """Keep values of metrics.

        Args:
            workspace: Its id.
            run: Its name.
            metrics: One that is logged again, to the bit, is kept once: clients send again what got no answer.
        """
        with self._state.transaction():
            for metric in metrics:
                key, data = f"{_key(workspace, run)}{metric.key}\0", json.dumps(asdict(metric)).encode()
                order = f"{metric.step + _MIDDLE:020}{metric.timestamp + _MIDDLE:020}"
                self._metrics.put(f"{key}{order}{metric.value!r}", data)
                kept = self._latest.get(key)
                if kept is None or _rank(metric) >= _rank(_metric(kept)):
                    self._latest.put(key, data)

    def history(self, workspace: str, run: str, key: str) -> list[Metric]:
        """Return all values of a metric, in the order of their steps and times."""
        return [_metric(data) for _, data in self._metrics.items(f"{_key(workspace, run)}{key}\0")]

    def last(self, workspace: str, run: str) -> dict[str, Metric]:
        """Return the last value of each metric by its key: that of the greatest step, then of the latest time."""
        found = [_metric(data) for _, data in self._latest.items(_key(workspace, run))]
        return {one.key: one for one in found}

    def set_params(self, workspace: str, run: str, params: Mapping[str, str]) -> None:
        """Keep parameters; each has one value for ever.

        Raises:
            ValueError: One has another value already; then none is kept.
        """
        with self._state.transaction():
            known = self.params(workspace, run)
            for key, value in params.items():
                if known.get(key, value) != value:
                    raise ValueError(key)
                self._params.put(f"{_key(workspace, run)}{key}", value.encode())

    def params(self, workspace: str, run: str) -> dict[str, str]:
        """Return the parameters of a run."""
        prefix = _key(workspace, run)
        return {key[len(prefix) :]: data.decode() for key, data in self._params.items(prefix)}


def _metric(data: bytes) -> Metric:
    return Metric(**json.loads(data))


def _rank(metric: Metric) -> tuple[int, int, float]:
    return metric.step, metric.timestamp, metric.value


def _key(workspace: str, run: str) -> str:
    return f"{workspace.lower()}/runs/{run.lower()}\0"
