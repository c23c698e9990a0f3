"""Materialising is killed at random moments, or races with pushes: the online store ends as if nothing had happened."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cloudmlops as cm
from cloudmlops.domain.point_in_time import FeatureStatus

KEYS = 110_000
SEEN = sorted({*range(0, KEYS, 7), *range(0, KEYS, 500), *range(1, KEYS, 500), KEYS - 1})
BATCH = 50_000  # as many rows are written at once
T = datetime(2026, 1, 1, tzinfo=UTC)
CHILD = """
import sys
import cloudmlops as cm
platform = cm.connect(sys.argv[1])
view = platform.features.view("numbers")
print("ready", flush=True)
sys.stdin.readline()
platform.features.materialize(view)
platform.close()
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two versions of each key, the later one a null in every third."""
    path = tmp_path / "numbers.parquet"
    key = np.tile(np.arange(KEYS), 2)
    at = np.repeat([0, 3_600_000_000], KEYS) + int(T.timestamp()) * 1_000_000
    value = np.arange(2 * KEYS, dtype=float)
    null = (np.arange(2 * KEYS) % 3 == 0) & (np.arange(2 * KEYS) >= KEYS)
    times = pa.array(at).cast(pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"key": key, "at": times, "value": pa.array(value, mask=null)}), path)
    return path


def numbers(source: Path, nulls: str) -> cm.FeatureView:
    return cm.FeatureView(
        "numbers",
        entity=cm.Entity("thing", keys={"key": int}),
        source=cm.ParquetSource(source),
        timestamp="at",
        nulls=nulls,  # type: ignore[arg-type]
        features={"value": float},
    )


def seen(platform: cm.Platform, view: cm.FeatureView) -> list[float | None]:
    return [row["value"] for row in platform.features.online(view, [{"key": key} for key in SEEN]).values()]


@contextmanager
def materialising(target: str) -> Iterator[subprocess.Popen[str]]:
    """Materialise in another process, which is killed at the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            child.stdin.write("\n")
            child.stdin.flush()
            yield child
        finally:
            child.send_signal(signal.SIGKILL)


def wait_until_written(platform: cm.Platform, view: cm.FeatureView, key: int, child: subprocess.Popen[str]) -> None:
    """Rows are written in order of their keys: wait for the batch that has this one."""
    read = platform.features.reader(view)
    while child.poll() is None and read([{"key": key}]).row(0)["value"].status is FeatureStatus.MISSING:
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=0.005)


def check_kills(tmp_path: Path, source: Path, nulls: str, kills: int) -> None:
    view = numbers(source, nulls)
    chance = random.Random(7)
    with cm.connect(f"local://{tmp_path / 'whole'}") as whole:
        whole.features.materialize(view)
        expected = seen(whole, view)
    for number in range(kills):
        with cm.connect(f"local://{tmp_path / f'killed-{number}'}") as platform:
            platform.features.apply([view])
            with materialising(platform.target) as child:
                wait_until_written(platform, view, chance.choice([0, BATCH]), child)
                with suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=chance.uniform(0.0, 0.05))
            # Whatever is there already is right.
            assert all(found in (None, wanted) for found, wanted in zip(seen(platform, view), expected, strict=True))
            assert platform.features.materialize(view) == {"numbers": KEYS}
            assert seen(platform, view) == expected


@pytest.mark.parametrize("nulls", ["row", pytest.param("last_value", marks=pytest.mark.conformance(ci=True))])
def test_a_killed_materialisation_run_again_is_as_if_never_killed(tmp_path: Path, source: Path, nulls: str) -> None:
    check_kills(tmp_path, source, nulls, kills=2)


@pytest.mark.conformance
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("nulls", ["row", "last_value"])
def test_hundreds_of_kills_lose_nothing(tmp_path: Path, source: Path, nulls: str) -> None:
    check_kills(tmp_path, source, nulls, kills=100)


def test_materialising_and_pushing_at_once_keeps_what_is_newer(tmp_path: Path, source: Path) -> None:
    view = numbers(source, "row")
    newer = [{"key": key, "at": T + timedelta(hours=2), "value": -1.0} for key in range(0, KEYS, 500)]
    older = [{"key": key, "at": T, "value": -2.0} for key in range(1, KEYS, 500)]
    with cm.connect(f"local://{tmp_path / 'platform'}") as platform:
        with ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(platform.features.materialize, view) for _ in range(2)]
            for start in range(0, len(newer), 10):
                platform.features.push(view, newer[start : start + 10])
                platform.features.push(view, older[start : start + 10])
            for job in jobs:
                job.result()
        found = seen(platform, view)

    assert all(value == -1.0 for key, value in zip(SEEN, found, strict=True) if key % 500 == 0)
    assert -2.0 not in found
