"""Parquet files as sources: on Blob storage, in other object stores, and on this machine."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from cloudmlops.domain.features import FeatureView
from cloudmlops.errors import InvalidEntitiesError, NotFoundError, ServiceError, UnsupportedError
from cloudmlops.materializers.feature_columns import schema_faults
from cloudmlops.providers.azureml.feature_store.columns import used_columns
from cloudmlops.providers.azureml.feature_store.files import File

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.feature_store.lake import Lake

_MARKS: Final = "*?["
HINT: Final = "Mend the data, or change the view's columns and types."


@dataclass(frozen=True, kw_only=True)
class ParquetFiles:
    """Files of one source, which agree on the columns that the view uses."""

    view: FeatureView
    files: Sequence[File]
    schema: pa.Schema
    folder: str = ""
    """The address on Blob storage below which they are; empty where they are elsewhere."""

    @property
    def stored_bytes(self) -> int:
        return sum(file.size for file in self.files)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return all rows, in the order of the files' names.

        Raises:
            InvalidEntitiesError: A file is damaged.
        """
        try:
            parts = [pq.ParquetFile(file.open()).read(columns=list(columns)).select(columns) for file in self.files]
            return pa.concat_tables(parts, promote_options="permissive")
        except ServiceError:  # some are also OSErrors
            raise
        except (pa.ArrowException, OSError) as error:
            raise unfit(self.view, [f"its data is damaged: {error}"]) from error


def find_files(view: FeatureView, uri: str, lake: Lake) -> ParquetFiles:
    """Look up a Parquet source's files and their columns.

    Args:
        view: The view.
        uri: A file, a folder, or a pattern in the last part, in a store or on this machine.
        lake: For what lies on Blob storage.

    Raises:
        InvalidEntitiesError: There is none, one cannot be read, or its columns do not fit; all faults are listed.
    """
    if uri.startswith("abfss://"):
        folder, files = _blobs(uri, lake)
    else:
        folder, files = "", _others(uri)
    faults = [] if files else [f"there is no Parquet file at {uri}"]
    schemas = []
    for file in files:
        try:
            schemas.append(pq.ParquetFile(file.open()).schema_arrow)
        except ServiceError:
            raise
        except (pa.ArrowException, OSError) as error:
            faults.append(f"{file.name} is not a readable Parquet file: {error}")
    for file, schema in zip(files, schemas, strict=False):
        # Files need not agree on the order of columns, only on the types of those that the view uses.
        if not faults:
            faults += [f"{file.name}: {fault}" for fault in schema_faults(view, schema)]
    if faults:
        raise unfit(view, faults)
    used = [pa.schema([schema.field(name) for name in used_columns(view)], {}) for schema in schemas]
    unified = pa.unify_schemas(used, promote_options="permissive")
    return ParquetFiles(view=view, files=files, schema=unified, folder=folder)


def unfit(view: FeatureView, faults: Sequence[str]) -> InvalidEntitiesError:
    """Return what is raised when a source does not fit its view."""
    return InvalidEntitiesError(
        f"the source of feature view {view.name!r} does not fit", faults=list(faults), hint=HINT
    )


def _blobs(uri: str, lake: Lake) -> tuple[str, list[File]]:
    folder, _, last = uri.rstrip("/").rpartition("/")
    if any(mark in folder for mark in _MARKS):
        raise UnsupportedError(f"{uri} has a pattern in a folder's name", hint="Use patterns in the last part only.")
    if any(mark in last for mark in _MARKS):
        found = lake.files(folder)
        return folder, [file for file in found if "/" not in file.name and fnmatchcase(file.name, last)]
    whole = uri.rstrip("/")
    found = [file for file in lake.files(whole) if file.name.endswith(".parquet")]
    if found:
        return whole, found
    return folder, [file for file in lake.files(folder) if file.name == last]


def _others(uri: str) -> list[File]:
    if "://" not in uri or uri.startswith("file:"):
        path = Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri).expanduser()
        if path.is_dir():
            paths = sorted(path.rglob("*.parquet"))
        else:
            paths = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 absolute or not
        return [File(name=str(one), size=one.stat().st_size, open=partial(Path, one)) for one in paths]
    return [File(name=name, size=len(data), open=partial(pa.BufferReader, data)) for name, data in _fetched(uri)]


def _fetched(uri: str) -> list[tuple[str, bytes]]:
    """Return the files of another object store, whole."""
    from cloudmlops.storage.opening import open_store

    folder, _, name = uri.rpartition("/")
    if any(mark in folder for mark in _MARKS):
        raise UnsupportedError(f"{uri} has a pattern in a folder's name", hint="Use patterns in the last part only.")
    store = open_store(folder)
    if name and not any(mark in name for mark in _MARKS):
        try:
            return [(uri, store.get(name))]
        except NotFoundError:
            store, folder, name = open_store(uri), uri, ""  # a folder, written without its last slash
    keys = [
        key for key in store.list() if (fnmatchcase(key, name) and "/" not in key if name else key.endswith(".parquet"))
    ]
    return [(f"{folder}/{key}", store.get(key)) for key in keys]
