"""Run checkov over `terraform`, or over folders, offline: `python tools/terraform_policies.py [FOLDER ...]`.

It has an environment of its own, `.tools/checkov`. What is left out, and why, stands in `terraform/checkov.yaml`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # run as a script, or read by a test

from tool_environment import made

TERRAFORM = Path(__file__).resolve().parent.parent / "terraform"
SKIPPED = TERRAFORM / "checkov.yaml"
REQUIREMENT = "checkov==3.3.30"


def command(folders: Sequence[Path], *, skipping: bool = True) -> list[str]:
    """Return the command that checks folders."""
    python = str(made("checkov", REQUIREMENT))
    given = [word for folder in folders for word in ("--directory", str(folder))]
    quiet = ["--framework", "terraform", "--skip-download", "--quiet", "--compact"]
    # Of an example's objects with optional attributes checkov knows no values, and takes what it does not know for wrong.
    # That examples keep nothing running is a test of theirs.
    quiet += ["--skip-path", "examples"]
    # As a module: the program's first line names an interpreter of where the environment was made.
    return [python, "-m", "checkov.main", *given, *quiet, *(["--config-file", str(SKIPPED)] if skipping else [])]


if __name__ == "__main__":
    sys.exit(subprocess.run(command([Path(word) for word in sys.argv[1:]] or [TERRAFORM]), check=False).returncode)
