"""Run checkov over the modules, or over folders, offline: `python tools/terraform_policies.py [FOLDER ...]`.

Stacks make nothing themselves, and of objects that they hand on checkov does not see the optional attributes: it takes
what it does not know for wrong.

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
MODULES = TERRAFORM / "modules"
SKIPPED = TERRAFORM / "checkov.yaml"
REQUIREMENT = "checkov==3.3.30"


def command(folders: Sequence[Path], *, skipping: bool = True) -> list[str]:
    """Return the command that checks folders."""
    python = str(made("checkov", REQUIREMENT))
    given = [word for folder in folders for word in ("--directory", str(folder))]
    quiet = ["--framework", "terraform", "--skip-download", "--quiet", "--compact"]
    # As a module: the program's first line names an interpreter of where the environment was made.
    return [python, "-m", "checkov.main", *given, *quiet, *(["--config-file", str(SKIPPED)] if skipping else [])]


if __name__ == "__main__":
    sys.exit(subprocess.run(command([Path(word) for word in sys.argv[1:]] or [MODULES]), check=False).returncode)
