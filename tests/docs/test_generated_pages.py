from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_capability_table_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "tools" / "capability_table.py"))

    assert (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8") == generator["page"](), (
        "run: python tools/capability_table.py"
    )


def test_the_table_of_emulated_methods_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "tools" / "emulator_coverage.py"))

    assert (ROOT / "docs" / "emulators-coverage.md").read_text(encoding="utf-8") == generator["page"](), (
        "run: python tools/emulator_coverage.py"
    )


def test_the_table_of_emulated_resources_of_azure_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "tools" / "azure_coverage.py"))

    assert (ROOT / "docs" / "emulators-azure-coverage.md").read_text(encoding="utf-8") == generator["page"](), (
        "run: python tools/azure_coverage.py"
    )
