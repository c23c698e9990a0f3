"""Projects drawn from templates, and what is run in them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

from cloudmlops.cli.rendering import questions, render

Answers = Mapping[str, str | bool]


def combinations(template: str) -> Iterator[Answers]:
    """Yield all answers that differ: what is not asked is answered once."""
    asked = questions()
    choices = {name: [*asked[name]["choices"].values()] for name in ("target", "ci", "serving")}
    for target, ci, serving, features in product(*choices.values(), (False, True)):
        if serving == "mlflow" and target not in ("azureml", "both"):
            continue
        if features and (template == "minimal" or serving == "mlflow"):
            continue
        stacks = "../../stacks" if template == "retrain-on-event" and target != "local" else ""
        yield {"target": target, "ci": ci, "serving": serving, "feature_store": features, "stacks": stacks}


def drawn(template: str, answers: Answers, folder: Path) -> Path:
    """Draw a project named after its answers."""
    told = ["with" if one is True else str(one) for name, one in answers.items() if one and name != "stacks"]
    project = folder / "-".join([template, *told])
    render(template, project, {"name": "drawn", **answers})
    return project


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a module of this interpreter in a project, as its owner would; `cloudmlops` is the command."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDMLOPS_")}
    module, *words = command
    named = ["-c", "from cloudmlops.cli import main; main()"] if module == "cloudmlops" else ["-m", module]
    return subprocess.run(
        [sys.executable, *named, *words], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
