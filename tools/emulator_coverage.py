"""Draw `docs/emulators-coverage.md` from the emulators' own tables: `python tools/emulator_coverage.py`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.google import vertex_cloud
from cloudmlops.emulators.google.aiplatform.build import handlers_of
from cloudmlops.emulators.google.aiplatform.catalogue import Version, methods, service_names
from cloudmlops.emulators.google.aiplatform.dispatch import Dispatcher
from cloudmlops.emulators.google.cloud import GoogleCloud

PAGE = Path(__file__).resolve().parent.parent / "docs" / "emulators-coverage.md"
HEAD = """# What of Vertex AI is emulated

Drawn by `python tools/emulator_coverage.py` from the emulator's own tables and the installed SDK; a test fails when it
is out of date. **rules**: the service's own behaviour is emulated. **generic**: create, get, list, update and delete
with names, masks, filters, pages, etags and operations, and nothing happens beyond that. All else is answered by 501
UNIMPLEMENTED, which names the method.

"""
VERSIONS: tuple[Version, ...] = ("v1", "v1beta1")


def page() -> str:
    """Return the page's text."""
    with Emulator([vertex_cloud()]) as emulator:
        vertex = emulator.cloud(GoogleCloud).vertex
        dispatcher = Dispatcher(vertex, handlers_of(vertex), mutated=lambda *_: None, check=lambda *_: None)
        lines = []
        for version in VERSIONS:
            lines += [f"## {version}", "", "| service | rules | generic | not emulated |", "|---|---|---|---|"]
            for service in sorted(service_names(version)):
                by_kind: dict[str, list[str]] = {"rules": [], "generic": [], "": []}
                for method in methods(version, service).values():
                    by_kind[dispatcher.emulated(method)].append(method.name)
                if by_kind["rules"] or by_kind["generic"]:
                    cells = (", ".join(sorted(by_kind[kind])) or "none" for kind in ("rules", "generic", ""))
                    lines.append(f"| {service} | {' | '.join(cells)} |")
            absent = [
                service
                for service in sorted(service_names(version))
                if not any(dispatcher.emulated(method) for method in methods(version, service).values())
            ]
            lines += ["", f"Not emulated at all: {', '.join(absent)}.", ""]
    return HEAD + "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(page(), encoding="utf-8")
