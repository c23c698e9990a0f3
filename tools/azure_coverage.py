"""Draw `docs/emulators-azure-coverage.md` from the emulator's routes: `python tools/azure_coverage.py`.

What Azure Machine Learning offers is read off the installed azure-ai-ml: the requests that its client can build.
"""

from __future__ import annotations

import ast
import re
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cloudmlops.emulators.azure.arm.routes import Routes
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator

PAGE = Path(__file__).resolve().parent.parent / "docs" / "emulators-azure-coverage.md"
HEAD = """# What of Azure Machine Learning's resource manager is emulated

Drawn by `python tools/azure_coverage.py` from the emulator's routes and the requests that the installed azure-ai-ml can
build; a test fails when it is out of date. What is not emulated is answered by 501, which names it.

"""
CLIENT = Path("_restclient", "arm_ml_service", "operations", "_operations.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One that the SDK can build."""

    method: str
    path: str

    @property
    def kind(self) -> str:
        """What it is about, such as `workspaces/models/versions`."""
        types = self.path.split("/Microsoft.MachineLearningServices/")[-1].split("/")
        return "/".join(part for part in (types[:-1] if self.method == "POST" else types) if not part.startswith("{"))

    @property
    def verb(self) -> str:
        """What it does there: of `POST`, the last word of the path."""
        if self.method == "POST":
            return self.path.rsplit("/", 1)[-1]
        if self.method == "GET" and not self.path.endswith("}"):
            return "list" if "/resourceGroups/" in self.path else "list of the subscription"
        return self.method


def page() -> str:
    """Return the page's text."""
    with Emulator([AzureCloud()]) as emulator:
        return HEAD + "\n".join(_table(emulator.cloud(AzureCloud).routes)) + "\n"


def _table(routes: Routes) -> Iterator[str]:
    emulated: defaultdict[str, list[str]] = defaultdict(list)
    absent: defaultdict[str, list[str]] = defaultdict(list)
    for request in requests():
        known = routes.find(request.method, request.path)
        (emulated if known else absent)[request.kind].append(request.verb)
    yield from ("| resource | emulated | not emulated |", "|---|---|---|")
    for kind in sorted(emulated):
        yield f"| {kind} | {_words(emulated[kind])} | {_words(absent[kind])} |"
    yield ""
    yield f"Not emulated at all: {', '.join(sorted(set(absent) - set(emulated)))}."


def _words(verbs: list[str]) -> str:
    return ", ".join(sorted(set(verbs))) or "none"


def requests() -> Iterator[Request]:
    """Read the requests off the SDK's source; nothing of it is executed."""
    spec = find_spec("azure.ai.ml")
    if spec is None or spec.origin is None:
        raise SystemExit("azure-ai-ml is not installed: install cloudmlops[azureml]")
    for node in ast.parse((Path(spec.origin).parent / CLIENT).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and re.fullmatch(r"build_\w+_request", node.name):
            texts = [str(part.value) for part in ast.walk(node) if isinstance(part, ast.Constant)]
            words = [part for part in ast.walk(node) if isinstance(part, ast.keyword) and part.arg == "method"]
            yield Request(
                method=ast.literal_eval(words[0].value),
                path=next(text for text in texts if text.startswith(("/subscriptions/", "/providers/"))),
            )


if __name__ == "__main__":
    ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(page(), encoding="utf-8")
