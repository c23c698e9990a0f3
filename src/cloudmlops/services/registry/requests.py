"""What is wrong with a request for a model, in words, before anything is read or written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cloudmlops.domain.ledger import Evidence
from cloudmlops.errors import InvalidRequestError

_EVIDENCE = ("metrics", "baseline", "run", "reports")


def refuse(name: str, faults: Sequence[str], *, hint: str = "") -> None:
    """Raise `InvalidRequestError` when there are faults."""
    if faults:
        raise InvalidRequestError(f"the request for model {name!r} is wrong", faults=faults, hint=hint)


def number_faults(kind: str, values: object) -> list[str]:
    """List what is not a named, finite number; numbers of numpy and its like are numbers."""
    if not isinstance(values, Mapping):
        return [f"{kind}s are {values!r}, not a mapping of names to numbers"]
    return [
        f"{kind} {name!r} is {value!r}, not a finite number"
        for name, value in values.items()
        if not is_text(name) or not _is_number(value)
    ]


def text_faults(kind: str, values: Mapping[Any, object]) -> list[str]:
    """List what is not a named text."""
    return [
        f"{kind} {name!r} = {value!r}: names and values are texts, and names are not empty"
        for name, value in values.items()
        if not is_text(name) or not is_text(value) or not name
    ]


def said_faults(**texts: object) -> list[str]:
    """List what is neither None nor a text that can be kept."""
    return [
        f"the {name} is {value!r}, not valid Unicode" if isinstance(value, str)
        else f"the {name} is {type(value).__name__}, not text"
        for name, value in texts.items()
        if value is not None and not is_text(value)
    ]  # fmt: skip


def is_text(value: object) -> bool:
    """Say whether a value is a text without lone surrogates."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value


def run_id(run: object) -> str | None:
    """Return the id of a run, or of its id; raise `InvalidRequestError` for what is neither."""
    found = run if run is None or isinstance(run, str) else getattr(run, "id", None)
    if run is not None and not isinstance(found, str):
        raise InvalidRequestError(f"{run!r} is not a run", hint="Give a run, or its id as text.")
    return found


def checked_evidence(given: Evidence | Mapping[str, Any] | None) -> Evidence | None:
    """Return evidence; raise `InvalidRequestError` with all that is wrong with it."""
    if given is None:
        return None
    parts: Mapping[str, Any] = (
        {name: getattr(given, name) for name in _EVIDENCE} if isinstance(given, Evidence) else given
    )
    faults = [f"evidence has no {name}" for name in sorted(map(str, set(parts) - {*_EVIDENCE}))]
    metrics, baseline, reports = parts.get("metrics", {}), parts.get("baseline", {}), parts.get("reports", ())
    faults += [*number_faults("metric", metrics), *number_faults("baseline", baseline)]
    if isinstance(reports, str) or not isinstance(reports, Sequence):
        faults.append(f"reports are {reports!r}, not a list of addresses")
    else:
        faults += said_faults(**{f"report {number}": str(report) for number, report in enumerate(reports, 1)})
    run = run_id(parts.get("run"))
    faults += said_faults(run=run)
    if faults:
        raise InvalidRequestError(
            "the evidence is not usable", faults=faults, hint="It has metrics, baseline, run and reports."
        )
    return Evidence(
        metrics={name: float(value) for name, value in metrics.items()},
        baseline={name: float(value) for name, value in baseline.items()},
        run=run,
        reports=tuple(map(str, reports)),
    )


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return False
    try:
        return math.isfinite(float(value))
    except (OverflowError, TypeError, ValueError):
        return False
