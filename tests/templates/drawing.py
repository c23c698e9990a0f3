"""Projects drawn from templates, and what is run in them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from cloudmlops.cli.rendering import questions, render

Answers = Mapping[str, str | bool]


def combinations(template: str) -> Iterator[Answers]:
    """Yield all answers that differ: what is not asked is answered once."""
    asked = questions()
    choices = {name: [*asked[name]["choices"].values()] for name in ("target", "ci", "serving")}
    scheduled = template in ("batch-scoring", "feature-refresh")
    for target, ci, serving, features in product(*choices.values(), (False, True)):
        if serving == "mlflow" and (scheduled or target not in ("azureml", "both")):
            continue
        if features and (template in ("minimal", "feature-refresh") or serving == "mlflow"):
            continue
        stacks = "../../stacks" if (scheduled or template == "retrain-on-event") and target != "local" else ""
        about_models = {} if template == "feature-refresh" else {"serving": serving, "feature_store": features}
        yield {"target": target, "ci": ci, **about_models, "stacks": stacks}


def drawn(template: str, answers: Answers, folder: Path) -> Path:
    """Draw a project named after its answers."""
    told = ["with" if one is True else str(one) for name, one in answers.items() if one and name != "stacks"]
    project = folder / "-".join([template, *told])
    render(template, project, {"name": "drawn", **answers})
    return project


def drawn_together(wanted: Sequence[tuple[str, Answers]], folder: Path) -> list[Path]:
    """Draw projects, each once, with the other processes that are asked for the same ones in the same folder."""
    begun, ended = folder / "begun", folder / "ended"
    for place in (begun, ended):
        place.mkdir(parents=True, exist_ok=True)
    for number, (template, answers) in enumerate(wanted):
        try:
            (begun / str(number)).touch(exist_ok=False)
        except FileExistsError:
            continue
        (ended / str(number)).symlink_to(drawn(template, answers, folder / "projects"))
    while len([*ended.iterdir()]) < len(wanted):
        time.sleep(0.1)
    return [(ended / str(number)).resolve() for number in range(len(wanted))]


def named_here() -> dict[str, str]:
    """Return this process's variables without those that say which platform is meant, or that `make` began it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("CLOUDMLOPS_", "MAKE", "MFLAGS"))}


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a module of this interpreter in a project, as its owner would; `cloudmlops` is the command."""
    module, *words = command
    named = ["-c", "from cloudmlops.cli import main; main()"] if module == "cloudmlops" else ["-m", module]
    return subprocess.run(
        [sys.executable, *named, *words], cwd=project, env=named_here(), capture_output=True, text=True, check=False
    )
