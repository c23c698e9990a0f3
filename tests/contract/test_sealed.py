"""The contracts with the clouds' own addresses and credentials, behind `cloudmlops emulate … --`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import GROUP
from .rigs import WORKSPACES

SUITES = Path(__file__).with_name("sealed.py")
NOUNS = ("Access", "Endpoints", "Events", "Features", "Models", "Pipelines")
EMULATED = {
    "Vertex": ("vertex",),
    "AzureML": (
        *("azureml", "--environment", "steps:1"),
        *(word for name in WORKSPACES for word in ("--workspace", f"{GROUP}/{name}")),
    ),
}


@pytest.mark.conformance
@pytest.mark.timeout(900)
@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("cloud", EMULATED)
def test_the_contract_holds_through_the_sealed_redirect(cloud: str, noun: str, tmp_path: Path) -> None:
    suite = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'child'}"]
    emulated = [sys.executable, "-c", "from cloudmlops.cli import main; main()", "emulate", *EMULATED[cloud], "--"]

    done = subprocess.run(
        [*emulated, *suite, f"{SUITES}::Test{noun}On{cloud}"], capture_output=True, text=True, timeout=900, check=False
    )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    told = [line for line in done.stderr.splitlines() if not line.startswith("Redis was ")]
    assert told == [], "no host was refused: everything that was asked for is emulated"
