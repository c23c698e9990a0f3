"""A step's outputs to folders, and back to what the next step's function takes.

Each artifact has a folder of its own that holds one entry under its natural name, `data.parquet`, `model/` or
`report.html`, and a marker that names the entry. A folder or file without a marker is the artifact itself, so that the
runtime can be given anybody's files.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Final

from cloudmlops.domain.artifacts import Dataset, Metrics, Model, Report
from cloudmlops.domain.runs import OutputRecord
from cloudmlops.domain.value_types import Kind, ValueType, encode, table_form
from cloudmlops.materializers.digests import digest, files_stamp, protect

MARKER: Final = ".artifact.json"

_HANDLES: Final = {Kind.DATASET: Dataset, Kind.MODEL: Model, Kind.REPORT: Report}


def store(value: object, kind: ValueType, folder: Path, *, within: Path | None = None) -> OutputRecord:
    """Write an artifact into `folder`, which is made; its files can only be read then.

    Args:
        value: What the step returned.
        kind: What it is declared to return.
        folder: Of this artifact alone.
        within: Files below this one are moved, unless there are links among them; all others are copied.

    Raises:
        TypeError: The value is not of that kind; the message says what it is, and what is expected.
        OSError: The disk is full, or a file cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entry, shown = _write(value, kind, folder, within)
    mark(folder, kind.kind, entry)
    protect(folder / entry)
    stamp = files_stamp(folder / entry)
    found, size = digest(folder / entry)
    return OutputRecord(kind=kind.kind, digest=found, size_bytes=size, path=str(folder), stamp=stamp, value=shown)


def load(path: Path, kind: ValueType, *, uri: str = "") -> object:
    """Return what a step's function takes for the artifact at `path`.

    Args:
        path: Its folder, or a file.
        kind: What it is to be.
        uri: The address of that folder in the platform's object store, when it came from there.
    """
    entry = locate(path)
    if kind.kind is Kind.PATH:
        return entry
    if kind.kind is Kind.METRICS:
        return Metrics(json.loads(entry.read_text(encoding="utf-8")))
    if kind.form:
        from cloudmlops.materializers.tables import read_table

        return read_table(entry, kind.form)
    inner = "" if entry == path else f"/{entry.name}"
    return _HANDLES[kind.kind](entry, f"{uri.rstrip('/')}{inner}" if uri else "")


def handle(output: OutputRecord) -> object:
    """Return what a user holds of a stored artifact."""
    return load(Path(output.path), ValueType(kind=output.kind), uri=output.uri)


def mark(folder: Path, kind: Kind, entry: str) -> None:
    """Note which entry of `folder` is the artifact."""
    temporary = folder / f"{MARKER}.new"
    temporary.write_text(json.dumps({"kind": kind.value, "entry": entry}), encoding="utf-8")
    temporary.replace(folder / MARKER)


def locate(path: Path) -> Path:
    """Return the artifact's own file or folder."""
    marker = path / MARKER
    if not marker.is_file():
        return path
    return path / str(json.loads(marker.read_text(encoding="utf-8"))["entry"])


def _write(value: object, kind: ValueType, folder: Path, within: Path | None) -> tuple[str, object]:
    if kind.kind is Kind.METRICS:
        numbers = _numbers(value)
        (folder / "metrics.json").write_text(json.dumps(numbers, indent=2), encoding="utf-8")
        return "metrics.json", numbers
    if kind.kind is Kind.DATASET and table_form(type(value)):
        from cloudmlops.materializers.tables import write_table

        write_table(value, folder / "data.parquet")
        return "data.parquet", None
    handle = _HANDLES.get(kind.kind, Path)
    if not isinstance(value, handle) and not (isinstance(value, Path) and kind.kind in _HANDLES):
        raise TypeError(f"expected {_wanted(kind)}, not a value of type {type(value).__name__}")
    source = Path(value)
    if not source.exists():
        raise TypeError(f"the {kind.kind} that it returned was never written: {source} does not exist")
    _take(source, folder / source.name, within)
    return source.name, None


def _numbers(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"expected Metrics, not a value of type {type(value).__name__}")
    numbers: dict[str, object] = {}
    for name, number in value.items():
        try:
            numbers[str(name)] = float(number)
        except (TypeError, ValueError):
            raise TypeError(
                f"the metric {name!r} is not a number but {encode(repr(number), ValueType(kind=Kind.STR))}"
            ) from None
    return numbers


def _wanted(kind: ValueType) -> str:
    if kind.form or kind.kind is Kind.DATASET:
        return "a table (pyarrow, pandas or polars), a Dataset or a Path to Parquet"
    return f"a {kind.kind}" + ("" if kind.kind is Kind.PATH else " or a Path to one")


def _take(source: Path, target: Path, within: Path | None) -> None:
    # What a link leads to may be removed with the step's working folder: then the files themselves are taken.
    if within is not None and source.resolve().is_relative_to(within.resolve()) and not _has_links(source):
        shutil.move(source, target)
    elif source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _has_links(path: Path) -> bool:
    return path.is_symlink() or any(
        Path(parent, name).is_symlink() for parent, folders, names in os.walk(path) for name in (*folders, *names)
    )
