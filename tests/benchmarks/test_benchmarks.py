"""The benchmarks work: each topic runs our own engines at the least sizes. No time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def tiny(folder: Path, *topics: str) -> dict[str, list[dict[str, object]]]:
    """Run topics at the least sizes; return their rows by topic."""
    file = folder / "figures.json"
    command = [sys.executable, "-m", "benchmarks", *topics, "--tiny", "--json", str(file), "--scratch", str(folder)]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return {name: topic["rows"] for name, topic in json.loads(file.read_text())["topics"].items()}


@pytest.mark.conformance(ci=True)
@pytest.mark.parametrize(
    ("topic", "rows"),
    [
        pytest.param(topic, rows, id=topic)
        for topic, rows in {
            "imports": 2,
            "pipelines": 5,
            "point_in_time": 6,
            "online": 5,
            "serving": 10,
            "registry": 3,
            "emulators": 7,
            "vertex": 9,
            "azureml": 4,
        }.items()
    ],
)
def test_our_own_figure_of_each_goal_can_be_taken(topic: str, rows: int, tmp_path: Path) -> None:
    measured = tiny(tmp_path, topic)[topic]

    assert len(measured) == rows
    assert all(row["ours"]["median"] > 0 for row in measured)


def test_a_peer_that_is_not_installed_is_named_with_the_reason(tmp_path: Path) -> None:
    program = "from benchmarks import peers; print(peers.peer('feast').missing)"
    environment = {"CLOUDMLOPS_BENCH_PEERS": str(tmp_path)}

    said = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )

    assert said.stdout == "feast is not installed: run make bench-setup\n"


def test_figures_are_written_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- figures -->\nold\n<!-- end of figures -->\n\nAfter.\n")
    command = [sys.executable, "-m", "benchmarks", "imports", "--tiny", "--markdown", str(page)]

    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)

    text = page.read_text()
    assert text.startswith("# Title\n\n<!-- figures -->\n\n| what | ours |")
    assert text.endswith("<!-- end of figures -->\n\nAfter.\n")
    assert "old" not in text
