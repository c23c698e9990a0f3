"""Waiting for a run while showing people how far it is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.runs import RunRecord, StepRecord, StepState
from cloudmlops.ports.pipelines import PipelinesPort

if TYPE_CHECKING:
    from rich.table import Table

_LOOKS: Final[Mapping[StepState, tuple[str, str]]] = {
    StepState.WAITING: ("·", "dim"),
    StepState.RUNNING: ("…", "cyan"),
    StepState.SUCCEEDED: ("✓", "green"),
    StepState.CACHED: ("=", "green"),
    StepState.FAILED: ("✗", "red"),
    StepState.SKIPPED: ("-", "dim"),
    StepState.CANCELLED: ("■", "yellow"),
}


def wait_and_show(port: PipelinesPort, run: str, timeout: timedelta | None) -> RunRecord:
    """Wait as the port does, and show the steps on standard error: live on a terminal, else a line a change."""
    return _live(port, run, timeout) if sys.stderr.isatty() else _lines(port, run, timeout)


def _live(port: PipelinesPort, run: str, timeout: timedelta | None) -> RunRecord:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False) as live:
        return port.wait(run, timeout, seen=lambda record: live.update(_table(record), refresh=True))


def _lines(port: PipelinesPort, run: str, timeout: timedelta | None) -> RunRecord:
    shown: dict[str, tuple[StepState, int]] = {}

    def seen(record: RunRecord) -> None:
        for step in record.steps.values():
            if shown.get(step.name) != (step.state, step.attempt) and step.state is not StepState.WAITING:
                shown[step.name] = (step.state, step.attempt)
                sys.stderr.write(f"{step.name}: {step.state}{_again(step)}{_took(step)}\n")

    return port.wait(run, timeout, seen=seen)


def _table(record: RunRecord) -> Table:
    from rich.table import Table

    table = Table(title=f"{record.pipeline} · {record.id} · {record.state}", title_justify="left", box=None)
    for column in ("", "step", "state", "time", ""):
        table.add_column(column)
    for step in record.steps.values():
        mark, style = _LOOKS[step.state]
        error = step.error.splitlines()[0] if step.error else ""
        table.add_row(mark, step.name, f"{step.state}{_again(step)}", _took(step).strip(" ()"), error, style=style)
    return table


def _again(step: StepRecord) -> str:
    return f", attempt {step.attempt}" if step.attempt > 1 else ""


def _took(step: StepRecord) -> str:
    if step.started_at is None or step.state is StepState.CACHED:
        return ""
    end = step.ended_at or datetime.now(UTC)
    return f" ({(end - step.started_at).total_seconds():.1f} s)"
