"""One attempt at a step: its folder, its environment, and what it leaves there.

runs/RUN/STEP.ATTEMPT/  log.txt    all that the step printed
                        work.PID/  the step's working folder, named for its process, emptied after a success
                        outputs/   one folder an artifact
                        mlflow/    what it logged through MLflow
                        result.json or error.json, written last
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from cloudmlops.domain.pipelines import Step
from cloudmlops.domain.runs import OutputRecord, output_from_json
from cloudmlops.errors import InvalidRequestError
from cloudmlops.providers.local.running.kept import KeptArtifacts
from cloudmlops.runtime.failures import told
from cloudmlops.runtime.steps import find_step, run_step

RUN_VARIABLE: Final = "CLOUDMLOPS_RUN"
FOLDER_VARIABLE: Final = "CLOUDMLOPS_ATTEMPT"
"""The attempt's folder. Ids of runs are told apart within a platform; this, on the machine."""


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
    artifacts: tuple[str, ...]
    """The outputs that are files; parameters are part of the result."""
    target: str
    store: str = ""
    """The object store that keeps copies of artifacts; empty is none but the folder."""
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
            FOLDER_VARIABLE: self.folder,
        }

    def to_json(self) -> str:
        """Write the attempt as JSON text in one line."""
        return json.dumps(asdict(self), separators=(",", ":"))


def attempt_from_json(text: str | bytes) -> Attempt:
    """Read what `Attempt.to_json` wrote."""
    fields = json.loads(text)
    return Attempt(**{**fields, "artifacts": tuple(fields["artifacts"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why an attempt failed."""

    error: str
    retryable: bool = True


def attempt_folder(run_folder: Path, step: str, number: int) -> Path:
    """Return the folder of an attempt."""
    return run_folder / f"{step}.{number}"


def log_file(folder: Path) -> Path:
    """Return where an attempt's output goes."""
    return folder / "log.txt"


def prepare(folder: Path) -> Path:
    """Make an attempt's folder, without what an interrupted one may have left, and return its working folder."""
    if folder.exists():
        shutil.rmtree(folder)
    work = folder / f"work.{os.getpid()}"
    work.mkdir(parents=True)
    return work


def perform(attempt: Attempt, work: Path, called: Step[..., Any] | None = None) -> dict[str, OutputRecord] | Failure:
    """Run the step in this process.

    Args:
        attempt: What to run.
        work: Where its new files begin.
        called: The step; by default it is imported.
    """
    folder = Path(attempt.folder)
    try:
        outputs = run_step(
            called or find_step(attempt.function),
            name=attempt.step,
            parameters=attempt.parameters,
            inputs={name: Path(path) for name, path in attempt.inputs.items()},
            outputs={name: folder / "outputs" / name for name in attempt.artifacts},
            work=work,
        )
        if attempt.store:
            kept = KeptArtifacts(attempt.store)
            outputs = {name: kept.keep(one) if one.kind.is_artifact else one for name, one in outputs.items()}
    except KeyboardInterrupt:  # who runs a step as a call of a function wants to stop it
        _end_mlflow_run("FAILED")
        raise
    except BaseException as error:  # noqa: BLE001 what a user's function raises fails the step, not the run
        traceback.print_exc()
        _end_mlflow_run("FAILED")
        return Failure(error=told(error), retryable=not isinstance(error, InvalidRequestError))
    _end_mlflow_run("FINISHED")
    return outputs


def carry_out(attempt: Attempt) -> bool:
    """Turn this process into the step's: its folder, its log, its variables; True when it succeeded."""
    folder = Path(attempt.folder)
    work = prepare(folder)
    _redirect(log_file(folder))
    os.chdir(work)
    os.environ.update(attempt.variables())
    _reseed()
    try:
        outcome = perform(attempt, work)
    except KeyboardInterrupt as error:
        traceback.print_exc()
        outcome = Failure(error=told(error))
    if threading.active_count() > 1:
        # As at the end of a program: pools are told to end, and threads that are not daemons are waited for.
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 there is no public name for it
    leave(folder, outcome)
    if isinstance(outcome, Failure):
        return False  # its working folder may explain why
    discard(folder)
    return True


def leave(folder: Path, outcome: dict[str, OutputRecord] | Failure) -> None:
    """Write how an attempt ended; a file that a crash cut short is no JSON, and as good as none."""
    if isinstance(outcome, Failure):
        (folder / "error.json").write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    else:
        fields = {name: output.to_json() for name, output in outcome.items()}
        (folder / "result.json").write_text(json.dumps(fields), encoding="utf-8")


def result(folder: Path) -> dict[str, OutputRecord] | None:
    """Return what a succeeded attempt left; None when it did not succeed."""
    try:
        fields = json.loads((folder / "result.json").read_bytes())
    except (FileNotFoundError, ValueError):
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
    for left in folder.glob("work.*/*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _end_mlflow_run(status: str) -> None:
    # MLflow would do so when the interpreter ends, which a forked step does not wait for.
    if (mlflow := sys.modules.get("mlflow")) is not None:
        mlflow.end_run(status)


def _redirect(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    os.close(nothing)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr] # both are text files over 1 and 2


def _reseed() -> None:
    # Python's own generator reseeds itself after a fork; numpy's global one would repeat its numbers in every step.
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
