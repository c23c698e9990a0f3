"""ExportModel and CopyModel.

The reference has the source of a copy in the same project; the guide has it in another one too, where that project has
granted its export to the destination's service agent, who has no part here: a copy between projects is not emulated.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.models import Models, check_target
from cloudmlops.emulators.google.aiplatform.names import new_id
from cloudmlops.emulators.google.storage.sharing import Objects

_FOLDER: Final = re.compile(r"gs://([^/]+)(?:/(.*?))?/?")
_SOURCE: Final = re.compile(r"(projects/[^/]+)/locations/[^/]+/models/[^/]+")
_LEFT_BEHIND: Final = (
    "name",
    "version_id",
    "version_aliases",
    "create_time",
    "update_time",
    "version_create_time",
    "version_update_time",
    "etag",
    "deployed_models",
    "encryption_spec",
    "supported_deployment_resources_types",
    "supported_input_storage_formats",
    "supported_output_storage_formats",
    "supported_export_formats",
)
"""What a copy has of its own."""


def model_copy_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of what copies a model out of the registry and within it."""
    copies = _Copies(vertex)
    return {"ModelService.ExportModel": copies.export, "ModelService.CopyModel": copies.copy}


class _Copies:
    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex
        self._models = Models(vertex)
        self._objects = Objects(vertex.surroundings)

    def export(self, request: Any, asking: Asking) -> Any:
        """Copy the files of a version into a new folder at the destination."""
        model = self._models.get(request.name)
        _check_format(request, model)
        bucket, prefix = _destination(request.output_config)
        stamp = self._vertex.surroundings.clock.now()
        folder = f"{prefix}model-export-{model.display_name}-{_written(stamp)}/"

        def work() -> Any:
            self._copy_files(model.artifact_uri, bucket, folder)
            return message("ExportModelResponse")()

        metadata: Any = message("ExportModelOperationMetadata")()
        metadata.output_info.artifact_output_uri = f"gs://{bucket}/{folder.removesuffix('/')}"
        return self._vertex.operations.begin(asking.method, model.name, work, metadata)

    def copy(self, request: Any, asking: Asking) -> Any:
        """Make a model, or a version of one, of a version in any location of the project."""
        source = _SOURCE.fullmatch(request.source_model)
        if source is None:
            raise Refused("INVALID_ARGUMENT", f"Invalid resource name {request.source_model!r} in source_model.")
        if not request.parent.startswith(f"{source[1]}/"):
            raise Refused("UNIMPLEMENTED", "CopyModel between projects is not emulated.")
        check_target(request.parent, request.model_id, request.parent_model)
        original = self._models.get(request.source_model)
        name = request.parent_model.partition("@")[0] or f"{request.parent}/models/{request.model_id or new_id()}"
        self._models.check_place(name, new=not request.parent_model)
        given = _copied(original, request)

        def work() -> Any:
            version = self._models.add(name, given, new=not request.parent_model)
            return message("CopyModelResponse")(model=name, model_version_id=version)

        return self._vertex.operations.begin(asking.method, name, work)

    def _copy_files(self, uri: str, bucket: str, folder: str) -> None:
        found = _FOLDER.fullmatch(uri)
        if found is None:
            raise Refused("INVALID_ARGUMENT", f"{uri!r} is not a Cloud Storage URI.")
        origin, prefix = found[1], f"{found[2]}/" if found[2] else ""
        for needed in (origin, bucket):
            if self._objects.location(needed) is None:
                raise Refused("NOT_FOUND", f"The bucket gs://{needed} does not exist.")
        names = self._objects.list(origin, prefix)
        if not names:
            raise Refused("NOT_FOUND", f"There are no files in {uri}.")
        for name in names:
            self._objects.write(bucket, folder + name.removeprefix(prefix), self._objects.path_of(origin, name))


def _check_format(request: Any, model: Any) -> None:
    known = [supported.id for supported in model.supported_export_formats]
    wanted = request.output_config.export_format_id
    if not known:
        raise Refused("FAILED_PRECONDITION", f"The Model {request.name} is not available for export.")
    if wanted and wanted not in known:
        told = f"The export format {wanted!r} is not supported by the Model {request.name}: it has {', '.join(known)}."
        raise Refused("INVALID_ARGUMENT", told)


def _destination(config: Any) -> tuple[str, str]:
    if config.image_destination.output_uri:
        raise Refused("UNIMPLEMENTED", "ExportModel with output_config.image_destination is not emulated.")
    uri = config.artifact_destination.output_uri_prefix
    found = _FOLDER.fullmatch(uri)
    if found is None:
        told = f"output_config.artifact_destination.output_uri_prefix {uri!r} is not a Cloud Storage URI."
        raise Refused("INVALID_ARGUMENT", told)
    return found[1], f"{found[2]}/" if found[2] else ""


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _copied(original: Any, request: Any) -> Any:
    given = type(original)()
    given.CopyFrom(original)
    for field in _LEFT_BEHIND:
        given.ClearField(field)
    if request.HasField("encryption_spec"):
        given.encryption_spec.CopyFrom(request.encryption_spec)
    given.original_model_info.model = f"{original.name}@{original.version_id}"
    given.model_source_info.copy = True
    return given
