"""The state of runs in one SQLite file that several processes share.

Each transition is one commit. In WAL mode with `synchronous=NORMAL` a crash of a process loses nothing; a crash of the
machine may lose the last transitions, after which a resume runs those steps once more.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cloudmlops.domain.run_requests import request_from_json, request_to_json
from cloudmlops.domain.runs import (
    OutputRecord,
    RunRecord,
    RunRequest,
    RunState,
    StepRecord,
    StepState,
    output_from_json,
)
from cloudmlops.domain.schedules import Schedule

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
    id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, created TEXT NOT NULL,
    started TEXT, ended TEXT, cancelled INTEGER NOT NULL DEFAULT 0, announced INTEGER NOT NULL DEFAULT 0,
    schedule TEXT NOT NULL DEFAULT '', request TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS run_by_time ON run (created);
CREATE TABLE IF NOT EXISTS step (
    run TEXT NOT NULL, name TEXT NOT NULL, place INTEGER NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL,
    started TEXT, ended TEXT, outputs TEXT NOT NULL DEFAULT '{}', error TEXT NOT NULL DEFAULT '',
    cached_from TEXT NOT NULL DEFAULT '', logged TEXT NOT NULL DEFAULT '{}', PRIMARY KEY (run, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cache (
    key TEXT PRIMARY KEY, run TEXT NOT NULL, outputs TEXT NOT NULL, boot TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schedule (
    name TEXT PRIMARY KEY, pipeline TEXT NOT NULL, cron TEXT NOT NULL, timezone TEXT NOT NULL, created TEXT NOT NULL,
    fired TEXT, request TEXT NOT NULL) WITHOUT ROWID;
"""


_PATIENCE: Final = 30.0
"""Seconds to wait for another process's write."""
_REMEMBERED: Final = 64
"""Requests kept in memory."""


class RunStore:
    """Runs, their steps and the cache."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._requests: OrderedDict[str, tuple[str, RunRequest]] = OrderedDict()
        self._opened: tuple[int, sqlite3.Connection] | None = None

    def add(self, request: RunRequest, at: datetime) -> bool:
        """Record a new run; False when there is one of that id already."""
        text = json.dumps(request_to_json(request))
        with self._transaction() as db:
            added = _add(db, request, text, at, schedule="")
        if added:
            self._remember(request, text)
        return added

    def request(self, run: str) -> RunRequest | None:
        """Return what the run was asked to do, and what it is made from."""
        row = self._one("SELECT id, request FROM run WHERE id = ?", run)
        return None if row is None else self._request(row)

    def restate(self, request: RunRequest) -> None:
        """A run that is about to start or to be resumed is made from other packages, or imports from another place."""
        text = json.dumps(request_to_json(request))
        self._write("UPDATE run SET request = ? WHERE id = ?", text, request.id)
        self._remember(request, text)

    def get(self, run: str) -> RunRecord | None:
        """Return all that is known of a run."""
        row = self._one("SELECT * FROM run WHERE id = ?", run)
        return None if row is None else self._record(row)

    def list(self, pipeline: str | None, limit: int) -> list[RunRecord]:
        """Return the newest runs first."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT * FROM run WHERE :pipeline IS NULL OR pipeline = :pipeline"
                " ORDER BY created DESC, id LIMIT :limit",
                {"pipeline": pipeline, "limit": limit},
            ).fetchall()
        return [self._record(row) for row in rows]

    def state(self, run: str) -> RunState | None:
        """Return a run's state alone."""
        row = self._one("SELECT state FROM run WHERE id = ?", run)
        return None if row is None else RunState(row["state"])

    def begin(self, run: str, at: datetime) -> None:
        """A process has taken up the run."""
        self._write(
            "UPDATE run SET state = ?, started = coalesce(started, ?) WHERE id = ?", RunState.RUNNING, _text(at), run
        )

    def reopen(self, run: str) -> None:
        """The run is resumed: what did not succeed waits again."""
        with self._transaction() as db:
            db.execute(
                "UPDATE run SET state = ?, ended = NULL, cancelled = 0, announced = 0, attempt = attempt + 1"
                " WHERE id = ?",
                (RunState.WAITING, run),
            )
            db.execute(
                "UPDATE step SET state = ?, ended = NULL, error = '' WHERE run = ? AND state NOT IN (?, ?)",
                (StepState.WAITING, run, StepState.SUCCEEDED, StepState.CACHED),
            )

    def end(self, run: str, state: RunState, at: datetime) -> None:
        """The run has ended; steps that still wait never ran, and those still running were cut short."""
        waiting = StepState.CANCELLED if state is RunState.CANCELLED else StepState.SKIPPED
        with self._transaction() as db:
            db.execute("UPDATE step SET state = ? WHERE run = ? AND state = ?", (waiting, run, StepState.WAITING))
            db.execute(
                "UPDATE step SET state = ?, ended = ? WHERE run = ? AND state = ?",
                (StepState.CANCELLED, _text(at), run, StepState.RUNNING),
            )
            db.execute("UPDATE run SET state = ?, ended = ? WHERE id = ?", (state, _text(at), run))

    def ask_to_cancel(self, run: str) -> None:
        """Leave word for the run's process."""
        self._write("UPDATE run SET cancelled = 1 WHERE id = ?", run)

    def asked_to_cancel(self, run: str) -> bool:
        """Say whether somebody has asked to cancel the run."""
        row = self._one("SELECT cancelled FROM run WHERE id = ?", run)
        return row is not None and bool(row["cancelled"])

    def announced(self, run: str) -> None:
        """The run's end has been published."""
        self._write("UPDATE run SET announced = 1 WHERE id = ?", run)

    def start_step(self, run: str, step: str, attempt: int, at: datetime) -> None:
        """An attempt begins."""
        self._write(
            "UPDATE step SET state = ?, attempt = ?, started = ?, ended = NULL, error = '' WHERE run = ? AND name = ?",
            StepState.RUNNING, attempt, _text(at), run, step,
        )  # fmt: skip

    def finish_step(
        self,
        run: str,
        step: str,
        outputs: Mapping[str, OutputRecord],
        *,
        at: datetime,
        key: str | None,
        boot: str,
        logged: Mapping[str, object],
    ) -> None:
        """A step has succeeded; under `key` its outputs stand for later ones with the same content."""
        text = _outputs_text(outputs)
        with self._transaction() as db:
            db.execute(
                "UPDATE step SET state = ?, ended = ?, outputs = ?, logged = ? WHERE run = ? AND name = ?",
                (StepState.SUCCEEDED, _text(at), text, json.dumps(logged), run, step),
            )
            if key:
                db.execute(
                    "INSERT OR REPLACE INTO cache (key, run, outputs, boot) VALUES (?, ?, ?, ?)", (key, run, text, boot)
                )

    def cache_steps(self, run: str, steps: Iterable[tuple[str, str, Mapping[str, OutputRecord]]], at: datetime) -> None:
        """Earlier successes stand for these steps: (name, run that they come from, outputs)."""
        now = _text(at)
        with self._transaction() as db:
            db.executemany(
                "UPDATE step SET state = ?, started = ?, ended = ?, outputs = ?, cached_from = ?"
                " WHERE run = ? AND name = ?",
                [
                    (StepState.CACHED, now, now, _outputs_text(outputs), origin, run, name)
                    for name, origin, outputs in steps
                ],
            )

    def fail_step(self, run: str, step: str, state: StepState, error: str, at: datetime) -> None:
        """An attempt failed: the step is FAILED, CANCELLED, or WAITING for its next attempt."""
        self._write(
            "UPDATE step SET state = ?, ended = ?, error = ? WHERE run = ? AND name = ?",
            state,
            _text(at),
            error.encode("utf-8", "backslashreplace").decode(),  # a file's name may hold what SQLite cannot
            run,
            step,
        )

    def forget_step(self, run: str, step: str) -> None:
        """The outputs of a succeeded step are gone: it waits again."""
        self._write(
            "UPDATE step SET state = ?, outputs = '{}', cached_from = '' WHERE run = ? AND name = ?",
            StepState.WAITING, run, step,
        )  # fmt: skip

    def cached(self, key: str) -> tuple[str, Mapping[str, OutputRecord], str] | None:
        """Return the run, the outputs and the machine's start at which a step with that content succeeded."""
        row = self._one("SELECT run, outputs, boot FROM cache WHERE key = ?", key)
        return None if row is None else (row["run"], _outputs(row["outputs"]), row["boot"])

    def seen_intact(self, key: str, outputs: Mapping[str, OutputRecord], boot: str) -> None:
        """The outputs under `key` have been read again and are what they were, though their files have been touched."""
        self._write("UPDATE cache SET outputs = ?, boot = ? WHERE key = ?", _outputs_text(outputs), boot, key)

    def keep_schedule(self, schedule: Schedule, request: RunRequest) -> None:
        """Record a schedule, in place of one of that name."""
        self._write(
            "INSERT OR REPLACE INTO schedule (name, pipeline, cron, timezone, created, request)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            schedule.name,
            schedule.pipeline,
            schedule.cron,
            schedule.timezone,
            _text(schedule.created_at),
            json.dumps(request_to_json(request)),
        )

    def schedules(self) -> Sequence[Schedule]:
        """Return all schedules, by name."""
        with self._reading() as db:
            rows = db.execute("SELECT * FROM schedule ORDER BY name").fetchall()
        return [
            Schedule(
                name=row["name"],
                pipeline=row["pipeline"],
                cron=row["cron"],
                timezone=row["timezone"],
                parameters=request_from_json(json.loads(row["request"])).graph.parameters,
                created_at=_time(row["created"]),
                last_fired_at=_maybe(row["fired"]),
            )
            for row in rows
        ]

    def drop_schedule(self, name: str) -> bool:
        """Remove a schedule; False when there is none."""
        with self._transaction() as db:
            return bool(db.execute("DELETE FROM schedule WHERE name = ?", (name,)).rowcount)

    def fire(self, schedule: str, run: str, time: datetime, at: datetime) -> None:
        """Record the run for one time of a schedule, and that the time has come to pass, as one change."""
        with self._transaction() as db:
            row = db.execute("SELECT request FROM schedule WHERE name = ?", (schedule,)).fetchone()
            if row is not None:
                request = replace(request_from_json(json.loads(row["request"])), id=run)
                request = replace(request, lineage=replace(request.lineage, started_at=at))
                _add(db, request, json.dumps(request_to_json(request)), at, schedule=schedule)
                db.execute("UPDATE schedule SET fired = ? WHERE name = ?", (_text(time), schedule))

    def fired(self) -> Sequence[str]:
        """Return the runs of schedules that no process has taken up yet."""
        with self._reading() as db:
            rows = db.execute("SELECT id FROM run WHERE state = ? AND schedule != ''", (RunState.WAITING,)).fetchall()
        return [row["id"] for row in rows]

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._opened is not None and self._opened[0] == os.getpid():
                self._opened[1].close()
            self._opened = None

    def _record(self, row: sqlite3.Row) -> RunRecord:
        request = self._request(row)
        with self._reading() as db:
            steps = db.execute("SELECT * FROM step WHERE run = ? ORDER BY place", (row["id"],)).fetchall()
        return RunRecord(
            id=row["id"],
            pipeline=row["pipeline"],
            state=RunState(row["state"]),
            graph=request.graph,
            lineage=request.lineage,
            created_at=_time(row["created"]),
            started_at=_maybe(row["started"]),
            ended_at=_maybe(row["ended"]),
            attempt=row["attempt"],
            announced=bool(row["announced"]),
            steps={step["name"]: _step(step) for step in steps},
        )

    def _request(self, row: sqlite3.Row) -> RunRequest:
        known = self._requests.get(row["id"])
        if known is not None and known[0] == row["request"]:
            return known[1]
        return self._remember(request_from_json(json.loads(row["request"])), row["request"])

    def _remember(self, request: RunRequest, text: str) -> RunRequest:
        # It seldom changes, and reading it is most of the cost of looking at a run.
        self._requests[request.id] = (text, request)
        if len(self._requests) > _REMEMBERED:
            self._requests.popitem(last=False)
        return request

    def _one(self, statement: str, *values: object) -> sqlite3.Row | None:
        with self._reading() as db:
            row: sqlite3.Row | None = db.execute(statement, values).fetchone()
        return row

    def _write(self, statement: str, *values: object) -> None:
        with self._transaction() as db:
            db.execute(statement, values)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            yield self._connection()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        # A connection must not cross a fork: the child opens its own.
        if self._opened is None or self._opened[0] != os.getpid():
            # The parameters and the environment of steps are in it; SQLite gives its other files the same permissions.
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
            db = sqlite3.connect(self._file, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            db.row_factory = sqlite3.Row
            _prepare(db)
            self._opened = (os.getpid(), db)
        return self._opened[1]


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA synchronous = NORMAL")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            # SQLite does not wait for its lock while the first process changes the mode of a new file.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _add(db: sqlite3.Connection, request: RunRequest, text: str, at: datetime, *, schedule: str) -> bool:
    added = db.execute(
        "INSERT OR IGNORE INTO run (id, pipeline, state, attempt, created, schedule, request)"
        " VALUES (?, ?, ?, 1, ?, ?, ?)",
        (
            request.id,
            request.graph.name,
            RunState.WAITING,
            _text(at),
            schedule,
            text,
        ),
    ).rowcount
    if added:
        db.executemany(
            "INSERT INTO step (run, name, place, state, attempt) VALUES (?, ?, ?, ?, 0)",
            [(request.id, step.name, place, StepState.WAITING) for place, step in enumerate(request.graph.order)],
        )
    return bool(added)


def _step(row: sqlite3.Row) -> StepRecord:
    return StepRecord(
        name=row["name"],
        state=StepState(row["state"]),
        attempt=row["attempt"],
        started_at=_maybe(row["started"]),
        ended_at=_maybe(row["ended"]),
        outputs=_outputs(row["outputs"]),
        error=row["error"],
        cached_from=row["cached_from"],
        logged=json.loads(row["logged"]),
    )


def _outputs(text: str) -> dict[str, OutputRecord]:
    return {name: output_from_json(fields) for name, fields in json.loads(text).items()}


def _outputs_text(outputs: Mapping[str, OutputRecord]) -> str:
    return json.dumps({name: output.to_json() for name, output in outputs.items()})


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _maybe(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
