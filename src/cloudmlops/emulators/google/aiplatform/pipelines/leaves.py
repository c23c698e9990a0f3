"""Tasks that are no DAG: containers, custom jobs, importers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.handling import Vertex
from cloudmlops.emulators.google.aiplatform.names import location_of, new_id
from cloudmlops.emulators.google.aiplatform.pipelines.caching import Cache, fingerprint
from cloudmlops.emulators.google.aiplatform.pipelines.containers import (
    Attempt,
    Container,
    Failed,
    Stop,
    container_of,
)
from cloudmlops.emulators.google.aiplatform.pipelines.dag import Ended
from cloudmlops.emulators.google.aiplatform.pipelines.placeholders import Filling, filled
from cloudmlops.emulators.google.aiplatform.pipelines.progress import Progress
from cloudmlops.emulators.google.aiplatform.pipelines.spec import PipelineSpec, parameter_types
from cloudmlops.emulators.google.aiplatform.pipelines.task_logs import TaskLog
from cloudmlops.emulators.google.aiplatform.pipelines.values import Json, Values

_SCHEMA: Final = "system.Artifact"
_LONGEST_PAUSE: Final = timedelta(hours=1)


class Leaves:
    """The executors of one job."""

    def __init__(
        self,
        vertex: Vertex,
        spec: PipelineSpec,
        job: Any,
        progress: Progress,
        stop: Stop,
        facts: Mapping[str, str],
    ) -> None:
        self._vertex = vertex
        self._spec = spec
        self._progress = progress
        self._stop = stop
        self._facts = facts
        self._cache = Cache(vertex, job.name)
        _, project, _, self._location = location_of(job.name).split("/")
        self._project = vertex.projects.id(project)
        root = job.runtime_config.gcs_output_directory.rstrip("/")
        self._root = f"{root}/{project}/{job.name.rpartition('/')[2]}"
        self._folder = vertex.surroundings.state.folder / "pipelines" / project / job.name.rpartition("/")[2]

    def run(self, name: str, task: Json, component: Json, inputs: Values, place: int) -> Ended:
        """Run one task."""
        executor = self._spec.executor(component)
        if "importer" in executor:
            return self._import(executor["importer"], component, inputs, place)
        caching = task.get("cachingOptions", {}).get("enableCache", False)
        key = fingerprint(self._spec.name, component, executor, inputs)
        if caching and (known := self._cache.find(key)) is not None:
            self._progress.left(place, known)
            return Ended(state="SKIPPED", outputs=known)
        self._progress.put(place, "RUNNING")
        outputs = self._tried(name, task, executor, component, inputs, place)
        self._progress.left(place, outputs)
        self._cache.keep(key, outputs)
        return Ended(state="SUCCEEDED", outputs=outputs)

    def _tried(self, name: str, task: Json, executor: Json, component: Json, inputs: Values, place: int) -> Values:
        container, own = _container(executor), "customJob" in executor
        policy = task.get("retryPolicy", {})
        left = int(policy.get("maxRetryCount", 0))
        pause = _seconds(policy.get("backoffDuration", "0s"))
        factor = float(policy.get("backoffFactor", 2.0)) or 1.0
        longest = _seconds(policy["backoffMaxDuration"]) if "backoffMaxDuration" in policy else _LONGEST_PAUSE
        while True:
            job = new_id()
            self._progress.container(place, job, own=own)
            try:
                return self._attempt(name, container, component, inputs, place, job).run(self._vertex.surroundings)
            except Failed:
                if left <= 0:
                    raise
                self._progress.container(place, job, own=own, failed=True)
                left -= 1
            self._stop.pause(min(pause, longest))
            pause = pause * factor

    def _attempt(
        self, name: str, container: Container, component: Json, inputs: Values, place: int, job: str
    ) -> Attempt:
        outputs = component.get("outputDefinitions", {})
        return Attempt(
            container=container,
            inputs=inputs,
            artifacts={
                output: self._progress.artifact(
                    uri=f"{self._root}/{name}_{place}/{output}",
                    display_name=output,
                    schema_title=definition.get("artifactType", {}).get("schemaTitle", _SCHEMA),
                    schema_version=definition.get("artifactType", {}).get("schemaVersion", "0.0.1"),
                )
                for output, definition in outputs.get("artifacts", {}).items()
            },
            parameters=parameter_types(outputs),
            facts={**self._facts, "pipeline_task_name": name, "pipeline_task_uuid": str(place)},
            folder=self._folder / f"{name}_{place}" / job,
            log=TaskLog(self._vertex.surroundings, project=self._project, location=self._location, job=job),
            stop=self._stop,
        )

    def _import(self, importer: Json, component: Json, inputs: Values, place: int) -> Ended:
        self._progress.put(place, "RUNNING")
        address = importer.get("artifactUri", {})
        uri = address.get("constant") or inputs.parameters.get(address.get("runtimeParameter", ""))
        if not isinstance(uri, str):
            raise Refused("INVALID_ARGUMENT", "An importer has no artifactUri.")
        schema = importer.get("typeSchema", {})
        artifact = None if importer.get("reimport") else self._known(uri, schema.get("schemaTitle", _SCHEMA))
        if artifact is None:
            artifact = self._progress.artifact(
                uri=uri,
                schema_title=schema.get("schemaTitle", _SCHEMA),
                schema_version=schema.get("schemaVersion", "0.0.1"),
            )
            artifact.metadata.update(self._metadata(importer.get("metadata", {}), inputs))
        (name,) = component["outputDefinitions"]["artifacts"]
        outputs = Values(artifacts={name: [artifact]})
        self._progress.left(place, outputs)
        return Ended(state="SUCCEEDED", outputs=outputs)

    def _known(self, uri: str, schema: str) -> Any:
        found = self._vertex.resources.list(self._progress.store, "artifacts", message("Artifact"))
        same = [one for one in found if one.uri == uri and one.schema_title == schema]
        return same[0] if same else None

    def _metadata(self, given: Json, inputs: Values) -> dict[str, Any]:
        filling = Filling(
            inputs=inputs, outputs={}, output_files={}, output_file=self._folder, local=str, facts=self._facts
        )
        return {key: filled(value, filling) if isinstance(value, str) else value for key, value in given.items()}


def _container(executor: Json) -> Container:
    if "container" in executor:
        return container_of(executor["container"])
    job = executor["customJob"].get("customJob", executor["customJob"])
    spec = job.get("jobSpec", job)
    pools = spec.get("workerPoolSpecs", ())
    if len(pools) != 1 or int(pools[0].get("replicaCount", 1)) != 1 or "containerSpec" not in pools[0]:
        raise Refused("UNIMPLEMENTED", "A custom job of anything but one container is not emulated.")
    container = pools[0]["containerSpec"]
    return container_of({**container, "image": container.get("imageUri", "")})


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text.removesuffix("s")))
