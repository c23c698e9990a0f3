"""Records of model versions beside a ledger that several folders share: `registry/NAME/VERSION.json` in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cloudmlops.domain.models import Stage
from cloudmlops.errors import NotFoundError
from cloudmlops.ports.models import NewVersion, Projection
from cloudmlops.ports.objects import ObjectStore


class SharedRecords:
    """What every folder that uses the store sees and draws."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def create(self, new: NewVersion) -> str:
        """Begin the version's record; a retry finds it."""
        known = new.registration
        body = {"request": new.request, "artifact_uri": known.artifact_uri, "run": known.run}
        self._objects.create(_key(new.model, new.version), json.dumps(body).encode())
        return f"{self._objects.uri}/registry/{new.model}/{new.version}"

    def project(self, model: str, projections: Sequence[Projection]) -> None:
        """Write the records with stage, revision and tags."""
        for shown in projections:
            key = _key(model, shown.version)
            self._objects.put(key, json.dumps(self._read(key) | line_of(shown)).encode())

    def projected(self, model: str) -> Mapping[str, Projection]:
        """Read stage, revision and tags of all records."""
        start = f"registry/{model}/"
        versions = {key: key.removeprefix(start).removesuffix(".json") for key in self._objects.list(start)}
        return {version: projection(version, self._read(key)) for key, version in versions.items()}

    def delete(self, model: str, version: str) -> None:
        """Remove the version's record."""
        self._objects.delete(_key(model, version))

    def _read(self, key: str) -> dict[str, Any]:
        try:
            body = json.loads(self._objects.get(key))
        except (NotFoundError, ValueError):
            return {}  # the ledger knows what it said
        return body if isinstance(body, dict) else {}


def line_of(shown: Projection) -> dict[str, object]:
    """Return what a record says of a version."""
    return {
        "stage": shown.stage,
        "stage_rev": shown.revision,
        "tags": dict(shown.tags),
        "head": shown.head,
        "head_digest": shown.head_digest,
    }


def projection(version: str, drawn: Mapping[str, Any]) -> Projection:
    """Read what `line_of` returned."""
    return Projection(
        version=version,
        stage=Stage(drawn.get("stage", Stage.NONE)),
        revision=drawn.get("stage_rev", 0),
        tags=drawn.get("tags", {}),
        head=drawn.get("head", 0),
        head_digest=drawn.get("head_digest", ""),
    )


def _key(model: str, version: str) -> str:
    return f"registry/{model}/{version}.json"
