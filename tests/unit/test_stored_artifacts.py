"""What becomes of the files that a step returns."""

from pathlib import Path

import pytest

from cloudmlops.domain.value_types import Kind, ValueType
from cloudmlops.materializers.artifacts import load, store


@pytest.mark.parametrize("returned", ["link", "folder"])
def test_an_output_that_is_or_holds_a_link_outlives_the_working_folder(tmp_path: Path, returned: str) -> None:
    work = tmp_path / "work"
    (work / "folder").mkdir(parents=True)
    (work / "data.txt").write_text("kept")
    (work / "folder" / "inner").symlink_to(work / "data.txt")
    (work / "link").symlink_to(work / "folder")
    kind = ValueType(kind=Kind.PATH)

    store(work / returned, kind, tmp_path / "stored", within=work)
    work.rename(tmp_path / "gone")

    found = load(tmp_path / "stored", kind)
    assert isinstance(found, Path)
    assert not found.is_symlink()
    assert (found / "inner").read_text() == "kept"
