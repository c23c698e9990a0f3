"""A step as a new interpreter.

A fork would leave behind the threads that a pipeline's modules start when they are imported, and the locks they hold.
The zygote starts it as `python -m cloudmlops.providers.local.running.step_process` with a descriptor to read what
`StepLaunch` says: a command line is short, and everybody on the machine can read it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass

from cloudmlops.providers.local.running.attempts import Attempt, attempt_from_json, carry_out


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLaunch:
    """What a step's process is told."""

    attempt: Attempt
    root: str
    """Where the imports of the pipeline's modules start."""

    def replace_this_process(self) -> None:
        """Become the step's process; never returns."""
        told = os.memfd_create("step", 0)
        with os.fdopen(told, "w", encoding="utf-8", closefd=False) as file:
            json.dump(asdict(self), file)
        os.lseek(told, 0, os.SEEK_SET)
        program = [sys.executable, "-P", "-m", "cloudmlops.providers.local.running.step_process", str(told)]
        # With the attempt's variables from the beginning: by those, what it forks is found after a crash.
        os.execve(program[0], program, {**os.environ, **self.attempt.variables()})  # noqa: S606 our own interpreter


def main() -> None:
    """Carry out the attempt that the descriptor tells of."""
    with os.fdopen(int(sys.argv[1]), encoding="utf-8") as file:
        fields = json.load(file)
    sys.path.insert(0, fields["root"])
    raise SystemExit(0 if carry_out(attempt_from_json(json.dumps(fields["attempt"]))) else 1)


if __name__ == "__main__":
    main()
