"""A step as a new interpreter.

A fork would leave behind the threads that a pipeline's modules start when they are imported, and the locks they hold.
The zygote starts it as `python -m cloudmlops.providers.local.running.step_process` with what `StepLaunch` says.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass

from cloudmlops.providers.local.running.attempts import Attempt, attempt_from_json, carry_out


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLaunch:
    """What a step's process is told on its command line."""

    attempt: Attempt
    root: str
    """Where the imports of the pipeline's modules start."""
    lease: int
    """The descriptor of the run's lease, which this process holds too."""

    def replace_this_process(self) -> None:
        """Become the step's process; never returns."""
        os.set_inheritable(self.lease, True)
        program = [
            sys.executable,
            "-P",
            "-m",
            "cloudmlops.providers.local.running.step_process",
            json.dumps(asdict(self)),
        ]
        os.execv(program[0], program)  # noqa: S606 our own interpreter


def main() -> None:
    """Carry out the attempt that the command line names."""
    fields = json.loads(sys.argv[1])
    os.set_inheritable(fields["lease"], False)
    sys.path.insert(0, fields["root"])
    raise SystemExit(0 if carry_out(attempt_from_json(json.dumps(fields["attempt"]))) else 1)


if __name__ == "__main__":
    main()
