"""`@step` and `@pipeline`: typed functions, and the functions that connect them into a graph."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, update_wrapper
from types import MappingProxyType
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast, overload

from cloudmlops.domain import value_types
from cloudmlops.domain.graph import Graph, OutputRef, Resources, StepOptions, StepSpec
from cloudmlops.domain.loose_code import is_loose, loose_digest
from cloudmlops.domain.source import module_source
from cloudmlops.domain.value_types import EXPECTED, ValueType
from cloudmlops.errors import InvalidPipelineError

__all__ = ["Pipeline", "Resources", "Step", "StepSignature", "pipeline", "step"]

P = ParamSpec("P")
R = TypeVar("R")

SINGLE_OUTPUT: Final = "output"
"""The name of the output of a step or pipeline that returns one value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSignature:
    """What a function takes and returns."""

    inputs: Mapping[str, ValueType]
    defaults: Mapping[str, object]
    """JSON values of the parameters that have one."""
    outputs: Mapping[str, ValueType]
    named_tuple: Callable[..., Any] | None
    """The class of several outputs."""
    faults: tuple[str, ...]


class Step(Generic[P, R]):
    """A typed function that a pipeline can run; called outside a pipeline it is just the function."""

    def __init__(
        self, function: Callable[P, R], options: StepOptions, *, name: str = "", after: tuple[Any, ...] = ()
    ) -> None:
        self.function = function
        self.options = options
        self._name = name
        self._after = after
        update_wrapper(self, function)

    @property
    def name(self) -> str:
        """The step's name in a graph, before a number is added to tell several uses apart."""
        return self._name or self.function.__name__

    @cached_property
    def signature(self) -> StepSignature:
        """The function's types, read at first use."""
        return _signature(self.function, f"step {self.function.__name__!r}")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        builder = _building.get()
        return self.function(*args, **kwargs) if builder is None else cast("R", builder.add(self, args, kwargs))

    def with_options(
        self,
        *,
        name: str = "",
        after: Sequence[object] = (),
        retries: int | None = None,
        retry_delay: timedelta | None = None,
        timeout: timedelta | None = None,
        cache: bool | None = None,
        resources: Resources | None = None,
        image: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Step[P, R]:
        """Return the step with another name, order or way of running; what is None stays as it was.

        Args:
            name: In the graph; by default the function's name.
            after: Results of steps, or names of steps, that must have succeeded before though they supply no input.
            retries: As for `step`, like all that follow.
            retry_delay: Before the first retry.
            timeout: Of one attempt.
            cache: Whether an earlier success may stand for a run.
            resources: What the step asks of a machine.
            image: Container image.
            environment: Variables of the step's process.
        """
        given = {
            "retries": retries,
            "retry_delay": retry_delay,
            "timeout": timeout,
            "cache": cache,
            "resources": resources,
            "image": image,
            "environment": environment,
        }
        options = replace(
            self.options, **cast("Any", {key: value for key, value in given.items() if value is not None})
        )
        return Step(self.function, options, name=name or self._name, after=(*self._after, *after))

    @property
    def after(self) -> tuple[object, ...]:
        """What must have succeeded before this step, beside what supplies its inputs."""
        return self._after


class Pipeline(Generic[P, R]):
    """A function that connects steps."""

    def __init__(self, function: Callable[P, R], *, name: str = "") -> None:
        self.function = function
        self.name = name or function.__name__
        update_wrapper(self, function)

    @cached_property
    def signature(self) -> StepSignature:
        """The function's types, read at first use."""
        return _signature(self.function, f"pipeline {self.name!r}")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if _building.get() is None:
            raise InvalidPipelineError(
                f"pipeline {self.name!r} was called outside a pipeline",
                hint="Run it with platform.pipelines.run(pipeline, {...}), or build its graph: pipeline.graph({...}).",
            )
        return self.function(*args, **kwargs)

    def graph(self, parameters: Mapping[str, object] | None = None) -> Graph:
        """Build and check the graph for these parameters; the function's body runs, its steps do not.

        Raises:
            InvalidPipelineError: Lists everything that is wrong with the parameters, the types and the graph.
        """
        faults = list(self.signature.faults)
        values, encoded = self._arguments(parameters or {}, faults)
        builder = _Builder(faults)
        outputs: Mapping[str, OutputRef] = {}
        if not faults:
            outputs = self._build(builder, values)
        graph = Graph(
            name=self.name,
            steps=tuple(builder.steps),
            outputs=outputs,
            parameters=encoded,
            functions=builder.functions,
        )
        also = graph.faults() if builder.steps or not faults else []
        if listed := list(dict.fromkeys([*faults, *also])):
            raise InvalidPipelineError(f"pipeline {self.name!r} cannot run", faults=listed)
        return graph

    def _arguments(self, given: Mapping[str, object], faults: list[str]) -> tuple[dict[str, object], dict[str, object]]:
        values: dict[str, object] = {}
        encoded: dict[str, object] = {}
        inputs = self.signature.inputs
        faults += [f"pipeline {self.name!r} has no parameter {name!r}" for name in given if name not in inputs]
        for name, kind in inputs.items():
            if kind.kind.is_artifact:
                faults.append(f"pipeline {self.name!r}: parameter {name!r} is a {kind}; let a step load it from a path")
            elif name in given:
                try:
                    encoded[name] = value_types.encode(given[name], kind)
                except TypeError as error:
                    faults.append(f"pipeline {self.name!r}: parameter {name!r}: {error}")
            elif name in self.signature.defaults:
                encoded[name] = self.signature.defaults[name]
            else:
                faults.append(f"pipeline {self.name!r} misses its parameter {name!r} ({kind})")
            if name in encoded:
                values[name] = value_types.decode(encoded[name], kind)
        return values, encoded

    def _build(self, builder: _Builder, values: Mapping[str, object]) -> Mapping[str, OutputRef]:
        token = _building.set(builder)
        try:
            result = cast("Callable[..., object]", self.function)(**values)
        except Exception as error:
            if builder.faults:  # the body stumbled over what was already found wrong
                builder.faults.append(f"the pipeline's body then raised {type(error).__name__}: {error}")
                return {}
            raise
        finally:
            _building.reset(token)
        return self._outputs(builder, result)

    def _outputs(self, builder: _Builder, result: object) -> Mapping[str, OutputRef]:
        declared = self.signature.outputs
        if self.signature.named_tuple is not None and isinstance(result, tuple):
            given = dict(zip(declared, result, strict=False))
        else:
            given = {} if result is None else {SINGLE_OUTPUT: result}
        if not declared and result is not None:
            builder.faults.append(f"pipeline {self.name!r} returns {result!r}, but its annotation says nothing of it")
        outputs: dict[str, OutputRef] = {}
        for name, kind in declared.items():
            ref = given.get(name)
            if not isinstance(ref, OutputRef):
                builder.faults.append(f"pipeline {self.name!r}: output {name!r} is not a step's output but {ref!r}")
                continue
            outputs[name] = ref
            actual = builder.type_of(ref)
            if actual is not None and not kind.accepts(actual):
                builder.faults.append(f"pipeline {self.name!r}: output {name!r} is a {kind}, but {ref} is a {actual}")
        return outputs


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str = "",
    retries: int = 0,
    retry_delay: timedelta = timedelta(seconds=1),
    timeout: timedelta | None = None,
    cache: bool = True,
    resources: Resources | None = None,
    image: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str = "",
    retries: int = 0,
    retry_delay: timedelta = timedelta(seconds=1),
    timeout: timedelta | None = None,
    cache: bool = True,
    resources: Resources | None = None,
    image: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Step[P, R] | Callable[[Callable[P, R]], Step[P, R]]:
    """Make a typed function a step.

    Args:
        function: Its parameters and result are annotated with JSON types (str, int, float, bool, date, datetime, list,
            dict) or artifacts (Dataset, Model, Metrics, Report, Path, or a table of pyarrow, pandas or polars). Several
            outputs are a NamedTuple.
        name: In the graph; by default the function's name.
        retries: Attempts after the first that failed.
        retry_delay: Before the first retry; it doubles with each.
        timeout: Of one attempt; the step's processes are killed then.
        cache: Whether an earlier success with the same code, packages, parameters and inputs may stand for a run.
        resources: What the step asks of a machine.
        image: Container image, where steps run in containers.
        environment: Variables of the step's process.
    """
    options = StepOptions(
        retries=retries,
        retry_delay=retry_delay,
        timeout=timeout,
        cache=cache,
        resources=resources or Resources(),
        image=image,
        environment=dict(environment or {}),
    )
    if function is not None:
        return Step(function, options)
    return lambda decorated: Step(decorated, options, name=name)


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(*, name: str = "") -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(
    function: Callable[P, R] | None = None, /, *, name: str = ""
) -> Pipeline[P, R] | Callable[[Callable[P, R]], Pipeline[P, R]]:
    """Make a function that calls steps a pipeline.

    The function runs when a graph is built, with the values of its parameters; the steps it calls run later. It may
    branch and loop over parameters, but not over what a step will return.
    """
    if function is not None:
        return Pipeline(function)
    return lambda decorated: Pipeline(decorated, name=name)


_building: ContextVar[_Builder | None] = ContextVar("cloudmlops_building", default=None)


class _Builder:
    """Collects the steps that a pipeline's body calls, and what is wrong with the calls."""

    def __init__(self, faults: list[str]) -> None:
        self.steps: list[StepSpec] = []
        self.faults = faults
        self.functions: dict[str, Callable[..., object]] = {}
        self._outputs: dict[str, Mapping[str, ValueType]] = {}

    def type_of(self, ref: OutputRef) -> ValueType | None:
        return self._outputs.get(ref.step, {}).get(ref.output)

    def add(self, called: Step[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
        signature = called.signature
        name = self._unique(called.name)
        self.faults += signature.faults
        self.functions[name] = called.function
        bound = self._bound(called, name, args, kwargs)
        self._outputs[name] = signature.outputs
        inputs = {key: value for key, value in bound.items() if isinstance(value, OutputRef)}
        parameters = dict(signature.defaults)
        for key, value in bound.items():
            if key in inputs:
                parameters.pop(key, None)
            elif key in signature.inputs:
                self._parameter(name, key, value, signature.inputs[key], parameters)
        sound = {key: kind for key, kind in signature.inputs.items() if parameters.get(key) is not _Unknown}
        digest = loose_digest(called.function) if is_loose(called.function) else ""
        self.steps.append(
            StepSpec(
                name=name,
                function=_reference(called.function, digest),
                parameters={key: value for key, value in parameters.items() if value is not _Unknown},
                inputs=inputs,
                input_types=sound,
                outputs=signature.outputs,
                after=self._after(name, called.after),
                options=called.options if digest is not None else replace(called.options, cache=False),
            )
        )
        if signature.named_tuple is not None:
            return signature.named_tuple(*(OutputRef(step=name, output=output) for output in signature.outputs))
        return OutputRef(step=name, output=SINGLE_OUTPUT)

    def _unique(self, name: str) -> str:
        taken = {step.name for step in self.steps}
        candidate, place = name, 1
        while candidate in taken:
            place += 1
            candidate = f"{name}_{place}"
        return candidate

    def _bound(
        self, called: Step[..., Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        accepted = list(called.signature.inputs)
        if len(args) > len(accepted):
            self.faults.append(f"step {name!r} takes {len(accepted)} inputs, but was given {len(args)}")
        bound = dict(zip(accepted, args, strict=False))
        for key, value in kwargs.items():
            if key not in called.signature.inputs:
                self.faults.append(f"step {name!r} has no input {key!r}; it has {', '.join(accepted) or 'none'}")
            elif key in bound:
                self.faults.append(f"step {name!r} was given its input {key!r} twice")
            else:
                bound[key] = value
        return bound

    def _parameter(self, step: str, key: str, value: object, kind: ValueType, into: dict[str, object]) -> None:
        if kind.kind.is_artifact:
            self.faults.append(
                f"step {step!r}: input {key!r} is a {kind}, which only another step can supply, not {value!r}"
            )
            into[key] = _Unknown
            return
        try:
            into[key] = value_types.encode(value, kind)
        except TypeError as error:
            into[key] = _Unknown
            self.faults.append(f"step {step!r}: input {key!r}: {error}")

    def _after(self, step: str, given: tuple[object, ...]) -> tuple[str, ...]:
        names: list[str] = []
        for one in given:
            refs = one if isinstance(one, tuple | list) else (one,)
            for ref in refs:
                if isinstance(ref, OutputRef | str):
                    names.append(ref if isinstance(ref, str) else ref.step)
                else:
                    self.faults.append(
                        f"step {step!r} runs after {ref!r}, which is neither a step's result nor its name"
                    )
        return tuple(dict.fromkeys(names))


def _reference(function: Callable[..., object], digest: str | None) -> str:
    source = module_source(function.__module__)
    if source is None or digest != "":
        # Not to be found from another process; its content tells it from others of its name.
        return f":{function.__qualname__}#{digest or 'unknown'}"
    return f"{source.name}:{function.__qualname__}"


def _signature(function: Callable[..., object], what: str) -> StepSignature:
    faults: list[str] = []
    hints = _hints(function, what, faults)
    inputs: dict[str, ValueType] = {}
    defaults: dict[str, object] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            faults.append(f"{what}: parameter {name!r} must be an ordinary named one")
            continue
        kind = _kind(hints, name, f"{what}: parameter {name!r}", faults)
        if kind is None:
            continue
        inputs[name] = kind
        if parameter.default is not parameter.empty:
            _default(name, parameter.default, kind, what, faults, defaults)
    outputs, named_tuple = _outputs(hints, what, faults)
    return StepSignature(
        inputs=MappingProxyType(inputs),
        defaults=MappingProxyType(defaults),
        outputs=MappingProxyType(outputs),
        named_tuple=named_tuple,
        faults=tuple(faults),
    )


def _hints(function: Callable[..., object], what: str, faults: list[str]) -> Mapping[str, object]:
    try:
        return typing.get_type_hints(function)
    except NameError as error:
        faults.append(
            f"{what}: the annotation {error.name!r} is not known at run time; import it outside TYPE_CHECKING"
        )
    except Exception as error:  # noqa: BLE001 an annotation is code of the user's
        faults.append(f"{what}: its annotations cannot be read: {type(error).__name__}: {error}")
    return dict.fromkeys(function.__annotations__, _Unknown)


class _Unknown:
    """Stands for an annotation or value whose fault has been noted."""


def _kind(hints: Mapping[str, object], name: str, where: str, faults: list[str]) -> ValueType | None:
    if name not in hints:
        faults.append(f"{where} has no annotation; expected {EXPECTED}")
        return None
    if hints[name] is _Unknown:
        return None
    if (kind := value_types.value_type(hints[name])) is None:
        faults.append(f"{where} is annotated {_shown(hints[name])}; expected {EXPECTED}")
    return kind


def _default(
    name: str, default: object, kind: ValueType, what: str, faults: list[str], defaults: dict[str, object]
) -> None:
    if kind.kind.is_artifact:
        faults.append(f"{what}: parameter {name!r} is a {kind} and cannot have a default")
        return
    try:
        defaults[name] = value_types.encode(default, kind)
    except TypeError as error:
        faults.append(f"{what}: the default of {name!r} cannot be stored: {error}")


def _outputs(
    hints: Mapping[str, object], what: str, faults: list[str]
) -> tuple[dict[str, ValueType], type[tuple[Any, ...]] | None]:
    returned = hints.get("return", type(None))
    if returned is type(None) or returned is None:
        return {}, None
    if isinstance(returned, type) and issubclass(returned, tuple) and hasattr(returned, "_fields"):
        fields = _hints(returned, f"{what}: {returned.__name__}", faults)
        kinds = {name: _kind(fields, name, f"{what}: output {name!r}", faults) for name in returned._fields}
        return {name: kind for name, kind in kinds.items() if kind is not None}, returned
    kind = _kind(hints, "return", f"{what}: its result", faults)
    return ({} if kind is None else {SINGLE_OUTPUT: kind}), None


def _shown(annotation: object) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
