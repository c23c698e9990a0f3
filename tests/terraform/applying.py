"""Apply a root module offline, by the real terraform with stand-ins for the providers, and read what came of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.tfcheck.attached import Attached
from tools.tfcheck.checks import providers, run
from tools.tfcheck.mirror import lay_out
from tools.tfcheck.schemas import types_named

TERRAFORM = Path(__file__).resolve().parents[2] / "terraform"


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What Terraform knows after an apply; what the clouds would have computed is invented by the stand-ins."""

    outputs: Mapping[str, Any]
    """As `terraform output -json` shows them."""
    state: Mapping[str, Any]
    """As `terraform show -json` shows it."""

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the values of all resources of a type, by their addresses."""
        return {one["address"]: one["values"] for one in self.every() if one["type"] == kind}

    def every(self) -> Iterator[dict[str, Any]]:
        """Yield what is managed, of any type."""
        return (one for one in _below(self.state["values"]["root_module"]) if one["mode"] == "managed")


def applied(root: str, scratch: Path, variables: Mapping[str, object]) -> Applied:
    """Apply a folder below `terraform/`, in a copy.

    Raises:
        AssertionError: Terraform refuses; with what it said.
    """
    with _begun(root, scratch, variables) as (folder, settings):
        code, said = run(folder, settings, "apply", "-auto-approve")
        assert code == 0, said
        return Applied(outputs=_shown(folder, settings, "output"), state=_shown(folder, settings, "show"))


def planned(root: str, scratch: Path, variables: Mapping[str, object]) -> tuple[int, str]:
    """Plan a folder below `terraform/`, in a copy: Terraform's exit code, and what whoever plans reads, in one line."""
    with _begun(root, scratch, variables) as (folder, settings):
        code, said = run(folder, settings, "plan")
    return code, " ".join(said.split())


@contextmanager
def _begun(root: str, scratch: Path, variables: Mapping[str, object]) -> Iterator[tuple[Path, Mapping[str, str]]]:
    copy = scratch / "terraform"
    shutil.copytree(TERRAFORM, copy, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*"))
    settings = lay_out(scratch / "providers", providers("newest"), types_named([*copy.rglob("*.tf")]))
    folder = copy / root
    (folder / "terraform.tfvars.json").write_text(json.dumps(variables))
    code, said = run(folder, settings, "init", "-backend=false")
    assert code == 0, said
    with Attached(scratch / "providers" / "mirror") as attached:
        yield folder, {**settings, **attached.variables(folder)}


def _shown(folder: Path, settings: Mapping[str, str], what: str) -> Any:
    code, said = run(folder, settings, what, "-json")
    assert code == 0, said
    return json.loads(said)


def _below(module: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _below(child)
