"""A run as function calls in this process, for a debugger."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from cloudmlops.domain.pipelines import Step
from cloudmlops.domain.runs import RunRequest
from cloudmlops.providers.local.running import attempts
from cloudmlops.providers.local.running.attempts import Failure
from cloudmlops.providers.local.running.execution import Execution


def carry(request: RunRequest, execution: Execution) -> None:
    """Run the steps of a run, one after another."""
    execution.begin()
    pending = list(execution.ready())
    while pending:
        attempt = pending.pop(0)
        function = request.graph.functions.get(attempt.step)
        called = Step(function, request.graph.by_name[attempt.step].options) if function else None
        with _environment(attempt.variables()):
            outcome = attempts.perform(attempt, Path(attempt.folder, f"work.{os.getpid()}"), called)
        if not isinstance(outcome, Failure):
            attempts.discard(Path(attempt.folder))
            execution.succeeded(attempt.step, outcome)
        elif (delay := execution.failed(attempt.step, outcome)) is not None:
            time.sleep(delay.total_seconds())
            execution.again(attempt.step)
        pending += execution.ready()
    execution.end()


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
