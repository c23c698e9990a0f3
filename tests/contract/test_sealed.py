"""The contracts with Google's own addresses and credentials, behind `cloudmlops emulate vertex -- …`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUITES = Path(__file__).with_name("sealed.py")


@pytest.mark.conformance
@pytest.mark.timeout(900)
@pytest.mark.parametrize("noun", ["Access", "Endpoints", "Events", "Features", "Models", "Pipelines"])
def test_the_contract_holds_on_vertex_through_the_sealed_redirect(noun: str, tmp_path: Path) -> None:
    suite = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'child'}"]
    emulated = [sys.executable, "-c", "from cloudmlops.cli import main; main()", "emulate", "vertex", "--"]

    done = subprocess.run(
        [*emulated, *suite, f"{SUITES}::Test{noun}"], capture_output=True, text=True, timeout=900, check=False
    )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert done.stderr == ""  # no host was refused: everything that was asked for is emulated
