"""`cloudmlops quickstart`: the flight-delay project, from raw data to a served model."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from cloudmlops.cli.packages import missing_packages
from cloudmlops.cli.projects import copy_example
from cloudmlops.cli.session import Session, session_options
from cloudmlops.errors import ProviderNotInstalledError


@click.command()
@session_options
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write into a folder that holds something else.")
@click.option("--stop", is_flag=True, help="Stop the endpoint at the end; without it, it goes on.")
def quickstart(session: Session, folder: Path, force: bool, stop: bool) -> None:
    """Copy the flight-delay project into FOLDER and run it there.

    Trains, registers, approves, promotes and serves a model of 336,776 real flights, tries a second version on a tenth
    of the traffic, and rolls back. The endpoint goes on when the command ends, so that you can ask it. In the same
    folder again, what is done already is found in the cache.
    """
    began = time.perf_counter()
    if missing := [*missing_packages("local")]:
        raise ProviderNotInstalledError(
            f"the quickstart needs packages that are missing: {', '.join(missing)}",
            hint='pip install "cloudmlops[local]"',
        )
    copy_example("flight_delays", folder, overwrite=force)
    folder = folder.absolute()
    os.chdir(folder)  # where the project's configuration lies, as for one who works there
    sys.path.insert(0, str(Path.cwd()))
    session.note(f"The project is in {folder}; it runs on {session.platform.target}\n")
    lifecycle: Any = import_module("lifecycle")
    with session.platform as platform:
        told = lifecycle.tell(platform, session.note, progress=not session.as_json)
        if stop:
            platform.endpoints.delete(told["endpoint"])
    seconds = time.perf_counter() - began
    if session.as_json:
        session.record("", {"folder": folder, "seconds": seconds, "endpoint_stopped": stop, **told})
        return
    _summarise(folder, told, seconds, stopped=stop)


def _summarise(folder: Path, told: Mapping[str, Any], seconds: float, *, stopped: bool) -> None:
    name = told["endpoint"]
    scores = ", ".join(f"version {version} {metrics['roc_auc']:.3f}" for version, metrics in told["versions"].items())
    baseline = next(iter(told["versions"].values()))["baseline_roc_auc"]
    traffic = ", ".join(f"{share} % to {deployment}" for deployment, share in told["traffic"].items())
    instance = '{"carrier": "WN", "origin": "LGA", "tailnum": "N652SW", "distance": 764, "scheduled_hour": 17}'
    served = "no longer: --stop" if stopped else f"{told['address']}, {traffic}"
    lines = [
        "",
        f"Done in {seconds:.0f} s.",
        f"  trained     {told['model']}, ROC AUC: {scores}, trivial baseline {baseline:.3f}",
        f"  production  version {told['production']}",
        f"  served      {served}",
        f"  report      {_shown(told['reports'][-1])}",
        f"  platform    {_shown('.cloudmlops')}",
        "",
        "What to type next:",
        f"  cd {folder}",
        *_activation(),
        f"  cloudmlops models list {told['model']}",
        f"  cloudmlops history {told['model']}",
        "  cloudmlops runs list",
    ]
    if not stopped:
        lines += [
            "  cloudmlops endpoints list",
            f"  cloudmlops predict {name} '{instance}'",
            f"  cloudmlops endpoints delete {name}   # stops the server, which else goes on",
        ]
    lines.append("The code is short: begin with README.md and pipeline.py.")
    click.echo("\n".join(lines))


def _activation() -> list[str]:
    """What makes `cloudmlops` mean this environment in the reader's shell; nothing where it does already."""
    here = Path(sys.prefix) / "bin"
    found = shutil.which("cloudmlops")
    return [] if found and Path(found).parent == here else [f"  source {here / 'activate'}"]


def _shown(path: str) -> str:
    with contextlib.suppress(ValueError):
        return f"./{Path(path).absolute().relative_to(Path.cwd())}"
    return path
