"""What a step logged through MLflow, read from MLflow's own files without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


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


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _last_value(file: Path) -> float:
    # A line is "timestamp value step [model …]"; the last step counts, then the last time.
    rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    last = max(rows, key=lambda row: (int(row[2]) if len(row) > 2 else 0, int(row[0])))
    return float(last[1])
