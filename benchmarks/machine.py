"""The machine that the figures hold for."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import peers

_OURS = (
    *("cloudmlops", "duckdb", "polars", "pyarrow", "numpy", "scikit-learn", "mlflow-skinny", "starlette", "uvicorn"),
    *("google-cloud-aiplatform", "google-cloud-bigquery", "google-cloud-bigtable", "grpcio"),
    *("azure-ai-ml", "azure-identity", "azure-storage-blob"),
)


def described() -> dict[str, str]:
    """What is worth knowing about the machine, in words."""
    total_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    pinned = " ".join(" ".join(peer.requirements) for name, peer in peers.listed().items() if name != "base")
    return {
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}, {_processor()}",
        "memory": f"{total_gib:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "ours": ", ".join(f"{name} {_version(name)}" for name in _OURS),
        "peers": f"{pinned} moto=={_version('moto')}",  # moto is in our own environment
        "load generator": "wrk" if shutil.which("wrk") else "our own client",
        "load average": load(),
    }


def load() -> str:
    """The load average of the last minute."""
    return f"{os.getloadavg()[0]:.2f}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
