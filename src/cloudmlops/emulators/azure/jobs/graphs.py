"""The graph of a pipeline job: its steps, what they are bound to, and in which order they can go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.jobs.distribution import distribution_of
from cloudmlops.emulators.azure.jobs.expressions import names_in, only_name
from cloudmlops.emulators.azure.jobs.images import Images
from cloudmlops.emulators.azure.jobs.names import check_names
from cloudmlops.emulators.azure.jobs.spark import spark_step
from cloudmlops.emulators.azure.jobs.sweep_nodes import FIELDS as SWEEP_FIELDS
from cloudmlops.emulators.azure.jobs.sweep_nodes import sweep_of_node
from cloudmlops.emulators.azure.jobs.sweeps import Sweep
from cloudmlops.emulators.azure.jobs.tasks import Output, Task, Value, duration_of, output_of, value_of
from cloudmlops.emulators.azure.ml.asset_references import no_component
from cloudmlops.emulators.azure.ml.registry_addresses import in_registry
from cloudmlops.emulators.core.faults import Refused

_CONTENT: Final = ("command", "code", "environment", "environment_variables", "outputs", "entry", "args", "conf")
"""What of a component decides what it does."""
_IDENTITY: Final = {"clientId": "client_id", "objectId": "object_id", "resourceId": "resource_id"}
"""How a step names a managed identity, by how a job does."""
_COMPONENT_INPUTS: Final = ("uri_file", "uri_folder", "custom_model", "mlflow_model", "triton_model")


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step: a command, or a pipeline, whose task has no more than inputs and outputs."""

    name: str
    component: str
    """Id of its component's version."""
    component_name: str
    task: Task
    """Without values for its inputs, but for the defaults of its component."""
    given: Mapping[str, Value]
    """What its inputs are given; the text of a literal may have bindings."""
    kinds: Mapping[str, str]
    """Types of its inputs."""
    optional: frozenset[str]
    bound: Mapping[str, str]
    """Which outputs of the pipeline its outputs are."""
    compute: str
    deterministic: bool
    content: Mapping[str, Any]
    """What of its component decides what it does."""
    graph: Graph | None = None
    """Of a step that is itself a pipeline: without values for what it is given."""
    sweep: Sweep | None = None
    """Of a step that tries its task with other parameters each time."""

    @property
    def needs(self) -> frozenset[str]:
        """The steps whose outputs it reads."""
        names = [name for value in self.given.values() for name in names_in(value.text)]
        return frozenset(name.split(".")[2] for name in names if name.startswith("parent.jobs."))


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """A pipeline."""

    steps: Mapping[str, Step]
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Output]
    goes_on: bool
    """Whether steps that do not need a failed one still go."""
    rerun: bool
    """Whether nothing is reused."""
    datastore: str
    """Where outputs lie that nobody says otherwise of; empty is the workspace's default one."""

    @property
    def tasks(self) -> Iterator[Task]:
        """All that its steps do, those of pipelines within it, too."""
        for step in self.steps.values():
            if step.graph is not None:
                yield from step.graph.tasks
            else:
                yield step.task


def graph_of(job: Mapping[str, Any], resources: Resources, images: Images) -> Graph:
    """Read a pipeline job.

    Args:
        job: Its properties.
        resources: Where its components are.
        images: Where interpreters stand for Spark's runtimes.

    Raises:
        Refused: It is malformed, or wants what is not emulated.
    """
    settings: Mapping[str, Any] = job.get("settings") or {}
    check_names("the pipeline", job.get("inputs"), job.get("outputs"))
    graph = Graph(
        steps={name: _step(name, node, resources, images) for name, node in (job.get("jobs") or {}).items()},
        inputs={name: value_of(one, name) for name, one in (job.get("inputs") or {}).items() if one},
        outputs={name: output_of(one or {}, name) for name, one in (job.get("outputs") or {}).items()},
        goes_on=_true(settings.get("continue_on_step_failure"), default=True),
        rerun=_true(settings.get("force_rerun"), default=False),
        datastore=str(settings.get("default_datastore") or "").removeprefix("azureml:").rpartition("/")[2],
    )
    _check(graph)
    return graph


def _step(name: str, node: Mapping[str, Any], resources: Resources, images: Images) -> Step:
    kind = node.get("type", "command")
    if kind not in ("command", "pipeline", "spark", "sweep"):
        raise UserError("UNIMPLEMENTED", f"A pipeline step of type {kind!r} is not emulated: {name}.")
    of_component = (node.get("trial") or {}) if kind == "sweep" else node
    given_id = str(of_component.get("componentId") or "")
    component = given_id.removeprefix("azureml:")
    found = in_registry(resources, given_id) or resources.get(component)
    if found is None:
        raise no_component(component or f"of no id of the step {name}")
    check_names(f"the step {name}", node.get("inputs"), node.get("outputs"))
    specification: Mapping[str, Any] = found["properties"]["componentSpec"]
    if specification.get("type", "command") != ("command" if kind == "sweep" else kind):
        raise UserError("INVALID_ARGUMENT", f"The component of the step {name} is not of type {kind!r}.")
    inner = _inner(specification, resources, images) if kind == "pipeline" else None
    declared: Mapping[str, Mapping[str, Any]] = specification.get("inputs") or {}
    given = {key: value_of(_literal(one), f"{name}.{key}") for key, one in (node.get("inputs") or {}).items()}
    outputs, bound = _outputs(name, node, specification)
    defaults = {
        key: Value(kind="literal", text=str(one["default"])) for key, one in declared.items() if "default" in one
    }
    made = spark_step(node, specification, images) if kind == "spark" else _command(name, node, specification)
    task = replace(made, inputs=defaults, outputs=outputs, identity=_identity(node.get("identity")))
    sweep = sweep_of_node(node, task, name) if kind == "sweep" else None
    optional = {key for key, one in declared.items() if _true(one.get("optional"), default=False)}
    return Step(
        name=name,
        component=component,
        component_name=component.split("/")[-3],
        task=task,
        given=given,
        kinds={key: _input_kind(name, key, one) for key, one in declared.items()},
        optional=frozenset(optional | set(sweep.space if sweep else ())),
        bound=bound,
        compute=str(node.get("computeId") or "").rpartition("/")[2],
        graph=inner,
        sweep=sweep,
        deterministic=_true(specification.get("is_deterministic"), default=True),
        content={
            **{key: specification.get(key) for key in _CONTENT},
            **{key: node.get(key) for key in (SWEEP_FIELDS if sweep else ("args", "conf", "resources"))},
        },
    )


def _command(name: str, node: Mapping[str, Any], specification: Mapping[str, Any]) -> Task:
    resources = [node.get("resources"), specification.get("resources")]
    return Task(
        command=str(specification.get("command") or ""),
        code=specification.get("code"),
        environment=str(specification.get("environment") or ""),
        variables={
            key: str(value)
            for part in (specification, node)
            for key, value in (part.get("environment_variables") or {}).items()
        },
        distribution=distribution_of(
            node.get("distribution") or specification.get("distribution"), resources, f"the step {name}"
        ),
        timeout=_timeout(node) or _timeout(specification),
    )


def _inner(specification: Mapping[str, Any], resources: Resources, images: Images) -> Graph:
    """Read the pipeline that a component is; its inputs stand for what it will be given."""
    declared: Mapping[str, Mapping[str, Any]] = specification.get("inputs") or {}
    graph = Graph(
        steps={name: _step(name, node, resources, images) for name, node in (specification.get("jobs") or {}).items()},
        inputs={name: Value(kind=_input_kind("", name, one), text="") for name, one in declared.items()},
        outputs={name: output_of(one, name) for name, one in (specification.get("outputs") or {}).items()},
        goes_on=True,
        rerun=False,
        datastore="",
    )
    _check(graph)
    return graph


def _outputs(
    name: str, node: Mapping[str, Any], specification: Mapping[str, Any]
) -> tuple[dict[str, Output], dict[str, str]]:
    outputs, bound = {}, {}
    given: Mapping[str, Mapping[str, Any]] = node.get("outputs") or {}
    for key, declared in (specification.get("outputs") or {}).items():
        where, one = f"{name}.{key}", given.get(key) or {}
        target = only_name(str(one.get("value") or ""))
        if target is not None and target.startswith("parent.outputs."):
            bound[key] = target.removeprefix("parent.outputs.")
        elif one.get("value"):
            raise UserError("INVALID_ARGUMENT", f"The output {where} is bound to {one['value']!r}, which is no output.")
        outputs[key] = output_of({**one, "uri": one.get("uri")}, where, kind=str(declared.get("type") or "uri_folder"))
    return outputs, bound


def _input_kind(step: str, name: str, declared: Mapping[str, Any]) -> str:
    kind = str(declared.get("type") or "string")
    if kind in ("mltable", "path"):
        raise UserError("UNIMPLEMENTED", f"An input of type {kind!r} is not emulated: {step}.{name}.")
    return kind if kind in _COMPONENT_INPUTS else "literal"


def _literal(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {"value": given, "job_input_type": "literal"}


def _timeout(part: Mapping[str, Any]) -> timedelta | None:
    given = (part.get("limits") or {}).get("timeout")
    if given is None or str(given).startswith("P"):
        return duration_of(given)
    return timedelta(seconds=float(given))


def _identity(given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not given:
        return None
    kind = next((str(given[key]) for key in ("identity_type", "identityType", "type") if given.get(key)), "")
    managed = kind.lower() in ("managed", "managed_identity")
    named = {key: given.get(key) or given.get(other) for key, other in _IDENTITY.items()}
    return {"identityType": "Managed" if managed else "", **named}


def _true(given: object, *, default: bool) -> bool:
    return default if given is None else str(given).lower() == "true"


def _check(graph: Graph) -> None:
    for step in graph.steps.values():
        for key, value in step.given.items():
            for name in names_in(value.text):
                _check_binding(graph, step, key, name)
        missing = [
            key
            for key in step.kinds
            if key not in step.given and key not in step.task.inputs and key not in step.optional
        ]
        if missing:
            raise UserError("INVALID_ARGUMENT", f"The input {missing[0]} of the step {step.name} is required.")
        for output in step.bound.values():
            if output not in graph.outputs:
                raise UserError(
                    "INVALID_ARGUMENT", f"The step {step.name} is bound to {output}: there is no such output."
                )
    _check_order({name: step.needs for name, step in graph.steps.items()})


def _check_binding(graph: Graph, step: Step, key: str, name: str) -> None:
    parts = name.split(".")
    if name.startswith("parent.inputs."):
        known = name.removeprefix("parent.inputs.") in graph.inputs or key in step.optional
    else:
        known = (
            len(parts) == 5
            and (parts[0], parts[1], parts[3]) == ("parent", "jobs", "outputs")
            and parts[2] in graph.steps
            and parts[4] in graph.steps[parts[2]].task.outputs
        )
    if not known:
        raise UserError("INVALID_ARGUMENT", f"The input {step.name}.{key} is bound to {name}, which there is not.")


def _check_order(needs: Mapping[str, Iterable[str]]) -> None:
    left = {name: set(wanted) for name, wanted in needs.items()}
    while left:
        ready = [name for name, wanted in left.items() if not wanted & left.keys()]
        if not ready:
            raise UserError("INVALID_ARGUMENT", f"The steps {', '.join(sorted(left))} wait for each other.")
        for name in ready:
            del left[name]


def bound_task(step: Step, graph: Graph, results: Mapping[str, Mapping[str, Value]]) -> Task:
    """Return a step's task with values for all its inputs.

    Args:
        step: Whose needs have ended.
        graph: That it is in.
        results: Outputs of other steps.

    Raises:
        Refused: A value is missing.
    """
    inputs: dict[str, Value | None] = {key: step.task.inputs.get(key) for key in step.kinds}
    for key, value in step.given.items():
        inputs[key] = _bound(value, step.kinds.get(key, value.kind), graph, results)
    outputs = {}
    for key, output in step.task.outputs.items():
        whole = graph.outputs.get(step.bound.get(key, ""))
        outputs[key] = replace(whole, kind=output.kind, mode=whole.mode or output.mode) if whole else output
    return replace(step.task, inputs=inputs, outputs=outputs)


def _bound(value: Value, kind: str, graph: Graph, results: Mapping[str, Mapping[str, Value]]) -> Value | None:
    whole = only_name(value.text)
    if whole is not None:
        found = _value(whole, graph, results)
        return found and Value(
            kind=kind if found.literal else found.kind, text=found.text, mode=value.mode or found.mode
        )
    text = value.text
    for name in names_in(text):
        part = _value(name, graph, results)
        if part is None or not part.literal:
            raise Refused("INVALID_ARGUMENT", f"{name} is no literal: it cannot be a part of {value.text!r}.")
        text = text.replace(f"${{{{{name}}}}}", part.text)
    return Value(kind=value.kind, text=text, mode=value.mode)


def _value(name: str, graph: Graph, results: Mapping[str, Mapping[str, Value]]) -> Value | None:
    if name.startswith("parent.inputs."):
        return graph.inputs.get(name.removeprefix("parent.inputs."))
    _, _, step, _, output = name.split(".")
    return results[step][output]
