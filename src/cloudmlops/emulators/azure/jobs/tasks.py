"""What a command job or a step does, read from its definition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from cloudmlops.emulators.azure.jobs.distribution import Distribution, distribution_of
from cloudmlops.emulators.azure.jobs.names import check_names
from cloudmlops.emulators.core.faults import Refused

INPUTS: Final = ("literal", "uri_file", "uri_folder", "custom_model", "mlflow_model", "triton_model")
OUTPUTS: Final = ("uri_file", "uri_folder")
DIRECT: Final = "Direct"
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """An input."""

    kind: str
    """One of `INPUTS`."""
    text: str
    """A literal, or an address."""
    mode: str | None = None

    @property
    def literal(self) -> bool:
        """Whether it is its text."""
        return self.kind == "literal"


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Where an output goes."""

    kind: str
    """One of `OUTPUTS`."""
    uri: str | None = None
    """Where it is kept; None is a place of the run's own in the default datastore."""
    mode: str | None = None
    asset_name: str | None = None
    """The asset that it is registered as; None is one of the run's own."""
    asset_version: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One command with all that it needs."""

    command: str
    """For a shell; where there is a program, its arguments, which no shell reads."""
    code: str | None
    """Id of its code."""
    environment: str
    """Id of its environment."""
    variables: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Value | None] = field(default_factory=dict)
    """None is an optional one that is not given."""
    outputs: Mapping[str, Output] = field(default_factory=dict)
    timeout: timedelta | None = None
    identity: Mapping[str, Any] | None = None
    program: tuple[str, ...] = ()
    log: str = "user_logs/std_log.txt"
    """Where what it prints is kept among its artifacts."""
    distribution: Distribution = field(default_factory=Distribution)
    local: bool = False
    """Whether it is given local paths even for what it is to reach directly."""


def value_of(given: Mapping[str, Any], where: str) -> Value:
    """Read an input, in the names of a job or of a step.

    Raises:
        Refused: It is of a kind that is not emulated.
    """
    kind = str(given.get("jobInputType") or given.get("job_input_type") or given.get("type") or "literal")
    if kind not in INPUTS:
        raise Refused("UNIMPLEMENTED", f"An input of type {kind!r} is not emulated: {where}.", reason="UserError")
    text = given.get("value") if given.get("uri") is None else given["uri"]
    return Value(kind=kind, text="" if text is None else str(text), mode=_mode(given))


def output_of(given: Mapping[str, Any], where: str, *, kind: str = "") -> Output:
    """Read an output, in the names of a job or of a step.

    Raises:
        Refused: It is of a kind that is not emulated.
    """
    kind = str(kind or given.get("jobOutputType") or given.get("job_output_type") or given.get("type") or "uri_folder")
    if kind not in OUTPUTS:
        raise Refused("UNIMPLEMENTED", f"An output of type {kind!r} is not emulated: {where}.", reason="UserError")
    return Output(
        kind=kind,
        uri=given.get("uri"),
        mode=_mode(given),
        asset_name=given.get("assetName") or given.get("asset_name"),
        asset_version=given.get("assetVersion") or given.get("asset_version"),
    )


def duration_of(text: str | None) -> timedelta | None:
    """Read a duration as ISO 8601 writes it, such as `PT1H30M`.

    Raises:
        Refused: It is none.
    """
    if not text:
        return None
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise Refused("INVALID_ARGUMENT", f"{text!r} is no duration.", reason="UserError")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def command_task(job: Mapping[str, Any]) -> Task:
    """Read a command job.

    Raises:
        Refused: It wants what is not emulated, or is malformed.
    """
    for name in ("services", "autologgerSettings"):
        if job.get(name):
            raise Refused("UNIMPLEMENTED", f"The {name} of a command job is not emulated.", reason="UserError")
    missing = [name for name in ("command", "environmentId") if not job.get(name)]
    if missing:
        raise Refused("INVALID_ARGUMENT", f"The field {missing[0]} of a command job is required.", reason="UserError")
    given: Mapping[str, Any] = job.get("inputs") or {}
    check_names("the job", given, job.get("outputs"))
    return Task(
        command=str(job["command"]),
        code=job.get("codeId"),
        environment=str(job["environmentId"]),
        variables={name: str(value) for name, value in (job.get("environmentVariables") or {}).items()},
        distribution=distribution_of(job.get("distribution"), [job.get("resources")], "a command job"),
        inputs={name: value_of(one, name) for name, one in given.items()},
        outputs={
            name: output_of(one, name) for name, one in (job.get("outputs") or {}).items() if name != "default" and one
        },
        timeout=duration_of((job.get("limits") or {}).get("timeout")),
        identity=job.get("identity"),
    )


def _mode(given: Mapping[str, Any]) -> str | None:
    mode = given.get("mode")
    if mode in ("EvalMount", "EvalDownload"):
        raise Refused("UNIMPLEMENTED", f"The mode {mode} is not emulated.", reason="UserError")
    return str(mode) if mode else None
