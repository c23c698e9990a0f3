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
from cloudmlops.emulators.azure.blob import service as blobs
from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.core.emulator import Emulator

PAGE = Path(__file__).resolve().parent.parent / "docs" / "emulators-azure-coverage.md"
HEAD = """# What of Azure is emulated

Drawn by `python tools/azure_coverage.py` from the emulator's own tables and the requests that the installed azure-ai-ml
can build, but for the last table; a test fails when it is out of date. What is not emulated is answered by 501, which
names it, and so is a filter of a list that is not honoured.

## Azure Machine Learning

"""
BESIDE = """
## Other parts of the resource manager

"""
BESIDES = """
## Beside the resource manager

This table is written by hand in `tools/azure_coverage.py`, but for the operations of Blob Storage, of run history and
of MLflow, which are the emulator's own.

| service | emulated | not emulated |
|---|---|---|
"""
SERVICES = {
    "Entra ID": (
        (
            "tokens for a client's secret, a certificate, a federated token; managed identities as App Service, "
            "Azure ML and a machine (IMDS) have them; OpenID configuration and keys"
        ),
        "device code, passwords, on behalf of; Microsoft Graph",
    ),
    "Azure RBAC": (
        (
            "every call is decided by roles, built in and custom, at any scope, of principals, groups and groups in "
            "groups, with the delay of propagation"
        ),
        "deny assignments, conditions, eligible assignments",
    ),
    "Blob Storage": ("{blobs}", "{no_blobs}; Data Lake's own API (`dfs`), files, queues, tables"),
    "Event Grid, topics": (
        (
            "events.publish; delivery to webhooks with both handshakes, filters, retries, expiry, dead letters; "
            "delivery to topics of namespaces"
        ),
        (
            "storage queues, Event Hubs, Service Bus, functions by id and hybrid connections as destinations: a "
            "webhook, or a namespace's topic with a subscription to pull from, stands for them; domains, partner events"
        ),
    ),
    "Event Grid, namespaces": ("publish, receive, acknowledge, release, reject, renewLock", "push delivery, MQTT"),
    "run history and discovery": ("{history}", "all else"),
    "MLflow": ("{mlflow}; artifacts of runs", "logged models, traces"),
    "registries": (
        "discovery, import of models, data and environments, uploads",
        "import of components and codes, which no SDK asks for",
    ),
    "scoring": (
        "online endpoints with keys, tokens and Entra, traffic and mirrors; the jobs of batch endpoints",
        "Kubernetes, serverless endpoints",
    ),
    "Redis": (
        "the system's redis-server, else a substitute, at an address of its own",
        "Azure's management of caches",
    ),
}
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
        cloud = emulator.cloud(AzureCloud)
        rows = "".join(f"| {name} | {' | '.join(cells)} |\n" for name, cells in SERVICES.items()).format(
            blobs=", ".join(blobs.operations()),
            no_blobs=", ".join(blobs.absent()),
            history=", ".join(cloud.history.operations),
            mlflow=", ".join(cloud.tracking.operations),
        )
        tables = (HEAD, *_table(cloud.routes, cloud.registry_routes), BESIDE, *_beside(cloud.routes))
        return "\n".join(tables).replace("\n\n\n", "\n\n") + "\n" + BESIDES + rows


def _table(*known: Routes) -> Iterator[str]:
    emulated: defaultdict[str, list[str]] = defaultdict(list)
    absent: defaultdict[str, list[str]] = defaultdict(list)
    for request in requests():
        found = any(routes.find(request.method, request.path) for routes in known)
        (emulated if found else absent)[request.kind].append(request.verb)
    yield from ("| resource | emulated | not emulated |", "|---|---|---|")
    for kind in sorted(emulated):
        yield f"| {kind} | {_words(emulated[kind])} | {_words(absent[kind])} |"
    yield ""
    yield f"Not emulated at all: {', '.join(sorted(set(absent) - set(emulated)))}."


def _beside(routes: Routes) -> Iterator[str]:
    verbs: defaultdict[str, set[str]] = defaultdict(set)
    for route in routes:
        posted = route.method == "POST"
        kind = (
            route.action.rpartition("/")[0].removesuffix(f"/{route.path.rpartition('/')[2]}" * posted)
            or route.path.rpartition("/providers/")[2].rpartition("/")[0]
        )
        if not kind.startswith("Microsoft.MachineLearningServices"):
            listed = route.method == "GET" and not route.path.endswith("}")
            done = route.path.rpartition("/")[2] if posted else "list" if listed else route.method
            verbs[kind.replace("/{location}", "")].add(done)
    yield from ("| resource | emulated |", "|---|---|")
    yield from (f"| {kind} | {_words([*verbs[kind]])} |" for kind in sorted(verbs))


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
