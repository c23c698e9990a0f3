"""What a Spark job is told to do, done by a local Spark and held to the reference join of `domain.point_in_time`."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.feature_worlds import Case, expected_table, made_case, normal, typed

from cloudmlops import Entity, TableSource
from cloudmlops.domain.feature_columns import EVENT_TIME
from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow, reduced, to_datetime
from cloudmlops.materializers.feature_columns import TIME
from cloudmlops.providers.azureml.feature_store.columns import asked_table, joined_table, own_columns
from cloudmlops.providers.azureml.feature_store.spark_jobs import ENTRY
from cloudmlops.providers.azureml.mapping.features_spark import ENTITIES, SparkPlan, SparkRelation, plan_text
from cloudmlops.providers.azureml.mapping.features_statements import (
    SPARK,
    join_statement,
    kept_statement,
    prepared_statement,
)

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1800)]


def relation(view: FeatureView, table: pa.Table, folder: Path) -> SparkRelation:
    folder.mkdir()
    middle = table.num_rows // 2  # files, of which no order is known
    parts = [table.slice(0, middle), table.slice(middle)]
    names = [f"part-{number}.parquet" for number in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        pq.write_table(part, folder / name)
    return SparkRelation(
        name="_raw0", folder=str(folder), files=names, columns=dict.fromkeys(table.column_names, "STRING")
    )


def write_join(case: Case, folder: Path) -> None:
    folder.mkdir()
    plan = SparkPlan(
        relations=[relation(case.view, case.table(case.rows), folder / "source0")],
        views={"_source0": prepared_statement(case.view, "_raw0")},
        statement=join_statement([case.view], ["_source0"], ENTITIES, SPARK),
        entities=True,
    )
    pq.write_table(asked_table([case.view], case.asked()), folder / "asked.parquet")
    (folder / "plan.json").write_text(plan_text(plan))


def write_reduction(case: Case, folder: Path, until: int) -> None:
    folder.mkdir()
    plan = SparkPlan(
        relations=[relation(case.view, case.table(case.rows), folder / "source0")],
        views={"_source0": prepared_statement(case.view, "_raw0")},
        statement=kept_statement(case.view, "_source0", until=until),
    )
    (folder / "plan.json").write_text(plan_text(plan))


def run(python: str, folder: Path) -> None:
    script = Path(__file__).with_name("spark_cases.py")
    done = subprocess.run([python, script, ENTRY, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def check_joins(python: str, folder: Path, seeds: range) -> None:
    cases = {seed: made_case(seed) for seed in seeds}
    for seed, case in cases.items():
        write_join(case, folder / f"{seed:06}")

    run(python, folder)

    for seed, case in cases.items():
        table = joined_table([case.view], pq.read_table(folder / f"{seed:06}" / "result"))
        found = list(zip(*(table[name].to_pylist() for name in case.view.features), strict=True))
        assert [list(map(normal, row)) for row in found] == [list(map(normal, row)) for row in expected_table(case)], (
            f"case {seed}"
        )


def check_reductions(python: str, folder: Path, seeds: range) -> None:
    cases = {seed: made_case(seed) for seed in seeds}
    middles = {seed: sorted(row.ts for _, row in case.rows)[len(case.rows) // 2] for seed, case in cases.items()}
    for seed, case in cases.items():
        write_reduction(case, folder / f"{seed:06}", middles[seed])

    run(python, folder)

    for seed, case in cases.items():
        result = pq.read_table(folder / f"{seed:06}" / "result")
        known: dict[Any, tuple[Any, list[FeatureRow]]] = {}
        for key, row in case.rows:
            if None not in key and row.ts <= middles[seed]:
                known.setdefault(typed(key), (key, []))[1].append(row)
        wanted = [
            (key, row.ts, row.created, *row.values) for key, rows in known.values() for row in reduced(case.view, rows)
        ]
        table = own_columns(case.view, result)
        columns = [list(zip(*(table[name].to_pylist() for name in case.view.entity.keys), strict=True))]
        columns += [result["ts"].to_pylist(), result["created"].to_pylist()]
        columns += [table[name].to_pylist() for name in case.view.features]
        found = list(zip(*columns, strict=True))
        assert sorted(tuple(map(normal, row)) for row in found) == sorted(tuple(map(normal, row)) for row in wanted), (
            f"case {seed}"
        )
        assert sum(result["newest"].to_pylist()) == len(known)


@pytest.mark.conformance(ci=True)
def test_files_that_have_times_in_nanoseconds_lack_columns_or_have_none_but_nulls_are_read(
    spark_python: str, tmp_path: Path
) -> None:
    view = FeatureView(
        "view",
        entity=Entity("thing", keys={"k": int}),
        source=TableSource("rows"),
        timestamp="at",
        features={"void": list[str], "lacking": float, "moment": datetime, "moments": list[datetime], "Small": int},
    )
    nanos = pa.timestamp("ns", "UTC")
    folder = tmp_path / "case" / "source0"
    folder.mkdir(parents=True)
    table = pa.table(
        {
            "k": pa.array([7], pa.int32()),
            "at": pa.array([-1], nanos),
            "void": pa.array([None], pa.string()),
            "moment": pa.array([-1], nanos),
            "moments": pa.array([[1_999, None]], pa.list_(nanos)),
            "Small": pa.array([1], pa.int8()),
            "small": pa.array([2], pa.int8()),
        }
    )
    pq.write_table(table, folder / "a.parquet")
    columns = {"k": "BIGINT", "at": "BIGINT", "void": None, "lacking": "DOUBLE", "Small": "BIGINT"}
    plan = SparkPlan(
        relations=[SparkRelation(name="_raw0", folder=str(folder), files=["a.parquet"], columns=columns)],
        views={"_source0": prepared_statement(view, "_raw0", nanoseconds=frozenset({"at", "moment", "moments"}))},
        statement=join_statement([view], ["_source0"], ENTITIES, SPARK),
        entities=True,
    )
    asked = pa.table({"k": [7, 7], EVENT_TIME: pa.array([-1, 0], pa.int64()).cast(TIME)})
    pq.write_table(asked_table([view], asked), tmp_path / "case" / "asked.parquet")
    (tmp_path / "case" / "plan.json").write_text(plan_text(plan))

    run(spark_python, tmp_path)

    before, at = joined_table([view], pq.read_table(tmp_path / "case" / "result")).to_pylist()
    assert before == dict.fromkeys(view.features), "a nanosecond before 1970 is not known a microsecond before it"
    assert at == {
        "void": None,
        "lacking": None,
        "moment": to_datetime(-1),
        "moments": [to_datetime(1), None],
        "Small": 1,
    }


def test_a_slice_of_joins_in_spark_is_the_reference_join(spark_python: str, tmp_path: Path) -> None:
    check_joins(spark_python, tmp_path, range(12))


def test_joins_in_spark_are_the_reference_join(spark_python: str, tmp_path: Path) -> None:
    check_joins(spark_python, tmp_path, range(1000, 1120))


def test_what_spark_keeps_for_reading_online_is_what_the_reference_keeps(spark_python: str, tmp_path: Path) -> None:
    check_reductions(spark_python, tmp_path, range(2000, 2060))
