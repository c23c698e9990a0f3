"""Pipelines on this machine: records in SQLite, one process a run, forked processes for steps."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.graph import Graph
from cloudmlops.domain.installed import packages, packages_digest, python
from cloudmlops.domain.runs import OutputRecord, RunMode, RunRecord, RunRequest, RunState, SourceSnapshot
from cloudmlops.domain.schedules import Schedule, scheduled_run_id
from cloudmlops.errors import ConflictError, InvalidPipelineError
from cloudmlops.materializers.snapshots import snapshot_key, source_digest, unpack, unpacked
from cloudmlops.ports.pipelines import PipelinesPort
from cloudmlops.providers import run_refusals as refusals
from cloudmlops.providers.local.running import attempts, in_process, leases
from cloudmlops.providers.local.running.attempts import FOLDER_VARIABLE, RUN_VARIABLE
from cloudmlops.providers.local.running.execution import Execution, boot_id, cached_outputs
from cloudmlops.providers.local.running.kept import KeptArtifacts
from cloudmlops.providers.local.running.leases import Lease
from cloudmlops.providers.local.running.orphans import end_orphans
from cloudmlops.providers.local.running.processes import command, is_alive, users
from cloudmlops.providers.local.running.run_process import Launch
from cloudmlops.providers.local.running.run_store import RunStore
from cloudmlops.providers.local.running.scheduler import Scheduler

if TYPE_CHECKING:
    from cloudmlops.providers.local.backends import LocalBackends

_log = logging.getLogger("cloudmlops.pipelines")

_POLL: Final = 0.02
"""Seconds between looks at a run that another process started."""
_LOOK: Final = 0.1
"""Seconds between looks at a run of this process that is shown."""
_GRACE: Final = 0.5
"""Seconds in which a run whose starter was killed ends its steps."""
_PATIENCE: Final = 30.0
"""Seconds in which whatever was told to end has ended."""


@dataclass
class _Started:
    run: str
    process: subprocess.Popen[bytes]
    channel: socket.socket


class LocalPipelines(PipelinesPort):
    """Runs in `runs.db` and `runs/`."""

    def __init__(self, backends: LocalBackends) -> None:
        self._backends = backends
        self._started: dict[str, _Started] = {}
        self._leaving: list[_Started] = []

    @cached_property
    def _store(self) -> RunStore:
        return RunStore(self._database)

    @property
    def _database(self) -> Path:
        return self._backends.folder / "runs.db"

    @property
    def _objects(self) -> str:
        return self._backends.settings.store or ""

    def submit(self, request: RunRequest, mode: RunMode) -> RunRecord:
        if request.compiled:
            raise refusals.of_another_platform(request, "this machine")
        if mode is not RunMode.IN_PROCESS:
            _check_importable(request.graph)
        if not self._store.add(request, self._backends.clock.now()) and (known := self._store.request(request.id)):
            refusals.check_same("local", known, request)
        record = self.get(request.id)
        if record.state is RunState.INTERRUPTED and record.started_at is None:
            self._carry(request, mode)  # it is new, or whoever recorded it died before it started
        return self.get(request.id)

    def get(self, run: str) -> RunRecord:
        record = self._store.get(run)
        if record is None:
            raise refusals.no_run("local", run)
        return self._seen(record)

    def list(self, pipeline: str | None, limit: int) -> Sequence[RunRecord]:
        return [self._seen(record) for record in self._store.list(pipeline, limit)]

    def wait(
        self, run: str, timeout: timedelta | None, *, seen: Callable[[RunRecord], None] | None = None
    ) -> RunRecord:
        deadline = None if timeout is None else time.monotonic() + timeout.total_seconds()
        started = self._started.get(run)
        while True:
            record = self.get(run)
            if seen is not None:
                seen(record)
            left = None if deadline is None else deadline - time.monotonic()
            if record.state.ended or (left is not None and left <= 0):
                return record
            if started is not None and started.channel.fileno() < 0:
                started = None
            if started is None:
                time.sleep(_POLL if left is None else min(_POLL, left))
                continue
            looks = [one for one in (left, _LOOK if seen is not None else None) if one is not None]
            if select.select([started.channel], [], [], min(looks, default=None))[0]:  # it closes at the run's end
                self._let_go(run)

    def log(self, run: str, step: str, attempt: int | None) -> str:
        record = self.get(run)
        if step not in record.steps:
            raise refusals.no_step("local", run, step, known=record.steps)
        known = record.steps[step]
        origin = known.cached_from or run
        number = attempt or known.attempt or self._last_attempt(origin, step)
        file = attempts.log_file(attempts.attempt_folder(self._folder(origin), step, number))
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    @property
    def log_lag(self) -> timedelta:
        return timedelta(0)

    def printed(self, run: str, step: str, attempt: int) -> Mapping[str, str]:
        return {"": self.log(run, step, attempt)}

    def cancel(self, run: str) -> None:
        record = self.get(run)
        if record.state.ended and record.state is not RunState.INTERRUPTED:
            return
        holder = leases.holder(self._lease(run))
        if holder and not holder.isdecimal():
            raise refusals.conflict("local", run, f"is {holder} and cannot be cancelled from here", "Stop it there.")
        self._store.ask_to_cancel(run)
        if holder and not record.state.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(holder), signal.SIGTERM)
        lease = self._take_over(record) if record.state is RunState.INTERRUPTED else self._freed(run)
        if lease is None:
            self.cancel(run)  # somebody has just resumed it
            return
        if (state := self._store.state(run)) is not None and not state.ended:
            self._store.end(run, RunState.CANCELLED, self._backends.clock.now())
        lease.release()

    def resume(self, run: str, mode: RunMode) -> RunRecord:
        record = self.get(run)
        refusals.check_not_done("local", run, record.state)
        if mode is not RunMode.IN_PROCESS:
            _check_importable(record.graph)
        lease = self._take_over(record)
        if lease is None:
            raise refusals.going_on("local", run)
        request = self._store.request(run)
        if request is None:
            raise refusals.no_run("local", run)
        self._store.reopen(run)
        self._carry(self._of_today(request), mode, lease)
        return self.get(run)

    def cached(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, OutputRecord]]:
        boot = boot_id()
        kept = KeptArtifacts(self._objects) if self._objects else None
        found = {key: cached_outputs(self._store, key, boot=boot, kept=kept) for key in keys}
        return {key: hit[1] for key, hit in found.items() if hit is not None}

    def readable(self, output: OutputRecord) -> OutputRecord:
        return output

    def announced(self, run: str) -> None:
        self._store.announced(run)

    def schedule(self, schedule: Schedule, request: RunRequest) -> None:
        if request.compiled:
            raise refusals.of_another_platform(request, "this machine")
        _check_importable(request.graph)
        self._store.keep_schedule(schedule, request)

    def schedules(self) -> Sequence[Schedule]:
        return self._store.schedules()

    def unschedule(self, name: str) -> None:
        if not self._store.drop_schedule(name):
            raise refusals.no_schedule("local", name)

    def run_schedules(self, stop: threading.Event, *, wait: bool, started: Callable[[], None]) -> None:
        lease = self._backends.folder / "scheduler.lease"
        holder = f"of {self._backends.actor().id}, since {self.now():%Y-%m-%d %H:%M:%S} UTC"
        scheduler = Scheduler.open(self, lease, holder=holder, wait=wait)
        started()
        scheduler.run(stop)

    def now(self) -> datetime:
        """The platform's time."""
        return self._backends.clock.now()

    def fire(self, schedule: Schedule, at: datetime) -> None:
        """Record the run for one time of a schedule; doing so again changes nothing."""
        self._store.fire(schedule.name, scheduled_run_id(schedule.name, at), at, self.now())

    def start_fired(self) -> None:
        """Start the recorded runs of schedules that no process has taken up."""
        for run in self._store.fired():
            if (request := self._store.request(run)) is not None:
                try:
                    self._carry(self._of_today(request), RunMode.DETACHED)
                except Exception:  # noqa: BLE001 one that cannot start must not hold up the other schedules
                    _log.exception("the scheduled run %s cannot be started; it is tried again", run)

    def stop_all(self) -> None:
        """Interrupt the runs that this process started, and wait until their processes are gone."""
        stopping = list(self._started)
        for started in self._started.values():
            started.process.terminate()
        for run in stopping:
            self._let_go(run)
        try:
            for run in stopping:
                self._freed(run).release()
            for leaving in self._leaving:
                leaving.process.terminate()
                try:
                    leaving.process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    raise self._held(leaving.run, [leaving.process.pid]) from None
        finally:
            self.close()

    def close(self) -> None:
        """Let go of files and of processes; detached runs go on."""
        for run in list(self._started):
            self._let_go(run)
        self._reap()
        for leaving in self._leaving:
            leaving.process.returncode = 0  # it outlives us; without this, subprocess would complain
        self._leaving.clear()
        self._store.close()

    def _carry(self, request: RunRequest, mode: RunMode, lease: Lease | None = None) -> None:
        lease = lease or Lease.take(self._lease(request.id))
        if lease is None:
            return  # another process has just taken it up
        if self._store.state(request.id) is not RunState.WAITING:
            lease.release()  # and has already ended it
            return
        execution = Execution(
            self._store,
            self._folder(request.id),
            request,
            target=self._backends.target,
            clock=self._backends.clock,
            objects=self._objects,
        )
        if mode is RunMode.IN_PROCESS:
            lease.tell(f"function calls of process {os.getpid()}")
            try:
                in_process.carry(request, execution)
            finally:
                lease.release()
        elif execution.finish_from_cache():
            lease.release()
        else:
            self._spawn(request, lease, mode)

    def _take_over(self, record: RunRecord) -> Lease | None:
        """Take the lease of a run of which nothing lives any more; None when somebody else goes on with it."""
        file = self._lease(record.id)
        given_up = time.monotonic() + _GRACE
        until = time.monotonic() + _PATIENCE
        while self._going_on(record.id) or (lease := Lease.take(file)) is None:
            if not self._going_on(record.id):
                # What was killed is about to be gone, or somebody else is about to go on with the run.
                end_orphans(self._folder(record.id), going_on=lambda: self._going_on(record.id))
                if time.monotonic() > until:
                    raise self._held(record.id, users(file))
            elif time.monotonic() > given_up:
                return None
            time.sleep(_POLL)
        try:
            state = self._store.state(record.id)
            ended_since = state is not None and state.ended and not record.state.ended
            if ended_since or self.get(record.id).attempt != record.attempt:
                lease.release()  # somebody was faster, or it was going on and has ended by itself
                return None
            # Its steps hold no lease: now that nobody can start others, wait until they are gone.
            while left := end_orphans(self._folder(record.id), going_on=lambda: False):
                if time.monotonic() > until:
                    raise self._held(record.id, left)
                time.sleep(_POLL)
        except BaseException:
            lease.release()
            raise
        return lease

    def _freed(self, run: str) -> Lease:
        """Take the lease of a run that was told to end; it is free when the last of its processes is gone."""
        until = time.monotonic() + _PATIENCE
        while (lease := Lease.take(self._lease(run))) is None:
            if time.monotonic() > until:
                raise self._held(run, users(self._lease(run)))
            time.sleep(_POLL)
        return lease

    def _held(self, run: str, holders: Sequence[int]) -> ConflictError:
        commands = {holder: shorten(" ".join(command(holder)), 120) for holder in holders}
        told = [f"process {holder} ({line or 'which has just ended'})" for holder, line in commands.items()]
        return refusals.conflict(
            "local",
            run,
            f"has not ended within {_PATIENCE:.0f} s; what is left of it is {', '.join(told) or 'not ours to see'}",
            "If it does not end by itself, kill it, and try again.",
        )

    def _going_on(self, run: str) -> bool:
        holder = leases.holder(self._lease(run))
        # Between taking the lease and starting the process nobody's number is noted.
        return holder is not None and (not holder.isdecimal() or is_alive(int(holder)))

    def _of_today(self, request: RunRequest) -> RunRequest:
        """Return a request of another time as this interpreter, with its packages, carries it; and record that."""
        if (digest := packages_digest()) == request.packages_digest:
            return request
        lineage = replace(request.lineage, python=python(), packages=packages())
        request = replace(request, packages_digest=digest, lineage=lineage)
        self._store.restate(request)
        return request

    def _spawn(self, request: RunRequest, lease: Lease, mode: RunMode) -> None:
        self._reap()
        ours, theirs = socket.socketpair()
        folder = self._folder(request.id)
        source = self._importable(request.source)
        if source != request.source:
            self._store.restate(replace(request, source=source))
        first, *others = [root.path for root in source.roots] or [str(folder)]
        launch = Launch(
            database=str(self._database),
            run=request.id,
            folder=str(folder),
            target=self._backends.target,
            objects=self._objects,
            root=first,
            modules=tuple(dict.fromkeys(step.function.partition(":")[0] for step in request.graph.steps)),
            lease=lease.descriptor,
            channel=theirs.fileno(),
            # Nothing may go on in a private folder when its owner is gone.
            attached=mode is RunMode.ATTACHED or not self._backends.durable,
            announce=mode is RunMode.DETACHED,
        )
        with (folder / "process.log").open("ab") as log:
            process = subprocess.Popen(
                launch.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lease.descriptor, theirs.fileno()),
                start_new_session=True,
                cwd=folder,
                env=_with_path(_own_environment(), others),
            )
        lease.tell(str(process.pid))
        lease.release()
        theirs.close()
        self._let_go(request.id)
        self._started[request.id] = _Started(request.id, process, ours)

    def _importable(self, source: SourceSnapshot) -> SourceSnapshot:
        """Return where the run's modules are imported from: the live files while they are as they were, else a copy."""
        try:
            unchanged = not source.roots or source_digest(source.roots) == source.digest
        except FileNotFoundError:
            unchanged = False
        if unchanged:
            return source
        copy = self._backends.folder / "runs" / ".snapshots" / source.digest
        if not copy.is_dir():
            archive = copy.with_suffix(".zip")
            archive.parent.mkdir(parents=True, exist_ok=True)
            self._backends.objects.download(snapshot_key(source.digest), archive)
            unpack(archive, copy)
            archive.unlink()
        return replace(source, roots=unpacked(source.roots, copy))

    def _let_go(self, run: str) -> None:
        if (started := self._started.pop(run, None)) is not None:
            started.channel.close()
            self._leaving.append(started)

    def _reap(self) -> None:
        for run, started in list(self._started.items()):
            if started.process.poll() is not None:  # nobody has waited for it
                self._let_go(run)
        self._leaving = [leaving for leaving in self._leaving if leaving.process.poll() is None]

    def _seen(self, record: RunRecord) -> RunRecord:
        """Tell a run that goes on from one whose process is gone: the lease knows."""
        if record.state.ended or self._going_on(record.id):
            return record
        # It may have ended between the two looks.
        state = self._store.state(record.id) or record.state
        if state.ended:
            return self._store.get(record.id) or record
        return replace(record, state=RunState.INTERRUPTED, error=self._last_words(record.id))

    def _last_words(self, run: str) -> str:
        try:
            lines = (self._folder(run) / "process.log").read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _last_attempt(self, run: str, step: str) -> int:
        record = self._store.get(run)
        return record.steps[step].attempt if record and step in record.steps else 0

    def _folder(self, run: str) -> Path:
        return self._backends.folder / "runs" / run

    def _lease(self, run: str) -> Path:
        return self._folder(run) / "lease"


def _with_path(environment: Mapping[str, str], roots: Sequence[str]) -> dict[str, str]:
    # A relative entry means another folder to a process that works in another one.
    given = [str(Path(entry).absolute()) for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    path = os.pathsep.join(dict.fromkeys((*roots, *given)))
    return {**environment, "PYTHONPATH": path} if path else dict(environment)


def _own_environment() -> dict[str, str]:
    # A run that a step starts is not part of that step's own.
    return {name: value for name, value in os.environ.items() if name not in (RUN_VARIABLE, FOLDER_VARIABLE)}


def _check_importable(graph: Graph) -> None:
    if faults := [fault for step in graph.steps for fault in step.import_faults]:
        raise InvalidPipelineError(
            f"pipeline {graph.name!r} cannot be imported by its steps' own processes",
            faults=faults,
            hint="Move the steps to the top level of a module, or run with in_process=True.",
        )
