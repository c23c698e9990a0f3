"""Pipelines in kfp's own words; run by an interpreter that has kfp, with the folder for the compiled ones."""

import sys
from pathlib import Path
from typing import Dict, List  # noqa: UP035 kfp reads these

from kfp import compiler, dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output

PYTHON = "python:3.11"


@dsl.component(base_image=PYTHON, packages_to_install=["nothing-that-is-there"])
def make(rows: int, out: Output[Dataset]) -> int:
    """Leave an artifact and a number."""
    with open(out.path, "w") as file:  # noqa: PTH123 kfp takes this function's text alone
        file.write("x\n" * rows)
    out.metadata["rows"] = rows
    return rows


@dsl.component(base_image=PYTHON)
def numbers(n: int) -> List[int]:  # noqa: UP006
    """Leave a list."""
    return list(range(n))


@dsl.component(base_image=PYTHON)
def square(x: int) -> int:
    """Leave a number."""
    return x * x


@dsl.component(base_image=PYTHON)
def total(xs: List[int]) -> int:  # noqa: UP006
    """Take a list."""
    return sum(xs)


@dsl.component(base_image=PYTHON)
def fit(
    data: Input[Dataset],
    model: Output[Model],
    metrics: Output[Metrics],
    rate: float = 0.5,
    words: Dict[str, str] = {"a": "b"},  # noqa: B006, UP006 kfp reads it
):
    """Take an artifact, leave a model and metrics."""
    with open(data.path) as file:  # noqa: PTH123
        rows = len(file.readlines())
    with open(model.path, "w") as file:  # noqa: PTH123
        file.write(f"{rows} {rate} {words}")
    metrics.log_metric("rows", rows)


@dsl.component(base_image=PYTHON)
def say(text: str) -> str:
    """Leave what it takes."""
    return text


@dsl.component(base_image=PYTHON)
def fail():
    """Fail."""
    raise ValueError("no")


@dsl.component(base_image=PYTHON)
def after(status: dsl.PipelineTaskFinalStatus) -> str:
    """Leave what became of others."""
    return f"{status.state} {status.error_message}"


@dsl.container_component
def shell(name: str, out: dsl.OutputPath(str), copy: Output[Dataset]):
    """Run a command."""
    return dsl.ContainerSpec(
        image="alpine:3",
        command=["sh", "-c", 'mkdir -p "$(dirname $1)" && printf %s "$0" > "$1" && cp "$1" "$2"'],
        args=[name, out, copy.path],
    )


@dsl.pipeline
def inner(rows: int) -> int:
    """Be a part of another pipeline."""
    return make(rows=rows).outputs["Output"]


@dsl.pipeline(name="everything")
def everything(rows: int = 3, greeting: str = "hi"):
    """Use what kfp compiles."""
    made = make(rows=rows)
    fit(data=made.outputs["out"]).set_retry(2).set_cpu_limit("2").set_memory_limit("4G")
    listed = numbers(n=3)
    with dsl.ParallelFor(listed.output, parallelism=2) as x:
        squared = square(x=x)
    summed = total(xs=dsl.Collected(squared.output))
    with dsl.ParallelFor([{"a": "1", "b": "u"}, {"a": "2", "b": "v"}]) as item:
        say(text=item.a)
        say(text=item.b)
    with dsl.If(summed.output == 5):
        one = say(text=greeting)
    with dsl.Elif(summed.output > 7):
        two = say(text="other")
    with dsl.Else():
        three = say(text="none")
    say(text=dsl.OneOf(one.output, two.output, three.output)).set_display_name("chosen")
    square(x=inner(rows=rows).output)
    shell(name=f"{greeting}-{dsl.PIPELINE_JOB_NAME_PLACEHOLDER}")


@dsl.pipeline(name="exiting")
def exiting(bad: bool = True):
    """Fail, and handle it."""
    with dsl.ExitHandler(after()):
        with dsl.If(bad == True):  # noqa: E712 kfp overloads it
            fail()
        say(text="went on").after(square(x=3))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for pipeline in (everything, exiting):
        compiler.Compiler().compile(pipeline, str(folder / f"{pipeline.name}.yaml"))
