"""What the server is told: by its command line, else by the variables of Vertex AI and Azure ML."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """One server's settings."""

    model: str
    """A folder, or the URI of one in an object store."""
    host: str
    port: int
    socket: Path | None
    """A Unix socket in place of host and port."""
    target: str | None
    """The platform whose features complete rows that carry keys alone."""
    predict_route: str
    health_route: str
    body_limit: int
    grace_s: int
    """Seconds that requests in flight are given to finish after SIGTERM."""
    lifeline: int | None
    """A file descriptor: the server ends when its other end closes."""
    batch: tuple[str, str] | None
    """Score this file into that one, and end."""


def read_options(arguments: Sequence[str], variables: Mapping[str, str]) -> Options:
    """Read the command line and the environment; wrong ones end the process with the usage, as argparse does.

    Vertex AI sets `AIP_HTTP_PORT`, `AIP_HEALTH_ROUTE`, `AIP_PREDICT_ROUTE` and `AIP_STORAGE_URI`
    (https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements);
    Azure ML sets `AZUREML_MODEL_DIR`.
    """
    mounted = variables.get("AIP_STORAGE_URI") or variables.get("AZUREML_MODEL_DIR")
    in_container = bool(mounted) or "AIP_HTTP_PORT" in variables
    parser = argparse.ArgumentParser(
        prog="python -m cloudmlops.serving", description="Serve an MLflow model over HTTP."
    )
    parser.add_argument(
        "--model", default=mounted, help="folder or URI of the model; else AIP_STORAGE_URI, AZUREML_MODEL_DIR"
    )
    parser.add_argument("--host", default="0.0.0.0" if in_container else "127.0.0.1")  # noqa: S104 a container's only way out
    parser.add_argument("--port", type=int, default=int(variables.get("AIP_HTTP_PORT") or 8080), help="0: any free one")
    parser.add_argument("--uds", type=Path, metavar="SOCKET", help="listen on a Unix socket instead")
    parser.add_argument("--target", default=variables.get("CLOUDMLOPS_TARGET"), help="platform to look features up in")
    parser.add_argument("--max-body-mib", type=int, default=64)
    parser.add_argument("--grace", type=int, default=30, metavar="SECONDS", help="for requests in flight after SIGTERM")
    parser.add_argument("--lifeline", type=int, metavar="FD", help="end when this descriptor's other end closes")
    parser.add_argument(
        "--batch", nargs=2, metavar=("INPUT", "OUTPUT"), help="score a Parquet or JSON Lines file, then end"
    )
    given = parser.parse_args(arguments)
    if not given.model:
        parser.error("no model: give --model FOLDER, or set AIP_STORAGE_URI or AZUREML_MODEL_DIR")
    return Options(
        model=given.model,
        host=given.host,
        port=given.port,
        socket=given.uds,
        target=given.target,
        predict_route=variables.get("AIP_PREDICT_ROUTE") or "/predict",
        health_route=variables.get("AIP_HEALTH_ROUTE") or "/healthz",
        body_limit=given.max_body_mib * 1024 * 1024,
        grace_s=given.grace,
        lifeline=given.lifeline,
        batch=tuple(given.batch) if given.batch else None,
    )
