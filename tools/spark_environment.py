"""Make the environment that Spark's tests need, unless it is there, and print its interpreter.

It lies in `.tools/spark`, apart from the library's: pyspark is what Azure ML's Spark jobs run with, and no part of any
extra. `CLOUDMLOPS_SPARK_PYTHON` names another interpreter. Spark itself needs Java 17 on the path.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # run as a script, or read by a test

from tool_environment import made

PYSPARK = "pyspark==3.5.9"
"""Of the newest Spark that Azure ML has a runtime of (learn.microsoft.com, "Azure Synapse Runtime")."""


def main() -> int:
    """Return 0 when there is an environment."""
    if named := os.environ.get("CLOUDMLOPS_SPARK_PYTHON"):
        print(named)
        return 0
    if not shutil.which("java"):
        print("Spark needs Java, and there is no java on the path: apt-get install openjdk-17-jre-headless")
        return 1
    print(made("spark", PYSPARK))
    return 0


if __name__ == "__main__":
    sys.exit(main())
