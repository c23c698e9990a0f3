"""Run what takes longer than `make test` may: the long cases here, and the whole suite on the other interpreters.

What talks to the vendors' SDKs runs with their oldest versions, too (`constraints/oldest.txt`), and with the newest
that there are, which nobody may have tried; what a user installs, the extras alone and together, is imported. Words
choose legs: `python tools/conformance.py oldest newest`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OTHERS = ("3.12", "3.13")
OF_THE_SDKS = (
    *("tests/emulators", "tests/vertex", "tests/azureml", "tests/contract"),
    *("-m", "not conformance or conformance(ci=True)"),
    *("-k", "Vertex or vertex or AzureML or azureml or emulators"),
)
EXTRAS = {
    "local,vertex,azureml": ("local", "vertex", "azureml"),
    "local": ("local",),
    "vertex": ("vertex",),
    "azureml": ("azureml",),
    "templates": (),
}
"""What is installed together, and the providers that it is for."""
DRAWN = ("-c", "from cloudmlops.cli import main; main()", "init", "--template", "minimal", "drawn")
"""Draws a project with the extra `templates`; without it, says that it is missing."""
IMPORTED = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(f"cloudmlops.providers.{name}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith(("__main__", "spark_entry")):  # a program, and what runs within Spark
            importlib.import_module(module.name)
"""


def main() -> int:
    """Return 0 when everything passed; name what was left out."""
    legs = ("long", *OTHERS, "oldest", "newest", "extras")
    chosen = sys.argv[1:] or legs
    if unknown := [leg for leg in chosen if leg not in legs]:
        sys.exit(f"there is no leg {', '.join(unknown)}; legs: {', '.join(legs)}")
    failed = []
    left_out = [leg for leg in legs if leg not in chosen]
    if "long" in chosen and pytest(Path(sys.executable), "-m", "conformance"):
        failed.append("long cases")
    for version in OTHERS:
        if version not in chosen:
            continue
        if (interpreter := find(version)) is None:
            left_out.append(f"Python {version} (not on this machine)")
        elif not passes_on(interpreter, "-m", "not conformance"):
            failed.append(f"Python {version}")
    if "oldest" in chosen and not passes_on(sys.executable, *OF_THE_SDKS, constraints="oldest.txt"):
        failed.append("the oldest SDKs")
    if "newest" in chosen and not passes_on(sys.executable, *OF_THE_SDKS, constraints=None):
        failed.append("the newest SDKs")
    if "extras" in chosen:
        interpreters = {version: find(version) for version in OTHERS}
        left_out += [f"extras on Python {version}" for version, found in interpreters.items() if found is None]
        failed += [
            f"[{extras}] on {interpreter}"
            for interpreter in filter(None, [sys.executable, *interpreters.values()])
            for extras, providers in EXTRAS.items()
            if not imports_on(interpreter, extras, providers)
        ]
    print(f"left out: {', '.join(left_out) or 'nothing'}")
    print(f"failed: {', '.join(failed) or 'nothing'}")
    return 1 if failed else 0


def find(version: str) -> str | None:
    """Return an interpreter that really starts: a version manager's shim may be found and refuse."""
    manager = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in (shutil.which(f"python{version}"), *sorted(map(str, manager.glob(f"{version}.*/bin/python")))):
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def passes_on(interpreter: str, *selection: str, constraints: str | None = "tested.txt") -> bool:
    """Install into a new environment of that interpreter and run a selection of the suite there.

    Args:
        interpreter: That the environment is made of.
        selection: Arguments of pytest.
        constraints: The file of versions; None takes the newest that there are.
    """
    with tempfile.TemporaryDirectory(prefix="cloudmlops-conformance-") as folder:
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        held = ["-c", ROOT / "constraints" / constraints] if constraints else []
        install = [python, "-m", "pip", "install", "-q"]
        # The pip that comes with Python 3.11 does not always find versions that fit together.
        subprocess.run([*install, "--upgrade", "pip"], check=True)
        subprocess.run([*install, *held, f"{ROOT}[dev]"], check=True)
        return pytest(python, "-n", str(os.cpu_count() or 2), *selection) == 0


def imports_on(interpreter: str, extras: str, providers: tuple[str, ...]) -> bool:
    """Install extras into a new environment of that interpreter, newest versions, and import all of their providers.

    A project is drawn with the extra that is for it, and with no other.
    """
    with tempfile.TemporaryDirectory(prefix="cloudmlops-extras-") as folder:
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        install = [python, "-m", "pip", "install", "-q", f"{ROOT}[{extras}]"]
        imported = [python, "-W", "ignore", "-c", IMPORTED, *providers]
        if any(subprocess.run(command, cwd=folder, check=False).returncode for command in (install, imported)):
            return False
        drawn = subprocess.run([python, *DRAWN], cwd=folder, capture_output=True, text=True, check=False)
        if "templates" in extras.split(","):
            return drawn.returncode == 0
        return drawn.returncode != 0 and 'pip install "cloudmlops[templates]"' in drawn.stderr


def pytest(python: Path, *arguments: str) -> int:
    """Run pytest with an interpreter; its exit code."""
    return subprocess.run([python, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
