"""One attempt at a step: its folder, its environment, and what it leaves there.

runs/RUN/STEP/ATTEMPT/  log.txt    all that the step printed
                        work/      the step's working folder, removed after a success
                        outputs/   one folder or file an output
                        mlflow/    what it logged through MLflow
                        result.json or error.json, written last
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from cloudmlops.domain.pipelines import Step
from cloudmlops.domain.runs import OutputRecord, output_from_json
from cloudmlops.errors import CloudMLOpsError, InvalidRequestError
from cloudmlops.runtime.steps import find_step, run_step

RUN_VARIABLE: Final = "CLOUDMLOPS_RUN"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """All that a process needs in order to try a step once."""

    run: str
    pipeline: str
    step: str
    number: int
    function: str
    folder: str
    """Absolute; this attempt's own."""
    parameters: Mapping[str, object]
    inputs: Mapping[str, str]
    """Where each input artifact lies."""
    outputs: tuple[str, ...]
    target: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Tells the attempts of a run apart."""
        return f"{self.step}/{self.number}"

    def variables(self) -> dict[str, str]:
        """Return the environment variables of the step's process."""
        return {
            "MLFLOW_TRACKING_URI": Path(self.folder, "mlflow").as_uri(),
            "MLFLOW_EXPERIMENT_NAME": self.pipeline,
            # Plain files need neither a server nor SQLAlchemy, and can be read without loading mlflow.
            "MLFLOW_ALLOW_FILE_STORE": "true",
            **self.environment,
            "CLOUDMLOPS_TARGET": self.target,
            RUN_VARIABLE: f"{self.run}/{self.pipeline}/{self.step}",
        }

    def to_json(self) -> str:
        """Write the attempt as JSON text in one line."""
        return json.dumps(asdict(self), separators=(",", ":"))


def attempt_from_json(text: str | bytes) -> Attempt:
    """Read what `Attempt.to_json` wrote."""
    fields = json.loads(text)
    return Attempt(**{**fields, "outputs": tuple(fields["outputs"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why an attempt failed."""

    error: str
    retryable: bool = True


def log_file(folder: Path) -> Path:
    """Return where an attempt's output goes."""
    return folder / "log.txt"


def prepare(attempt: Attempt) -> Path:
    """Make the attempt's folder, empty, and return its working folder."""
    folder = Path(attempt.folder)
    if folder.exists():
        shutil.rmtree(folder)
    work = folder / "work"
    work.mkdir(parents=True)
    return work


def lead(folder: Path) -> None:
    """Note that this process leads the attempt's session."""
    (folder / "process").write_text(str(os.getpid()), encoding="ascii")


def leader(folder: Path) -> int | None:
    """Return the process that led an attempt's session; None when it had not come so far."""
    try:
        return int((folder / "process").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def perform(attempt: Attempt, called: Step[..., Any] | None = None) -> bool:
    """Run the step in this process and leave its result or its error in the folder; True when it succeeded.

    Args:
        attempt: What to run; its folder has been prepared.
        called: The step; by default it is imported.
    """
    folder = Path(attempt.folder)
    try:
        outputs = run_step(
            called or find_step(attempt.function),
            name=attempt.step,
            parameters=attempt.parameters,
            inputs={name: Path(path) for name, path in attempt.inputs.items()},
            outputs={name: folder / "outputs" / name for name in attempt.outputs},
            work=folder / "work",
        )
        _end_mlflow_run("FINISHED")
        _leave(folder / "result.json", {name: output.to_json() for name, output in outputs.items()})
    except Exception as error:  # noqa: BLE001 whatever a user's function raises fails the step and not the run's process
        traceback.print_exc()
        sys.stderr.flush()
        _end_mlflow_run("FAILED")
        _leave(folder / "error.json", {"error": _told(error), "retryable": not isinstance(error, InvalidRequestError)})
        return False
    return True


def result(folder: Path) -> dict[str, OutputRecord] | None:
    """Return what a succeeded attempt left; None when it did not succeed."""
    try:
        fields = json.loads((folder / "result.json").read_bytes())
    except FileNotFoundError:
        return None
    return {name: output_from_json(output) for name, output in fields.items()}


def failure(folder: Path, status: int) -> Failure:
    """Return why an attempt failed, from what it left or from how its process ended.

    Args:
        folder: The attempt's.
        status: The exit status; negative is the signal that killed it.
    """
    try:
        fields = json.loads((folder / "error.json").read_bytes())
    except (FileNotFoundError, ValueError):
        if status < 0:
            hint = "; the machine may have run out of memory" if status == -9 else ""
            return Failure(error=f"its process was killed by signal {-status}{hint}")
        return Failure(error=f"its process ended with status {status} and left no result")
    return Failure(error=fields["error"], retryable=fields["retryable"])


def discard(folder: Path) -> None:
    """Remove what a success no longer needs."""
    shutil.rmtree(folder / "work", ignore_errors=True)


def _end_mlflow_run(status: str) -> None:
    # MLflow would do so when the interpreter ends, which a forked step does not wait for.
    if (mlflow := sys.modules.get("mlflow")) is not None:
        mlflow.end_run(status)


def _told(error: Exception) -> str:
    if isinstance(error, CloudMLOpsError):
        return str(error)
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {error}{notes}"


def _leave(file: Path, content: Mapping[str, object]) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    os.replace(temporary, file)  # noqa: PTH105 atomic, and said so by name
