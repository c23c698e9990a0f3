"""Scoring a file by a batch prediction job: rows go to the bucket as JSON Lines, predictions come back by their key."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.types import (
    BatchPredictionJob,
    CancelBatchPredictionJobRequest,
    CreateBatchPredictionJobRequest,
    GetBatchPredictionJobRequest,
    JobState,
    ListBatchPredictionJobsRequest,
)

from cloudmlops.errors import InvalidRequestError, UnavailableError
from cloudmlops.providers.passing_files import PassingFiles
from cloudmlops.providers.scored_files import FOLDER, LEFT_AFTER, ended, fetched, put, suffix
from cloudmlops.providers.vertex.mapping import endpoints as mapping
from cloudmlops.storage.opening import open_store

if TYPE_CHECKING:
    from cloudmlops.ports.objects import ObjectStore
    from cloudmlops.providers.vertex.backends import VertexBackends

KEY: Final = "cloudmlops_row"
"""Field that numbers the rows: predictions come in any order."""
PREDICTION: Final = "prediction"
_ENDED: Final = frozenset(
    {
        JobState.JOB_STATE_SUCCEEDED,
        JobState.JOB_STATE_PARTIALLY_SUCCEEDED,
        JobState.JOB_STATE_FAILED,
        JobState.JOB_STATE_CANCELLED,
        JobState.JOB_STATE_EXPIRED,
    }
)
_OPERATION: Final = "endpoints.predict_batch"


class Batches:
    """Batch predictions of one project and location."""

    def __init__(self, backends: VertexBackends) -> None:
        self._settings = backends.settings
        self._clock = backends.clock
        self._wire = backends.wire
        self._objects = backends.objects

    def score(self, native_model: str, input_uri: str, output_uri: str) -> None:
        """Score a file and write its rows with their predictions to another.

        Raises:
            InvalidRequestError: A file is of another kind, or rows could not be scored; rows are counted from 0.
            WaitTimeoutError: The job has not ended after `batch_timeout`, and was cancelled.
        """
        suffix(output_uri)
        passing = PassingFiles(self._objects, FOLDER, now=self._clock.now, left_after=LEFT_AFTER)
        with tempfile.TemporaryDirectory(prefix="cloudmlops-batch-") as place, passing.folder() as passed:
            folder = f"{FOLDER}/{passed}"
            source = fetched(input_uri, Path(place), self._store)
            staged = Path(place) / "staged.jsonl"
            with staged.open("w", encoding="utf-8") as lines:
                for number, row in enumerate(_rows(source, input_uri)):
                    lines.write(json.dumps({**row, KEY: number}) + "\n")
            self._objects.upload(f"{folder}/input.jsonl", staged)
            job = self._ended(self._created(f"cloudmlops-{passed}", folder, native_model), input_uri)
            predictions = self._predictions(job, folder, input_uri)
            written = Path(place) / f"output{suffix(output_uri)}"
            _write(written, _completed(_rows(source, input_uri), predictions, input_uri))
            put(written, output_uri, self._store)

    def _created(self, name: str, folder: str, native_model: str) -> str:
        request = CreateBatchPredictionJobRequest(
            parent=self._settings.parent,
            batch_prediction_job=mapping.batch_job(
                name, native_model, f"{self._objects.uri}/{folder}", settings=self._settings, key=KEY
            ),
        )
        client = self._wire.client(JobServiceClient)
        try:
            made = self._wire.ask(
                client.create_batch_prediction_job, request, operation=_OPERATION, resource=native_model, again=False
            )
        except UnavailableError:  # it may have been made all the same
            listed = ListBatchPredictionJobsRequest(parent=self._settings.parent, filter=f'display_name="{name}"')
            found = self._wire.list(
                client.list_batch_prediction_jobs, listed, operation=_OPERATION, resource=native_model
            )
            if (first := next(found, None)) is None:
                raise
            return str(first.name)
        return str(made.name)

    def _ended(self, name: str, input_uri: str) -> BatchPredictionJob:
        client = self._wire.client(JobServiceClient)

        def look() -> BatchPredictionJob | None:
            request = GetBatchPredictionJobRequest(name=name)
            found: BatchPredictionJob = self._wire.ask(
                client.get_batch_prediction_job, request, operation=_OPERATION, resource=input_uri, again=True
            )
            return found if found.state in _ENDED else None

        def cancel() -> None:
            request = CancelBatchPredictionJobRequest(name=name)
            self._wire.ask(
                client.cancel_batch_prediction_job, request, operation=_OPERATION, resource=input_uri, again=True
            )

        job = ended(look, cancel=cancel, job=name, uri=input_uri, longest=self._settings.batch_timeout)
        if job.state not in (JobState.JOB_STATE_SUCCEEDED, JobState.JOB_STATE_PARTIALLY_SUCCEEDED):
            raise InvalidRequestError(
                f"{input_uri} could not be scored: {job.error.message or job.state.name}",
                hint=f"Vertex AI's record of it is {name}.",
            )
        return job

    def _predictions(self, job: BatchPredictionJob, folder: str, input_uri: str) -> Mapping[int, Any]:
        found: dict[int, Any] = {}
        for line in self._lines(folder, "prediction.results-"):
            found[line["key"]] = line[PREDICTION]
        if job.completion_stats.failed_count:
            first = next(self._lines(folder, "prediction.errors"), None)
            raise InvalidRequestError(
                f"{job.completion_stats.failed_count} rows of {input_uri} could not be scored; the first: {first}"
            )
        return found

    def _lines(self, folder: str, beginning: str) -> Iterator[Any]:
        for key in self._objects.list(f"{folder}/"):
            if key.rpartition("/")[2].startswith(beginning):
                for line in self._objects.get(key).splitlines():
                    yield json.loads(line)

    def _store(self, uri: str) -> ObjectStore:
        own = uri.startswith("gs://") and self._settings.api_url is not None
        return open_store(
            uri,
            endpoint=self._settings.api_url if own else None,
            anonymous=own,
            timeout=self._settings.timeout,
        )


def _rows(path: Path, name: str) -> Iterator[dict[str, Any]]:
    if suffix(name) == ".parquet":
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                yield {key: value.isoformat() if hasattr(value, "isoformat") else value for key, value in row.items()}
        return
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise InvalidRequestError(f"{name}, line {number + 1}, is not JSON: {error}") from error


def _completed(rows: Iterator[dict[str, Any]], predictions: Mapping[int, Any], name: str) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows):
        if number not in predictions:
            raise InvalidRequestError(f"row {number} of {name} was not scored")
        yield {**row, PREDICTION: predictions[number]}


def _write(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return
    with path.open("w", encoding="utf-8") as lines:
        for row in rows:
            lines.write(json.dumps(row) + "\n")
