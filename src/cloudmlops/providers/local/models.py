"""Records of model versions as small files, where other tools can read them.

    registry/NAME/model.json      the object store that holds the model's ledger
    registry/NAME/VERSION.jsonl   a line for each time that stage and tags were drawn from the ledger

A record is appended to, which is atomic between processes and costs a tenth of replacing a file; its last line counts.
Where folders share a store, the records of versions lie in it, beside the ledger; which store that is stays here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.errors import UnexpectedReplyError
from cloudmlops.ports.models import NewVersion, Projection
from cloudmlops.providers.local.shared_records import SharedRecords, line_of, projection
from cloudmlops.storage.keys import checked_key
from cloudmlops.storage.local import translated

if TYPE_CHECKING:
    from cloudmlops.providers.local.backends import LocalBackends

_MODEL: Final = "model.json"
_ENDING: Final = ".jsonl"
_OWN: Final = "."
"""How a record names the folder's own store, so that a folder can be moved, copied and linked to."""


class LocalModels:
    """The registry's records of one folder; drawn from the ledger, and drawn again when lost."""

    def __init__(self, backends: LocalBackends) -> None:
        self._address = backends.address
        self._folder = backends.location / "registry"
        self._own = (backends.location / "objects").as_uri()
        self._shared = SharedRecords(backends.objects) if backends.settings.store else None

    def create(self, new: NewVersion) -> str:
        """Begin the version's record; a retry says the same again."""
        if self._shared:
            return self._shared.create(new)
        known = new.registration
        self._append(
            new.model, new.version, {"request": new.request, "artifact_uri": known.artifact_uri, "run": known.run}
        )
        return f"{self._address}/registry/{new.model}/{new.version}"

    def project(self, model: str, projections: Sequence[Projection]) -> None:
        """Add stage, revision and tags to the records."""
        if self._shared:
            self._shared.project(model, projections)
            return
        for shown in projections:
            self._append(model, shown.version, line_of(shown))

    def projected(self, model: str) -> Mapping[str, Projection]:
        """Read stage, revision and tags of all records."""
        if self._shared:
            return self._shared.projected(model)
        with translated("read the records", model):
            records = sorted(self._path(model).glob(f"*{_ENDING}"))
            return {record.name.removesuffix(_ENDING): _latest(record) for record in records}

    def delete(self, model: str, version: str) -> None:
        """Remove the version's record."""
        if self._shared:
            self._shared.delete(model, version)
            return
        with translated("delete the record", f"{model}/{version}"):
            self._path(model, f"{version}{_ENDING}").unlink(missing_ok=True)

    def stamped(self) -> Sequence[str]:
        """Return the models that this folder has records of."""
        return sorted(path.parent.name for path in self._folder.glob(f"*/{_MODEL}"))

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
        return self._own if store == _OWN else store

    def stamp(self, model: str, store: str) -> None:
        """Write the address of the store that holds the model's ledger."""
        path = self._path(model, _MODEL)
        scratch = path.with_name(f".{_MODEL}.{secrets.token_hex(8)}")
        with translated("write the record", model):
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps({"store": _OWN if store == self._own else store}), encoding="utf-8")
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
    return projection(record.name.removesuffix(_ENDING), drawn)


def _lines_backwards(record: Path) -> Iterator[Mapping[str, Any]]:
    for line in reversed(record.read_bytes().splitlines()):
        try:
            if line:
                yield json.loads(line)
        except ValueError:
            continue  # cut off; the ledger knows what it said
