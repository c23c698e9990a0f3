"""`python -m cloudmlops.providers.azureml.running MODULE:STEP …`: a step in its container on Azure ML.

It needs no SDK: datastores are mounted, the source lies in the working folder, and Azure ML says by variables which run
this is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from cloudmlops.providers.azureml.mapping.job_names import run_of
from cloudmlops.runtime.contained import Contained, carry_out

ERROR: Final = "error.json"
"""Of the folder for what is to be known of a step: why it failed."""
VALUE: Final = "value.json"
"""Of the folder of an output that is no artifact."""
_ADDRESS: Final = ".address"
"""Of the folder of an artifact: which address that is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the step that the command line names; return 0, or 1 when it failed."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = _parser().parse_args(words)
    if given.retries and not given.attempt:
        from cloudmlops.providers.azureml.running.attempts import attempts  # here, because few steps are tried again

        return attempts(words, given)
    if _rank() > 0:
        _leave_elsewhere(given)
    inputs, outputs = _paths(given.input), _paths(given.output)
    here = f"{given.root}/{os.environ['AZUREML_RUN_ID']}"
    contained = Contained(
        function=given.function,
        run=run_of(os.environ["AZUREML_ROOT_RUN_ID"]),
        pipeline=given.pipeline,
        step=given.step,
        content=json.loads(given.content),
        values={**_pairs(given.value), **{name: _value(path) for name, path in _paths(given.read).items()}},
        inputs=inputs,
        outputs={name: (path, f"{here}/{name}") for name, path in outputs.items()},
        parameters={name: path / VALUE for name, path in _paths(given.parameter).items()},
        addresses={name: (path / _ADDRESS).read_text(encoding="utf-8") for name, path in inputs.items()},
        record=Path(given.record).absolute(),
        error=Path(given.record, ERROR).absolute(),
        source=Path.cwd() if given.source else None,
        cache=Path(given.cache).absolute() if given.cache else None,
        timeout=timedelta(seconds=given.timeout) if given.timeout else None,
        attempt=given.attempt or 1,
    )
    status = carry_out(contained)
    if status == 0:
        for path, address in contained.outputs.values():
            (path / _ADDRESS).write_text(address, encoding="utf-8")
    return status


def _rank() -> int:
    """Return which of a distributed step's processes this is."""
    return int(os.environ.get("RANK") or os.environ.get("OMPI_COMM_WORLD_RANK") or 0)


def _leave_elsewhere(given: argparse.Namespace) -> None:
    """Let nothing stay of what this process leaves: what a distributed step leaves is what its first process does."""
    os.environ.pop("MLFLOW_TRACKING_TOKEN", None)  # without it nothing is logged to the job's run
    folder = tempfile.mkdtemp(prefix="cloudmlops-")
    given.record, given.cache = f"{folder}/record", None
    for kind in ("output", "parameter"):
        setattr(given, kind, [f"{name}={folder}/{kind}/{name}" for name in _pairs(getattr(given, kind))])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cloudmlops.providers.azureml.running", description="Run one step.")
    parser.add_argument("function", metavar="MODULE:STEP", help="the step's module and name")
    for name, told in (
        ("pipeline", "the pipeline's name"),
        ("step", "the step's name in it"),
        ("content", "JSON: what the step is made from, with the parameters that are known beforehand"),
        ("root", "address of the folder in which each run has one with its outputs"),
        ("record", "folder for what is to be known of a success or failure"),
    ):
        parser.add_argument(f"--{name}", required=True, help=told)
    parser.add_argument("--source", action="store_true", help="import from the working folder")
    parser.add_argument("--cache", help="folder of earlier successes by their keys")
    parser.add_argument("--timeout", type=float, help="seconds")
    parser.add_argument("--retries", type=int, default=0, help="attempts after the first that failed")
    parser.add_argument("--retry-delay", type=float, default=0.0, help="seconds before the first of these")
    parser.add_argument("--attempt", type=int, help="which one this is")
    for name, told in (
        ("value", "NAME=JSON: what another step supplied"),
        ("read", "NAME=FOLDER: where what another step supplied lies, as JSON"),
        ("input", "NAME=FOLDER: where an artifact lies"),
        ("output", "NAME=FOLDER: where an artifact goes"),
        ("parameter", "NAME=FOLDER: where a value goes, as JSON"),
    ):
        parser.add_argument(f"--{name}", action="append", default=[], help=told)
    return parser


def _value(folder: Path) -> str:
    return (folder / VALUE).read_text(encoding="utf-8")


def _paths(given: Sequence[str]) -> Mapping[str, Path]:
    return {name: Path(path).absolute() for name, path in _pairs(given).items()}


def _pairs(given: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in given)}


if __name__ == "__main__":
    raise SystemExit(main())
