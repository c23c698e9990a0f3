"""Projects from templates: the questions and files under `templates/`, drawn by copier."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from cloudmlops.errors import ConfigurationError, ConflictError

FOLDER: Final = Path(__file__).parents[1] / "templates"
FIRST: Final = dict.fromkeys(
    ("minimal", "train-register-deploy", "retrain-on-event", "batch-scoring", "feature-refresh"), "make run"
)
"""What a project from a template is begun with."""
_NAME: Final = re.compile(r"(?=.{3,16}$)[a-z](-?[a-z0-9])*")
_YES_OR_NO: Final = {"true": True, "yes": True, "false": False, "no": False}


def questions() -> dict[str, dict[str, Any]]:
    """Return what a project from a template is asked, by name: its type, choices and help."""
    asked = yaml.safe_load((FOLDER / "copier.yml").read_text(encoding="utf-8"))
    return {name: one for name, one in asked.items() if not name.startswith("_") and one.get("when") is not False}


def render(
    template: str, to: Path, answers: Mapping[str, str | bool], *, ask: bool = False, overwrite: bool = False
) -> None:
    """Write a project into a folder.

    Args:
        template: Its name.
        to: The folder, made when missing. Its name is the project's, unless that is answered or asked: as much of it
            as a name may have.
        answers: To questions, by their names.
        ask: Ask in the terminal what is not answered; else the defaults hold.
        overwrite: Write into a folder that is not empty. What templates leave to their owner stays.

    Raises:
        ConfigurationError: copier is missing, a question is unknown or not asked, or an answer cannot be given.
        ConflictError: `to` is a file, or not empty.
    """
    asked = [name for name in questions() if name != "template"]
    if unknown := sorted(answers.keys() - {*asked}):
        raise ConfigurationError(
            f"nothing is asked by the name of {', '.join(unknown)}", hint=f"Asked is: {', '.join(asked)}."
        )
    given = {name: _meant(name, answer) for name, answer in answers.items()}
    if to.exists() and not to.is_dir():
        raise ConflictError(f"{to} is a file", hint="Name a new folder.")
    if not overwrite and to.exists() and (held := sorted(path.name for path in to.iterdir() if path.name != ".git")):
        raise ConflictError(
            f"{to} is not empty: it holds {', '.join(held[:5])}",
            hint="Name a new folder, or write into this one with --force.",
        )
    try:
        import copier
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "templates need copier, which is not installed", hint='pip install "cloudmlops[templates]"'
        ) from error
    if not ask and (idle := _not_asked(template, given)):
        raise ConfigurationError(
            f"{', '.join(idle)} is not asked by {template!r} with these answers", hint="Leave it out."
        )
    try:
        copier.run_copy(
            str(FOLDER),
            to,
            data={**given, "template": template},
            user_defaults={"name": _name_from(to.resolve().name)},
            defaults=not ask,
            overwrite=overwrite,
            quiet=True,
        )
    except copier.errors.InteractiveSessionError as error:
        raise ConfigurationError(
            "nobody can be asked: there is no terminal", hint="Answer with --answer QUESTION=ANSWER, without --ask."
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            str(error), hint="Answer with --answer QUESTION=ANSWER, or be asked with --ask."
        ) from error


def _meant(name: str, answer: str | bool) -> str | bool:
    """Return an answer as its question has it: what is typed to one of yes or no is a word for either."""
    if questions()[name]["type"] != "bool" or isinstance(answer, bool):
        return answer
    if (word := answer.lower()) not in _YES_OR_NO:
        raise ConfigurationError(f"{name} is true or false, not {answer!r}", hint=f"--answer {name}=true")
    return _YES_OR_NO[word]


def _name_from(folder: str) -> str:
    """Return what of a folder's name can be a project's: whole words of it, as many as fit."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")
    if len(name) > 16:
        shorter = name[:16] if name[16] == "-" or "-" not in name[3:16] else name[:16].rpartition("-")[0]
        name = shorter.strip("-")
    return name if _NAME.fullmatch(name) else folder


def _not_asked(template: str, answers: Mapping[str, str | bool]) -> list[str]:
    """Return what was answered that the other answers make idle, when the answer is another one than the default."""
    from jinja2 import Environment

    asked, jinja = questions(), Environment(autoescape=True)
    given = {name: one["default"] for name, one in asked.items()} | dict(answers) | {"template": template}
    default = {name: jinja.from_string(str(asked[name]["default"])).render(given) for name in answers}
    return [
        name
        for name in answers
        if str(answers[name]).lower() != default[name].lower()
        and "when" in asked[name]
        and jinja.from_string(asked[name]["when"]).render(given) != "True"
    ]
