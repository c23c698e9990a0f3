"""Model versions in Vertex AI's registry.

The version's number there is Vertex AI's own and may differ from the ledger's; the label `cloudmlops-version` says
which is which. Tags that cannot be labels lie in the object store, in `registry/vertex/NAME/VERSION.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from google.cloud.aiplatform_v1 import ModelServiceClient
from google.cloud.aiplatform_v1.types import (
    DeleteModelRequest,
    DeleteModelVersionRequest,
    GetModelRequest,
    ListModelsRequest,
    ListModelVersionsRequest,
    MergeVersionAliasesRequest,
    Model,
    UpdateModelRequest,
    UploadModelOperationMetadata,
    UploadModelRequest,
)

from cloudmlops.errors import ConflictError, NotFoundError, ServiceError, UnavailableError
from cloudmlops.ports.models import ModelsPort, NewVersion, Projection
from cloudmlops.providers.vertex.errors import PROVIDER
from cloudmlops.providers.vertex.mapping import models as mapping

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends

_DEFAULT: Final = "default"
_AT_ONCE: Final = 16
"""How many models are looked at together."""
_DRAWINGS: Final = 5
"""How often a version is drawn again that somebody else changes meanwhile."""


class VertexModels(ModelsPort):
    """The registry of one project and location."""

    def __init__(self, backends: VertexBackends) -> None:
        self._settings = backends.settings
        self._wire = backends.wire
        self._objects = backends.objects
        self._check_bucket = backends.check_bucket

    def create(self, new: NewVersion) -> str:
        """Upload the version; one of the same request key is found first, also after a lost response."""
        if not self._made(new):
            try:
                self._upload(new)
            except (UnavailableError, ConflictError):
                # It may have been done all the same, or another process may have made the model's first version.
                if not self._made(new):
                    if not self._exists(new.model) or self.store(new.model) not in (None, self._objects.uri):
                        raise
                    self._upload(new)
        return self._alone(new)

    def project(self, model: str, projections: Sequence[Projection]) -> None:
        """Draw stage and tags as labels, and the stages that one version is in as aliases.

        What cannot be drawn of one version keeps nothing else from being drawn.
        """
        versions = list(self._versions(model))
        found = mapping.of_ledger(versions)
        failures: list[ServiceError] = []
        for wanted in projections:
            version = found.get(wanted.version) or self._unlabelled(versions, wanted)
            try:
                if version is None:
                    raise _removed(model, wanted.version)
                found[wanted.version] = version
                self._label(model, version, wanted)
                self._disown(model, version, versions, wanted.version)
            except ServiceError as error:
                if error.retryable:
                    raise
                failures.append(error)
        self._alias(model, projections, found)
        if failures:
            raise failures[0]

    def projected(self, model: str) -> Mapping[str, Projection]:
        """Read labels, aliases and records of all versions that are ours."""
        versions = list(self._versions(model))
        faults = mapping.faults_of(versions)
        return {
            number: mapping.projection(version, self._tags(model, number), faults[number])
            for number, version in mapping.of_ledger(versions).items()
        }

    def delete(self, model: str, version: str) -> None:
        """Remove the version, and the model with its last one; a copy of others, with other files, is theirs."""
        versions = list(self._versions(model))
        gone = []
        if (ours := mapping.of_ledger(versions).get(version)) is not None:
            self._disown(model, ours, [known for known in versions if known.artifact_uri != ours.artifact_uri], version)
            same = [known for known in versions if known.artifact_uri == ours.artifact_uri]
            gone = [known for known in same if known.labels.get(mapping.VERSION) == version]
        left = [known for known in versions if known not in gone]
        for known in gone:
            if not left and known is gone[-1]:
                self._remove(self._client.delete_model, DeleteModelRequest(name=known.name), model, version)
            else:
                if _DEFAULT in known.version_aliases:
                    self._make_default(left[-1] if left else gone[-1], model)
                request = DeleteModelVersionRequest(name=mapping.native_name(known))
                self._remove(self._client.delete_model_version, request, model, version)
        self._objects.delete(_record(model, version))

    def stamped(self) -> Sequence[str]:
        """Return the models of which any version has a stamp.

        Vertex AI lists models by their default versions: of those whose default was uploaded by others, each one's
        versions are looked at.
        """
        request = ListModelsRequest(parent=self._settings.parent)
        listed = self._wire.list(
            self._client.list_models, request, operation="models.list", resource=self._settings.address
        )
        shown = {model.name.rpartition("/")[2]: mapping.STORE in model.labels for model in listed}
        doubtful = [name for name, stamped in shown.items() if not stamped]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cloudmlops-models") as threads:
            found = dict(zip(doubtful, threads.map(self._is_stamped, doubtful), strict=True))
        return sorted(name for name, stamped in shown.items() if stamped or found[name])

    def store(self, model: str) -> str | None:
        """Return the address of our own store when the earliest stamp is its; else what is known of the other.

        Any version may have it: which one is the default, native tools decide.
        """
        stamped = next(self._versions(model, labelled=mapping.STAMPED), None)
        if stamped is None:
            self._check_bucket("models.register")
            return None
        own, stamp = self._objects.uri, stamped.labels[mapping.STORE]
        return own if stamp == mapping.digest_label(own) else f"another store (its digest: {stamp})"

    def stamp(self, model: str, store: str) -> None:
        """Stamp a model that was made without this library; any other carries the stamp from its first version on."""
        versions = list(self._versions(model))
        if any(mapping.STORE in version.labels for version in versions):
            return
        for version in versions:
            if _DEFAULT in version.version_aliases:
                labels = dict(version.labels) | {mapping.STORE: mapping.digest_label(store)}
                self._update(mapping.native_name(version), labels, model)

    @property
    def _client(self) -> ModelServiceClient:
        return self._wire.client(ModelServiceClient)

    def _name(self, model: str) -> str:
        return f"{self._settings.parent}/models/{model}"

    def _exists(self, model: str) -> bool:
        return next(self._versions(model), None) is not None

    def _is_stamped(self, model: str) -> bool:
        return next(self._versions(model, labelled=mapping.STAMPED), None) is not None

    def _versions(self, model: str, *, labelled: str = "") -> Iterator[Model]:
        """Yield a model's versions, the earliest first; none when there is no such model."""
        request = ListModelVersionsRequest(name=self._name(model), filter=labelled)
        try:
            found = self._wire.list(self._client.list_model_versions, request, operation="models.get", resource=model)
            yield from sorted(found, key=lambda version: int(version.version_id))
        except NotFoundError:
            return

    def _made(self, new: NewVersion) -> bool:
        """Say whether a version of this request is there, once no upload is under way that may be making it."""
        return self._requested(new) or (self._uploads_ended(new) and self._requested(new))

    def _requested(self, new: NewVersion) -> bool:
        return (
            next(iter(self._versions(new.model, labelled=mapping.filter_of(new, store=self._objects.uri))), None)
            is not None
        )

    def _uploads_ended(self, new: NewVersion) -> bool:
        """Wait for the uploads to the model that are under way; False when there are none.

        An operation does not say which version it makes.
        """
        under_way = [operation for operation in self._operations(new) if not operation.done]
        for operation in under_way:
            try:
                self._wire.finish(operation, operation="models.register", resource=f"{new.model}@{new.version}")
            except ServiceError as error:
                if error.retryable:
                    raise
        return bool(under_way)

    def _operations(self, new: NewVersion) -> Iterator[Any]:
        """Yield the uploads to the model that Vertex AI still knows of."""
        request = {"name": self._name(new.model), "page_token": ""}
        while True:
            try:
                listed = self._wire.ask(
                    self._client.list_operations,
                    request,
                    operation="models.register",
                    resource=f"{new.model}@{new.version}",
                    again=True,
                )
            except NotFoundError:
                return
            uploads = UploadModelOperationMetadata.meta.full_name
            yield from (known for known in listed.operations if known.metadata.type_url.endswith(uploads))
            if not listed.next_page_token:
                return
            request["page_token"] = listed.next_page_token

    def _alone(self, new: NewVersion) -> str:
        """Return the first version of this request; of two retries at once, the later one's is removed."""
        made = list(self._versions(new.model, labelled=mapping.filter_of(new, store=self._objects.uri)))
        if not made:
            raise _removed(new.model, new.version, operation="models.register")
        first, *others = made
        for other in others:
            if _DEFAULT in other.version_aliases:
                self._make_default(first, new.model)
            request = DeleteModelVersionRequest(name=mapping.native_name(other))
            self._remove(self._client.delete_model_version, request, new.model, new.version)
        return mapping.native_name(first)

    def _upload(self, new: NewVersion) -> None:
        exists = self._exists(new.model)
        run = new.registration.run
        request = UploadModelRequest(
            parent=self._settings.parent,
            model=mapping.uploaded(
                new,
                store=self._objects.uri,
                image=self._settings.serving_image_uri,
                environment={"CLOUDMLOPS_TARGET": self._settings.target},
                pipeline_job=f"{self._settings.parent}/pipelineJobs/{run}" if run else "",
            ),
            service_account=self._settings.service_account,
            **({"parent_model": self._name(new.model)} if exists else {"model_id": new.model}),
        )
        self._finish(self._client.upload_model, request, new.model, new.version, operation="models.register")

    def _remove(self, method: Callable[..., Any], request: object, model: str, version: str) -> None:
        with suppress(NotFoundError):  # another process was quicker
            self._finish(method, request, model, version, operation="models.delete")

    def _finish(self, method: Callable[..., Any], request: object, model: str, version: str, *, operation: str) -> None:
        about = f"{model}@{version}"
        begun = self._wire.ask(method, request, operation=operation, resource=about, again=False)
        self._wire.finish(begun.operation, operation=operation, resource=about)

    def _unlabelled(self, versions: Sequence[Model], wanted: Projection) -> Model | None:
        """Find the version of ours that has no label any more, by the name that the ledger keeps."""
        native = wanted.native.rpartition("@")[2]
        own = f"{self._objects.uri}/"
        return next(
            (known for known in versions if known.version_id == native and known.artifact_uri.startswith(own)), None
        )

    def _label(self, model: str, version: Model, wanted: Projection) -> None:
        before = kept = self._tags(model, wanted.version)
        record = _record(model, wanted.version)
        for tries_left in reversed(range(_DRAWINGS)):
            after = mapping.drawn_tags(version.labels, wanted.tags, before)
            # The record names every label that is a tag before it is one, so that none is taken for somebody else's.
            both = mapping.Tags(labels=dict(before.labels) | dict(after.labels), others=after.others)
            if both != kept:
                self._objects.put(record, _written(both))
                kept = both
            labels = mapping.labels_of(version.labels, wanted, before=both, after=after, store=self._objects.uri)
            try:
                self._update(mapping.native_name(version), labels, f"{model}@{wanted.version}", etag=version.etag)
            except ConflictError:
                if not tries_left:
                    raise
                version = self._read(mapping.native_name(version), model)
            else:
                if kept != after:
                    self._objects.put(record, _written(after))
                return

    def _disown(self, model: str, version: Model, versions: Sequence[Model], number: str) -> None:
        """Take from later copies of a version what says that they are ours; a retry may have left one."""
        for copy in versions:
            if copy.labels.get(mapping.VERSION) == number and copy.version_id != version.version_id:
                labels = mapping.foreign_labels(copy.labels)
                self._update(mapping.native_name(copy), labels, f"{model}@{number}", etag=copy.etag)

    def _alias(self, model: str, projections: Sequence[Projection], found: Mapping[str, Model]) -> None:
        """Move the aliases of stages to the versions that are in them, until what is read agrees with the labels.

        Others draw at the same time, and an alias that was moved for what is no longer so would stay.
        """
        drawn = {found[wanted.version].version_id: wanted for wanted in projections if wanted.version in found}
        for _ in range(_DRAWINGS):
            changes = mapping.alias_changes(list(self._versions(model)), drawn)
            if not changes:
                return
            for name, aliases in changes.items():
                self._wire.ask(
                    self._client.merge_version_aliases,
                    MergeVersionAliasesRequest(name=name, version_aliases=aliases),
                    operation="models.project",
                    resource=name,
                    again=True,
                )

    def _update(self, name: str, labels: Mapping[str, str], about: str, *, etag: str = "") -> None:
        request = UpdateModelRequest(
            model=Model(name=name, labels=labels, etag=etag), update_mask={"paths": ["labels"]}
        )
        self._wire.ask(self._client.update_model, request, operation="models.project", resource=about, again=not etag)

    def _read(self, name: str, about: str) -> Model:
        request = GetModelRequest(name=name)
        return self._wire.ask(self._client.get_model, request, operation="models.get", resource=about, again=True)

    def _make_default(self, version: Model, model: str) -> None:
        request = MergeVersionAliasesRequest(name=mapping.native_name(version), version_aliases=[_DEFAULT])
        self._wire.ask(
            self._client.merge_version_aliases, request, operation="models.delete", resource=model, again=True
        )

    def _tags(self, model: str, version: str) -> mapping.Tags:
        try:
            kept = json.loads(self._objects.get(_record(model, version)))
        except (NotFoundError, ValueError):
            return mapping.Tags()  # the ledger knows them
        return mapping.Tags(labels=kept.get("labels", {}), others=kept.get("others", {}))


def _removed(model: str, version: str, *, operation: str = "models.project") -> NotFoundError:
    return NotFoundError(
        f"version {version} of model {model!r} is not in Vertex AI's registry",
        hint="Somebody removed it there; the ledger still has it. `cloudmlops models delete` removes it.",
        provider=PROVIDER,
        operation=operation,
        resource=f"{model}@{version}",
    )


def _record(model: str, version: str) -> str:
    return f"registry/vertex/{model}/{version}.json"


def _written(tags: mapping.Tags) -> bytes:
    return json.dumps({"labels": dict(tags.labels), "others": dict(tags.others)}).encode()
