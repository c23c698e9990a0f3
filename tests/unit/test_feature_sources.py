"""Where features come from: files, tables, queries; and what is said when they do not fit."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cloudmlops as cm
from cloudmlops.errors import (
    InvalidEntitiesError,
    InvalidRequestError,
    ServiceError,
    UnexpectedReplyError,
    UnsupportedError,
)
from cloudmlops.providers.local.feature_store.sources import open_source

T = datetime(2026, 1, 1, tzinfo=UTC)
AIRPORT = cm.Entity("airport", keys={"origin": str})


def view(source: Any, **options: Any) -> cm.FeatureView:
    given = {"entity": AIRPORT, "source": source, "timestamp": "at", "features": {"wind": float}}
    return cm.FeatureView("weather", **(given | options))


def table(*winds: float, origin: str = "JFK", **more: Any) -> pa.Table:
    at = [T + timedelta(hours=number) for number in range(len(winds))]
    times = pa.array(at, pa.timestamp("us", "UTC"))
    return pa.table({"origin": [origin] * len(winds), "at": times, "wind": pa.array(winds, pa.float64())} | more)


def winds(platform: cm.Platform, wanted: cm.FeatureView, origin: str = "JFK") -> list[float | None]:
    asked = [{"origin": origin, "event_time": T + timedelta(hours=hours)} for hours in (0, 1)]
    return platform.features.training_table(wanted, asked)["wind"].to_pylist()


def test_a_folder_a_glob_and_a_file_address_are_read_as_one(platform: cm.Platform, tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    pq.write_table(table(1.0), tmp_path / "day=1" / "a.parquet")
    pq.write_table(table(2.0).set_column(1, "at", pa.array([T + timedelta(hours=1)])), tmp_path / "b.parquet")
    (tmp_path / "notes.txt").write_text("no data")

    assert winds(platform, view(cm.ParquetSource(tmp_path))) == [1.0, 2.0]
    assert winds(platform, view(cm.ParquetSource(tmp_path / "*.parquet"))) == [None, 2.0]
    assert winds(platform, view(cm.ParquetSource((tmp_path / "b.parquet").as_uri()))) == [None, 2.0]


def test_columns_may_be_wider_or_encoded_otherwise(platform: cm.Platform, tmp_path: Path) -> None:
    source = pa.table(
        {
            "origin": pa.array(["JFK"], pa.large_string()).dictionary_encode(),
            "at": pa.array([T], pa.timestamp("ms", "America/New_York")),
            "wind": pa.array([3], pa.int16()),
        }
    )
    pq.write_table(source, tmp_path / "a.parquet")

    assert winds(platform, view(cm.ParquetSource(tmp_path / "a.parquet"))) == [3.0, 3.0]


def test_files_may_have_columns_of_different_width_and_order(tmp_path: Path) -> None:
    pq.write_table(table(1.0), tmp_path / "a.parquet")
    narrow = table(2.0)
    pq.write_table(
        narrow.set_column(2, "wind", pa.array([2], pa.int32())).select(["wind", "at", "origin"]), tmp_path / "b.parquet"
    )

    for whole_rows in (0, 10):
        source = open_source(view(cm.ParquetSource(tmp_path)), tables=tmp_path, whole_rows=whole_rows)
        assert source.features(["wind"], np.arange(2))[0].to_pylist() == [1.0, 2.0]
        assert source.keys()[0].to_pylist() == ["JFK", "JFK"]


def test_a_corrupt_file_is_named(platform: cm.Platform, tmp_path: Path) -> None:
    pq.write_table(table(1.0), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 this is not Parquet")
    (tmp_path / "c.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])

    with pytest.raises(InvalidEntitiesError) as refused:
        platform.features.apply([view(cm.ParquetSource(tmp_path))])

    assert "b.parquet is not a readable Parquet file" in str(refused.value)
    assert "c.parquet is not a readable Parquet file" in str(refused.value)
    assert "a.parquet" not in str(refused.value)


def test_damage_inside_a_file_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table(*np.arange(5000.0)), path, use_dictionary=False, compression="zstd")
    damaged = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(0).column(2).data_page_offset
    damaged[start + 60 : start + 4000] = bytes(3940)
    path.write_bytes(bytes(damaged))

    with pytest.raises(InvalidEntitiesError, match="its data is damaged"):
        open_source(view(cm.ParquetSource(path)), tables=tmp_path)
    source = open_source(view(cm.ParquetSource(path)), tables=tmp_path, whole_rows=0)
    with pytest.raises(InvalidEntitiesError, match="its data is damaged"):
        source.features(["wind"], np.arange(5000))


def test_no_file_is_no_source(platform: cm.Platform, tmp_path: Path) -> None:
    with pytest.raises(InvalidEntitiesError, match="there is no Parquet file at"):
        platform.features.apply([view(cm.ParquetSource(tmp_path / "none.parquet"))])
    with pytest.raises(InvalidEntitiesError, match="the platform has no table 'weather'"):
        platform.features.apply([view(cm.TableSource("weather"))])


def test_an_applied_path_is_absolute(platform: cm.Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(table(1.0), tmp_path / "a.parquet")
    monkeypatch.chdir(tmp_path)

    platform.features.apply([view(cm.ParquetSource("a.parquet"))])

    monkeypatch.chdir("/")
    assert winds(platform, platform.features.view("weather")) == [1.0, 1.0]


def test_a_query_reads_the_platforms_tables_in_utc(platform: cm.Platform) -> None:
    platform.features.write_table("raw_weather", table(1.0, 2.0))
    query = cm.SqlSource('SELECT origin, "at", 10 * wind AS wind FROM raw_weather')

    platform.features.apply([view(query)])

    assert winds(platform, view(query)) == [10.0, 20.0]


def test_a_query_is_tried_when_it_is_applied(platform: cm.Platform) -> None:
    with pytest.raises(InvalidEntitiesError, match="the query fails: Catalog Error"):
        platform.features.apply([view(cm.SqlSource("SELECT * FROM nowhere"))])
    with pytest.raises(InvalidEntitiesError, match="column 'wind' is missing; there are: origin, at"):
        platform.features.apply([view(cm.SqlSource("SELECT 'JFK' AS origin, now() AS \"at\""))])


def test_another_dialect_needs_a_translator(platform: cm.Platform) -> None:
    wanted = view(cm.SqlSource("SELECT origin, `at`, wind FROM weather", dialect="bigquery"))
    platform.features.write_table("weather", table(1.0))

    if find_spec("sqlglot") is None:
        with pytest.raises(UnsupportedError, match=r"'bigquery' needs sqlglot[\s\S]*write the query for DuckDB"):
            platform.features.apply([wanted])
    else:
        platform.features.apply([wanted])
        assert winds(platform, wanted) == [1.0, 1.0]


def test_a_table_is_replaced_whole(platform: cm.Platform) -> None:
    platform.features.write_table("weather", table(1.0, 2.0))
    platform.features.write_table("weather", table(3.0))

    assert winds(platform, view(cm.TableSource("weather"))) == [3.0, 3.0]
    with pytest.raises(InvalidRequestError, match=r"table .*x. cannot be kept"):
        platform.features.write_table("../x", table(1.0))


def test_keys_of_every_type_are_read_online(platform: cm.Platform) -> None:
    keys = {"a": str, "b": int, "c": bool, "d": date, "e": bytes}
    rows = [
        {"a": "1", "b": 1, "c": True, "d": date(2026, 1, 1), "e": b"1", "at": T, "wind": 1.0},
        {"a": "", "b": -(2**63), "c": False, "d": date(1960, 1, 1), "e": b"", "at": T, "wind": 2.0},
    ]
    for kinds in (keys, *({name: kind} for name, kind in keys.items())):
        wanted = view(cm.TableSource("keys"), entity=cm.Entity("thing", keys=kinds))
        platform.features.write_table("keys", rows)
        platform.features.materialize(wanted)
        asked = [{name: row[name] for name in kinds} for row in rows]
        assert [row["wind"] for row in platform.features.online(wanted, asked).values()] == [1.0, 2.0]


def test_keys_of_another_type_are_refused_online(platform: cm.Platform) -> None:
    platform.features.write_table("weather", table(1.0))
    wanted = view(cm.TableSource("weather"))

    with pytest.raises(InvalidEntitiesError, match="column 'origin' must be str, but row 1 has int 7"):
        platform.features.online(wanted, [{"origin": "JFK"}, {"origin": 7}])
    with pytest.raises(InvalidEntitiesError, match="row 0 lacks column 'origin'"):
        platform.features.online(wanted, [{"dest": "JFK"}])
    counted = view(cm.TableSource("weather"), entity=cm.Entity("thing", keys={"number": int}))
    with pytest.raises(InvalidEntitiesError, match="more than 64 bits"):
        platform.features.online(counted, [{"number": 2**63}])
    with pytest.raises(InvalidEntitiesError, match="must be int, but row 0 has bool True"):
        platform.features.online(counted, [{"number": True}])


def test_numpy_scalars_are_values_too(platform: cm.Platform) -> None:
    platform.features.write_table("weather", pa.table({"number": [7], "at": pa.array([T]), "wind": [1.0]}))
    counted = view(cm.TableSource("weather"), entity=cm.Entity("thing", keys={"number": int}))
    platform.features.materialize(counted)

    assert platform.features.online(counted, [{"number": np.int64(7)}]).values() == [{"wind": 1.0}]


def test_a_view_that_changes_its_features_starts_with_an_empty_store(platform: cm.Platform) -> None:
    platform.features.write_table("weather", table(1.0, temp=pa.array([5.0])))
    platform.features.materialize(view(cm.TableSource("weather")))
    changed = view(cm.TableSource("weather"), features={"temp": float})

    assert platform.features.online(changed, [{"origin": "JFK"}]).values() == [{"temp": None}]
    platform.features.materialize(changed)
    assert platform.features.online(changed, [{"origin": "JFK"}]).values() == [{"temp": 5.0}]


def test_a_feature_must_not_overwrite_a_column(platform: cm.Platform) -> None:
    platform.features.write_table("weather", table(1.0))

    with pytest.raises(InvalidEntitiesError, match="column 'wind' would be overwritten"):
        platform.features.training_table(
            view(cm.TableSource("weather")), [{"origin": "JFK", "event_time": T, "wind": 3.0}]
        )


def test_data_frames_are_taken_as_they_are(platform: cm.Platform) -> None:
    import polars as pl

    platform.features.write_table("weather", pl.DataFrame(table(1.0)))
    asked = pl.DataFrame({"origin": ["JFK"], "event_time": [T]})

    assert platform.features.training_table(view(cm.TableSource("weather")), asked)["wind"].to_pylist() == [1.0]
    with pytest.raises(InvalidEntitiesError, match="rows come as a int"):
        platform.features.training_table(view(cm.TableSource("weather")), 7)


def test_times_to_materialise_at_have_a_zone(platform: cm.Platform) -> None:
    with pytest.raises(InvalidRequestError, match="has no time zone"):
        platform.features.materialize(view(cm.TableSource("weather")), at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_history_is_replayed_as_of_a_time(tmp_path: Path) -> None:
    target = f"local://{tmp_path}/platform"
    wanted = view(cm.TableSource("weather"), ttl=timedelta(hours=1))
    with cm.connect(target) as platform:
        platform.features.write_table("weather", table(1.0))
        platform.features.materialize(wanted)
        assert platform.features.online(wanted, [{"origin": "JFK"}]).row(0)["wind"].status == "expired"
    with cm.connect(f"{target}?as_of=2026-01-01T00:30:00Z") as then:
        assert then.features.online(wanted, [{"origin": "JFK"}]).values() == [{"wind": 1.0}]
    with cm.connect(f"{target}?as_of=2025-12-31T23:59:59Z") as before:
        assert before.features.online(wanted, [{"origin": "JFK"}]).row(0)["wind"].status == "missing"


def test_a_full_disk_is_said_and_the_store_stays_as_it_was(tmp_path: Path) -> None:
    wanted = view(cm.TableSource("weather"), entity=cm.Entity("thing", keys={"number": int}))
    many = pa.table({"number": np.arange(50_000), "at": pa.array([T] * 50_000), "wind": np.arange(50_000.0)})
    with cm.connect(f"local://{tmp_path}/platform") as platform:
        platform.features.write_table("weather", many.slice(0, 10))
        platform.features.materialize(wanted)
        platform.features.write_table("weather", many)
        with file_size_limit(300_000):
            with pytest.raises(ServiceError, match="the online store cannot write feature view 'weather'"):
                platform.features.materialize(wanted)
            with pytest.raises(ServiceError, match="table 'weather' cannot be kept"):
                platform.features.write_table("weather", many)

        assert platform.features.online(wanted, [{"number": 9}, {"number": 10}]).values() == [
            {"wind": 9.0},
            {"wind": None},
        ]
        platform.features.materialize(wanted)
        assert platform.features.online(wanted, [{"number": 49_999}]).values() == [{"wind": 49_999.0}]


def test_a_damaged_store_is_said(tmp_path: Path) -> None:
    (tmp_path / "platform").mkdir()
    (tmp_path / "platform" / "online.db").write_bytes(b"not a database at all, " * 100)
    with (
        cm.connect(f"local://{tmp_path}/platform") as platform,
        pytest.raises(UnexpectedReplyError, match=r"cannot read feature view 'weather'[\s\S]*materialise again"),
    ):
        platform.features.online(view(cm.TableSource("weather")), [{"origin": "JFK"}])


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
