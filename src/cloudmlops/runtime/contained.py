"""A step as the only thing in a container: its source comes as an archive, and what it leaves is written beside it.

A cloud mounts its object store as a file system that takes whole files only, and no permissions. So the step writes to
the container's own disk, and what it has left is copied file by file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from cloudmlops.domain.runs import OutputRecord, content_key
from cloudmlops.errors import InvalidRequestError
from cloudmlops.materializers.snapshots import unpack
from cloudmlops.runtime.failures import told
from cloudmlops.runtime.logged import read_logged
from cloudmlops.runtime.mirrored import taken_from
from cloudmlops.runtime.steps import find_step, run_step
from cloudmlops.runtime.untracked import untracked

RUN_VARIABLE: Final = "CLOUDMLOPS_RUN"
RECORD: Final = "record.json"
"""Of a folder for a record: what `Contained` says of a success."""

TRACKED: Final = "mlflow"
"""The folder that MLflow writes to."""


@dataclass(frozen=True, kw_only=True)
class Contained:
    """One attempt at a step."""

    function: str
    """`module:name`."""
    run: str
    pipeline: str
    step: str
    content: Mapping[str, Any]
    """What `domain.runs.step_content` says of the step; its parameters are the values known beforehand."""
    values: Mapping[str, str]
    """Those that other steps supplied, as JSON text."""
    inputs: Mapping[str, Path]
    """Artifacts, each the folder that a step has left."""
    outputs: Mapping[str, tuple[Path, str]]
    """Artifacts: where each goes, and which address that is in the object store."""
    parameters: Mapping[str, Path]
    """Where each output goes that is no artifact, as JSON text."""
    addresses: Mapping[str, str]
    """Of the inputs that are artifacts, in the object store."""
    record: Path
    """A folder; `record.json` in it says what the step left."""
    error: Path
    """A file that says why it failed; it is gone after a success."""
    source: Path | None = None
    """The archive with the source, or a folder with what is in it; None imports what is installed."""
    cache: Path | None = None
    """A folder in which the record is kept under the step's key, too; None keeps none."""
    timeout: timedelta | None = None
    attempt: int = 1


def carry_out(contained: Contained) -> int:
    """Run the step to its end; return the status for the process: 0, or 1 when it failed."""
    contained.error.unlink(missing_ok=True)
    begun = _now()
    work = Path(mkdtemp(prefix=f"{contained.step}-"))
    of_cloud = taken_from(os.environ)
    try:
        record = _performed(contained, work)
    except BaseException as error:  # noqa: BLE001 what a user's function raises fails the step, whatever it is
        traceback.print_exc()
        _end_mlflow_run("FAILED")
        if of_cloud is not None:
            of_cloud.log(work / TRACKED)
        _leave(contained, told(error), begun, retryable=not isinstance(error, InvalidRequestError))
        return 1
    if of_cloud is not None:
        of_cloud.log(work / TRACKED)
    text = json.dumps({**record, **_tried(contained, begun)})
    if contained.cache is not None:
        _write(contained.cache / f"{record['key']}.json", text)
    contained.record.mkdir(parents=True, exist_ok=True)
    _write(contained.record / RECORD, text)
    shutil.rmtree(work, ignore_errors=True)
    return 0


def inert(text: str) -> str:
    """Write JSON so that no cloud takes a part of it for a placeholder, which all begin with two braces."""
    return text.replace("{{", "{\\u007b")


def _performed(contained: Contained, work: Path) -> dict[str, Any]:
    os.environ |= untracked(os.environ)
    _import_from(contained.source, work)
    folder = work / "folder"
    folder.mkdir()
    os.chdir(folder)
    os.environ |= {
        "MLFLOW_TRACKING_URI": (work / TRACKED).as_uri(),
        "MLFLOW_EXPERIMENT_NAME": contained.pipeline,
        # Plain files need neither a server nor SQLAlchemy.
        "MLFLOW_ALLOW_FILE_STORE": "true",
        RUN_VARIABLE: f"{contained.run}/{contained.pipeline}/{contained.step}",
    }
    step = find_step(contained.function)
    values = {name: json.loads(text) for name, text in contained.values.items()}
    watch = _watched(contained, _now())
    outputs = run_step(
        step,
        name=contained.step,
        parameters={**contained.content["parameters"], **values},
        inputs=contained.inputs,
        outputs={name: work / "outputs" / name for name in contained.outputs},
        work=folder,
        addresses=contained.addresses,
    )
    if watch is not None:
        watch.cancel()
    _end_mlflow_run("FINISHED")
    for name, path in contained.parameters.items():
        _write(path, inert(json.dumps(outputs[name].value)))
    kept = {name: _kept(name, output, contained) for name, output in outputs.items()}
    return {
        "run": contained.run,
        "step": contained.step,
        "key": content_key(contained.content, _input_digests(contained)),
        "outputs": {name: output.to_json() for name, output in kept.items()},
        "logged": read_logged(work / TRACKED),
    }


def _import_from(source: Path | None, work: Path) -> None:
    if source is None:
        return
    folder = source.absolute()
    if not source.is_dir():
        folder = work / "source"
        unpack(source, folder)
    roots = sorted((root for root in folder.iterdir() if root.name.isdecimal()), key=lambda root: int(root.name))
    sys.path[:0] = [str(root) for root in roots]
    # What the step starts imports the same.
    given = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, roots), *([given] if given else [])])


def _kept(name: str, output: OutputRecord, contained: Contained) -> OutputRecord:
    if name not in contained.outputs:
        return output
    target, uri = contained.outputs[name]
    source = Path(output.path)
    for file in sorted(source.rglob("*")):
        if file.is_file():
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    _write(target / _DIGEST, output.digest)
    return OutputRecord(
        kind=output.kind, digest=output.digest, size_bytes=output.size_bytes, uri=uri, value=output.value
    )


_DIGEST: Final = ".digest"
"""In an artifact's folder: its SHA-256, so that the next step need not read all in order to know it."""


def _input_digests(contained: Contained) -> dict[str, str]:
    digests = {name: (path / _DIGEST).read_text(encoding="utf-8") for name, path in contained.inputs.items()}
    for name, text in contained.values.items():
        digests[name] = hashlib.sha256(json.dumps(json.loads(text)).encode()).hexdigest()
    return digests


def _watched(contained: Contained, begun: str) -> threading.Timer | None:
    if contained.timeout is None:
        return None

    def end() -> None:
        why = f"it ran longer than its timeout of {contained.timeout} and was killed"
        sys.stderr.write(f"{why}\n")
        sys.stderr.flush()
        _leave(contained, why, begun, retryable=True)
        os._exit(1)  # with the container's first process, all others end

    watch = threading.Timer(contained.timeout.total_seconds(), end)
    watch.daemon = True
    watch.start()
    return watch


def _leave(contained: Contained, why: str, begun: str, *, retryable: bool) -> None:
    _write(contained.error, json.dumps({"error": why, "retryable": retryable, **_tried(contained, begun)}))


def _tried(contained: Contained, begun: str) -> dict[str, object]:
    return {"attempt": contained.attempt, "started_at": begun, "ended_at": _now()}


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _end_mlflow_run(status: str) -> None:
    if (mlflow := sys.modules.get("mlflow")) is not None:
        mlflow.end_run(status)
