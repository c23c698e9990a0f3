"""What a Spark job runs: statements over Parquet files, as a plan says. It needs pyspark and Python alone.

    python spark_entry.py ASKED RESULT [SOURCE …]

ASKED is a folder with `plan.json` and, for a join, `asked.parquet`; RESULT is the folder that is written; SOURCE are
the folders that the plan's relations are in, by their number.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pyspark.sql import DataFrame, SparkSession  # type: ignore[import-not-found,unused-ignore]  # of the Spark runtime
from pyspark.sql.functions import lit  # type: ignore[import-not-found,unused-ignore]


def run(spark: SparkSession, asked: str, result: str, *sources: str) -> None:
    """Do what a plan says."""
    plan: dict[str, Any] = json.loads(spark.read.text(f"{asked}/plan.json", wholetext=True).first()[0])
    for name, value in plan["settings"].items():
        spark.conf.set(name, value)
    for relation in plan["relations"]:
        _read(spark, relation, sources).createOrReplaceTempView(f"`{relation['name']}`")
    if plan["entities"]:
        spark.read.parquet(f"{asked}/asked.parquet").createOrReplaceTempView(f"`{plan['entities']}`")
    for name, statement in plan["views"].items():
        spark.sql(statement).createOrReplaceTempView(f"`{name}`")
    spark.sql(plan["statement"]).write.mode("overwrite").parquet(result)


def _read(spark: SparkSession, relation: dict[str, Any], sources: tuple[str, ...]) -> DataFrame:
    if relation["files"]:
        folder = sources[relation["source"]].rstrip("/")
        found = spark.read.option("mergeSchema", "true").parquet(*(f"{folder}/{file}" for file in relation["files"]))
    else:
        found = spark.createDataFrame([], "none STRING")
    # No file need have a column that was added to a table later, and one without values may have any type.
    for name, kind in relation["columns"].items():
        if name not in found.columns or kind is None:
            found = found.withColumn(name, lit(None) if kind is None else lit(None).cast(kind))
    return found


if __name__ == "__main__":
    session = SparkSession.builder.appName("cloudmlops features").getOrCreate()
    run(session, *sys.argv[1:])
    session.stop()
