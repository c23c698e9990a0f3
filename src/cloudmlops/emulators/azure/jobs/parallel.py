"""Parallel steps of pipelines: a script that is handed the files of an input in mini batches, as batch endpoints do it.

What a step may say follows learn.microsoft.com, "CLI (v2) parallel job YAML schema" and "How to use parallel job in
pipeline"; how its component is shown, with retries that nobody gave, recorded traffic of the real service
(azure-sdk-assets, azure-ai-ml 1.32, 2026-03, `dsl`, `test_parallel_job`). What these leave open is refused by name:
tables, partitions, rows appended to a folder, how large a mini batch is that nobody gives a size of.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.jobs import batch_runner
from cloudmlops.emulators.azure.jobs.distribution import Distribution
from cloudmlops.emulators.azure.jobs.expressions import only_name
from cloudmlops.emulators.azure.jobs.tasks import Task
from cloudmlops.emulators.core.faults import Refused

FIELDS: Final = (
    *("task", "input_data", "mini_batch_size", "retry_settings", "error_threshold", "mini_batch_error_threshold"),
    *("max_concurrency_per_instance", "partition_keys", "resources"),
)
"""What of a step and its component decides what it does."""
RETRIES: Final = {"max_retries": "3", "timeout": "60"}
"""What the service takes where nobody says: how often, and for how many seconds a mini batch may take."""
_ABSENT: Final = ("partition_keys",)
_ABSENT_OF_TASK: Final = ("model",)
_OF_THE_SERVICE: Final = re.compile(r"(?:^|\s)--(error_threshold|allowed_failed_percent)(?:=|\s+)(-?\d+)(?=\s|$)")
_NOT_EMULATED: Final = re.compile(
    r"--(task_overhead_timeout|progress_update_timeout|first_task_creation_timeout|copy_logs_to_parent"
    r"|metrics_name_prefix|push_metrics_to_parent|resource_monitor_interval|append_row_file_name)\b"
)


def parallel_step(name: str, node: Mapping[str, Any], specification: Mapping[str, Any]) -> Task:
    """Read what a parallel step does, but for its inputs and outputs.

    Args:
        name: Of the step, for errors.
        node: The step; what it says counts before what its component does.
        specification: Of its component.

    Raises:
        Refused: It is malformed, or wants what is not emulated.
    """
    given = {key: specification.get(key) if node.get(key) is None else node[key] for key in FIELDS}
    task: Mapping[str, Any] = {**(specification.get("task") or {}), **_said(node.get("task"))}
    for key in (*(one for one in _ABSENT if given[one]), *(one for one in _ABSENT_OF_TASK if task.get(one))):
        raise _absent(f"{key} of the parallel step {name}")
    if task.get("type", "run_function") != "run_function":
        raise _absent(f"a task of type {task['type']!r} of the parallel step {name}")
    missing = [key for key in ("entry_script", "environment") if not task.get(key)]
    if missing or not given["input_data"]:
        raise UserError("INVALID_ARGUMENT", f"The {(*missing, 'input_data')[0]} of the step {name} is required.")
    arguments, limits = _arguments(str(task.get("program_arguments") or ""), name)
    retries = {**RETRIES, **_said(specification.get("retry_settings")), **_said(node.get("retry_settings"))}
    nodes = _number((given["resources"] or {}).get("instance_count"), 1, f"instance_count of the step {name}")
    beside = _number(given["max_concurrency_per_instance"], 1, f"max_concurrency_per_instance of the step {name}")
    told = {
        "mini_batch_size": _size(given["mini_batch_size"], name),
        "error_threshold": limits.get("error_threshold", _limit(given["error_threshold"], name)),
        "batch_error_threshold": _limit(given["mini_batch_error_threshold"], name),
        "failed_percent": limits.get("allowed_failed_percent", 100),
        "retries": _number(retries["max_retries"], 0, f"max_retries of the step {name}"),
        "timeout_seconds": _number(retries["timeout"], 1, f"timeout of the step {name}"),
        "script": str(task["entry_script"]),
        "workers": nodes * beside,
        "parallel": True,
    }
    parts = ["--data", f'"{_bound(given["input_data"], "inputs", specification, name)}"']
    if task.get("append_row_to"):
        parts += ["--append", f'"{_bound(task["append_row_to"], "outputs", specification, name)}"']
    program = ["python", "-u", str(Path(batch_runner.__file__)), json.dumps(told)]
    variables = {**_said(specification.get("environment_variables")), **_said(node.get("environment_variables"))}
    return Task(
        command=" ".join([*map(shlex.quote, program), *parts, "--", *arguments]),
        code=task.get("code"),
        environment=str(task["environment"]),
        variables={key: str(value) for key, value in variables.items()},
        distribution=Distribution(nodes=nodes),
    )


def shown(specification: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the service shows of a component: not its resources, and how often mini batches are tried again."""
    kept = {key: value for key, value in specification.items() if key != "resources"}
    return {**kept, "retry_settings": {**RETRIES, **_said(specification.get("retry_settings"))}}


def _bound(given: object, kind: str, specification: Mapping[str, Any], name: str) -> str:
    """Return the expression for one of the component's files, as its command names it."""
    whole = only_name(str(given)) or ""
    end = whole.removeprefix(f"{kind}.")
    declared = (specification.get(kind) or {}).get(end) if whole != end else None
    if declared is None:
        raise UserError("INVALID_ARGUMENT", f"{given!r} of the step {name} is none of its {kind}.")
    allowed = ("uri_folder", "uri_file") if kind == "inputs" else ("uri_file",)
    if declared.get("type", "uri_folder") not in allowed:
        raise _absent(f"{given!r} of the parallel step {name} of type {declared.get('type', 'uri_folder')!r}")
    return f"${{{{{whole}}}}}"


def _arguments(text: str, name: str) -> tuple[list[str], dict[str, int]]:
    """Return the words that a script is given, quoted for a shell, and the limits that the service reads of them."""
    if found := _NOT_EMULATED.search(text):
        raise _absent(f"the argument {found[0]} of the parallel step {name}")
    if "$[[" in text:
        raise _absent(f"an optional part of the arguments of the parallel step {name}")
    limits = {key: int(value) for key, value in _OF_THE_SERVICE.findall(text)}
    words = shlex.split(_OF_THE_SERVICE.sub(" ", re.sub(r"\$\{\{\s*([\w.]+)\s*\}\}", r"${{\1}}", text)))
    return [f'"{word}"' if "${{" in word else shlex.quote(word) for word in words], limits


def _size(given: object, name: str) -> int:
    if str(given or 0) == "0":  # as azure-ai-ml says that none is given
        raise _absent(f"a parallel step without a mini_batch_size, such as {name}")
    if not str(given).isdigit():
        raise _absent(f"the mini_batch_size {given!r} of the parallel step {name}: of files it is a number of them")
    return _number(given, 1, f"mini_batch_size of the step {name}")


def _limit(given: object, name: str) -> int:
    """Return how many may fail; -1 is any number."""
    return -1 if given is None else _number(given, -1, f"threshold of the step {name}")


def _number(given: object, least: int, what: str) -> int:
    if given is None:
        return least
    try:
        number = int(str(given))
    except ValueError as error:
        raise _absent(f"{given!r} as {what}") from error
    if number < least:
        raise UserError("INVALID_ARGUMENT", f"The {what} must not be below {least}, and is {number}.")
    return number


def _said(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (given or {}).items() if value is not None}


def _absent(what: str) -> Refused:
    return UserError("UNIMPLEMENTED", f"Not emulated: {what}.")
