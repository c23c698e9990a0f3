"""What becomes of the files that a step returns."""

from pathlib import Path

import pytest

from cloudmlops.domain.artifacts import Dataset
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


def test_an_artifact_from_an_object_store_has_the_address_there_wherever_it_was_downloaded(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "weather.parquet").write_bytes(b"")
    kind = ValueType(kind=Kind.DATASET)
    store(Dataset(work / "weather.parquet"), kind, tmp_path / "stored", within=work)

    found = load(tmp_path / "stored", kind, uri="gs://bucket/runs/1/weather")
    here = load(tmp_path / "stored", kind)

    assert isinstance(found, Dataset)
    assert isinstance(here, Dataset)
    assert found.uri == "gs://bucket/runs/1/weather/weather.parquet"
    assert here.uri == (tmp_path / "stored" / "weather.parquet").as_uri()
    assert found.path == here.path
