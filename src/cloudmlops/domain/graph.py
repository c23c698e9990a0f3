"""A pipeline as a value: steps, what each takes from which, and everything that can be wrong with that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, NoReturn

from cloudmlops.domain import value_types
from cloudmlops.domain.names import name_faults
from cloudmlops.domain.value_types import ValueType
from cloudmlops.errors import InvalidPipelineError


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a step asks of the machine that runs it; None leaves it to the provider."""

    cpu: float | None = None
    memory_gib: float | None = None
    accelerator: str | None = None
    """Kind and number, such as `nvidia-l4:1`."""
    spot: bool = False
    """Whether a cheaper machine that may be taken away will do."""
    distribution: str | None = None
    """How the processes of a step that has several find each other: `pytorch` or `mpi`. What the first of them returns
    is what the step leaves."""
    nodes: int = 1
    """How many machines work together; more than one need a `distribution`."""
    processes: int = 1
    """On each machine; more than one need a `distribution`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOptions:
    """How a step is run."""

    retries: int = 0
    """Attempts after the first that failed."""
    retry_delay: timedelta = timedelta(seconds=1)
    """Before the first retry; it doubles with each, jittered by a half, and stays below a minute."""
    timeout: timedelta | None = None
    """Of one attempt; its whole process group is killed then."""
    cache: bool = True
    """Whether an earlier success with the same code, packages, parameters and inputs may stand for a run."""
    resources: Resources = field(default_factory=Resources)
    image: str | None = None
    """Container image; None is the provider's default."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the step's process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputRef:
    """One output of one step."""

    step: str
    output: str

    def __str__(self) -> str:
        return f"{self.step}.{self.output}"

    def __bool__(self) -> NoReturn:
        raise self._unknown_yet("decides")

    def __iter__(self) -> NoReturn:
        raise self._unknown_yet("loops")

    def _unknown_yet(self, does: str) -> InvalidPipelineError:
        return InvalidPipelineError(
            f"the pipeline's body {does} over the output {self}, which is not known before its step has run",
            hint="Do that within a step; several outputs of one step are a NamedTuple.",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSpec:
    """One step of a graph."""

    name: str
    function: str
    """`module:name` of the step in the source snapshot."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Values known when the graph is built, as JSON."""
    inputs: Mapping[str, OutputRef] = field(default_factory=dict)
    """Values that other steps supply."""
    input_types: Mapping[str, ValueType] = field(default_factory=dict)
    """Of every parameter and input of the function."""
    outputs: Mapping[str, ValueType] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    """Steps that must have succeeded before, beside those that supply inputs."""
    options: StepOptions = field(default_factory=StepOptions)

    @property
    def upstream(self) -> frozenset[str]:
        """The steps that must have succeeded before this one starts."""
        return frozenset(self.after) | {ref.step for ref in self.inputs.values()}

    @property
    def import_faults(self) -> list[str]:
        """Why a process of its own cannot import its function, in words."""
        if not self.function.startswith(":"):
            return []
        return [f"step {self.name!r} ({self.function[1:]}) is not at the top of a module that has a file"]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A pipeline with its parameters' values filled in."""

    name: str
    steps: tuple[StepSpec, ...]
    outputs: Mapping[str, OutputRef] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Of the pipeline, as JSON; for the record."""
    functions: Mapping[str, Callable[..., object]] = field(default_factory=dict, compare=False, repr=False)
    """Each step's function where the graph was built in this process; what was read from JSON has references only."""

    @cached_property
    def by_name(self) -> Mapping[str, StepSpec]:
        """Each step under its name."""
        return {step.name: step for step in self.steps}

    @cached_property
    def order(self) -> tuple[StepSpec, ...]:
        """The steps, each after all that it needs, else as they were written."""
        sorter = TopologicalSorter({step.name: sorted(step.upstream) for step in self.steps})
        return tuple(self.by_name[name] for name in sorter.static_order())

    def type_of(self, ref: OutputRef) -> ValueType:
        """Return of what type an output of a step is."""
        return self.by_name[ref.step].outputs[ref.output]

    def faults(self) -> list[str]:
        """List everything that is wrong with the graph, in words."""
        found = name_faults("pipeline", self.name)
        if not self.steps:
            found.append(f"pipeline {self.name!r} has no steps")
        names = [step.name for step in self.steps]
        found += [
            f"step name {name!r} is used {names.count(name)} times"
            for name in sorted(set(names))
            if names.count(name) > 1
        ]
        for step in self.steps:
            found += self._step_faults(step)
        found += [
            f"the pipeline's output {name!r}: {fault}"
            for name, ref in self.outputs.items()
            if (fault := self._missing(ref))
        ]
        return found + self._cycle()

    def check(self) -> None:
        """Raise `InvalidPipelineError` that lists all faults at once."""
        if faults := self.faults():
            raise InvalidPipelineError(f"pipeline {self.name!r} cannot run", faults=faults)

    def _step_faults(self, step: StepSpec) -> Iterator[str]:
        yield from name_faults("step", step.name)
        yield from (
            f"step {step.name!r} runs after {name!r}, which is not a step"
            for name in step.after
            if name not in self.by_name
        )
        for name, kind in step.input_types.items():
            if name in step.inputs:
                yield from self._input_faults(step.name, name, kind, step.inputs[name])
            elif name not in step.parameters:
                yield f"step {step.name!r} misses its input {name!r} ({kind})"
            elif not kind.kind.is_artifact:
                yield from _value_faults(f"step {step.name!r}: input {name!r}", step.parameters[name], kind)
            else:
                yield f"step {step.name!r}: input {name!r} is a {kind}, which only another step can supply"
        known = {*step.parameters, *step.inputs}
        yield from (f"step {step.name!r} has no input {name!r}" for name in sorted(known - step.input_types.keys()))
        yield from _option_faults(step.name, step.options)

    def _input_faults(self, step: str, name: str, kind: ValueType, ref: OutputRef) -> Iterator[str]:
        if missing := self._missing(ref):
            yield f"step {step!r}: input {name!r}: {missing}"
        elif not kind.accepts(given := self.type_of(ref)):
            yield f"step {step!r}: input {name!r} is a {kind}, but {ref} is a {given}"

    def _missing(self, ref: OutputRef) -> str:
        if ref.step not in self.by_name:
            return f"there is no step {ref.step!r}"
        if ref.output not in (outputs := self.by_name[ref.step].outputs):
            return f"step {ref.step!r} has no output {ref.output!r}; it has {', '.join(outputs) or 'none'}"
        return ""

    def _cycle(self) -> list[str]:
        try:
            known = {step.name: sorted(step.upstream & self.by_name.keys()) for step in self.steps}
            TopologicalSorter(known).prepare()
        except CycleError as error:
            return [f"the steps form a cycle: {' -> '.join(error.args[1])}"]
        return []


def _value_faults(where: str, value: object, kind: ValueType) -> Iterator[str]:
    try:
        value_types.encode(value_types.decode(value, kind), kind)
    except (TypeError, ValueError) as error:
        yield f"{where}: {error}"


def _option_faults(step: str, options: StepOptions) -> Iterator[str]:
    if options.retries < 0:
        yield f"step {step!r}: retries must be 0 or more, not {options.retries}"
    if options.timeout is not None and options.timeout <= timedelta(0):
        yield f"step {step!r}: the timeout must be longer than nothing, not {options.timeout}"
    wanted = options.resources
    if wanted.nodes < 1 or wanted.processes < 1:
        yield f"step {step!r}: nodes and processes must be 1 or more, not {wanted.nodes} and {wanted.processes}"
    if wanted.distribution not in (None, "mpi", "pytorch"):
        yield f"step {step!r}: the distribution must be 'mpi' or 'pytorch', not {wanted.distribution!r}"
    elif wanted.distribution is None and (wanted.nodes > 1 or wanted.processes > 1):
        yield f"step {step!r}: several nodes or processes need a distribution: 'mpi' or 'pytorch'"
    if options.retry_delay < timedelta(0):
        yield f"step {step!r}: the retry delay must not be negative, not {options.retry_delay}"


def graph_to_json(graph: Graph) -> str:
    """Write a graph as JSON text; equal graphs give equal text."""
    return json.dumps(
        {
            "name": graph.name,
            "parameters": dict(graph.parameters),
            "outputs": {name: [ref.step, ref.output] for name, ref in graph.outputs.items()},
            "steps": [_step_to_json(step) for step in graph.steps],
        },
        separators=(",", ":"),
    )


def graph_from_json(text: str) -> Graph:
    """Read what `graph_to_json` wrote."""
    fields = json.loads(text)
    return Graph(
        name=fields["name"],
        parameters=fields["parameters"],
        outputs={name: OutputRef(step=step, output=output) for name, (step, output) in fields["outputs"].items()},
        steps=tuple(_step_from_json(step) for step in fields["steps"]),
    )


def _step_to_json(step: StepSpec) -> dict[str, object]:
    fields: dict[str, object] = {
        "name": step.name,
        "function": step.function,
        "parameters": dict(step.parameters),
        "inputs": {name: [ref.step, ref.output] for name, ref in step.inputs.items()},
        "input_types": {name: value_types.to_json(kind) for name, kind in step.input_types.items()},
        "outputs": {name: value_types.to_json(kind) for name, kind in step.outputs.items()},
    }
    if step.after:
        fields["after"] = list(step.after)
    if step.options != _DEFAULT_OPTIONS:
        fields["options"] = _options_to_json(step.options)
    return fields


def _step_from_json(fields: Mapping[str, Any]) -> StepSpec:
    return StepSpec(
        name=fields["name"],
        function=fields["function"],
        parameters=fields["parameters"],
        inputs={name: OutputRef(step=step, output=output) for name, (step, output) in fields["inputs"].items()},
        input_types={name: value_types.from_json(kind) for name, kind in fields["input_types"].items()},
        outputs={name: value_types.from_json(kind) for name, kind in fields["outputs"].items()},
        after=tuple(fields.get("after", ())),
        options=_options_from_json(fields["options"]) if "options" in fields else _DEFAULT_OPTIONS,
    )


_DEFAULT_OPTIONS: Final = StepOptions()


def _options_to_json(options: StepOptions) -> dict[str, object]:
    return {
        **asdict(options),
        "retry_delay": options.retry_delay.total_seconds(),
        "timeout": None if options.timeout is None else options.timeout.total_seconds(),
    }


def _options_from_json(fields: Mapping[str, Any]) -> StepOptions:
    timeout = fields["timeout"]
    return StepOptions(
        retries=fields["retries"],
        retry_delay=timedelta(seconds=fields["retry_delay"]),
        timeout=None if timeout is None else timedelta(seconds=timeout),
        cache=fields["cache"],
        resources=Resources(**fields["resources"]),
        image=fields["image"],
        environment=fields["environment"],
    )
