"""Records of model versions as small files, where other tools can read them.

registry/NAME/model.json     the object store that holds the model's ledger
registry/NAME/VERSION.json   stage, revision and tags, drawn from the ledger
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.models import Stage
from cloudmlops.errors import NotFoundError, UnexpectedReplyError
from cloudmlops.ports.models import NewVersion, Projection
from cloudmlops.storage.local import LocalStore

if TYPE_CHECKING:
    from cloudmlops.providers.local.backends import LocalBackends

_MODEL: Final = "model.json"


class LocalModels:
    """The registry's records of one folder."""

    def __init__(self, backends: LocalBackends) -> None:
        self._backends = backends
        # Drawn from the ledger and drawn again when lost: nothing here needs to wait for the disk.
        self._files = LocalStore(backends.folder / "registry", durable=False)

    def create(self, new: NewVersion) -> str:
        """Write the version's record; a retry writes the same one again."""
        known = new.registration
        self._change(new.model, new.version, request=new.request, artifact_uri=known.artifact_uri, run=known.run)
        return f"{self._backends.address}/registry/{new.model}/{new.version}"

    def project(self, model: str, projections: Sequence[Projection]) -> None:
        """Write stage, revision and tags into the records."""
        for shown in projections:
            self._change(model, shown.version, stage=shown.stage.value, stage_rev=shown.revision, tags=dict(shown.tags))

    def projected(self, model: str) -> Mapping[str, Projection]:
        """Read stage, revision and tags of all records."""
        keys = [key for key in self._files.list(f"{model}/") if not key.endswith(f"/{_MODEL}")]
        found = {key.rpartition("/")[2].removesuffix(".json"): self._read(key) for key in keys}
        return {
            version: Projection(
                version=version,
                stage=Stage(record.get("stage", Stage.NONE)),
                revision=record.get("stage_rev", 0),
                tags=record.get("tags", {}),
            )
            for version, record in found.items()
        }

    def delete(self, model: str, version: str) -> None:
        """Remove the version's record."""
        self._files.delete(f"{model}/{version}.json")

    def store(self, model: str) -> str | None:
        """Read the address of the store that holds the model's ledger."""
        store: str | None = self._read(f"{model}/{_MODEL}").get("store")
        return store

    def stamp(self, model: str, store: str) -> None:
        """Write the address of the store that holds the model's ledger."""
        self._files.hint(f"{model}/{_MODEL}", json.dumps({"store": store}).encode())

    def _change(self, model: str, version: str, **changed: object) -> None:
        key = f"{model}/{version}.json"
        self._files.hint(key, json.dumps(self._read(key) | changed).encode())

    def _read(self, key: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(self._files.get(key))
        except NotFoundError:
            return {}
        except ValueError as error:
            raise UnexpectedReplyError(
                f"the record {key} in the folder's registry is damaged: {error}",
                hint="Remove the file; `cloudmlops models repair` writes it again from the ledger.",
                resource=key,
            ) from error
        return record
