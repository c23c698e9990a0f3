"""Make an environment of its own for a tool that is no part of any extra: `.tools/NAME`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".tools"


def made(name: str, requirement: str) -> Path:
    """Return the interpreter of a tool's environment, which is made unless it holds that requirement already."""
    home = FOLDER / name
    stamp = home / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirement:
        FOLDER.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER, prefix=f"{name}-") as folder:
            draft = Path(folder) / name
            subprocess.run([sys.executable, "-m", "venv", draft], check=True)
            install = [
                draft / "bin" / "python",
                "-m",
                "pip",
                "install",
                "-q",
                "--disable-pip-version-check",
                requirement,
            ]
            subprocess.run(install, check=True, stdout=sys.stderr)
            (draft / "installed.txt").write_text(requirement)
            shutil.rmtree(home, ignore_errors=True)
            draft.rename(home)  # an interpreter of an environment finds its packages from where it lies
    return home / "bin" / "python"
