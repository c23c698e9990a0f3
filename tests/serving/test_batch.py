"""Files are scored by row groups, with the checks that a request passes."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloudmlops.errors import InvalidRequestError
from cloudmlops.serving import batch
from cloudmlops.testing.model_folders import write_scaling_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_scaling_model(tmp_path / "model", factor=2.0)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"value": [float(n) for n in range(25)], "seconds": [0.0] * 25}), path, row_group_size=10)
    return path


def test_a_parquet_file_is_scored_in_parts(
    model: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "ROWS", 10)

    batch.score_file(model, str(rows), (tmp_path / "out" / "scored.parquet").as_uri(), target=None)

    scored = pq.read_table(tmp_path / "out" / "scored.parquet")
    assert scored.column_names == ["value", "seconds", "prediction"]
    assert scored["prediction"].to_pylist() == [2.0 * n for n in range(25)]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scored.parquet"]


def test_a_row_that_does_not_fit_leaves_no_output(model: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "rows.jsonl", tmp_path / "scored.jsonl"
    source.write_text(json.dumps({"value": 1, "seconds": 0}) + "\n" + json.dumps({"value": "x", "seconds": 0}) + "\n")

    with pytest.raises(InvalidRequestError, match="row 1, column '0': expected numbers, 2 of them, got text 'x'"):
        batch.score_file(model, str(source), str(output), target=None)

    assert not output.exists()


@pytest.mark.parametrize(
    ("name", "told"), [("rows.csv", "neither .parquet nor .jsonl"), ("no.parquet", "cannot be read")]
)
def test_a_file_that_cannot_be_read_is_named(model: Path, tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        batch.score_file(model, str(tmp_path / name), str(tmp_path / "out.jsonl"), target=None)


def test_a_damaged_line_is_named(model: Path, tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"value": 1, "seconds": 0}\n{"value"\n')

    with pytest.raises(InvalidRequestError, match="line 2, is not JSON"):
        batch.score_file(model, str(source), str(tmp_path / "out.jsonl"), target=None)
