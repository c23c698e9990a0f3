"""How a sweep is written as a step of a pipeline: in the names of YAML, and not in those of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.jobs.sweeps import Sweep, sweep_of
from cloudmlops.emulators.azure.jobs.tasks import Task, duration_of

FIELDS: Final = ("search_space", "sampling_algorithm", "objective", "limits", "early_termination")
_ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "choice": ("values",),
    "randint": ("upper",),
    "uniform": ("min_value", "max_value"),
    "quniform": ("min_value", "max_value", "q"),
    "loguniform": ("min_value", "max_value"),
    "qloguniform": ("min_value", "max_value", "q"),
    "normal": ("mu", "sigma"),
    "qnormal": ("mu", "sigma", "q"),
    "lognormal": ("mu", "sigma"),
    "qlognormal": ("mu", "sigma", "q"),
}


def sweep_of_node(node: Mapping[str, Any], task: Task, name: str) -> Sweep:
    """Read the sweep that a step is.

    Args:
        node: The step.
        task: Of its trial.
        name: Of the step, for errors.

    Raises:
        Refused: It is malformed, or wants what is not emulated.
    """
    limits: Mapping[str, Any] = node.get("limits") or {}
    sampling = node.get("sampling_algorithm") or "random"
    chosen = sampling if isinstance(sampling, Mapping) else {"type": sampling}
    objective: Mapping[str, Any] = node.get("objective") or {}
    return sweep_of(
        replace(task, timeout=duration_of(_duration(limits.get("trial_timeout")))),
        space={key: _distribution(one, f"{name}.{key}") for key, one in (node.get("search_space") or {}).items()},
        sampling={
            **{key: one for key, one in chosen.items() if key != "type"},
            "samplingAlgorithmType": str(chosen.get("type")).capitalize(),
        },
        objective={"primaryMetric": objective.get("primary_metric"), "goal": objective.get("goal")},
        limits={
            "maxTotalTrials": limits.get("max_total_trials"),
            "maxConcurrentTrials": limits.get("max_concurrent_trials"),
            "timeout": _duration(limits.get("timeout")),
        },
        policy=node.get("early_termination"),
    )


def _distribution(given: Mapping[str, Any], where: str) -> list[Any]:
    kind = str(given.get("type"))
    if kind not in _ARGUMENTS or any(name not in given for name in _ARGUMENTS[kind]):
        raise UserError("INVALID_ARGUMENT", f"The distribution {dict(given)!r} of {where} is none.")
    return [kind, [given[name] for name in _ARGUMENTS[kind]]]


def _duration(given: object) -> str | None:
    """Return a duration in seconds, or in ISO 8601, as the latter."""
    return None if given is None else str(given) if str(given).startswith("P") else f"PT{given}S"
