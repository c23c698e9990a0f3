"""Run Terraform's fmt, init, validate and test over each folder of a tree, with stand-ins for its providers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tools.tfcheck.attached import Attached
from tools.tfcheck.mirror import lay_out
from tools.tfcheck.schemas import Recorded, recorded, types_named

End = Literal["newest", "oldest"]
"""Which of a provider's recorded versions is offered: all, of which Terraform takes the newest, or the oldest alone."""
ENDS: Final[tuple[End, ...]] = ("newest", "oldest")
_LEFT_BEHIND: Final = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "*.tfstate*")


class TerraformMissingError(Exception):
    """There is no terraform: nothing was checked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of one folder."""

    folder: str
    passed: bool
    said: str
    """What Terraform said: why it failed, its warnings, or how many tests passed."""


def check(
    tree: Path, *, end: End, only: Sequence[str] = (), tests: bool = True, at_once: int | None = None
) -> Iterator[Result]:
    """Check each folder of a tree that has Terraform files, in a copy: nothing is left in the tree.

    Args:
        tree: Its folders may refer to each other.
        end: Which versions of providers.
        only: Folders below it; none is all.
        tests: Whether `terraform test` is run, too.
        at_once: How many folders at a time; None is one for each processor.

    Yields:
        The form of all files first (unless `only` is given), then each folder.

    Raises:
        TerraformMissingError: No terraform is on the path.
    """
    if not shutil.which("terraform"):
        raise TerraformMissingError("there is no terraform on the path: nothing was checked")
    with tempfile.TemporaryDirectory(prefix="tfcheck-") as scratch:
        copy = Path(scratch) / "tree"
        shutil.copytree(tree, copy, ignore=_LEFT_BEHIND)
        files = [*copy.rglob("*.tf"), *copy.rglob("*.tftest.hcl")]
        variables = lay_out(Path(scratch) / "providers", providers(end), types_named(files))
        folders = sorted({file.parent for file in files if file.suffix == ".tf"})
        if only:
            folders = [one for one in folders if any(one.is_relative_to(copy / name) for name in only)]
        else:
            code, said = run(copy, variables, "fmt", "-check", "-recursive", "-diff")
            yield Result(folder="fmt", passed=not code, said=said)

        with Attached(Path(scratch) / "providers" / "mirror") as attached:

            def checked(folder: Path) -> Result:
                passed, said = _checked(folder, variables, attached, tests=tests)
                return Result(folder=str(folder.relative_to(copy)), passed=passed, said=said)

            with ThreadPoolExecutor(at_once or os.cpu_count() or 2) as pool:
                yield from pool.map(checked, folders)


def providers(end: End) -> list[Recorded]:
    """Return the recorded versions of one end."""
    known = recorded()
    oldest = {one.name: one for one in reversed(known)}
    return known if end == "newest" else list(oldest.values())


def run(folder: Path, variables: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run Terraform in a folder; its exit code and what it said."""
    command = ["terraform", *arguments, "-no-color"]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.strip()


def _checked(folder: Path, variables: Mapping[str, str], attached: Attached, *, tests: bool) -> tuple[bool, str]:
    code, said = run(folder, variables, "init", "-backend=false")
    if code:
        return False, f"terraform init:\n{said}"
    variables = {**variables, **attached.variables(folder)}
    steps = [("validate",)]
    if tests and any(folder.glob("tests/*.tftest.hcl")):
        steps.append(("test",))
    told = []
    for step in steps:
        code, said = run(folder, variables, *step)
        if code:
            return False, f"terraform {step[0]}:\n{said}"
        if step == ("test",):
            told.append(said.splitlines()[-1])
        elif step == ("validate",) and "Warning:" in said:
            told.append(said)
    return True, "\n".join(told)
