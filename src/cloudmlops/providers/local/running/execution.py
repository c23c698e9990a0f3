"""One run's progress: which steps are ready, what each takes and what it left. Knows no processes."""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from cloudmlops.domain.graph import StepSpec
from cloudmlops.domain.runs import OutputRecord, RunRequest, RunState, StepState, step_inputs, step_key
from cloudmlops.materializers.artifacts import locate
from cloudmlops.materializers.digests import digest, size
from cloudmlops.ports.clock import Clock
from cloudmlops.providers.local.running import attempts
from cloudmlops.providers.local.running.attempts import Attempt, Failure
from cloudmlops.providers.local.running.kept import KeptArtifacts
from cloudmlops.providers.local.running.logged import read_logged
from cloudmlops.providers.local.running.run_store import RunStore

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
        """The step's attempt has succeeded."""
        self._record(step, outputs)
        self._advance(step, outputs)

    def failed(self, step: str, failure: Failure) -> timedelta | None:
        """The step's attempt has failed; return after which delay `again` is due, or None when that was the last."""
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
            elif was and was.attempt and (left := attempts.result(self._attempt_folder(step.name))) is not None:
                # It had succeeded, and the crash came before that was recorded.
                self._key(step)
                self._record(step.name, left)
                outputs = left
            if outputs is not None:
                self._done[step.name] = outputs
        for step in order:
            self._waiting[step.name] -= self._done.keys()
            if step.name not in self._done and not self._waiting[step.name]:
                self._ready.append(step.name)

    def _attempt(self, step: StepSpec) -> Attempt:
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
        self._store.finish_step(
            self.request.id,
            step,
            outputs,
            at=self._clock.now(),
            key=self._keys.get(step) if self.request.graph.by_name[step].options.cache else None,
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
        return cached_outputs(self._store, key, boot=self._boot, kept=self._kept) if self.request.cache else None


def cached_outputs(
    store: RunStore, key: str, *, boot: str, kept: KeptArtifacts | None
) -> tuple[str, dict[str, OutputRecord]] | None:
    """Return the run and the outputs of an earlier success, if its files are still what they were."""
    if (found := store.cached(key)) is None:
        return None
    run, outputs, then = found
    # Since a restart of the machine, files that had not reached the disk may be damaged though they are there.
    if all(intact(output, kept, thoroughly=then != boot) for output in outputs.values()):
        return run, dict(outputs)
    store.forget_cached(key)
    return None


def intact(output: OutputRecord, kept: KeptArtifacts | None, *, thoroughly: bool = False) -> bool:
    """Say whether an output's files are there, of the size they had, or thoroughly: of the same content.

    Files that are not, but are kept in the object store, are brought back first.
    """
    if not output.kind.is_artifact or _is_intact(output, thoroughly=thoroughly):
        return True
    return bool(output.uri) and kept is not None and kept.restore(output) and _is_intact(output, thoroughly=True)


def _is_intact(output: OutputRecord, *, thoroughly: bool) -> bool:
    entry = locate(Path(output.path))
    if not entry.exists():
        return False
    return digest(entry)[0] == output.digest if thoroughly else size(entry) == output.size_bytes


def boot_id() -> str:
    """Return what tells one start of the machine from another; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def parallelism() -> int:
    """Return how many steps of a run may go on at once."""
    return max(4, os.cpu_count() or 1)
