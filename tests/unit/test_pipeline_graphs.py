"""What a pipeline's function becomes, and everything that can be wrong with it."""

from __future__ import annotations

import typing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cloudmlops as cm
from cloudmlops.domain.graph import Graph, OutputRef, StepOptions, StepSpec, graph_from_json, graph_to_json
from cloudmlops.domain.value_types import Kind, ValueType, value_type
from cloudmlops.errors import InvalidPipelineError


class Parts(NamedTuple):
    train: cm.Dataset
    test: cm.Dataset


@cm.step
def load(source: str = "here") -> cm.Dataset:
    return cm.Dataset.from_path(source)


@cm.step(retries=2, timeout=timedelta(minutes=5), resources=cm.Resources(cpu=2, accelerator="nvidia-l4:1"))
def split(data: cm.Dataset, days: int = 7) -> Parts:
    return Parts(data, data)


@cm.step
def train(data: cm.Dataset, rate: float = 0.1, day: date = date(2013, 1, 1)) -> cm.Model:
    return cm.Model.from_path(data.path)


@cm.step
def check(data: cm.Dataset) -> None: ...


@cm.step
def copy(anything: Path) -> Path:
    return anything


@cm.pipeline
def flights(days: int = 7, rate: float = 0.1) -> cm.Model:
    parts = split(load(), days=days)
    check(parts.test)
    return train(parts.train, rate=rate)


STRANGE = object()
INT = ValueType(kind=Kind.INT)


def adding(name: str, *, after: tuple[str, ...] = (), x: OutputRef | int = 1) -> StepSpec:
    given: dict[str, Any] = {"inputs": {"x": x}} if isinstance(x, OutputRef) else {"parameters": {"x": x}}
    return StepSpec(name=name, function="m:add", input_types={"x": INT}, outputs={"output": INT}, after=after, **given)


def faults(pipeline: Any, parameters: dict[str, object] | None = None) -> tuple[str, ...]:
    with pytest.raises(InvalidPipelineError) as refusal:
        pipeline.graph(parameters)
    return refusal.value.faults


def test_calling_steps_in_a_pipeline_builds_its_graph() -> None:
    graph = flights.graph({"days": 3})

    assert [step.name for step in graph.steps] == ["load", "split", "check", "train"]
    assert graph.by_name["split"].parameters == {"days": 3}
    assert graph.by_name["split"].inputs == {"data": OutputRef(step="load", output="output")}
    assert graph.by_name["train"].inputs == {"data": OutputRef(step="split", output="train")}
    assert graph.by_name["train"].parameters == {"rate": 0.1, "day": "2013-01-01"}
    assert graph.outputs == {"output": OutputRef(step="train", output="output")}
    assert graph.parameters == {"days": 3, "rate": 0.1}


def test_a_graph_written_as_json_is_read_back_the_same() -> None:
    graph = flights.graph()

    assert graph_from_json(graph_to_json(graph)) == graph


def test_outside_a_pipeline_a_step_is_just_its_function() -> None:
    assert train(cm.Dataset.from_path("x")) == cm.Model.from_path("x")
    assert train.__name__ == "train"


def test_a_pipeline_cannot_be_called_by_itself() -> None:
    with pytest.raises(InvalidPipelineError, match=r"platform\.pipelines\.run"):
        flights()


def test_a_pipeline_within_a_pipeline_adds_its_steps() -> None:
    @cm.pipeline
    def outer() -> cm.Model:
        flights(days=1)
        return flights(days=2)

    graph = outer.graph()

    assert [step.name for step in graph.steps][4:] == ["load_2", "split_2", "check_2", "train_2"]
    assert graph.outputs == {"output": OutputRef(step="train_2", output="output")}


def test_a_step_used_twice_is_numbered_or_named() -> None:
    @cm.pipeline
    def twice() -> cm.Dataset:
        load()
        load.with_options(name="other", retries=5)("there")
        return load("again")

    graph = twice.graph()

    assert [step.name for step in graph.steps] == ["load", "other", "load_2"]
    assert graph.by_name["other"].options.retries == 5


def test_after_orders_steps_that_exchange_nothing() -> None:
    @cm.pipeline
    def ordered() -> cm.Dataset:
        checked = check(load())
        return load.with_options(name="later", after=[checked])("there")

    assert ordered.graph().by_name["later"].after == ("check",)


def test_a_path_takes_any_artifact_and_a_float_takes_an_int() -> None:
    @cm.step
    def count() -> int:
        return 1

    @cm.pipeline
    def loose() -> cm.Model:
        copy(load())
        return train(load(), rate=count())

    assert len(loose.graph().steps) == 5


def test_all_faults_of_a_graph_are_listed_at_once() -> None:
    graph = Graph(
        name="Bad Name",
        steps=(
            adding("a", x=OutputRef(step="c", output="output")),
            adding("b", x=OutputRef(step="a", output="output")),
            adding("c", x=OutputRef(step="b", output="output")),
            adding("d", x=OutputRef(step="a", output="sum")),
            adding("d", after=("nowhere",)),
            replace(adding("e"), parameters={}, options=StepOptions(retries=-1, timeout=timedelta(0))),
            replace(adding("f"), parameters={"x": "text", "y": 1}),
        ),
        outputs={"output": OutputRef(step="z", output="output")},
    )

    assert graph.faults() == [
        "pipeline name 'Bad Name' must be a lower-case letter, then at most 62 of a-z, 0-9, '-' and '_'",
        "step name 'd' is used 2 times",
        "step 'd': input 'x': step 'a' has no output 'sum'; it has output",
        "step 'd' runs after 'nowhere', which is not a step",
        "step 'e' misses its input 'x' (int)",
        "step 'e': retries must be 0 or more, not -1",
        "step 'e': the timeout must be longer than nothing, not 0:00:00",
        "step 'f': input 'x': expected int, not 'text' (str)",
        "step 'f' has no input 'y'",
        "the pipeline's output 'output': there is no step 'z'",
        "the steps form a cycle: a -> b -> c -> a",
    ]


def test_a_cycle_made_with_after_is_found() -> None:
    @cm.pipeline
    def circle() -> cm.Dataset:
        first = load.with_options(name="first", after=["second"])()
        return load.with_options(name="second", after=[first])()

    assert faults(circle) == ("the steps form a cycle: first -> second -> first",)


def test_all_faults_of_a_pipeline_are_listed_at_once() -> None:
    @cm.pipeline
    def bad(days: int) -> cm.Model:
        parts = split(3, days="x", colour="red")
        train(parts.train, rate=load(), more=1)
        return load()

    assert faults(bad, {"days": 1}) == (
        "step 'split' has no input 'colour'; it has data, days",
        "step 'split': input 'data' is a Dataset, which only another step can supply, not 3",
        "step 'split': input 'days': expected int, not 'x' (str)",
        "step 'train' has no input 'more'; it has data, rate, day",
        "pipeline 'bad': output 'output' is a Model, but load_2.output is a Dataset",
        "step 'train': input 'rate' is a float, but load.output is a Dataset",
    )


def test_parameters_that_are_missing_unknown_or_of_the_wrong_type_are_listed() -> None:
    @cm.pipeline
    def strict(days: int, on: date, names: list[str]) -> cm.Dataset:
        return load()

    assert faults(strict, {"on": "yesterday", "names": ["a", 1], "x": 1}) == (
        "pipeline 'strict' has no parameter 'x'",
        "pipeline 'strict' misses its parameter 'days' (int)",
        "pipeline 'strict': parameter 'on': expected date, not 'yesterday' (str)",
        "pipeline 'strict': parameter 'names': item 1: expected str, not 1 (int)",
    )


def test_annotations_and_defaults_that_cannot_be_stored_are_faults() -> None:
    @cm.step
    def odd(
        thing,  # type: ignore[no-untyped-def] # the fault that is tested
        number: complex,
        data: cm.Dataset = None,  # type: ignore[assignment] # likewise
        names: list[str] = ("a", STRANGE),  # type: ignore[assignment,list-item] # likewise
        *rest: int,
    ) -> set[str]:
        return set()

    @cm.pipeline
    def uses() -> None:
        odd()

    found = faults(uses)

    assert found[0].startswith("step 'odd': parameter 'thing' has no annotation; expected str, int, float")
    assert found[1].startswith("step 'odd': parameter 'number' is annotated complex; expected str")
    assert found[2] == "step 'odd': parameter 'data' is a Dataset and cannot have a default"
    assert found[3].startswith("step 'odd': the default of 'names' cannot be stored: item 1: expected str, not <object")
    assert found[4] == "step 'odd': parameter 'rest' must be an ordinary named one"
    assert found[5].startswith("step 'odd': its result is annotated set[str]; expected")


def test_an_annotation_known_to_the_type_checker_alone_is_a_fault() -> None:
    def unseen(data: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821 the fault that is tested

    @cm.pipeline
    def uses() -> None:
        cm.step(unseen)()

    assert faults(uses)[0] == (
        "step 'unseen': the annotation 'Nowhere' is not known at run time; import it outside TYPE_CHECKING"
    )


def test_a_pipeline_without_steps_is_a_fault() -> None:
    @cm.pipeline
    def empty() -> None: ...

    assert faults(empty) == ("pipeline 'empty' has no steps",)


def test_an_error_in_the_body_is_the_users_own() -> None:
    @cm.pipeline
    def broken() -> None:
        load()
        raise KeyError("days")

    with pytest.raises(KeyError, match="days"):
        broken.graph()


def test_a_bare_list_of_typing_is_a_list() -> None:
    assert value_type(typing.List) == value_type(list)  # noqa: UP006 as users of older code write it
    assert value_type(typing.Dict) == value_type(dict)  # noqa: UP006


@pytest.mark.parametrize("annotation", ["Path.NoSuch", "int | 'Foo'"])
def test_an_annotation_that_cannot_be_evaluated_is_among_the_faults(annotation: str) -> None:
    def mistyped(x: int) -> int:
        return x

    mistyped.__annotations__["x"] = annotation

    @cm.pipeline
    def flow() -> int:
        return cm.step(mistyped)(1)

    assert any("step 'mistyped': its annotations cannot be read" in fault for fault in faults(flow))


def test_a_field_of_several_outputs_that_is_not_known_is_among_the_faults() -> None:
    class Halves(NamedTuple):
        left: "NoSuch"  # type: ignore[name-defined]  # noqa: F821, UP037

    def halve(x: int) -> object:
        return x

    halve.__annotations__["return"] = Halves

    @cm.pipeline
    def flow() -> None:
        cm.step(halve)(1)

    assert any("the annotation 'NoSuch' is not known" in fault for fault in faults(flow))


def test_a_body_cannot_decide_or_loop_over_an_output() -> None:
    @cm.pipeline
    def deciding() -> None:
        if load():
            check(load())

    @cm.pipeline
    def looping() -> None:
        for part in load():
            check(part)

    for flow, said in ((deciding, "decides over the output load.output"), (looping, "loops over the output")):
        with pytest.raises(InvalidPipelineError, match=said):
            flow.graph()


def test_a_result_without_an_annotation_is_a_fault() -> None:
    @cm.pipeline
    def flow():
        return load()

    assert any("its annotation says nothing of it" in fault for fault in faults(flow))
