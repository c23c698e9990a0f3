"""`cloudmlops run`, `runs`, `logs` and `schedule`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudmlops.cli.session import Session, session_options
from cloudmlops.domain.pipelines import Pipeline
from cloudmlops.domain.runs import RunState
from cloudmlops.domain.value_types import parse
from cloudmlops.errors import InvalidPipelineError, InvalidRequestError

if TYPE_CHECKING:
    from cloudmlops.domain.lineage import Lineage
    from cloudmlops.services.pipelines import Run


@click.command()
@click.argument("pipeline", metavar="MODULE:PIPELINE|FILE.py:PIPELINE")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; JSON but for text.")
@click.option("--wait/--detach", default=True, help="Wait for its end, or let it run on its own.")
@click.option("--id", "run_id", metavar="ID", help="The same id again is the same run.")
@click.option("--cache/--no-cache", default=True, help="Whether earlier successes may stand for steps.")
@click.option("--in-process", is_flag=True, help="Call the steps in this process, for a debugger.")
@click.option("--plan", "only_plan", is_flag=True, help="Only say what would run.")
@session_options
def run(
    session: Session,
    pipeline: str,
    params: Sequence[str],
    wait: bool,
    run_id: str | None,
    cache: bool,
    in_process: bool,
    only_plan: bool,
) -> None:
    """Run a pipeline."""
    found = load_pipeline(pipeline)
    parameters = parse_parameters(found, params)
    if only_plan:
        planned = session.platform.pipelines.plan(found, parameters)
        rows = [{"step": step.name, "cached": step.cached, "needs": step.needs} for step in planned.steps]
        session.table(f"plan of {planned.pipeline}", ("step", "cached", "needs"), rows)
        return
    started = session.platform.pipelines.run(
        found,
        parameters,
        wait=wait,
        id=run_id,
        in_process=in_process,
        cache=cache,
        progress=wait and not session.as_json,
    )
    _show(session, started)


@click.group()
def runs() -> None:
    """List, inspect, resume and cancel runs."""


@runs.command("list")
@click.option("--pipeline", metavar="NAME", help="Of this pipeline only.")
@click.option("--limit", default=20, show_default=True, help="How many, the newest first.")
@session_options
def list_runs(session: Session, pipeline: str | None, limit: int) -> None:
    """List runs, the newest first."""
    found = session.platform.pipelines.list(pipeline, limit=limit)
    rows = [
        {"id": one.id, "pipeline": one.pipeline, "status": one.status, "created_at": one.created_at} for one in found
    ]
    session.table("runs", ("id", "pipeline", "status", "created_at"), rows)


@runs.command("show")
@click.argument("run_id", metavar="RUN")
@session_options
def show(session: Session, run_id: str) -> None:
    """Show a run: its steps, outputs, metrics and lineage."""
    _show(session, session.platform.pipelines.get(run_id), whole=True)


@runs.command("wait")
@click.argument("run_id", metavar="RUN")
@session_options
def wait_for(session: Session, run_id: str) -> None:
    """Wait until a run has ended; fails when it did not succeed."""
    _show(session, session.platform.pipelines.get(run_id).wait(progress=not session.as_json))


@runs.command("cancel")
@click.argument("run_id", metavar="RUN")
@session_options
def cancel(session: Session, run_id: str) -> None:
    """End a run; its steps are killed."""
    _show(session, session.platform.pipelines.get(run_id).cancel())


@runs.command("resume")
@click.argument("run_id", metavar="RUN")
@click.option("--wait/--detach", default=True, help="Wait for its end, or let it run on its own.")
@session_options
def resume(session: Session, run_id: str, wait: bool) -> None:
    """Go on with a run; what succeeded does not run again."""
    found = session.platform.pipelines.get(run_id)
    _show(session, found.resume(wait=wait, progress=wait and not session.as_json))


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("step")
@click.option("--attempt", type=int, help="Which attempt; the last by default.")
@click.option("--follow", is_flag=True, help="Print what comes too, until the step has ended.")
@session_options
def logs(session: Session, run_id: str, step: str, attempt: int | None, follow: bool) -> None:
    """Print all that a step printed."""
    if follow and (attempt is not None or session.as_json):
        raise click.UsageError(
            "--follow goes on with later attempts, line by line: give it without --attempt and --json"
        )
    found = session.platform.pipelines.get(run_id)
    if follow:
        for line in found.follow(step):
            click.echo(line, nl=False)
        return
    text = found.logs(step, attempt=attempt)
    if session.as_json:
        session.record(step, {"run": run_id, "step": step, "log": text})
    else:
        click.echo(text, nl=False)


@click.group()
def schedule() -> None:
    """Add, list, remove and run schedules."""


@schedule.command("add")
@click.argument("pipeline", metavar="MODULE:PIPELINE|FILE.py:PIPELINE")
@click.option("--name", required=True, help="Adding the same name again replaces it.")
@click.option("--cron", required=True, metavar="EXPRESSION", help="Such as '0 6 * * *'.")
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="In which the expression is read.")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; JSON but for text.")
@click.option(
    "--cache/--no-cache",
    default=False,
    show_default=True,
    help="Whether earlier successes may stand for steps, also for steps that read what has changed since.",
)
@session_options
def add_schedule(
    session: Session, pipeline: str, name: str, cron: str, timezone: str, params: Sequence[str], cache: bool
) -> None:
    """Run a pipeline at times."""
    found = load_pipeline(pipeline)
    parameters = parse_parameters(found, params)
    added = session.platform.pipelines.schedule(
        found, name=name, cron=cron, timezone=timezone, parameters=parameters, cache=cache
    )
    session.record(f"schedule {name}", {"name": added.name, "cron": added.cron, "timezone": added.timezone})
    session.note("Its times come to pass while `cloudmlops schedule run` is running.")


@schedule.command("list")
@session_options
def list_schedules(session: Session) -> None:
    """List schedules."""
    columns = ("name", "pipeline", "cron", "timezone", "last_fired_at", "paused")
    rows = [{column: getattr(one, column) for column in columns} for one in session.platform.pipelines.schedules()]
    session.table("schedules", columns, rows)


@schedule.command("remove")
@click.argument("name")
@session_options
def remove_schedule(session: Session, name: str) -> None:
    """Remove a schedule; its runs stay."""
    session.platform.pipelines.unschedule(name)
    session.record(f"schedule {name}", {"name": name, "removed": True})


@schedule.command("run")
@click.option("--wait", is_flag=True, help="When another scheduler is at work, wait to take its place.")
@session_options
def run_schedules(session: Session, wait: bool) -> None:
    """Start runs at their times until this process is stopped."""
    platform = session.platform
    with suppress(KeyboardInterrupt):
        platform.pipelines.run_schedules(wait=wait, started=lambda: session.note("scheduling; stop with Ctrl-C"))


def load_pipeline(reference: str) -> Pipeline[..., Any]:
    """Import the pipeline that `MODULE:NAME` or `FILE.py:NAME` means; without a name the only one there.

    Raises:
        InvalidPipelineError: There is no such module, or no such pipeline in it.
    """
    place, _, name = reference.partition(":")
    root, module = _file_module(Path(place)) if place.endswith(".py") else (Path.cwd(), place)
    sys.path.insert(0, str(root))
    try:
        found = vars(import_module(module))
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise
        raise InvalidPipelineError(
            f"there is no module {module!r} in {root}", hint="Write MODULE:PIPELINE or FILE.py:PIPELINE."
        ) from error
    pipelines = {key: value for key, value in found.items() if isinstance(value, Pipeline)}
    chosen = found.get(name) if name else next(iter(pipelines.values())) if len(pipelines) == 1 else None
    if not isinstance(chosen, Pipeline):
        raise InvalidPipelineError(
            f"{place} has no pipeline {name!r}" if name else f"{place} has {len(pipelines)} pipelines: which one?",
            hint=f"Its pipelines: {', '.join(pipelines) or 'none'}.",
        )
    return chosen


def parse_parameters(pipeline: Pipeline[..., Any], given: Sequence[str]) -> dict[str, object]:
    """Read `NAME=VALUE` texts as the pipeline's types say; lists all faults at once."""
    inputs = pipeline.signature.inputs
    values: dict[str, object] = {}
    faults: list[str] = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            faults.append(f"{text!r} is not NAME=VALUE")
        elif name not in inputs:
            faults.append(f"pipeline {pipeline.name!r} has no parameter {name!r}; it has {', '.join(inputs) or 'none'}")
        else:
            try:
                values[name] = parse(value, inputs[name])
            except TypeError as error:
                faults.append(f"parameter {name!r}: {error}")
    if faults:
        raise InvalidRequestError("the parameters are wrong", faults=faults)
    return values


def _file_module(file: Path) -> tuple[Path, str]:
    if not file.is_file():
        raise InvalidPipelineError(f"there is no file {str(file)!r}", hint="Write FILE.py:PIPELINE or MODULE:PIPELINE.")
    parts, folder = [file.stem], file.absolute().parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _show(session: Session, run: Run, *, whole: bool = False) -> None:
    record = run.record
    fields: dict[str, object] = {"id": run.id, "pipeline": run.pipeline, "status": record.state}
    steps = {
        name: {"state": step.state, "attempt": step.attempt, "error": step.error, "cached_from": step.cached_from}
        for name, step in record.steps.items()
    }
    if session.as_json:
        fields["steps"] = steps
    if record.state is RunState.SUCCEEDED:
        fields["outputs"] = {name: getattr(value, "uri", value) for name, value in run.outputs.items()}
    if logged := run.metrics:
        fields["logged"] = logged
    if whole:
        fields |= {"created_at": record.created_at, "started_at": record.started_at, "ended_at": record.ended_at}
        fields |= _origin(run.lineage)
    session.record(f"run {run.id}", fields)
    if whole and not session.as_json:
        rows = [{"step": name, **step} for name, step in steps.items()]
        session.table("steps", ("step", "state", "attempt", "error"), rows)


def _origin(lineage: Lineage) -> dict[str, object]:
    return {
        "parameters": lineage.parameters,
        "git_commit": lineage.git_commit,
        "git_dirty": lineage.git_dirty,
        "source_digest": lineage.source_digest,
        "python": lineage.python,
        "actor": str(lineage.actor),
    }
