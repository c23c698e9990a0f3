"""Scoring a file: read by row groups, checked and predicted as a request would be, written as it goes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from cloudmlops.errors import InvalidRequestError
from cloudmlops.serving.dialects import Table
from cloudmlops.serving.loading import find_model, load_model
from cloudmlops.serving.lookup import open_lookup
from cloudmlops.serving.problems import ProblemError
from cloudmlops.serving.scoring import Scorer, dumps, plain

ROWS: Final = 10_000
"""Rows that are in memory at once."""
PREDICTION: Final = "prediction"


def score_file(model: Path, source: str, output: str, *, target: str | None) -> None:
    """Write the rows of `source` with a column `prediction` to `output`, each a `.parquet` or `.jsonl` file.

    The output appears whole at the end, or not at all.

    Raises:
        InvalidRequestError: A file is of another kind, or rows do not fit the model; rows are counted from 0.
    """
    folder = find_model(model)
    scorer = Scorer(load_model(folder), lookup=open_lookup(folder, target))
    writers = {".parquet": _write_parquet, ".jsonl": _write_lines}
    with _readable(source) as readable, _writable(output) as writable:
        batches = _read(readable, source)
        _writer(writers, output)(writable, _scored(scorer, batches))


def _scored(scorer: Scorer, batches: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    done = 0
    for rows in batches:
        try:
            predictions, _ = scorer.score_now(Table(rows=rows))
        except ProblemError as problem:
            raise InvalidRequestError(f"in the rows from {done} on: {problem.reason}", hint=problem.hint) from problem
        values = orjson.loads(dumps(plain(predictions)))
        yield [{**row, PREDICTION: value} for row, value in zip(rows, values, strict=True)]
        done += len(rows)


def _read(path: Path, name: str) -> Iterator[list[dict[str, Any]]]:
    if name.endswith(".parquet"):
        try:
            for batch in pq.ParquetFile(path).iter_batches(batch_size=ROWS):
                yield [_plain_row(row) for row in batch.to_pylist()]
        except (pa.ArrowInvalid, FileNotFoundError) as error:
            raise InvalidRequestError(f"{name} cannot be read: {error}") from error
    elif name.endswith(".jsonl"):
        with path.open("rb") as lines:
            rows: list[dict[str, Any]] = []
            for number, line in enumerate(lines):
                try:
                    rows.append(orjson.loads(line))
                except orjson.JSONDecodeError as error:
                    raise InvalidRequestError(f"{name}, line {number + 1}, is not JSON: {error}") from error
                if len(rows) == ROWS:
                    yield rows
                    rows = []
            if rows:
                yield rows
    else:
        raise _unknown_kind(name)


def _plain_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as JSON would give it: the handler takes what a request may carry."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}


def _writer(writers: dict[str, Any], name: str) -> Any:
    if (suffix := Path(urlsplit(name).path).suffix) not in writers:
        raise _unknown_kind(name)
    return writers[suffix]


def _write_parquet(path: Path, batches: Iterator[list[dict[str, Any]]]) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for rows in batches:
            table = pa.Table.from_pylist(rows, schema=writer.schema if writer else None)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        pq.write_table(pa.table({PREDICTION: pa.array([], pa.float64())}), path)


def _write_lines(path: Path, batches: Iterator[list[dict[str, Any]]]) -> None:
    with path.open("wb") as lines:
        for rows in batches:
            lines.writelines(dumps(row) + b"\n" for row in rows)


@contextmanager
def _readable(uri: str) -> Iterator[Path]:
    if (path := _local(uri)) is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="cloudmlops-batch-") as folder:
        from cloudmlops.storage.opening import open_store

        parent, _, key = uri.rpartition("/")
        open_store(parent).download(key, Path(folder) / key)
        yield Path(folder) / key


@contextmanager
def _writable(uri: str) -> Iterator[Path]:
    """Yield a file to write, and put it in its place when the block ends without an error."""
    path = _local(uri)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".cloudmlops-batch-", dir=path.parent if path else None) as folder:
        written = Path(folder) / "output"
        yield written
        if path is not None:
            written.replace(path)
            return
        from cloudmlops.storage.opening import open_store

        parent, _, key = uri.rpartition("/")
        open_store(parent).upload(key, written)


def _local(uri: str) -> Path | None:
    if "://" not in uri:
        return Path(uri)
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _unknown_kind(name: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name} is neither .parquet nor .jsonl", hint="Give a file with one of these endings.")
