"""What a step logged through MLflow, read from MLflow's own files without loading it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def read_logged(folder: Path) -> Mapping[str, Mapping[str, object]]:
    """Return `metrics` (last value), `params` and `tags` of all MLflow runs in a tracking folder; empty without one."""
    if not folder.is_dir():
        return {}
    metrics: dict[str, object] = {}
    params: dict[str, object] = {}
    tags: dict[str, object] = {}
    for run in sorted(folder.glob("*/*/meta.yaml")):
        for file in _files(run.parent / "metrics"):
            metrics[_name(file, run.parent / "metrics")] = _last_value(file)
        for file in _files(run.parent / "params"):
            params[_name(file, run.parent / "params")] = file.read_text(encoding="utf-8")
        for file in _files(run.parent / "tags"):
            if not file.name.startswith("mlflow."):
                tags[_name(file, run.parent / "tags")] = file.read_text(encoding="utf-8")
    found = {"metrics": metrics, "params": params, "tags": tags}
    return {name: values for name, values in found.items() if values}


def read_rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return `metrics` (all values), `params` and `tags` of all MLflow runs in a folder, as MLflow's REST has them."""
    found: dict[str, list[dict[str, Any]]] = {"metrics": [], "params": [], "tags": []}
    for run in sorted(folder.glob("*/*/meta.yaml")):
        for file in _files(run.parent / "metrics"):
            lines = file.read_text(encoding="utf-8").splitlines()
            found["metrics"] += [
                _row(_name(file, run.parent / "metrics"), line.split()) for line in lines if line.strip()
            ]
        for kind in ("params", "tags"):
            named = {_name(file, run.parent / kind): file for file in _files(run.parent / kind)}
            found[kind] += [
                {"key": key, "value": file.read_text(encoding="utf-8")}
                for key, file in named.items()
                if not key.startswith("mlflow.")
            ]
    return found


def _row(key: str, line: Sequence[str]) -> dict[str, Any]:
    value = float(line[1])
    shown: float | str = value
    if not math.isfinite(value):  # JSON has no such numbers
        shown = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return {"key": key, "value": shown, "timestamp": int(line[0]), "step": int(line[2]) if len(line) > 2 else 0}


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _last_value(file: Path) -> float:
    # A line is "timestamp value step [model …]"; the last step counts, then the last time.
    rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    last = max(rows, key=lambda row: (int(row[2]) if len(row) > 2 else 0, int(row[0])))
    return float(last[1])
