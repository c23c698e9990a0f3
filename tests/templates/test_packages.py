"""What a project names among its packages is installed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from tests.templates.drawing import drawn, named_here


@pytest.mark.timeout(300)
def test_a_package_that_is_added_is_installed_by_the_next_make(tmp_path: Path) -> None:
    project = drawn("minimal", {"target": "local", "ci": "none"}, tmp_path)
    file = project / "pyproject.toml"
    file.write_text(file.read_text().replace("run = [", f'run = [\n    "tiny @ {tiny(tmp_path).as_uri()}",', 1))
    told = named_here() | {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    made = subprocess.run(
        ["make", f"PYTHON={beginner(tmp_path)}", ".venv/made"], cwd=project, env=told, capture_output=True, text=True
    )

    assert made.returncode == 0, made.stdout + made.stderr
    asked = [project / ".venv/bin/python", "-c", "import tiny; print(tiny.__file__)"]
    where = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert Path(where.strip()).is_relative_to(project / ".venv")


def test_the_newest_packages_come_into_an_environment_that_is_made_anew(tmp_path: Path) -> None:
    project = drawn("minimal", {"target": "local", "ci": "none"}, tmp_path)
    (project / ".venv-newest").mkdir()
    (project / ".venv-newest/made").touch()
    (project / ".venv-newest/of-yesterday").touch()

    made = subprocess.run(["make", "PYTHON=false", "newest"], cwd=project, env=named_here(), capture_output=True)

    assert made.returncode != 0, "this Python makes no environment, and none is left to be used"
    assert not (project / ".venv-newest").exists()


def tiny(folder: Path) -> Path:
    """Write a package of one line as a wheel, which needs neither an index nor a build."""
    wheel, about = folder / "tiny-1.0-py3-none-any.whl", "tiny-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny.py", "HERE = True\n")
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", f"tiny.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return wheel


def beginner(folder: Path) -> Path:
    """Write what begins environments that have the packages of this one, as though an index had been there."""
    site, version = sysconfig.get_path("purelib"), f"python{sys.version_info.major}.{sys.version_info.minor}"
    script = folder / "python"
    script.write_text(
        f"""#!/bin/sh
set -e
"{sys.executable}" -m venv --without-pip "$3"
echo "import site; site.addsitedir('{site}')" > "$3/lib/{version}/site-packages/here.pth"
"""
    )
    script.chmod(0o755)
    return script
