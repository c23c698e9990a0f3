"""`cloudmlops init`: the start of a project, from a template too, and its connection to what Terraform made."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import click

from cloudmlops.cli.projects import copy_example
from cloudmlops.cli.session import Session, session_options


@click.command()
@session_options
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--from-terraform",
    type=click.File("rb"),  # of whatever encoding the shell has: PowerShell's > writes UTF-16
    metavar="FILE",
    help="Name in FOLDER's cloudmlops.toml what a stack made: FILE holds what `terraform output -json` prints; - is "
    "standard input. FOLDER is this one unless given.",
)
@click.option(
    "--template", metavar="TEMPLATE", help="Start from a template: minimal is the right size for most projects."
)
@click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="QUESTION=ANSWER",
    help="Answer a question of the template, such as target=vertex or ci=gitlab; may be repeated. Else defaults hold.",
)
@click.option("--ask", is_flag=True, help="Be asked in the terminal what the template wants to know.")
@click.option("--name", metavar="NAME", help="Of the target from Terraform; the provider's unless given.")
@click.option("--force", is_flag=True, help="Write into a folder that is not empty, or over a target of that name.")
def init(
    session: Session,
    folder: Path | None,
    from_terraform: BinaryIO | None,
    template: str | None,
    answers: tuple[str, ...],
    ask: bool,
    name: str | None,
    force: bool,
) -> None:
    """Start a project in FOLDER: a pipeline of two steps, its test and its configuration; or what a template holds."""
    if from_terraform is not None and template is not None:
        raise click.UsageError("--from-terraform adds to a project that is there: start one with --template first.")
    if template is None and (answers or ask):
        raise click.UsageError("--answer and --ask go with --template.")
    if from_terraform is not None:
        _from_terraform(session, folder or Path(), from_terraform.read(), name, force)
        return
    if folder is None:
        raise click.UsageError("Missing argument 'FOLDER'.")
    if name is not None:
        raise click.UsageError("--name goes with --from-terraform.")
    if template is not None:
        _from_template(session, folder, template, answers, ask, force)
        return
    written = copy_example("starter", folder, overwrite=force)
    session.record(
        f"A project is in {folder}" if written else f"{folder} holds the project already",
        {"folder": folder, "written": [path.name for path in written]},
    )
    session.note(f"\nNext:\n  cd {folder}\n  cloudmlops run pipeline.py:hello")


def _from_terraform(session: Session, folder: Path, text: bytes, name: str | None, force: bool) -> None:
    from cloudmlops.cli.from_terraform import target_from, write_target

    settings = target_from(text)
    called = name or settings.provider
    file = write_target(folder, called, settings.target, overwrite=force)
    session.record(f"{called} is named in {file}", {"file": file, "name": called, "target": settings.target})
    session.note(f"\nNext:\n  cloudmlops doctor --target {called}")


def _from_template(
    session: Session, folder: Path, template: str, answers: tuple[str, ...], ask: bool, force: bool
) -> None:
    from cloudmlops.cli.rendering import FIRST, render

    pairs = [answer.partition("=") for answer in answers]
    if wrong := [answer for answer, equals, _ in pairs if not equals]:
        raise click.BadParameter(f"{', '.join(map(repr, wrong))}: write QUESTION=ANSWER", param_hint="--answer")
    render(template, folder, {question: answer for question, _, answer in pairs}, ask=ask, overwrite=force)
    session.record(f"A project is in {folder}", {"folder": folder, "template": template})
    there = "" if folder.resolve() == Path.cwd() else f"  cd {folder}\n"
    session.note(f"\nNext:\n{there}  {FIRST[template]}")
