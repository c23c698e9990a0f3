"""Model versions in Azure ML's registry.

A version's name there is the ledger's number, unless somebody else took that; the property `cloudmlops-version` says
which is which. Tags that cannot be Azure's lie in the object store, in `registry/azureml/NAME/VERSION.json`.

Azure has no condition on writes (no ETag, a change is a PUT of all): what is drawn is read back, and drawn again when a
concurrent writer has put an earlier reading over it. What that writer added between our reading and our writing is lost
to it, as between any two of Azure's own clients.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import ConflictError, NotFoundError, ServiceError
from cloudmlops.ports.models import ModelsPort, NewVersion, Projection
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import models as mapping
from cloudmlops.providers.azureml.sdk import ml

if TYPE_CHECKING:
    from azure.ai.ml.entities import Model

    from cloudmlops.providers.azureml.backends import AzureMLBackends

_AT_ONCE: Final = 8
"""How many models are looked at together."""
_DRAWINGS: Final = 5
"""How often a version is drawn again that somebody else changes meanwhile."""


class AzureMLModels(ModelsPort):
    """The registry of one workspace."""

    def __init__(self, backends: AzureMLBackends) -> None:
        self._settings = backends.settings
        self._wire = backends.wire
        self._objects = backends.objects
        self._place = backends.place

    def create(self, new: NewVersion) -> str:
        """Register the version's folder where it lies; one of the same request key is found first."""
        path = self._place.native_uri(self._settings, new.registration.artifact_uri)
        refused: ServiceError | None = None
        for identifier in mapping.identifiers(new):
            versions = list(self._versions(new.model))
            if (made := self._of_request(versions, new)) is not None:
                return mapping.native_name(made)
            if any(known.version == identifier for known in versions):
                continue
            wanted = mapping.registered(new, identifier=identifier, path=path, store=self._objects.uri)
            try:
                made = self._put(ml().entities.Model(**wanted), "models.register", f"{new.model}@{new.version}")
            except ServiceError as error:
                # The number may have been taken meanwhile: a version's files cannot be changed.
                if error.retryable or not self._is_taken(new, identifier):
                    raise
                refused = error
            else:
                return mapping.native_name(made)
        if (made := self._of_request(self._versions(new.model), new)) is not None:
            return mapping.native_name(made)
        raise refused or _all_taken(new)

    def project(self, model: str, projections: Sequence[Projection]) -> None:
        """Draw stage and tags, and read them back; what cannot be drawn of one version does not stop the others."""
        failures: list[ServiceError] = []
        for wanted in projections:
            try:
                self._draw(model, wanted)
            except ServiceError as error:
                if error.retryable:
                    raise
                failures.append(error)
        if failures:
            raise failures[0]

    def projected(self, model: str) -> Mapping[str, Projection]:
        """Read tags, stages and records of all versions that are ours, and of those that were deleted and restored."""
        versions, active = list(self._versions(model)), self._active(model)
        shown = mapping.of_ledger(versions)
        for version in versions:
            if mapping.DELETED in mapping.properties_of(version) and version.version in active:
                shown.setdefault(mapping.properties_of(version).get(mapping.VERSION, ""), version)
        return {
            number: mapping.projection(
                version,
                self._tags(model, number),
                store=self._objects.uri,
                archived=version.version not in active,
            )
            for number, version in shown.items()
        }

    def delete(self, model: str, version: str) -> None:
        """Mark the version as deleted and archive it, for Azure's SDK removes none; both are read back."""
        for known in list(self._versions(model)):
            if mapping.is_version(known, version):
                self._bury(model, version, known)
        self._objects.delete(_record(model, version))

    def stamped(self) -> Sequence[str]:
        """Return the models of which any version has a stamp; Azure lists models without that, so each is looked at."""
        view = ml().constants.ListViewType.ALL
        listed = self._wire.list(
            lambda: self._wire.client.models.list(list_view_type=view),
            operation="models.list",
            resource=self._settings.address,
        )
        names = [str(model.name) for model in listed]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cloudmlops-models") as threads:
            found = threads.map(lambda name: next(mapping.stamps(self._versions(name)), None), names)
            return sorted(name for name, stamp in zip(names, found, strict=True) if stamp is not None)

    def store(self, model: str) -> str | None:
        """Return the address that is stamped on the earliest version that has one."""
        return next(mapping.stamps(mapping.in_order(self._versions(model))), None)

    def stamp(self, model: str, store: str) -> None:
        """Stamp a model that was made without this library; any other carries the stamp from its first version on."""
        for _ in range(_DRAWINGS):
            versions = mapping.in_order(self._versions(model))
            if not versions or next(mapping.stamps(versions), None) is not None:
                return
            first = versions[0]
            first.properties = {**mapping.properties_of(first), mapping.STORE: store}
            self._put(first, "models.register", model)
        if self.store(model) is None:
            raise _undone(model, "is stamped with its store", "models.register", "Register the version again.")

    def _active(self, model: str) -> set[str]:
        """Return what the versions are called that Azure's tools show."""
        return {str(version.version) for version in self._versions(model, archived=False)}

    def _versions(self, model: str, *, archived: bool = True) -> Iterator[Model]:
        """Yield a model's versions, archived ones too unless they are not wanted; none when there is no such model."""
        views = ml().constants.ListViewType
        view = views.ALL if archived else views.ACTIVE_ONLY
        try:
            yield from self._wire.list(
                lambda: self._wire.client.models.list(name=model, list_view_type=view),
                operation="models.get",
                resource=model,
            )
        except NotFoundError:
            return

    def _of_request(self, versions: Sequence[Model] | Iterator[Model], new: NewVersion) -> Model | None:
        return next((known for known in versions if mapping.is_of_request(known, new, self._objects.uri)), None)

    def _is_taken(self, new: NewVersion, identifier: str) -> bool:
        return any(known.version == identifier for known in self._versions(new.model))

    def _put(self, version: Model, operation: str, about: str) -> Model:
        made: Model = self._wire.ask(
            lambda: self._wire.client.models.create_or_update(version), operation=operation, resource=about
        )
        return made

    def _bury(self, model: str, number: str, present: Model) -> None:
        """Mark a version as deleted and archive it, until both are seen."""
        about, identifier = f"{model}@{number}", str(present.version)
        for _ in range(_DRAWINGS):
            properties = mapping.properties_of(present)
            if mapping.DELETED not in properties:
                present.properties = {**properties, mapping.DELETED: "true"}
                self._put(present, "models.delete", about)
            self._wire.ask(
                lambda: self._wire.client.models.archive(name=model, version=identifier),
                operation="models.delete",
                resource=about,
            )
            present = self._read(model, identifier)
            if mapping.DELETED in mapping.properties_of(present) and identifier not in self._active(model):
                return
        raise _undone(about, "is deleted", "models.delete", "Delete it again.")

    def _found(self, model: str, wanted: Projection) -> Model:
        """Return a version of ours, by the name that the ledger keeps or by its properties.

        Raises:
            NotFoundError: There is none.
        """
        identifier = mapping.identifier_of(wanted.native)
        if identifier:
            try:
                known = self._read(model, identifier)
            except NotFoundError as error:
                raise _removed(model, wanted.version) from error
            if not self._is_ours(known, wanted.version):
                raise _removed(model, wanted.version)
            return known
        found = mapping.of_ledger(self._versions(model)).get(wanted.version)
        if found is None:
            raise _removed(model, wanted.version)
        return found

    def _is_ours(self, known: Model, number: str) -> bool:
        """Say whether a version is ours, also one that others have wiped: its files lie in our store."""
        own = f"{self._place.native_uri(self._settings, self._objects.uri)}/"
        return mapping.is_version(known, number) or str(known.path).casefold().startswith(own.casefold())

    def _read(self, model: str, identifier: str) -> Model:
        found: Model = self._wire.ask(
            lambda: self._wire.client.models.get(name=model, version=identifier),
            operation="models.get",
            resource=f"{model}@{identifier}",
        )
        return found

    def _draw(self, model: str, wanted: Projection) -> None:
        store = self._objects.uri
        before = kept = self._tags(model, wanted.version)
        record = _record(model, wanted.version)
        present = self._found(model, wanted)
        for _ in range(_DRAWINGS):
            after = mapping.drawn_tags(mapping.tags_of(present), wanted.tags, before)
            # The record names every tag before it is one in Azure, so that none is taken for somebody else's.
            both = mapping.Tags(native=dict(before.native) | dict(after.native), others=after.others)
            if both != kept:
                self._objects.put(record, _written(both))
                kept = both
            mapping.draw(present, wanted, before=both, after=after, store=store)
            self._put(present, "models.project", f"{model}@{wanted.version}")
            present = self._read(model, str(present.version))
            if mapping.is_drawn(present, wanted, before=both, after=after, store=store):
                if kept != after:
                    self._objects.put(record, _written(after))
                return
            if mapping.is_newer(present, wanted):
                return
        raise _undone(
            f"{model}@{wanted.version}",
            "has its stage and tags drawn",
            "models.project",
            f"`cloudmlops models repair {model}` draws them again.",
        )

    def _tags(self, model: str, version: str) -> mapping.Tags:
        try:
            kept: Mapping[str, Any] = json.loads(self._objects.get(_record(model, version)))
        except (NotFoundError, ValueError):
            return mapping.Tags()  # the ledger knows them
        return mapping.Tags(native=kept.get("native", {}), others=kept.get("others", {}))


def _undone(about: str, what: str, operation: str, hint: str) -> ConflictError:
    return ConflictError(
        f"somebody else changes {about} in Azure ML whenever it {what}",
        hint=hint,
        provider=PROVIDER,
        operation=operation,
        resource=about,
    )


def _removed(model: str, version: str) -> NotFoundError:
    return NotFoundError(
        f"version {version} of model {model!r} is not in the workspace's registry",
        hint="Somebody removed it there; the ledger still has it. `cloudmlops models delete` removes it.",
        provider=PROVIDER,
        operation="models.project",
        resource=f"{model}@{version}",
    )


def _all_taken(new: NewVersion) -> ConflictError:
    return ConflictError(
        f"somebody else has versions {' and '.join(mapping.identifiers(new))} of {new.model!r} in the workspace",
        hint="Register it under another name.",
        provider=PROVIDER,
        operation="models.register",
        resource=f"{new.model}@{new.version}",
    )


def _record(model: str, version: str) -> str:
    return f"registry/azureml/{model}/{version}.json"


def _written(tags: mapping.Tags) -> bytes:
    return json.dumps({"native": dict(tags.native), "others": dict(tags.others)}).encode()
