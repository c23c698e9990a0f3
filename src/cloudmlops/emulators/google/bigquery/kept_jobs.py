"""Jobs in the state, where that is kept: what they were asked, what came of them, and the rows of their answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.state import State


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptJob:
    """A job as the state has it."""

    content: dict[str, Any]
    """What `KeptJobs.put` was given."""
    row_bytes: int | None
    """Size of the file with its rows; None when there is none."""


class KeptJobs:
    """The jobs of a state that outlives the emulator; of one that does not, nothing is kept."""

    def __init__(self, state: State) -> None:
        self._durable = state.durable
        self._table = state.table("bigquery_jobs")
        self._folder = state.folder / "bigquery_results"
        if self._durable:
            self._folder.mkdir(exist_ok=True)

    def put(self, project: str, job_id: str, content: dict[str, Any], rows: pa.Table | None = None) -> None:
        """Keep a job, with the rows of its answer if it has some."""
        if not self._durable:
            return
        if rows is not None:
            path = self._path(project, job_id)
            unfinished = path.with_suffix(".new")
            with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
                writer.write_table(rows)
            unfinished.replace(path)
        self._table.put(_key(project, job_id), json.dumps(content).encode())

    def rows(self, project: str, job_id: str) -> pa.Table | None:
        """Return the rows of a job's answer; None when they are not kept."""
        path = self._path(project, job_id)
        if not self._durable or not path.exists():
            return None
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_file(file).read_all()

    def forget_rows(self, project: str, job_id: str) -> None:
        """Keep the rows of a job's answer no longer."""
        if self._durable:
            self._path(project, job_id).unlink(missing_ok=True)

    def delete(self, project: str, job_id: str) -> None:
        """Keep a job no longer."""
        if self._durable:
            self.forget_rows(project, job_id)
            self._table.delete(_key(project, job_id))

    def all(self) -> Sequence[KeptJob]:
        """Return all, in the order of their creation."""
        found = []
        for _, data in self._table.items() if self._durable else ():
            content = json.loads(data)
            path = self._path(content["project"], content["id"])
            size = path.stat().st_size if path.exists() else None
            found.append(KeptJob(content=content, row_bytes=size))
        return sorted(found, key=lambda one: int(one.content["created"]))

    def _path(self, project: str, job_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(_key(project, job_id).encode()).hexdigest()[:40]}.arrow"


def _key(project: str, job_id: str) -> str:
    return f"{project}:{job_id}"


def refusal_json(refused: Refused | None) -> dict[str, str] | None:
    """Write a refusal down."""
    return None if refused is None else {"code": refused.code, "message": refused.message, "reason": refused.reason}


def read_refusal(content: dict[str, str] | None) -> Refused | None:
    """Read what was written by `refusal_json`."""
    return None if content is None else Refused(content["code"], content["message"], reason=content["reason"])
