"""`cloudmlops features` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from datetime import timedelta
import cloudmlops as cm

airport = cm.Entity("airport", keys={"origin": str})
weather = cm.FeatureView(
    "weather", entity=airport, source=cm.TableSource("weather"), timestamp="seen_at", features={"wind": float}
)

@cm.on_demand
def gust_distance(wind, distance):
    return wind * distance

flight_delay = cm.FeatureService(
    "flight_delay", views=[weather], on_demand=[gust_distance], request={"distance": float}
)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    import pyarrow as pa

    import cloudmlops as cm

    (tmp_path / "definitions.py").write_text(MODULE)
    (tmp_path / "cloudmlops.toml").write_text('target = "local://platform"\n')
    times = pa.array([1_767_225_600_000_000], pa.int64()).cast(pa.timestamp("us", "UTC"))
    with cm.connect(f"local://{tmp_path / 'platform'}") as platform:
        platform.features.write_table("weather", pa.table({"origin": ["JFK"], "seen_at": times, "wind": [3.0]}))
    return tmp_path


def features(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from cloudmlops.cli import main; main()", "features", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=60)


def test_definitions_are_applied_materialised_and_read_from_the_shell(project: Path) -> None:
    applied = features(project, "apply", "definitions:flight_delay")
    assert applied.returncode == 0, applied.stderr

    listed = json.loads(features(project, "list", "--json").stdout)
    assert [(row["kind"], row["name"]) for row in listed] == [
        ("entity", "airport"),
        ("view", "weather"),
        ("service", "flight_delay"),
    ]
    shown = json.loads(features(project, "show", "flight_delay", "--json").stdout)
    assert shown["columns"] == {"wind": "float", "gust_distance": "float"}

    written = json.loads(
        features(project, "materialize", "flight_delay", "--at", "2026-02-01T00:00+00:00", "--json").stdout
    )
    assert written == [{"view": "weather", "entities": 1}]

    asked = '{"origin": "JFK", "distance": 2.0}'
    read = features(project, "online", "flight_delay", asked, "--json")
    assert read.returncode == 0, read.stderr
    assert {row["feature"]: (row["value"], row["status"]) for row in json.loads(read.stdout)} == {
        "wind": (3.0, "present"),
        "gust_distance": (6.0, "present"),
    }
    skew = json.loads(features(project, "skew", "flight_delay", asked, "--json").stdout)
    assert (skew["rows"], skew["share"]) == (1, 0.0)


def test_an_unknown_name_exits_with_3_and_says_what_there_is(project: Path) -> None:
    failed = features(project, "show", "nothing")

    assert failed.returncode == 3
    assert "nothing named 'nothing' is registered" in failed.stderr


def test_wrong_entities_exit_with_2_and_name_the_columns(project: Path) -> None:
    features(project, "apply", "definitions:flight_delay")

    failed = features(project, "online", "flight_delay", '[{"origin": 1}]')

    assert failed.returncode == 2
    assert "row 0 lacks column 'distance'" in failed.stderr


TYPED = """
from datetime import date, datetime
import cloudmlops as cm

days = cm.FeatureView(
    "days",
    entity=cm.Entity("day", keys={"day": date, "raw": bytes}),
    source=cm.TableSource("days"),
    timestamp="seen_at",
    features={"wind": float},
)

@cm.on_demand
def half(wind):
    return wind / 2

typed = cm.FeatureService("typed", views=[days], on_demand=[half], request={"when": datetime})
"""


def test_entities_with_dates_bytes_and_times_are_read_from_the_shell(project: Path) -> None:
    from datetime import UTC, date, datetime

    import cloudmlops as cm

    (project / "typed_definitions.py").write_text(TYPED)
    with cm.connect(f"local://{project / 'platform'}") as platform:
        seen_at = datetime(2026, 1, 1, tzinfo=UTC)
        platform.features.write_table(
            "days", [{"day": date(2026, 1, 1), "raw": b"\0\1", "seen_at": seen_at, "wind": 3.0}]
        )
    assert features(project, "apply", "typed_definitions:typed").returncode == 0
    assert features(project, "materialize", "typed", "--rebuild").returncode == 0
    asked = {"day": "2026-01-01", "raw": "AAE=", "when": "2026-01-01T00:00:00Z"}

    read = features(project, "online", "typed", json.dumps(asked), "--json")

    assert read.returncode == 0, read.stderr
    assert [row["value"] for row in json.loads(read.stdout)] == [3.0, 1.5]
    naive = features(project, "online", "typed", json.dumps({**asked, "when": "2026-01-01T00:00:00"}))
    assert naive.returncode == 2
    assert "it has no time zone" in naive.stderr


def test_what_cannot_be_read_is_told_without_a_traceback(project: Path) -> None:
    assert features(project, "apply", "definitions:flight_delay").returncode == 0
    (project / "unfinished.py").write_text("def (")
    (project / "text.json").write_text('"abc"')

    for words, told in (
        (("online", "flight_delay", "gone.json"), "neither JSON nor a file that can be read"),
        (("online", "flight_delay", "text.json"), "row 0 is a str"),
        (("skew", "flight_delay", "gone.parquet"), "the sample gone.parquet cannot be read"),
        (("apply", "unfinished:x"), "SyntaxError"),
    ):
        answered = features(project, *words)
        assert answered.returncode == 2, answered.stderr
        assert told in answered.stderr
        assert "Traceback" not in answered.stderr
