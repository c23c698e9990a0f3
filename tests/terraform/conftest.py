from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # tools/ is no part of the package

from tools.tfcheck.checks import End, Result, check  # noqa: E402


class Checked(Protocol):
    def __call__(self, text: str, *, end: End = "newest") -> Result: ...


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """What tfcheck says of one file."""

    def checked(text: str, *, end: End = "newest") -> Result:
        folder = tmp_path / "tree" / "sample"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "main.tf").write_text(text)
        return next(iter(check(tmp_path / "tree", end=end, only=["sample"])))

    return checked
