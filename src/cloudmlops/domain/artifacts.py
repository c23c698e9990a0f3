"""Handles of what steps exchange as files: datasets, models, metrics and reports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

workspace: ContextVar[Path | None] = ContextVar("cloudmlops_workspace", default=None)
"""Where a step's new artifacts begin; the runtime sets it, so that an output is moved and never copied."""


@dataclass(frozen=True, slots=True)
class _Files:
    """A file or folder with a meaning."""

    path: Path
    """Where this process can read it."""
    address: str = field(default="", compare=False)
    """Where it lies in the platform's object store; empty when that is `path`."""

    @property
    def uri(self) -> str:
        """The address of the file or folder: the same for whoever asks the platform for it."""
        return self.address or self.path.absolute().as_uri()

    @classmethod
    def from_path(cls, path: Path | str) -> Self:
        """Take an existing file or folder; a step that returns it leaves a copy with the run."""
        return cls(Path(path))

    def __fspath__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Dataset(_Files):
    """A table as a Parquet file, or a folder of Parquet files."""

    @classmethod
    def new(cls, name: str = "data.parquet") -> Self:
        """Name a file for this step to write; it does not exist yet."""
        return cls(_fresh(name))

    def to_arrow(self) -> pa.Table:
        """Read the whole table with pyarrow."""
        table: pa.Table = _tables().read_table(self.path, "arrow")
        return table

    def to_pandas(self) -> pd.DataFrame:
        """Read the whole table as a pandas DataFrame."""
        table: pd.DataFrame = _tables().read_table(self.path, "pandas")
        return table

    def to_polars(self) -> pl.DataFrame:
        """Read the whole table as a polars DataFrame."""
        table: pl.DataFrame = _tables().read_table(self.path, "polars")
        return table


@dataclass(frozen=True, slots=True)
class Model(_Files):
    """A folder in MLflow's model format."""

    @classmethod
    def new(cls, name: str = "model") -> Self:
        """Name a folder for this step to write, such as with `mlflow.sklearn.save_model(model, Model.new().path)`."""
        return cls(_fresh(name))


@dataclass(frozen=True, slots=True)
class Report(_Files):
    """An HTML or Markdown file for people."""

    @classmethod
    def new(cls, name: str = "report.html") -> Self:
        """Name a file for this step to write."""
        return cls(_fresh(name))

    @classmethod
    def from_text(cls, text: str, *, name: str = "report.html") -> Self:
        """Write a report; the name's ending says whether it is HTML or Markdown."""
        report = cls.new(name)
        report.path.write_text(text, encoding="utf-8")
        return report

    def text(self) -> str:
        """Read the report."""
        return self.path.read_text(encoding="utf-8")


class Metrics(dict[str, float]):
    """Named numbers."""

    def __init__(self, values: Mapping[str, float] | None = None, /, **named: float) -> None:
        super().__init__({**(values or {}), **named})


def _fresh(name: str) -> Path:
    root = workspace.get()
    if root is None:
        import tempfile  # here, because a step does without it

        return Path(tempfile.mkdtemp(prefix="cloudmlops-"), name)
    folder = root / "new" / os.urandom(8).hex()
    folder.mkdir(parents=True)
    return folder / name


def _tables() -> Any:
    # By name: a value knows no table package, and materializers stand above the domain.
    return import_module("cloudmlops.materializers.tables")
