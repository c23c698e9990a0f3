"""Runs the entry script of Spark jobs on folders of cases, in one session: `python spark_cases.py ENTRY FOLDER`.

It is run by an interpreter that has pyspark, which the tests' own has not.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from pyspark.sql import SparkSession  # type: ignore[import-not-found,unused-ignore]

entry = runpy.run_path(sys.argv[1])
session = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.sql.shuffle.partitions", "2")
    .getOrCreate()
)
for case in sorted(Path(sys.argv[2]).iterdir()):
    sources = sorted(str(folder) for folder in case.glob("source*"))
    entry["run"](session, str(case), str(case / "result"), *sources)
session.stop()
