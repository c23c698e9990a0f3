"""Models, their versions and aliases.

Pinned where the documentation leaves it open (`google.cloud.aiplatform_v1.UpdateModelRequest` contradicts itself):
labels sent with an upload, or with a name that holds `@version`, are the version's; labels sent with the bare name are
the model's; a read shows both, the version's first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final

from google.protobuf import empty_pb2, field_mask_pb2

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.generic import masked
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.names import new_id
from cloudmlops.emulators.google.aiplatform.paging import newest_first, page

DEFAULT: Final = "default"
_ALIAS: Final = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_MODEL_ID: Final = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_LABEL_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")
_MOST_LABELS: Final = 64
_ETAG: Final = 16
_DEDICATED: Final = 1
"""DeploymentResourcesType.DEDICATED_RESOURCES"""
_CUSTOM: Final = 2
"""ModelSourceInfo.ModelSourceType.CUSTOM"""
_EXPORTED: Final = "custom-trained"
_ARTIFACT: Final = 1
"""Model.ExportFormat.ExportableContent.ARTIFACT"""
_INPUTS: Final = ("jsonl", "bigquery", "csv", "tf-record", "tf-record-gzip", "file-list")
_OUTPUTS: Final = ("jsonl", "bigquery")
_OF_MODEL: Final = ("display_name", "description", "labels")
"""Fields that UpdateModel changes for all versions, by the bare name."""
_OF_VERSION: Final = ("version_description", "labels")
"""Fields that UpdateModel changes of one version, by a name with `@`."""


def model_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of ModelService that are not plain create, get, list, update, delete."""
    models = Models(vertex)
    return {
        "ModelService.UploadModel": models.upload,
        "ModelService.GetModel": lambda request, _: models.get(request.name),
        "ModelService.ListModels": models.list_models,
        "ModelService.ListModelVersions": models.list_versions,
        "ModelService.UpdateModel": models.update,
        "ModelService.MergeVersionAliases": models.merge_aliases,
        "ModelService.DeleteModel": models.delete,
        "ModelService.DeleteModelVersion": models.delete_version,
    }


def check_labels(labels: Any) -> None:
    """Refuse labels outside the service's rules: at most 64, keys and values of lower case, digits, `_` and `-`."""
    if len(labels) > _MOST_LABELS:
        raise Refused("INVALID_ARGUMENT", f"No more than {_MOST_LABELS} labels can be set, {len(labels)} were given.")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise Refused("INVALID_ARGUMENT", f"The label key {key!r} is invalid.")
        if not _LABEL_VALUE.fullmatch(value):
            raise Refused("INVALID_ARGUMENT", f"The value {value!r} of the label {key!r} is invalid.")


def check_target(parent: str, model_id: str, parent_model: str) -> None:
    """Refuse a place for a new model or version that there cannot be."""
    if model_id and parent_model:
        raise Refused("INVALID_ARGUMENT", "model_id names a new model and parent_model an existing one: set one only.")
    if model_id and not _MODEL_ID.fullmatch(model_id):
        raise Refused("INVALID_ARGUMENT", f"The model ID {model_id!r} is invalid.")
    if parent_model and not re.fullmatch(f"{re.escape(parent)}/models/[^/]+", parent_model):
        raise Refused("INVALID_ARGUMENT", f"The parent_model {parent_model!r} is not a Model in {parent}.")


class Models:
    """The registry. The model's own record is kept under its name, each version under `NAME/versions/NUMBER`."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex
        self._resources = vertex.resources
        self._model = message("Model")

    def upload(self, request: Any, asking: Asking) -> Any:
        """Make a model, or the next version of one."""
        given = request.model
        self._check_given(request, given)
        name = request.parent_model.partition("@")[0] or f"{request.parent}/models/{request.model_id or new_id()}"
        given.model_source_info.source_type = _CUSTOM
        self.check_place(name, new=not request.parent_model)

        def work() -> Any:
            version = self.add(name, given, new=not request.parent_model)
            return message("UploadModelResponse")(model=name, model_version_id=version)

        return self._vertex.operations.begin(asking.method, name, work)

    def check_place(self, name: str, *, new: bool) -> None:
        """Refuse a new model where there is one, and a new version where there is none."""
        if not new:
            self._resources.get(name, self._model)
        elif self._resources.exists(name):
            raise Refused("ALREADY_EXISTS", f"Model {name} already exists; set parent_model to add a version to it.")

    def add(self, name: str, given: Any, *, new: bool) -> str:
        """Keep a new model's first version, or the next one; return its number."""
        with self._resources.transaction():
            self.check_place(name, new=new)
            return self._added(name, self._resources.find(name, self._model), given)

    def get(self, name: str) -> Any:
        """Return a version as it is read: `NAME`, `NAME@2` or `NAME@alias`."""
        with self._resources.transaction():
            base, version = self._resolved(name)
            return self._shown(base, version)

    def list_models(self, request: Any, _: Asking) -> Any:
        """List models, each as its default version."""
        with self._resources.transaction():
            heads = self._resources.list(request.parent, "models", self._model)
            shown = [self.get(head.name) for head in heads]
        part, token = page(shown, request, kind=self._model, natural=newest_first)
        return message("ListModelsResponse")(models=part, next_page_token=token)

    def list_versions(self, request: Any, _: Asking) -> Any:
        """List all versions of a model."""
        with self._resources.transaction():
            base = request.name.partition("@")[0]
            self._resources.get(base, self._model)
            shown = [self._shown(base, version) for version in self._versions(base)]
        part, token = page(shown, request, kind=self._model, natural=lambda model: [int(model.version_id)])
        return message("ListModelVersionsResponse")(models=part, next_page_token=token)

    def update(self, request: Any, _: Asking) -> Any:
        """Change fields of a version, or what all versions share."""
        given = request.model
        check_labels(given.labels)
        base, _, wanted = given.name.partition("@")
        of_version = wanted not in ("", "-")
        paths = _updated(given, request.update_mask, of_version=of_version)
        with self._resources.transaction():
            base, version = self._resolved(given.name if of_version else base)
            self._resources.check_etag(self._shown(base, version), given.etag)
            if paths:
                self._masked(_place(base, version) if of_version else base, given, paths)
            return self._shown(base, version)

    def merge_aliases(self, request: Any, _: Asking) -> Any:
        """Add aliases to a version, taking them from others, and remove those written with `-`."""
        with self._resources.transaction():
            base, version = self._resolved(request.name)
            for alias in request.version_aliases:
                if not _ALIAS.fullmatch(alias.removeprefix("-")):
                    raise Refused("INVALID_ARGUMENT", f"The version alias {alias!r} is invalid.")
                if alias == f"-{DEFAULT}":
                    raise Refused("INVALID_ARGUMENT", "The default alias can be moved, but not removed.")
            for alias in request.version_aliases:
                if alias.startswith("-"):
                    self._change_aliases(base, version, lambda known, gone=alias[1:]: [a for a in known if a != gone])  # type: ignore[misc]
                else:
                    self._move(base, alias, version)
            return self._shown(base, version)

    def delete(self, request: Any, asking: Asking) -> Any:
        """Remove a model with all versions."""
        if "@" in request.name:
            raise Refused("INVALID_ARGUMENT", "DeleteModel takes no version; use DeleteModelVersion.")
        self._resources.get(request.name, self._model)
        self._check_undeployed(request.name, None)

        def work() -> Any:
            self._resources.delete(request.name, within=True)
            return empty_pb2.Empty()

        return self._vertex.operations.begin(asking.method, request.name, work)

    def delete_version(self, request: Any, asking: Asking) -> Any:
        """Remove one version; neither the only one nor the default one."""
        if "@" not in request.name:
            raise Refused("INVALID_ARGUMENT", "DeleteModelVersion needs a version: NAME@VERSION.")
        base, version = self._removable(request.name)

        def work() -> Any:
            with self._resources.transaction():
                self._resources.delete(_place(*self._removable(f"{base}@{version}")))
            return empty_pb2.Empty()

        return self._vertex.operations.begin(asking.method, base, work)

    def _removable(self, name: str) -> tuple[str, str]:
        with self._resources.transaction():
            base, version = self._resolved(name)
            if len(self._versions(base)) == 1:
                raise Refused("FAILED_PRECONDITION", f"{name} is the only version; use DeleteModel.")
            if DEFAULT in self._kept(base, version).version_aliases:
                raise Refused("FAILED_PRECONDITION", f"{name} is the default version; move the alias first.")
            self._check_undeployed(base, version)
            return base, version

    def _check_given(self, request: Any, given: Any) -> None:
        check_target(request.parent, request.model_id, request.parent_model)
        for alias in given.version_aliases:
            if not _ALIAS.fullmatch(alias):
                raise Refused("INVALID_ARGUMENT", f"The version alias {alias!r} is invalid.")
        if given.artifact_uri and not given.artifact_uri.startswith("gs://"):
            raise Refused("INVALID_ARGUMENT", f"{given.artifact_uri!r} is not a Cloud Storage URI.")
        check_labels(given.labels)

    def _added(self, name: str, head: Any | None, given: Any) -> str:
        version = str(int(head.version_id) + 1) if head is not None else "1"
        fresh: Any = self._model.FromString(given.SerializeToString())
        if head is None:
            head = self._model(display_name=given.display_name, description=given.description, version_id=version)
            self._resources.create(name, head)
        else:
            head.version_id = version
            self._resources.keep(name, head)
        aliases = [*fresh.version_aliases, *([DEFAULT] if version == "1" else [])]
        del fresh.version_aliases[:]
        fresh.version_id = version
        if fresh.container_spec.image_uri:  # what the SDK decides by how to deploy
            fresh.supported_deployment_resources_types.append(_DEDICATED)
            fresh.supported_input_storage_formats.extend(_INPUTS)
            fresh.supported_output_storage_formats.extend(_OUTPUTS)
        if fresh.artifact_uri:
            fresh.supported_export_formats.add(id=_EXPORTED, exportable_contents=[_ARTIFACT])
        now = self._vertex.surroundings.clock.now().replace(tzinfo=None)
        fresh.version_create_time.FromDatetime(now)
        fresh.version_update_time.FromDatetime(now)
        self._resources.create(_place(name, version), fresh)
        for alias in dict.fromkeys(aliases):
            self._move(name, alias, version)
        return version

    def _resolved(self, name: str) -> tuple[str, str]:
        base, _, wanted = name.partition("@")
        self._resources.get(base, self._model)
        for version in self._versions(base):
            if version == wanted or (wanted or DEFAULT) in self._kept(base, version).version_aliases:
                return base, version
        raise Refused("NOT_FOUND", f"The Model {name} does not exist.")

    def _versions(self, base: str) -> list[str]:
        beginning = f"{base}/versions/"
        return [name.removeprefix(beginning) for name in self._resources.within(base) if name.startswith(beginning)]

    def _kept(self, base: str, version: str) -> Any:
        return self._resources.get(_place(base, version), self._model)

    def _shown(self, base: str, version: str) -> Any:
        head: Any = self._resources.get(base, self._model)
        shown = self._kept(base, version)
        shown.name = base
        shown.display_name = head.display_name
        shown.description = head.description
        shown.create_time.CopyFrom(head.create_time)
        if head.update_time.ToNanoseconds() > shown.update_time.ToNanoseconds():
            shown.update_time.CopyFrom(head.update_time)
        # Of both, for a change of either is a change of what is shown.
        shown.etag = hashlib.sha256(f"{head.etag} {shown.etag}".encode()).hexdigest()[:_ETAG]
        for key, value in head.labels.items():
            if key not in shown.labels:
                shown.labels[key] = value
        self._show_deployments(shown, base, version)
        return shown

    def _show_deployments(self, shown: Any, base: str, version: str) -> None:
        location = base.partition("/models/")[0]
        for endpoint in self._resources.list(location, "endpoints", message("Endpoint")):
            for deployed in endpoint.deployed_models:
                if deployed.model.partition("@")[0] == base and deployed.model_version_id == version:
                    shown.deployed_models.add(endpoint=endpoint.name, deployed_model_id=deployed.id)

    def _check_undeployed(self, base: str, version: str | None) -> None:
        for known in [version] if version else self._versions(base):
            deployed = self._shown(base, known).deployed_models
            if deployed:
                message_text = f"{base}@{known} is deployed to {deployed[0].endpoint}; undeploy it first."
                raise Refused("FAILED_PRECONDITION", message_text)

    def _masked(self, place: str, given: Any, paths: list[str]) -> None:
        kept: Any = self._resources.get(place, self._model)
        masked(kept, given, field_mask_pb2.FieldMask(paths=paths))
        kept.version_update_time.FromDatetime(self._vertex.surroundings.clock.now().replace(tzinfo=None))
        self._resources.put(place, kept)

    def _move(self, base: str, alias: str, version: str) -> None:
        for other in self._versions(base):
            if other != version:
                self._change_aliases(base, other, lambda known: [a for a in known if a != alias])
        self._change_aliases(base, version, lambda known: [*(a for a in known if a != alias), alias])

    def _change_aliases(self, base: str, version: str, changed: Callable[[list[str]], list[str]]) -> None:
        kept = self._kept(base, version)
        before = list(kept.version_aliases)
        after = changed(before)
        if after != before:
            kept.version_aliases[:] = after
            kept.version_update_time.FromDatetime(self._vertex.surroundings.clock.now().replace(tzinfo=None))
            self._resources.put(_place(base, version), kept)


def _updated(given: Any, mask: Any, *, of_version: bool) -> list[str]:
    """Return the fields that an update changes; without a mask those that are set, with `*` all that it can."""
    allowed, others = (_OF_VERSION, _OF_MODEL) if of_version else (_OF_MODEL, _OF_VERSION)
    if "*" in mask.paths:
        return list(allowed)
    if not mask.paths:
        return [field.name for field, _ in given.ListFields() if field.name in allowed]
    for path in mask.paths:
        field = path.partition(".")[0]
        if field == "version_aliases":
            raise Refused("INVALID_ARGUMENT", "UpdateModel changes no version_aliases: use MergeVersionAliases.")
        if field in others and field not in allowed:
            right = "models/MODEL, without a version" if of_version else "models/MODEL@VERSION"
            raise Refused("FAILED_PRECONDITION", f"The field {path!r} is updated by the name {right}: {given.name}.")
        if field not in allowed:
            raise Refused("INVALID_ARGUMENT", f"UpdateModel cannot change {path!r}: it changes {', '.join(allowed)}.")
    return list(mask.paths)


def _place(base: str, version: str) -> str:
    return f"{base}/versions/{version}"
