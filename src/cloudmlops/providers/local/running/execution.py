"""One run's progress: which steps are ready, what each takes and what it left. Knows no processes."""

from __future__ import annotations

import logging
import os
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from cloudmlops.domain.graph import StepSpec
from cloudmlops.domain.runs import OutputRecord, RunRequest, RunState, StepState, step_inputs, step_key
from cloudmlops.materializers.artifacts import locate
from cloudmlops.materializers.digests import digest, files_stamp
from cloudmlops.materializers.snapshots import source_digest, source_stamp
from cloudmlops.ports.clock import Clock
from cloudmlops.providers.local.running import attempts
from cloudmlops.providers.local.running.attempts import Attempt, Failure
from cloudmlops.providers.local.running.kept import KeptArtifacts
from cloudmlops.providers.local.running.run_store import RunStore
from cloudmlops.runtime.logged import read_logged

_log = logging.getLogger("cloudmlops.pipelines")

LONGEST_DELAY = timedelta(minutes=1)


class Execution:
    """The bookkeeping of a run; each change is one commit, made before anything follows from it."""

    def __init__(
        self, store: RunStore, folder: Path, request: RunRequest, *, target: str, clock: Clock, objects: str = ""
    ) -> None:
        self.request = request
        self._store = store
        self._folder = folder
        self._target = target
        self._clock = clock
        self._objects = objects
        self._kept = KeptArtifacts(objects) if objects else None
        self._boot = boot_id()
        self._done: dict[str, dict[str, OutputRecord]] = {}
        self._attempts: dict[str, int] = {}
        self._tried: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._notes: dict[str, list[str]] = {}
        self._waiting: dict[str, set[str]] = {}
        self._ready: deque[str] = deque()
        self._failed = False
        self._downstream: dict[str, list[str]] = {step.name: [] for step in request.graph.steps}
        self._restore()

    def ready(self) -> Iterator[Attempt]:
        """Yield the next attempts to start, each recorded; steps that the cache knows are passed over."""
        cached: list[tuple[str, str, dict[str, OutputRecord]]] = []
        while self._ready:
            step = self.request.graph.by_name[self._ready.popleft()]
            if (hit := self._cached(step)) is not None:
                cached.append((step.name, *hit))
                self._advance(step.name, hit[1])
                continue
            if cached:
                self._store.cache_steps(self.request.id, cached, self._clock.now())
                cached = []
            yield self._attempt(step)
        if cached:
            self._store.cache_steps(self.request.id, cached, self._clock.now())

    def finish_from_cache(self) -> bool:
        """End the run at once if the cache knows all that is left; False, and nothing changed, if a step must run."""
        if not self.request.cache:
            return False
        before = dict(self._done)
        hits: list[tuple[str, str, dict[str, OutputRecord]]] = []
        for step in self.request.graph.order:
            if step.name in before:
                continue
            if (
                not step.options.cache
                or (hit := cached_outputs(self._store, self._key(step), boot=self._boot, kept=self._kept)) is None
            ):
                self._done = before
                return False
            hits.append((step.name, *hit))
            self._done[step.name] = hit[1]
        self.begin()
        self._store.cache_steps(self.request.id, hits, self._clock.now())
        self.end()
        return True

    def succeeded(self, step: str, outputs: dict[str, OutputRecord]) -> None:
        """The step's attempt has succeeded, which is a failure when an input is no longer what it was."""
        if (changed := self._changed_inputs(step)) is not None:
            # A resume would take it for a success that a crash had left unrecorded.
            (self._attempt_folder(step) / "result.json").unlink(missing_ok=True)
            self.failed(step, changed)
            return
        self._record(step, outputs)
        self._advance(step, outputs)

    def failed(self, step: str, failure: Failure) -> timedelta | None:
        """The step's attempt has failed; return after which delay `again` is due, or None when that was the last."""
        self._tell_notes(step)
        if failure.retryable and (changed := self._changed_inputs(step)) is not None:
            failure = replace(changed, error=f"{failure.error}; and {changed.error}")
        options = self.request.graph.by_name[step].options
        tried = self._tried[step]
        if failure.retryable and tried <= options.retries:
            self._store.fail_step(self.request.id, step, StepState.WAITING, failure.error, self._clock.now())
            delay = min(options.retry_delay * 2 ** (tried - 1), LONGEST_DELAY)
            jittered: timedelta = delay * random.uniform(0.5, 1.5)  # noqa: S311 jitter, no secret
            return jittered
        self._failed = True
        self._store.fail_step(self.request.id, step, StepState.FAILED, failure.error, self._clock.now())
        return None

    def again(self, step: str) -> None:
        """The delay before the step's next attempt is over."""
        self._ready.append(step)

    def cancelled(self, step: str) -> None:
        """The step's attempt was killed because the run was cancelled."""
        self._store.fail_step(self.request.id, step, StepState.CANCELLED, "the run was cancelled", self._clock.now())

    def begin(self) -> None:
        """A process has taken up the run."""
        self._store.begin(self.request.id, self._clock.now())

    def end(self, *, cancelled: bool = False) -> RunState:
        """Nothing more will happen: record and return the run's last state."""
        state = RunState.CANCELLED if cancelled else RunState.FAILED if self._failed else RunState.SUCCEEDED
        self._store.end(self.request.id, state, self._clock.now())
        return state

    def _restore(self) -> None:
        record = self._store.get(self.request.id)
        known = {} if record is None else record.steps
        order = self.request.graph.order
        for step in order:
            self._waiting[step.name] = set(step.upstream)
            for upstream in step.upstream:
                self._downstream[upstream].append(step.name)
        for step in order:
            was = known.get(step.name)
            self._attempts[step.name] = was.attempt if was else 0
            self._tried[step.name] = 0
            outputs = None
            if was and was.state.succeeded and all(intact(output, self._kept) for output in was.outputs.values()):
                outputs = dict(was.outputs)
            elif was and was.state.succeeded:
                self._store.forget_step(self.request.id, step.name)
            elif was and was.attempt and step.upstream <= self._done.keys():
                left = attempts.result(self._attempt_folder(step.name))
                if left is not None and all(intact(output, self._kept) for output in left.values()):
                    # It had succeeded, and the crash came before that was recorded. No key: nobody has watched the
                    # source and the inputs until its end.
                    self._record(step.name, left)
                    outputs = left
            if outputs is not None:
                self._done[step.name] = outputs
        for step in order:
            self._waiting[step.name] -= self._done.keys()
            if step.name not in self._done and not self._waiting[step.name]:
                self._ready.append(step.name)

    def _attempt(self, step: StepSpec) -> Attempt:
        self._first_source  # noqa: B018 seen before anything is imported for the step
        number = self._attempts[step.name] = self._attempts[step.name] + 1
        self._tried[step.name] += 1
        self._store.start_step(self.request.id, step.name, number, self._clock.now())
        inputs = step_inputs(step, self._done)
        return Attempt(
            run=self.request.id,
            pipeline=self.request.graph.name,
            step=step.name,
            number=number,
            function=step.function,
            folder=str(self._attempt_folder(step.name)),
            parameters={
                **step.parameters,
                **{name: one.value for name, one in inputs.items() if not one.kind.is_artifact},
            },
            inputs={name: one.path for name, one in inputs.items() if one.kind.is_artifact},
            artifacts=tuple(name for name, kind in step.outputs.items() if kind.kind.is_artifact),
            target=self._target,
            store=self._objects,
            environment=step.options.environment,
        )

    def _attempt_folder(self, step: str) -> Path:
        return attempts.attempt_folder(self._folder, step, self._attempts[step])

    def _record(self, step: str, outputs: dict[str, OutputRecord]) -> None:
        folder = self._attempt_folder(step)
        key = self._keys.get(step) if self.request.graph.by_name[step].options.cache else None
        if key is not None and not self._is_source_unchanged():
            key = None
            self._note(step, "its success is not kept for later runs: the source was written to while the run went on")
        self._tell_notes(step)
        self._store.finish_step(
            self.request.id,
            step,
            outputs,
            at=self._clock.now(),
            key=key,
            boot=self._boot,
            logged=read_logged(folder / "mlflow"),
        )

    def _advance(self, step: str, outputs: dict[str, OutputRecord]) -> None:
        self._done[step] = outputs
        for name in self._downstream[step]:
            waiting = self._waiting[name]
            waiting.discard(step)
            if not waiting and name not in self._done:
                self._ready.append(name)

    def _key(self, step: StepSpec) -> str:
        inputs = step_inputs(step, self._done)
        key = step_key(step, inputs, source=self.request.source.digest, packages=self.request.packages_digest)
        self._keys[step.name] = key
        return key

    def _cached(self, step: StepSpec) -> tuple[str, dict[str, OutputRecord]] | None:
        if not step.options.cache or self._tried[step.name]:
            return None
        key = self._key(step)
        if not self.request.cache:
            return None
        return cached_outputs(
            self._store, key, boot=self._boot, kept=self._kept, tell=lambda note: self._note(step.name, note)
        )

    @cached_property
    def _first_source(self) -> str:
        """The stamp of the source as the steps' keys tell it; empty when it has been written to since."""
        roots = self.request.source.roots
        try:
            first = source_stamp(roots)
            return first if not roots or source_digest(roots) == self.request.source.digest else ""
        except FileNotFoundError:
            return ""

    def _is_source_unchanged(self) -> bool:
        # Not by content: what was changed and changed back may have been imported in between.
        try:
            return source_stamp(self.request.source.roots) == self._first_source
        except FileNotFoundError:
            return False

    def _changed_inputs(self, step: str) -> Failure | None:
        inputs = step_inputs(self.request.graph.by_name[step], self._done)
        changed = [name for name, one in inputs.items() if one.kind.is_artifact and not _is_intact(one)]
        if not changed:
            return None
        return Failure(
            error=f"its input {', '.join(map(repr, changed))} was changed in place while it ran; what a step has left "
            "stays as it is: write the changed data to a new file and return that",
            retryable=False,
        )

    def _note(self, step: str, note: str) -> None:
        self._notes.setdefault(step, []).append(note)

    def _tell_notes(self, step: str) -> None:
        log = attempts.log_file(self._attempt_folder(step))
        for note in self._notes.pop(step, ()):
            if log.exists():
                with log.open("a", encoding="utf-8") as file:
                    file.write(f"cloudmlops: {note}\n")
            else:
                _log.warning("step %s of run %s: %s", step, self.request.id, note)


def cached_outputs(
    store: RunStore,
    key: str,
    *,
    boot: str,
    kept: KeptArtifacts | None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[str, dict[str, OutputRecord]] | None:
    """Return the run and the outputs of an earlier success, if its files are still what they were.

    Args:
        store: What is known.
        key: Of the step.
        boot: This start of the machine.
        kept: Where lost files are brought back from.
        tell: Hears why an earlier success does not count. It stays until a new one takes its place.
    """
    if (found := store.cached(key)) is None:
        return None
    run, outputs, then = found
    # Since a restart of the machine, files that had not reached the disk may be damaged though they are there.
    thoroughly = then != boot
    if not thoroughly and all(_is_untouched(output) for output in outputs.values()):
        return run, dict(outputs)
    for name, output in outputs.items():
        if not intact(output, kept, thoroughly=thoroughly):
            tell(f"the success in run {run} is not used: its output {name!r} is gone or was changed since")
            return None
    current = _stamped(outputs)
    store.seen_intact(key, current, boot)
    return run, current


def intact(output: OutputRecord, kept: KeptArtifacts | None, *, thoroughly: bool = False) -> bool:
    """Say whether an output's files are there and of the content they had, which is read when they were touched.

    Files that are not, but are kept in the object store, are brought back first.
    """
    if not output.kind.is_artifact or _is_intact(output, thoroughly=thoroughly):
        return True
    return bool(output.uri) and kept is not None and kept.restore(output) and _is_intact(output, thoroughly=True)


def _is_intact(output: OutputRecord, *, thoroughly: bool = False) -> bool:
    if not thoroughly and _is_untouched(output):
        return True
    entry = locate(Path(output.path))
    return entry.exists() and digest(entry)[0] == output.digest


def _is_untouched(output: OutputRecord) -> bool:
    return not output.kind.is_artifact or (
        bool(output.stamp) and files_stamp(locate(Path(output.path))) == output.stamp
    )


def _stamped(outputs: Mapping[str, OutputRecord]) -> dict[str, OutputRecord]:
    return {
        name: replace(one, stamp=files_stamp(locate(Path(one.path)))) if one.kind.is_artifact else one
        for name, one in outputs.items()
    }


def boot_id() -> str:
    """Return what tells one start of the machine from another; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def parallelism() -> int:
    """Return how many steps of a run may go on at once."""
    return max(4, os.cpu_count() or 1)
