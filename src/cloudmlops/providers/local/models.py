"""Records of model versions as small files, where other tools can read them.

    registry/NAME/model.json      the object store that holds the model's ledger
    registry/NAME/VERSION.jsonl   a line for each time that stage and tags were drawn from the ledger

A record is appended to, which is atomic between processes and costs a tenth of replacing a file; its last line counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.models import Stage
from cloudmlops.errors import UnexpectedReplyError
from cloudmlops.ports.models import NewVersion, Projection
from cloudmlops.storage.keys import checked_key
from cloudmlops.storage.local import translated

if TYPE_CHECKING:
    from cloudmlops.providers.local.backends import LocalBackends

_MODEL: Final = "model.json"
_ENDING: Final = ".jsonl"


class LocalModels:
    """The registry's records of one folder; drawn from the ledger, and drawn again when lost."""

    def __init__(self, backends: LocalBackends) -> None:
        self._address = backends.address
        self._folder = backends.location / "registry"

    def create(self, new: NewVersion) -> str:
        """Begin the version's record; a retry says the same again."""
        known = new.registration
        self._append(
            new.model, new.version, {"request": new.request, "artifact_uri": known.artifact_uri, "run": known.run}
        )
        return f"{self._address}/registry/{new.model}/{new.version}"

    def project(self, model: str, projections: Sequence[Projection]) -> None:
        """Add stage, revision and tags to the records."""
        for shown in projections:
            line = {"stage": shown.stage, "stage_rev": shown.revision, "tags": dict(shown.tags)}
            self._append(model, shown.version, line)

    def projected(self, model: str) -> Mapping[str, Projection]:
        """Read stage, revision and tags of all records."""
        with translated("read the records", model):
            records = sorted(self._path(model).glob(f"*{_ENDING}"))
            return {record.name.removesuffix(_ENDING): _latest(record) for record in records}

    def delete(self, model: str, version: str) -> None:
        """Remove the version's record."""
        with translated("delete the record", f"{model}/{version}"):
            self._path(model, f"{version}{_ENDING}").unlink(missing_ok=True)

    def store(self, model: str) -> str | None:
        """Read the address of the store that holds the model's ledger."""
        path = self._path(model, _MODEL)
        try:
            store: str = json.loads(path.read_bytes())["store"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise UnexpectedReplyError(
                f"{path} is damaged: {error}",
                hint="Remove it if this folder's model has always been in the store that it is connected with.",
                resource=str(path),
            ) from error
        return store

    def stamp(self, model: str, store: str) -> None:
        """Write the address of the store that holds the model's ledger."""
        path = self._path(model, _MODEL)
        scratch = path.with_name(f".{_MODEL}.{os.getpid()}")
        with translated("write the record", model):
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps({"store": store}), encoding="utf-8")
            scratch.replace(path)

    def _path(self, *parts: str) -> Path:
        return self._folder / checked_key("/".join(parts))

    def _append(self, model: str, version: str, line: Mapping[str, Any]) -> None:
        path = self._path(model, f"{version}{_ENDING}")
        # A line begins a line of its own even after one that was cut off.
        data = b"\n" + json.dumps(line).encode() + b"\n"
        with translated("write the record", f"{model}/{version}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab", buffering=0) as record:
                record.write(data)


def _latest(record: Path) -> Projection:
    """Return what was drawn last."""
    drawn: Mapping[str, Any] = next((line for line in _lines_backwards(record) if "stage_rev" in line), {})
    return Projection(
        version=record.name.removesuffix(_ENDING),
        stage=Stage(drawn.get("stage", Stage.NONE)),
        revision=drawn.get("stage_rev", 0),
        tags=drawn.get("tags", {}),
    )


def _lines_backwards(record: Path) -> Iterator[Mapping[str, Any]]:
    for line in reversed(record.read_bytes().splitlines()):
        try:
            if line:
                yield json.loads(line)
        except ValueError:
            continue  # cut off; the ledger knows what it said
