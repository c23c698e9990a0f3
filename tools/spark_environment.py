"""Make the environment that Spark's tests need, unless it is there, and print its interpreter.

It lies in `.tools/spark`, apart from the library's: pyspark is what Azure ML's Spark jobs run with, and no part of any
extra. `CLOUDMLOPS_SPARK_PYTHON` names another interpreter. Spark itself needs Java 17 on the path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".tools"
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
    made = FOLDER / "spark"
    stamp = made / "installed.txt"
    if not stamp.exists() or stamp.read_text() != PYSPARK:
        FOLDER.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER, prefix="spark-") as folder:
            draft = Path(folder) / "spark"
            subprocess.run([sys.executable, "-m", "venv", draft], check=True)
            install = [draft / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", PYSPARK]
            subprocess.run(install, check=True, stdout=sys.stderr)
            (draft / "installed.txt").write_text(PYSPARK)
            shutil.rmtree(made, ignore_errors=True)
            draft.rename(made)  # an interpreter of an environment finds its packages from where it lies
    print(made / "bin" / "python")
    return 0


if __name__ == "__main__":
    sys.exit(main())
