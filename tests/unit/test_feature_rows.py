"""What rows go in and what comes of them: zones, empty lists, odd values, corrections, threads."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import cloudmlops as cm
from cloudmlops.errors import InvalidEntitiesError, InvalidRequestError
from cloudmlops.services.feature_rows.json_rows import row_reader

T = datetime(2026, 1, 1, tzinfo=UTC)
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 the fault under test
PORT = cm.Entity("port", keys={"origin": str})


def winds(**options: Any) -> cm.FeatureView:
    said: dict[str, Any] = {"entity": PORT, "source": cm.TableSource("winds"), "timestamp": "at"}
    return cm.FeatureView("winds", **said | {"features": {"wind": float}} | options)


def row(wind: float, origin: str = "JFK", at: datetime = T) -> dict[str, Any]:
    return {"origin": origin, "at": at, "wind": wind}


def online(platform: cm.Platform, origin: str = "JFK", view: cm.FeatureView | None = None) -> Any:
    return platform.features.online(view or winds(), [{"origin": origin}]).values()[0]["wind"]


@pytest.fixture
def store(platform: cm.Platform) -> cm.Platform:
    platform.features.write_table("winds", [row(1.0), row(9.0, "LGA")])
    platform.features.materialize(winds())
    return platform


def test_a_rebuild_puts_a_corrected_history_in_the_place_of_what_is_stored(store: cm.Platform) -> None:
    store.features.write_table("winds", [row(0.5)])
    store.features.materialize(winds())
    assert (online(store), online(store, "LGA")) == (1.0, 9.0), "of equal times the greater value stays"

    assert store.features.materialize(winds(), rebuild=True) == {"winds": 1}

    assert (online(store), online(store, "LGA")) == (0.5, None)


def test_a_rebuild_that_fails_leaves_what_is_stored(store: cm.Platform) -> None:
    store.features.write_table("winds", pa.table({"origin": ["JFK"], "at": pa.array([T]), "wind": ["strong"]}))

    with pytest.raises(InvalidEntitiesError):
        store.features.materialize(winds(), rebuild=True)

    assert (online(store), online(store, "LGA")) == (1.0, 9.0)


def test_a_request_time_without_a_zone_is_refused_and_its_row_named(platform: cm.Platform) -> None:
    made = cm.on_demand(name="made")(lambda when: when.astype("int64") * 1.0)
    service = cm.FeatureService("s", views=[], on_demand=[made], request={"when": datetime})

    with pytest.raises(InvalidEntitiesError, match="column 'when' has times without a zone, rows 1;"):
        platform.features.online(service, [{"when": T}, {"when": NAIVE}])


def test_times_with_and_without_a_zone_never_mix(store: cm.Platform) -> None:
    said = "column '{}' has times with and without a zone, rows 1 without"

    with pytest.raises(InvalidEntitiesError, match=said.format("at")):
        store.features.push(winds(), [row(1.0), row(1.0, at=NAIVE)])
    with pytest.raises(InvalidEntitiesError, match=said.format("event_time")):
        store.features.training_table(
            winds(), [{"origin": "JFK", "event_time": T}, {"origin": "JFK", "event_time": NAIVE}]
        )


def test_texts_of_json_become_the_declared_types() -> None:
    read = row_reader({"day": date, "raw": bytes, "when": datetime, "n": int})

    typed = read({"day": "2026-01-01", "raw": "AAE=", "when": "2026-01-01T01:00:00+01:00", "n": 1})

    assert typed == {"day": date(2026, 1, 1), "raw": b"\0\1", "when": T, "n": 1}
    with pytest.raises(InvalidRequestError) as caught:
        read({"day": "soon", "raw": "_$", "when": "2026-01-01T01:00:00"})
    assert len(caught.value.faults) == 3
    assert "it has no time zone" in caught.value.faults[2]


def test_a_list_without_rows_is_no_rows(store: cm.Platform) -> None:
    assert store.features.training_table(winds(), []).num_rows == 0
    assert store.features.online(winds(), []).values() == []
    assert store.features.skew(winds(), []).rows == 0
    store.features.push(winds(), [])

    assert online(store) == 1.0


def test_rows_that_lack_a_column_have_a_null_there(store: cm.Platform) -> None:
    store.features.write_table("winds", [{"origin": "JFK", "at": T}, row(3.0, "LGA")])
    store.features.materialize(winds(), rebuild=True)

    assert (online(store), online(store, "LGA")) == (None, 3.0)


@pytest.mark.parametrize(
    "rows",
    [[row(1.0), {"origin": 7, "at": T, "wind": 2.0}], [row(1.0, "\ud800")], [{**row(1.0), "wind": object()}]],
    ids=["two types", "half a surrogate pair", "an object"],
)
def test_values_that_no_table_can_hold_are_told_by_column(store: cm.Platform, rows: Any) -> None:
    with pytest.raises(InvalidEntitiesError, match=r"column '(origin|wind)' cannot be kept"):
        store.features.push(winds(), rows)
    with pytest.raises(InvalidEntitiesError, match=r"column '(origin|wind)' cannot be kept"):
        store.features.write_table("winds", rows)


def test_a_key_that_is_no_unicode_is_refused(store: cm.Platform) -> None:
    with pytest.raises(InvalidEntitiesError, match="a key is no Unicode text"):
        online(store, "\ud800")


def test_an_integer_too_large_for_a_float_is_refused(platform: cm.Platform) -> None:
    service = cm.FeatureService("s", views=[winds()], request={"distance": float})

    with pytest.raises(InvalidEntitiesError, match="column 'distance' must be float"):
        platform.features.online(service, [{"origin": "JFK", "distance": 10**400}])


def test_skew_refuses_served_values_of_another_type(store: cm.Platform) -> None:
    sample = [{"origin": "JFK", "event_time": T, "wind": "1.0"}]

    with pytest.raises(InvalidEntitiesError, match="column 'wind' is string, not float"):
        store.features.skew(winds(), sample)
    assert store.features.skew(winds(), [{"origin": "JFK", "event_time": T, "wind": 1}]).differing == 0


def test_services_that_keep_an_earlier_view_are_named(store: cm.Platform, caplog: pytest.LogCaptureFixture) -> None:
    service = cm.FeatureService("s", views=[winds()])
    changed = winds(created="at2")
    store.features.write_table("winds", [{**row(1.0), "at2": T}])

    assert store.features.apply([service]) == []
    assert store.features.apply([winds()]) == []
    assert store.features.apply([changed]) == ["s"]
    assert "until they are applied: s" in caplog.text
    assert store.features.apply([cm.FeatureService("s", views=[changed])]) == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_a_thread_that_read_online_leaves_no_file_open(platform_on_disk: cm.Platform) -> None:
    platform_on_disk.features.push(winds(), [row(1.0)])
    read = platform_on_disk.features.reader(winds())
    found: list[Any] = []

    def in_thread() -> None:
        thread = threading.Thread(target=lambda: found.extend(read([{"origin": "JFK"}]).values()))
        thread.start()
        thread.join()

    in_thread()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        in_thread()

    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert found == [{"wind": 1.0}] * 6
    assert online(platform_on_disk) == 1.0
