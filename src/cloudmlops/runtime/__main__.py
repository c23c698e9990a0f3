"""`python -m cloudmlops.runtime MODULE:STEP`: one step as a process of its own, as a cloud's container starts it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cloudmlops.domain.pipelines import Step
from cloudmlops.domain.value_types import encode, parse
from cloudmlops.errors import CloudMLOpsError, InvalidRequestError
from cloudmlops.runtime.steps import find_step, run_step
from cloudmlops.runtime.untracked import untracked


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the step that the command line names; return 0, or 2 for a wrong command line, or 1 when the step failed."""
    given = _parser().parse_args(arguments)
    os.environ |= untracked(os.environ)
    try:
        step = find_step(given.step)
        parameters, inputs, outputs = _checked(step, given)
    except InvalidRequestError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="cloudmlops-step-") as work:
            name = given.step.partition(":")[2]
            run_step(step, name=name, parameters=parameters, inputs=inputs, outputs=outputs, work=Path(work))
    except CloudMLOpsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except Exception:  # noqa: BLE001 whatever a user's function raises belongs into the log, whole
        traceback.print_exc()
        return 1
    return 0


def _checked(
    step: Step[..., Any], given: argparse.Namespace
) -> tuple[dict[str, object], dict[str, Path], dict[str, Path]]:
    parameters, inputs, outputs = _pairs(given.param), _pairs(given.input), _pairs(given.output)
    signature = step.signature
    supplied = {*parameters, *inputs}
    faults = [f"the step has no input {name!r}" for name in sorted(supplied - {*signature.inputs})]
    faults += [f"the step has no output {name!r}" for name in sorted(outputs.keys() - {*signature.outputs})]
    faults += [f"--output {name}=PATH is missing" for name in signature.outputs if name not in outputs]
    required = [name for name in signature.inputs if name not in signature.defaults]
    faults += [f"--param or --input {name}=… is missing" for name in required if name not in supplied]
    values: dict[str, object] = {}
    for name, text in parameters.items():
        try:
            if (kind := signature.inputs.get(name)) is not None:
                values[name] = encode(parse(text, kind), kind)
        except TypeError as error:
            faults.append(f"--param {name}: {error}")
    if faults:
        raise InvalidRequestError(f"the step {given.step!r} cannot start", faults=faults)
    return values, _paths(inputs), _paths(outputs)


def _paths(given: dict[str, str]) -> dict[str, Path]:
    return {name: Path(path).absolute() for name, path in given.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cloudmlops.runtime", description="Run one step.")
    parser.add_argument("step", metavar="MODULE:STEP", help="the step's module and name")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="text, a time, or JSON")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=PATH", help="where an artifact lies")
    parser.add_argument("--output", action="append", default=[], metavar="NAME=PATH", help="where an output goes")
    return parser


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise InvalidRequestError("these are not NAME=VALUE", faults=wrong)
    return {name: value for name, _, value in pairs}


if __name__ == "__main__":
    raise SystemExit(main())
