"""`cloudmlops init`: the start of a project."""

from __future__ import annotations

from pathlib import Path

import click

from cloudmlops.cli.projects import copy_example
from cloudmlops.cli.session import Session, session_options


@click.command()
@session_options
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write into a folder that is not empty.")
def init(session: Session, folder: Path, force: bool) -> None:
    """Start a project in FOLDER: a pipeline of two steps, its test and its configuration."""
    written = copy_example("starter", folder, overwrite=force)
    session.record(
        f"A project is in {folder}" if written else f"{folder} holds the project already",
        {"folder": folder, "written": [path.name for path in written]},
    )
    session.note(f"\nNext:\n  cd {folder}\n  cloudmlops run pipeline.py:hello")
