"""Names of runs and steps as Azure ML's, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cloudmlops.domain.graph import Graph

_RESUMED: Final = re.compile(r"(.+)--R([0-9]+)")
_TAKEN: Final = re.compile(r".+--r[0-9]+")


def job_of(run: str, attempt: int = 1) -> str:
    """Return the name of the job of a run; each resume is a job of its own."""
    return run if attempt == 1 else f"{run}--R{attempt}"


def run_of(job: str) -> str:
    """Return the run that a job belongs to; names of ours have no capital letter."""
    found = _RESUMED.fullmatch(job)
    return found[1] if found else job


def attempt_of(job: str) -> int:
    """Return which of a run's jobs one is, counted from 1."""
    found = _RESUMED.fullmatch(job)
    return int(found[2]) if found else 1


def run_faults(run: str) -> list[str]:
    """List why a run cannot have a name; Azure ML does not tell capital letters from small ones."""
    return [f"run {run!r} is called as the second job of another run would be"] if _TAKEN.fullmatch(run) else []


def nodes(graph: Graph) -> Mapping[str, str]:
    """Return what each step is called in a pipeline job, where a name has no hyphen."""
    found: dict[str, str] = {}
    for step in graph.steps:
        name = wanted = step.name.replace("-", "_")
        place = 1
        while name in found.values() or (name != step.name and name in graph.by_name):
            place += 1
            name = f"{wanted}_{place}"
        found[step.name] = name
    return found
