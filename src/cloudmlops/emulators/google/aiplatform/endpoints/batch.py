"""Batch prediction jobs: JSON Lines in Cloud Storage are read, asked of a container of the model, and written back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from google.protobuf import empty_pb2, json_format
from google.rpc import code_pb2

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.checking import without_output_fields
from cloudmlops.emulators.google.aiplatform.endpoints.fleet import Server, fleet_of
from cloudmlops.emulators.google.aiplatform.endpoints.servers import job_server
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.models import Models, check_labels
from cloudmlops.emulators.google.aiplatform.names import new_id
from cloudmlops.emulators.google.aiplatform.sunsets import EXPLANATIONS
from cloudmlops.emulators.google.storage.sharing import Objects

_log: Final = logging.getLogger("cloudmlops.emulators")
_BATCH: Final = 64
_SECONDS: Final = 600.0
_OK: Final = 200
_PENDING, _RUNNING, _SUCCEEDED, _FAILED, _CANCELLING, _CANCELLED = 2, 3, 4, 5, 6, 7
"""Of google.cloud.aiplatform.v1.JobState; a test compares them."""
ENDED: Final = frozenset({_SUCCEEDED, _FAILED, _CANCELLED})


def batch_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of batch prediction jobs that are not plain get and list."""
    jobs = BatchPredictions(vertex)
    return {
        "JobService.CreateBatchPredictionJob": jobs.create,
        "JobService.CancelBatchPredictionJob": lambda request, _: jobs.cancel(request.name),
        "JobService.DeleteBatchPredictionJob": jobs.delete,
    }


@dataclass(kw_only=True, slots=True)
class _Results:
    """What was answered so far."""

    predictions: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class BatchPredictions:
    """All jobs of an emulator."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex
        self._resources = vertex.resources
        self._models = Models(vertex)
        self._fleet = fleet_of(vertex.surroundings.state)
        self._job = message("BatchPredictionJob")
        if vertex.surroundings.state.durable:
            self._give_up()

    def create(self, request: Any, _: Asking) -> Any:
        """Begin a job."""
        job = request.batch_prediction_job
        without_output_fields(job)
        check_labels(job.labels)
        _check_emulated(job)
        model = self._models.get(job.model)
        if not model.container_spec.image_uri:
            raise Refused("INVALID_ARGUMENT", f"Model {model.name} has no container to be served with.")
        if not job.dedicated_resources.machine_spec.machine_type:
            raise Refused("INVALID_ARGUMENT", f"Model {model.name} supports dedicated_resources only; set them.")
        job.model, job.model_version_id = model.name, model.version_id
        job.state = _PENDING
        name = f"{request.parent}/batchPredictionJobs/{new_id()}"
        job.name = name
        server = job_server(self._vertex, job, model)
        self._fleet.take(server)
        created = self._job.FromString(self._resources.create(name, job).SerializeToString())
        self._fleet.work(lambda: self._run(name, server))
        return created

    def cancel(self, name: str) -> Any:
        """Ask a job to end; one that has ended stays as it is."""
        with self._resources.transaction():
            job: Any = self._resources.get(name, self._job)
            if job.state not in ENDED:
                job.state = _CANCELLING
                self._resources.put(name, job)
        return empty_pb2.Empty()

    def delete(self, request: Any, asking: Asking) -> Any:
        """Remove a job that has ended."""
        job: Any = self._resources.get(request.name, self._job)
        if job.state not in ENDED:
            raise Refused("FAILED_PRECONDITION", f"BatchPredictionJob {request.name} has not ended; cancel it first.")

        def work() -> Any:
            self._resources.remove(request.name, self._job)
            return empty_pb2.Empty()

        return self._vertex.operations.begin(asking.method, request.name, work)

    def _give_up(self) -> None:
        """End what was under way when an emulator with this state ended: nothing ends it any more."""
        stopped = Refused("ABORTED", "The emulator was stopped while the job was under way.")
        for job in self._resources.list("projects/-/locations/-", "batchPredictionJobs", self._job):
            known: Any = job
            if known.state not in ENDED:
                self._moved(known.name, _FAILED, stopped)

    def _run(self, name: str, server: Server) -> None:
        failure: Refused | None = None
        try:
            self._fleet.bring_up(self._vertex.surroundings, server)
            if self._moved(name, _RUNNING):
                results = self._scored(name, server)
                if not results.predictions and results.errors:
                    raise Refused("INVALID_ARGUMENT", f"No instance was predicted: {results.errors[0]}")
                self._write(name, server, results)
        except Refused as refused:
            failure = refused
        except Exception as error:  # noqa: BLE001 told to the client as the job's error
            _log.exception("%s failed", name)
            failure = Refused("INTERNAL", f"{type(error).__name__}: {error}")
        finally:
            self._fleet.stop(name, "")  # before the end is told: who sees it sees the machine given back
        if failure is not None and self._vertex.surroundings.clock.stopped:
            return  # it is the emulator's end that is the reason: the next one with this state says so
        self._moved(name, _FAILED if failure else _SUCCEEDED, failure)

    def _moved(self, name: str, state: int, refused: Refused | None = None) -> bool:
        """Note a job's state; False when it was cancelled meanwhile."""
        with self._resources.transaction():
            job: Any = self._resources.get(name, self._job)
            going = bool(job.state != _CANCELLING)
            if not going:
                state = _CANCELLED if state in ENDED else _CANCELLING
            job.state = state
            now = self._vertex.surroundings.clock.now().replace(tzinfo=None)
            if job.state == _RUNNING:
                job.start_time.FromDatetime(now)
            if job.state in ENDED:
                job.end_time.FromDatetime(now)
            if refused is not None and going:
                job.error.code = code_pb2.Code.Value(refused.code)
                job.error.message = refused.message
            self._resources.put(name, job)
        return going

    def _scored(self, name: str, server: Server) -> _Results:
        job: Any = self._resources.get(name, self._job)
        results = _Results()
        instances = self._instances(job)
        size = job.manual_batch_tuning_parameters.batch_size or _BATCH
        while batch := list(islice(instances, size)):
            if self._resources.get(name, self._job).state == _CANCELLING:
                break
            self._score(job, server, batch, results)
        return results

    def _score(self, job: Any, server: Server, batch: Sequence[Any], results: _Results) -> None:
        """Ask for some instances at once; if that is refused, for each alone, so that one does not spoil the others."""
        content: dict[str, Any] = {"instances": [_sent(job.instance_config, instance) for instance in batch]}
        if job.HasField("model_parameters"):
            content["parameters"] = json_format.MessageToDict(job.model_parameters)
        with self._fleet.hold(server) as running:
            container = running.container(self._vertex.surroundings, self._fleet)
            answered = container.exchange(
                server.predict_route, json.dumps(content).encode(), "application/json", seconds=_SECONDS
            )
        if answered.status == _OK:
            predictions = json.loads(answered.data)["predictions"]
            for instance, prediction in zip(batch, predictions, strict=True):
                results.predictions.append(json.dumps({**_named(job, instance), "prediction": prediction}))
        elif len(batch) > 1:
            for instance in batch:
                self._score(job, server, [instance], results)
        else:
            error = {"code": answered.status, "message": answered.data.decode(errors="replace")}
            results.errors.append(json.dumps({**_named(job, batch[0]), "error": error}))

    def _instances(self, job: Any) -> Iterator[Any]:
        objects = Objects(self._vertex.surroundings)
        for uri in job.input_config.gcs_source.uris:
            bucket, _, pattern = uri.removeprefix("gs://").partition("/")
            prefix, star, _ = pattern.partition("*")
            for key in objects.list(bucket, prefix) if star else [pattern]:
                for number, line in enumerate(objects.read(bucket, key).splitlines()):
                    try:
                        yield json.loads(line)
                    except ValueError as error:
                        where = f"gs://{bucket}/{key}, line {number + 1}"
                        raise Refused("INVALID_ARGUMENT", f"{where}, is not JSON: {error}.") from error

    def _write(self, name: str, server: Server, results: _Results) -> None:
        objects = Objects(self._vertex.surroundings)
        with self._resources.transaction():
            job: Any = self._resources.get(name, self._job)
            prefix = job.output_config.gcs_destination.output_uri_prefix.rstrip("/")
            moment = self._vertex.surroundings.clock.now().strftime("%Y_%m_%dT%H_%M_%S_%f")
            folder = f"{prefix}/prediction-{server.model.display_name}-{moment}Z"
            bucket, _, key = folder.removeprefix("gs://").partition("/")
            for kind, lines in (("results", results.predictions), ("errors_stats", results.errors)):
                data = "".join(f"{line}\n" for line in lines).encode()
                objects.write(bucket, f"{key}/prediction.{kind}-00000-of-00001", data)
            job.output_info.gcs_output_directory = folder
            job.completion_stats.successful_count = len(results.predictions)
            job.completion_stats.failed_count = len(results.errors)
            self._resources.put(name, job)


def _check_emulated(job: Any) -> None:
    if job.HasField("unmanaged_container_model"):
        raise Refused("UNIMPLEMENTED", "Batch prediction with an unmanaged container model is not emulated.")
    if job.generate_explanation:
        raise Refused("UNIMPLEMENTED", f"Explanations are not emulated. {EXPLANATIONS}")
    formats = job.input_config.instances_format, job.output_config.predictions_format
    if formats != ("jsonl", "jsonl"):
        raise Refused(
            "UNIMPLEMENTED", f"Batch prediction from {formats[0]} to {formats[1]} is not emulated: use jsonl."
        )
    if not job.input_config.gcs_source.uris or not job.output_config.gcs_destination.output_uri_prefix:
        raise Refused("INVALID_ARGUMENT", "Batch prediction of jsonl needs a gcs_source and a gcs_destination.")
    if job.instance_config.instance_type not in ("", "object"):
        raise Refused("UNIMPLEMENTED", f"Instances of type {job.instance_config.instance_type!r} are not emulated.")


def _sent(config: Any, instance: Any) -> Any:
    """Return an instance as the container gets it."""
    if not isinstance(instance, Mapping):
        return instance
    left_out = {*config.excluded_fields, config.key_field}
    chosen = set(config.included_fields)
    return {name: value for name, value in instance.items() if (name in chosen if chosen else name not in left_out)}


def _named(job: Any, instance: Any) -> dict[str, Any]:
    """Return how a line of the output says which instance it is about."""
    key = job.instance_config.key_field
    return {"key": instance[key]} if key else {"instance": instance}
