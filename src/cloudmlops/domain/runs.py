"""What is known of a pipeline's run, while it goes on and afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cloudmlops.domain.graph import Graph, StepSpec
from cloudmlops.domain.lineage import Lineage
from cloudmlops.domain.value_types import Kind


class RunState(StrEnum):
    """Where a run stands."""

    WAITING = "waiting"
    """Accepted; no process has taken it up yet."""
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """Its process is gone and it had not ended: `resume` goes on."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens unless the run is resumed."""
        return self not in (RunState.WAITING, RunState.RUNNING)


class StepState(StrEnum):
    """Where a step of a run stands."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CACHED = "cached"
    """An earlier success with the same code, packages, parameters and inputs stands for it."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """A step that it needs has failed."""
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it unless the run is resumed."""
        return self not in (StepState.WAITING, StepState.RUNNING)

    @property
    def succeeded(self) -> bool:
        """Whether its outputs are there."""
        return self in (StepState.SUCCEEDED, StepState.CACHED)


class RunMode(StrEnum):
    """Which process carries a run."""

    DETACHED = "detached"
    """One of its own, which outlives the caller."""
    ATTACHED = "attached"
    """One of its own, which ends with the caller: the run is then interrupted."""
    IN_PROCESS = "in process"
    """The caller's: steps are function calls, one after another, for a debugger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputRecord:
    """One output of a succeeded step."""

    kind: Kind
    digest: str
    """SHA-256 of the content, in hexadecimal."""
    size_bytes: int = 0
    path: str = ""
    """Of an artifact: the folder that holds it, where this machine can read it."""
    uri: str = ""
    """Of an artifact: its address in the platform's object store, when that is elsewhere."""
    stamp: str = ""
    """Of an artifact: tells files that nobody has written to since from others, without reading them."""
    value: object = None
    """Of a parameter or of metrics, as JSON."""

    def to_json(self) -> dict[str, object]:
        """Write the record as a JSON object."""
        return {
            "kind": self.kind.value,
            "digest": self.digest,
            "size_bytes": self.size_bytes,
            "path": self.path,
            "uri": self.uri,
            "stamp": self.stamp,
            "value": self.value,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRecord:
    """One step of a run."""

    name: str
    state: StepState = StepState.WAITING
    attempt: int = 0
    """Counted over all of the run's resumes."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outputs: Mapping[str, OutputRecord] = field(default_factory=dict)
    error: str = ""
    """What happened and what to do, in a line or two; the log has the rest."""
    logged: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """What the step logged through MLflow: `metrics`, `params` and `tags`, each by name."""
    cached_from: str = ""
    """The run whose success stands for this step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run."""

    id: str
    pipeline: str
    state: RunState
    graph: Graph
    lineage: Lineage
    created_at: datetime
    steps: Mapping[str, StepRecord]
    """By name, in the order in which they may run."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempt: int = 1
    """1, and one more for each resume."""
    announced: bool = False
    """Whether its end has been published as an event."""
    error: str = ""
    """What the run's own process, not a step, said last before it was interrupted."""

    @property
    def failed_step(self) -> StepRecord | None:
        """The step that failed first."""
        failed = [step for step in self.steps.values() if step.state is StepState.FAILED]
        return min(failed, key=lambda step: step.ended_at or self.created_at) if failed else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRoot:
    """A folder that imports start at."""

    path: str
    """Absolute, on this machine."""
    files: tuple[str, ...]
    """Those that a run needs, relative to `path`, sorted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSnapshot:
    """The first-party modules that a run is made from."""

    digest: str
    """SHA-256 over names and contents; the archive is `snapshots/DIGEST.zip` of the object store."""
    roots: tuple[SourceRoot, ...]
    """Where a run imports them from, in the order of imports; none when all is installed, or typed in a session."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """All that a provider needs to run a graph, in this process or any other."""

    id: str
    graph: Graph
    source: SourceSnapshot
    lineage: Lineage
    packages_digest: str
    cache: bool = True
    compiled: str = ""
    """JSON of a pipeline in a cloud's own words, when it was not built here; the graph then only describes it."""
    written_for: str = ""
    """Of such a one, the provider whose words these are."""
    written_in: str = ""
    """Of such a one, the folder of this machine that its relative paths start at."""
    announce: tuple[str, ...] = ()
    """A command that publishes the run's end, for a run that outlives its caller; the run's id is added to it."""


def step_key(step: StepSpec, inputs: Mapping[str, OutputRecord], *, source: str, packages: str) -> str:
    """Return the content of a step before it runs, as a SHA-256: code, packages, parameters, inputs and image."""
    content = step_content(step, source=source, packages=packages)
    return content_key(content, {name: inputs[name].digest for name in step.inputs})


def step_content(step: StepSpec, *, source: str, packages: str) -> dict[str, object]:
    """Return what is known of a step's content before the steps that it needs have run, as JSON."""
    return {
        "function": step.function,
        "source": source,
        "packages": packages,
        "parameters": dict(step.parameters),
        "outputs": {name: str(kind) for name, kind in step.outputs.items()},
        "image": step.options.image,
        "environment": dict(step.options.environment),
    }


def content_key(content: Mapping[str, object], inputs: Mapping[str, str]) -> str:
    """Return the SHA-256 of a step's content, completed by the digests of its inputs."""
    whole = {**content, "inputs": dict(inputs)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def step_inputs(step: StepSpec, done: Mapping[str, Mapping[str, OutputRecord]]) -> dict[str, OutputRecord]:
    """Return the outputs that `step` takes; `done` holds those of all steps that have succeeded."""
    return {name: done[ref.step][ref.output] for name, ref in step.inputs.items()}


def output_from_json(fields: Mapping[str, object]) -> OutputRecord:
    """Read what `OutputRecord.to_json` wrote."""
    return OutputRecord(
        kind=Kind(str(fields["kind"])),
        digest=str(fields["digest"]),
        size_bytes=int(str(fields["size_bytes"])),
        path=str(fields["path"]),
        uri=str(fields["uri"]),
        stamp=str(fields.get("stamp", "")),
        value=fields["value"],
    )
