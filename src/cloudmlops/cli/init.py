"""`cloudmlops init`: the start of a project, and its connection to what Terraform made."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

from cloudmlops.cli.projects import copy_example
from cloudmlops.cli.session import Session, session_options


@click.command()
@session_options
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--from-terraform",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="Name in FOLDER's cloudmlops.toml what a stack made: FILE holds what `terraform output -json` prints; - is "
    "standard input. FOLDER is this one unless given.",
)
@click.option("--name", metavar="NAME", help="Of the target from Terraform; the provider's unless given.")
@click.option("--force", is_flag=True, help="Write into a folder that is not empty, or over a target of that name.")
def init(session: Session, folder: Path | None, from_terraform: TextIO | None, name: str | None, force: bool) -> None:
    """Start a project in FOLDER: a pipeline of two steps, its test and its configuration."""
    if from_terraform is not None:
        _from_terraform(session, folder or Path(), from_terraform.read(), name, force)
        return
    if folder is None:
        raise click.UsageError("Missing argument 'FOLDER'.")
    if name is not None:
        raise click.UsageError("--name goes with --from-terraform.")
    written = copy_example("starter", folder, overwrite=force)
    session.record(
        f"A project is in {folder}" if written else f"{folder} holds the project already",
        {"folder": folder, "written": [path.name for path in written]},
    )
    session.note(f"\nNext:\n  cd {folder}\n  cloudmlops run pipeline.py:hello")


def _from_terraform(session: Session, folder: Path, text: str, name: str | None, force: bool) -> None:
    from cloudmlops.cli.from_terraform import target_from, write_target

    settings = target_from(text)
    called = name or settings.provider
    file = write_target(folder, called, settings.target, overwrite=force)
    session.record(f"{called} is named in {file}", {"file": file, "name": called, "target": settings.target})
    session.note(f"\nNext:\n  cloudmlops doctor --target {called}")
