"""What a Spark job does, read from its definition.

It runs in one process of this machine, with the interpreter that stands for the Spark runtime: `spark:VERSION` in the
table of images. Where none stands for it, a Spark job is refused by name. Of the configuration, what sizes machines
that there are not (cores, memory, instances) is kept on record and not applied.

Addresses are what the service's runtime resolves and a local Spark does not: inputs and outputs, which are always
`Direct`, are given to the program as local paths, and stay addresses on record.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.jobs.images import Images
from cloudmlops.emulators.azure.jobs.names import check_names
from cloudmlops.emulators.azure.jobs.tasks import Task, output_of, value_of

LOG_NAME: Final = "logs/azureml/driver/stdout"
PYTHON_ENTRY: Final = "SparkJobPythonEntry"
_SIZES: Final = frozenset(
    {
        "spark.driver.cores",
        "spark.driver.memory",
        "spark.executor.cores",
        "spark.executor.memory",
        "spark.executor.instances",
        "spark.dynamicAllocation.enabled",
        "spark.dynamicAllocation.minExecutors",
        "spark.dynamicAllocation.maxExecutors",
    }
)
_OF_ONE_MACHINE: Final[Mapping[str, str]] = {
    "spark.master": "local[*]",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
}
"""The cluster that there is: this machine, which nobody else reaches."""
_FILES: Final[Mapping[str, str]] = {"pyFiles": "--py-files", "jars": "--jars", "files": "--files"}


def runtime_of(job: Mapping[str, Any]) -> str:
    """Return what stands for a Spark runtime in the table of images, such as `spark:3.5`."""
    return f"spark:{(job.get('resources') or {}).get('runtimeVersion') or 'attached'}"


def spark_task(job: Mapping[str, Any], images: Images) -> Task:
    """Read a Spark job.

    Args:
        job: Its properties.
        images: Where an interpreter stands for its runtime.

    Raises:
        Refused: It wants what is not emulated, or is malformed, or no interpreter stands for the runtime.
    """
    entry: Mapping[str, Any] = job.get("entry") or {}
    missing = [name for name, value in (("codeId", job.get("codeId")), ("entry", entry)) if not value]
    if missing:
        raise UserError("INVALID_ARGUMENT", f"The field {missing[0]} of a Spark job is required.")
    if entry.get("sparkJobEntryType") != PYTHON_ENTRY or not entry.get("file"):
        raise UserError(
            "UNIMPLEMENTED", f"A Spark job's entry of type {entry.get('sparkJobEntryType')!r} is not emulated."
        )
    if job.get("archives"):
        raise UserError("UNIMPLEMENTED", "The archives of a Spark job are not emulated.")
    runtime = runtime_of(job)
    if not images.lets(runtime):
        raise UserError(
            "UNIMPLEMENTED",
            f"A Spark job needs an interpreter that has pyspark, and none stands for {runtime}: say which by "
            f'images.let("{runtime}", Image(python=…)), or `cloudmlops emulate azureml --spark PYTHON`.',
        )
    given: Mapping[str, Any] = job.get("inputs") or {}
    outputs: Mapping[str, Any] = job.get("outputs") or {}
    check_names("the Spark job", given, outputs)
    return Task(
        command=str(job.get("args") or ""),
        program=("python", str(entry["file"])),
        code=str(job["codeId"]),
        environment=runtime,
        variables={
            "PYSPARK_PYTHON": images.of(runtime).python,
            "PYSPARK_SUBMIT_ARGS": _submitted(job),
            "SPARK_LOCAL_IP": "127.0.0.1",
            **{name: str(value) for name, value in (job.get("environmentVariables") or {}).items()},
        },
        inputs={name: value_of(one, name) for name, one in given.items()},
        outputs={name: output_of(one, name) for name, one in outputs.items() if name != "default" and one},
        identity=job.get("identity"),
        log=LOG_NAME,
        local=True,
    )


def spark_step(node: Mapping[str, Any], specification: Mapping[str, Any], images: Images) -> Task:
    """Read what a step of a pipeline does that is a Spark job, but for its inputs and outputs.

    Args:
        node: The step.
        specification: Of its component.
        images: Where an interpreter stands for its runtime.

    Raises:
        Refused: As `spark_task`.
    """
    entry: Mapping[str, Any] = specification.get("entry") or {}
    resources: Mapping[str, Any] = node.get("resources") or {}
    job = {
        "codeId": specification.get("code"),
        "entry": {"sparkJobEntryType": PYTHON_ENTRY if entry.get("file") else "SparkJobScalaEntry", **entry},
        "args": node.get("args") or specification.get("args"),
        "conf": {**(specification.get("conf") or {}), **(node.get("conf") or {})},
        "resources": {"runtimeVersion": resources.get("runtime_version")},
        **{
            key: specification.get(name)
            for key, name in (("pyFiles", "py_files"), ("jars", "jars"), ("files", "files"))
        },
        "archives": specification.get("archives"),
    }
    return spark_task(job, images)


def _submitted(job: Mapping[str, Any]) -> str:
    """Return what pyspark starts its driver with."""
    given = {name: str(value) for name, value in (job.get("conf") or {}).items() if name not in _SIZES}
    parts = [part for name, value in {**given, **_OF_ONE_MACHINE}.items() for part in ("--conf", f"{name}={value}")]
    for field, option in _FILES.items():
        if names := job.get(field):
            parts += [option, ",".join(names)]
    return shlex.join([*parts, "pyspark-shell"])
