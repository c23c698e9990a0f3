"""Valid requests for every emulated method, with what must be there before.

Get, list, update and delete follow from the create of their kind; what else a method wants is told by a function here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Final

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1
from tests.emulators.endpoints.conftest import Served
from tests.emulators.features.conftest import Cloud
from tests.emulators.pipelines.conftest import Google
from tests.emulators.pipelines.specs import Spec

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google.aiplatform.catalogue import Method
from cloudmlops.emulators.google.aiplatform.documentation import behaviours
from cloudmlops.emulators.google.cloud import GoogleCloud

Json = dict[str, Any]
Factory = Callable[["World"], Any]
"""Returns a request, or its fields."""
_VERBS: Final = ("Create", "Get", "List", "Update", "Delete")
_MAKERS: Final = {"Model": "ModelService.UploadModel"}
"""Methods that make a kind and are not called after it."""
_CHANGEABLE: Final = ("display_name", "description", "labels", "title")
_GOING_ON: Final = ("QUEUED", "PENDING", "RUNNING", "CANCELLING")
_RESOURCES: Final = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1}


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class World:
    """A running emulator, projects of its own, and what requests are about."""

    numbers: ClassVar = count(1)
    """Of all: a second one finds what the first one made."""

    def __init__(self, emulator: Emulator, folder: Path, transport: str) -> None:
        self.emulator = emulator
        self.transport = transport
        self.served = Served.at(emulator, f"every-{transport}", folder)
        self.pipelines = Google(emulator=emulator, project=self.served.project, channel=self.served.channel)
        self.features = Cloud(emulator)
        emulator.cloud(GoogleCloud).objects.make_bucket(self.pipelines.bucket, project=self.served.project)

    @property
    def parent(self) -> str:
        return self.served.parent

    def id(self, prefix: str = "made") -> str:
        return f"{prefix}{next(self.numbers):04}"

    def client(self, service: str) -> Any:
        kind = getattr(v1, f"{service}Client")
        if self.transport == "grpc":
            return self.served.client(kind)
        options = {"api_endpoint": self.emulator.url}
        return kind(transport="rest", credentials=AnonymousCredentials(), client_options=options)

    def request(self, method: Method) -> Any:
        """Return a valid request of a method, in the SDK's type."""
        kind = getattr(v1, method.request.DESCRIPTOR.name)
        if (factory := REQUESTS.get(method.key)) is not None:
            made = factory(self)
            return made if isinstance(made, kind) else kind(**made)
        for verb in _VERBS[1:]:
            if method.name.startswith(verb):
                return kind(**self._derived(method, verb))
        raise LookupError(f"Tell in REQUESTS how {method.key} is asked.")

    def ask(self, method: Method, request: Any) -> tuple[Any, Any]:
        """Return the reply and the metadata of its operation, if it is one; of a list, the first page."""
        call = getattr(self.client(method.service), snake(method.name))
        if method.requests_stream:
            return next(iter(call(requests=iter([request])))), None
        reply = call(request=request, retry=None)
        if method.operation is not None:
            result = reply.result(timeout=60)
            return result, reply.metadata
        return next(iter(reply.pages)) if hasattr(reply, "pages") else reply, None

    def made(self, kind: str) -> Any:
        """Make a resource of a kind."""
        key = _MAKERS.get(kind) or next(
            (key for key in REQUESTS if key.endswith(f".Create{kind}") and hasattr(v1, f"{key.split('.')[0]}Client")),
            "",
        )
        if not key:
            raise LookupError(f"Tell in REQUESTS how a {kind} is made.")
        service, _, name = key.partition(".")
        request = getattr(v1, f"{name}Request")(**REQUESTS[key](self))
        reply = getattr(self.client(service), snake(name))(request=request)
        result = reply.result(timeout=60) if hasattr(reply, "operation") else reply
        if kind == "Model":
            return self.client(service).get_model(name=result.model)
        return result

    def ended(self, kind: str) -> str:
        """Make a job and wait for its end; return its name."""
        job = self.made(kind)
        service = _service(kind)
        until = time.monotonic() + 60
        while self._state(service, kind, job.name) in _GOING_ON:
            assert time.monotonic() < until, job.name
            time.sleep(0.01)
        return str(job.name)

    def running(self, kind: str, factory: Callable[[World, str], Json]) -> str:
        """Make a job that goes on until it is cancelled; return its name."""
        request = getattr(v1, f"Create{kind}Request")(**factory(self, "exec sleep 60"))
        made = getattr(self.client(_service(kind)), f"create_{snake(kind)}")(request=request)
        return str(made.name)

    def close(self) -> None:
        self.served.clear()
        self.served.channel.close()
        self.features.close()

    @cached_property
    def model(self) -> str:
        """A model that can be served."""
        return self.served.model(2.0)

    @cached_property
    def endpoint(self) -> str:
        """An endpoint that serves."""
        name = self.served.endpoint()
        self.served.deploy(name, self.model, split={"0": 100})
        return name

    @cached_property
    def view(self) -> str:
        """A feature view that has been synced, with the row `JFK`."""
        rows = [{"entity_id": "JFK", "wind": 1.0}]
        uri = self.features.table("weather", {"entity_id": "STRING", "wind": "FLOAT64"}, rows)
        name = self.features.plain_view(uri)
        self.features.sync(name)
        return name

    @cached_property
    def store(self) -> str:
        """A metadata store."""
        return str(self.made("MetadataStore").name)

    @cached_property
    def group(self) -> str:
        """A feature group."""
        return str(self.made("FeatureGroup").name)

    def deployed(self, endpoint: str) -> str:
        """Return the id of what is deployed to an endpoint."""
        return str(self.served.endpoints.get_endpoint(name=endpoint).deployed_models[0].id)

    def _state(self, service: str, kind: str, name: str) -> str:
        found = getattr(self.client(service), f"get_{snake(kind)}")(name=name)
        return str(found.state.name.rpartition("STATE_")[2])

    def _derived(self, method: Method, verb: str) -> Json:
        kind = method.name.removeprefix(verb)
        if verb == "List":
            kind = {"TensorboardTimeSeries": kind}.get(kind, kind.removesuffix("s"))
        resource = self.made(kind)
        if verb == "List":
            return {"parent": resource.name.rsplit("/", 2)[0]}
        if verb != "Update":
            return {"name": resource.name}
        field, path = snake(kind), _changeable(resource)
        changed = {"changed": "yes"} if path == "labels" else "changed"
        return {field: {"name": resource.name, path: changed}, "update_mask": {"paths": [path]}}


def _service(kind: str) -> str:
    return "PipelineService" if kind == "PipelineJob" else "JobService"


def _changeable(resource: Any) -> str:
    descriptor = type(resource).pb(resource).DESCRIPTOR
    words = behaviours(descriptor.full_name)
    fixed = {"Output only", "Immutable"}
    return next(
        path for path in _CHANGEABLE if path in descriptor.fields_by_name and not words.get(path, frozenset()) & fixed
    )


def _group_source(world: World) -> Json:
    return {"big_query": {"big_query_source": {"input_uri": f"bq://{world.features.project}.features.weather"}}}


def _artifact(world: World) -> str:
    return str(world.made("Artifact").name)


def _execution(world: World) -> str:
    return str(world.made("Execution").name)


def _context(world: World) -> str:
    return str(world.made("Context").name)


def _linked(world: World, field: str) -> Json:
    """Return the name of one of a context, execution and artifact that belong together."""
    names = {"context": _context(world), "execution": _execution(world), "artifact": _artifact(world)}
    metadata = world.client("MetadataService")
    metadata.add_context_artifacts_and_executions(
        context=names["context"], artifacts=[names["artifact"]], executions=[names["execution"]]
    )
    metadata.add_execution_events(
        execution=names["execution"], events=[{"artifact": names["artifact"], "type_": "OUTPUT"}]
    )
    return {field: names[field]}


def _children(world: World) -> Json:
    request = {"context": _context(world), "child_contexts": [_context(world)]}
    world.client("MetadataService").add_context_children(request=request)
    return request


def _purge(world: World, field: str, kind: str) -> Json:
    name = world.made(kind).name
    return {"parent": world.store, "filter": f'name="{name}"', "force": field == "force"}


def _pool(script: str) -> Json:
    return {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": "any", "command": ["sh", "-ec", script]},
    }


def _job_spec(world: World, script: str = "true") -> Json:
    return {
        "worker_pool_specs": [_pool(script)],
        "base_output_directory": {"output_uri_prefix": f"gs://{world.pipelines.bucket}/out"},
    }


def _custom(world: World, script: str = "true") -> Json:
    job = {"display_name": "custom", "job_spec": _job_spec(world, script)}
    return {"parent": world.parent, "custom_job": job}


def _tuning(world: World, script: str = "true") -> Json:
    study = {
        "metrics": [{"metric_id": "loss", "goal": "MINIMIZE"}],
        "parameters": [{"parameter_id": "x", "double_value_spec": {"min_value": 0.0, "max_value": 1.0}}],
        "algorithm": "RANDOM_SEARCH",
    }
    job = {
        "display_name": "tuning",
        "max_trial_count": 1,
        "parallel_trial_count": 1,
        "study_spec": study,
        "trial_job_spec": _job_spec(world, script),
    }
    return {"parent": world.parent, "hyperparameter_tuning_job": job}


def _batch(world: World) -> Json:
    bucket = world.served.bucket
    world.emulator.cloud(GoogleCloud).objects.write(bucket, "in/rows.jsonl", b"[1.0, 0.0]\n")
    job = {
        "display_name": "batch",
        "model": world.model,
        "input_config": {"instances_format": "jsonl", "gcs_source": {"uris": [f"gs://{bucket}/in/*"]}},
        "output_config": {
            "predictions_format": "jsonl",
            "gcs_destination": {"output_uri_prefix": f"gs://{bucket}/out"},
        },
        "dedicated_resources": {"machine_spec": {"machine_type": "n1-standard-2"}},
    }
    return {"parent": world.parent, "batch_prediction_job": job}


def _pipeline(world: World, script: str = "true") -> Json:
    spec = Spec("every")
    spec.shell("act", script)
    spec.task("act")
    return {"parent": world.parent, "pipeline_job": world.pipelines.job(spec), "pipeline_job_id": world.id("job-")}


def _schedule(world: World) -> Json:
    run = {key: value for key, value in _pipeline(world).items() if key != "pipeline_job_id"}
    schedule = {
        "display_name": "nightly",
        "cron": "0 0 1 1 *",
        "max_concurrent_run_count": 1,
        "create_pipeline_job_request": run,
    }
    return {"parent": world.parent, "schedule": schedule}


def _paused(world: World) -> Json:
    name = world.made("Schedule").name
    world.client("ScheduleService").pause_schedule(name=name)
    return {"name": name}


def _second_version(world: World) -> Json:
    made = world.made("Model").name
    request = {"parent": world.parent, "model": {"display_name": "m"}, "parent_model": made}
    world.client("ModelService").upload_model(request=request).result()
    return {"name": f"{made}@2"}


def _model(world: World) -> Json:
    bucket = world.served.bucket
    world.emulator.cloud(GoogleCloud).objects.write(bucket, "m/MLmodel", b"flavors")
    model = {"display_name": "m", "artifact_uri": f"gs://{bucket}/m", "container_spec": {"image_uri": "image"}}
    return {"parent": world.parent, "model": model}


def _export(world: World) -> Json:
    to = {"artifact_destination": {"output_uri_prefix": f"gs://{world.served.bucket}/exports"}}
    return {"name": world.made("Model").name, "output_config": to}


def _deployment(world: World, endpoint: str) -> Json:
    return {"endpoint": endpoint, "deployed_model": {"model": world.model, "dedicated_resources": _RESOURCES}}


def _undeployment(world: World) -> Json:
    endpoint = world.served.endpoint()
    return {"endpoint": endpoint, "deployed_model_id": world.served.deploy(endpoint, world.model)}


def _prediction(world: World) -> Any:
    request = v1.PredictRequest(endpoint=world.endpoint)
    request.instances.extend([[1.0, 0.0]])  # the constructor takes no lists for values
    return request


def _mutation(world: World) -> Json:
    changed = {"id": world.deployed(world.endpoint), "disable_container_logging": True}
    mask = {"paths": ["disable_container_logging"]}
    return {"endpoint": world.endpoint, "deployed_model": changed, "update_mask": mask}


def _connection(world: World) -> Json:
    name = world.made("Endpoint").name
    return {"endpoint": {"name": name, "client_connection_config": {"inference_timeout": {"seconds": 60}}}}


def _store(world: World) -> Json:
    bigtable = {"auto_scaling": {"min_node_count": 1, "max_node_count": 1}, "enable_direct_bigtable_access": True}
    name = world.id("store")
    return {"parent": world.parent, "feature_online_store": {"bigtable": bigtable}, "feature_online_store_id": name}


def _view(world: World) -> Json:
    source = {"uri": f"bq://{world.features.project}.features.weather", "entity_id_columns": ["entity_id"]}
    request = {"parent": world.made("FeatureOnlineStore").name, "feature_view_id": world.id("view")}
    return {**request, "feature_view": {"big_query_source": source}}


def _direct_write(world: World) -> Json:
    row = {"data_key": {"key": "LGA"}, "features": [{"name": "wind", "value": {"double_value": 2.0}}]}
    return {"feature_view": world.view, "data_key_and_feature_values": [row]}


def _synced(world: World) -> str:
    return str(world.features.sync(world.view).name)


def _board(world: World, kind: str) -> str:
    return str(world.made(kind).name)


REQUESTS: Final[Mapping[str, Factory]] = {
    "DatasetService.CreateDataset": lambda w: {
        "parent": w.parent,
        "dataset": {"display_name": "d", "metadata_schema_uri": "gs://schemas/tables.yaml", "metadata": {"a": 1}},
    },
    "EndpointService.CreateEndpoint": lambda w: {"parent": w.parent, "endpoint": {"display_name": "e"}},
    "EndpointService.DeployModel": lambda w: _deployment(w, w.served.endpoint()),
    "EndpointService.MutateDeployedModel": _mutation,
    "EndpointService.UndeployModel": _undeployment,
    "EndpointService.UpdateEndpointLongRunning": _connection,
    "FeatureOnlineStoreAdminService.CreateFeatureOnlineStore": _store,
    "FeatureOnlineStoreAdminService.CreateFeatureView": _view,
    "FeatureOnlineStoreAdminService.GetFeatureViewSync": lambda w: {"name": _synced(w)},
    "FeatureOnlineStoreAdminService.ListFeatureViewSyncs": lambda w: {"parent": w.view},
    "FeatureOnlineStoreAdminService.SyncFeatureView": lambda w: {"feature_view": w.view},
    "FeatureOnlineStoreService.FeatureViewDirectWrite": _direct_write,
    "FeatureOnlineStoreService.FetchFeatureValues": lambda w: {"feature_view": w.view, "data_key": {"key": "JFK"}},
    "FeatureOnlineStoreService.GenerateFetchAccessToken": lambda w: {"feature_view": w.view},
    "FeatureRegistryService.BatchCreateFeatures": lambda w: {
        "parent": w.group,
        "requests": [{"parent": w.group, "feature": {"description": "f"}, "feature_id": w.id("feature")}],
    },
    "FeatureRegistryService.CreateFeature": lambda w: {
        "parent": w.group,
        "feature": {"description": "f"},
        "feature_id": w.id("feature"),
    },
    "FeatureRegistryService.CreateFeatureGroup": lambda w: {
        "parent": w.parent,
        "feature_group": _group_source(w),
        "feature_group_id": w.id("group"),
    },
    "JobService.CancelBatchPredictionJob": lambda w: {"name": w.made("BatchPredictionJob").name},
    "JobService.CancelCustomJob": lambda w: {"name": w.running("CustomJob", _custom)},
    "JobService.CancelHyperparameterTuningJob": lambda w: {"name": w.running("HyperparameterTuningJob", _tuning)},
    "JobService.CreateBatchPredictionJob": _batch,
    "JobService.CreateCustomJob": _custom,
    "JobService.CreateHyperparameterTuningJob": _tuning,
    "JobService.DeleteBatchPredictionJob": lambda w: {"name": w.ended("BatchPredictionJob")},
    "JobService.DeleteCustomJob": lambda w: {"name": w.ended("CustomJob")},
    "JobService.DeleteHyperparameterTuningJob": lambda w: {"name": w.ended("HyperparameterTuningJob")},
    "MetadataService.AddContextArtifactsAndExecutions": lambda w: {"context": _context(w), "artifacts": [_artifact(w)]},
    "MetadataService.AddContextChildren": lambda w: {"context": _context(w), "child_contexts": [_context(w)]},
    "MetadataService.AddExecutionEvents": lambda w: {
        "execution": _execution(w),
        "events": [{"artifact": _artifact(w), "type_": "OUTPUT"}],
    },
    "MetadataService.CreateArtifact": lambda w: {"parent": w.store, "artifact": {"display_name": "a"}},
    "MetadataService.CreateContext": lambda w: {"parent": w.store, "context": {"display_name": "c"}},
    "MetadataService.CreateExecution": lambda w: {"parent": w.store, "execution": {"display_name": "e"}},
    "MetadataService.CreateMetadataSchema": lambda w: {
        "parent": w.store,
        "metadata_schema": {"schema": "title: own.Thing", "schema_type": "ARTIFACT_TYPE"},
        "metadata_schema_id": w.id("schema-"),
    },
    "MetadataService.CreateMetadataStore": lambda w: {
        "parent": w.parent,
        "metadata_store": {"description": "s"},
        "metadata_store_id": w.id("store-"),
    },
    "MetadataService.PurgeArtifacts": lambda w: _purge(w, "", "Artifact"),
    "MetadataService.PurgeContexts": lambda w: _purge(w, "", "Context"),
    "MetadataService.PurgeExecutions": lambda w: _purge(w, "force", "Execution"),
    "MetadataService.QueryArtifactLineageSubgraph": lambda w: _linked(w, "artifact"),
    "MetadataService.QueryContextLineageSubgraph": lambda w: _linked(w, "context"),
    "MetadataService.QueryExecutionInputsAndOutputs": lambda w: _linked(w, "execution"),
    "MetadataService.RemoveContextChildren": _children,
    "ModelService.CopyModel": lambda w: {
        "parent": w.parent.replace("europe-west4", "us-central1"),
        "source_model": w.made("Model").name,
    },
    "ModelService.DeleteModelVersion": _second_version,
    "ModelService.ExportModel": _export,
    "ModelService.ListModelVersions": lambda w: {"name": w.made("Model").name},
    "ModelService.MergeVersionAliases": lambda w: {"name": w.made("Model").name, "version_aliases": ["live"]},
    "ModelService.UploadModel": _model,
    "PipelineService.BatchCancelPipelineJobs": lambda w: {
        "parent": w.parent,
        "names": [w.running("PipelineJob", _pipeline)],
    },
    "PipelineService.BatchDeletePipelineJobs": lambda w: {"parent": w.parent, "names": [w.ended("PipelineJob")]},
    "PipelineService.CancelPipelineJob": lambda w: {"name": w.running("PipelineJob", _pipeline)},
    "PipelineService.CreatePipelineJob": _pipeline,
    "PipelineService.DeletePipelineJob": lambda w: {"name": w.ended("PipelineJob")},
    "PredictionService.Predict": _prediction,
    "PredictionService.RawPredict": lambda w: {
        "endpoint": w.endpoint,
        "http_body": {"data": b'{"instances": [[1.0, 0.0]]}', "content_type": "application/json"},
    },
    "ScheduleService.CreateSchedule": _schedule,
    "ScheduleService.PauseSchedule": lambda w: {"name": w.made("Schedule").name},
    "ScheduleService.ResumeSchedule": _paused,
    "TensorboardService.CreateTensorboard": lambda w: {"parent": w.parent, "tensorboard": {"display_name": "t"}},
    "TensorboardService.CreateTensorboardExperiment": lambda w: {
        "parent": _board(w, "Tensorboard"),
        "tensorboard_experiment": {"display_name": "e"},
        "tensorboard_experiment_id": w.id("experiment-"),
    },
    "TensorboardService.CreateTensorboardRun": lambda w: {
        "parent": _board(w, "TensorboardExperiment"),
        "tensorboard_run": {"display_name": "r"},
        "tensorboard_run_id": w.id("run-"),
    },
    "TensorboardService.CreateTensorboardTimeSeries": lambda w: {
        "parent": _board(w, "TensorboardRun"),
        "tensorboard_time_series": {"display_name": "s", "value_type": "SCALAR"},
    },
}
"""By method, where its request does not follow from the create of its kind."""
