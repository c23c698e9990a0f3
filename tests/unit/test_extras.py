"""What the package imports comes with what a user installs: each extra alone brings what its rooms need."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "cloudmlops"
PROVIDERS = ("local", "vertex", "azureml")
APART = {"emulators", "serving", "testing", "templates"}
"""Rooms that need an extra of their own, or run in images that bring it; the others serve every provider."""
OPTIONAL = {
    ("cli/rendering.py", "copier"),  # of the extra `templates`; without it the command says so
    ("cli/rendering.py", "jinja2"),
    ("domain/artifacts.py", "pandas"),  # a table is given as what the caller asks for, who has it
    ("domain/artifacts.py", "polars"),
    ("materializers/tables.py", "polars"),
    ("providers/local/feature_store/sources.py", "sqlglot"),  # says so, and what to do
    ("providers/azureml/feature_store/spark_entry.py", "pyspark"),  # runs within Spark
    ("emulators/azure/jobs/batch_runner.py", "pandas"),  # runs in the deployment's own environment
}


@cache
def brought_by(*extras: str) -> frozenset[str]:
    """Return the distributions that an installation with these extras consists of."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for name in extras for one in project["optional-dependencies"][name])]
    todo, found = [Requirement(one) for one in wanted], dict[str, set[str]]()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in found and requirement.extras <= found[name]:
            continue
        found[name] = found.get(name, set()) | requirement.extras
        try:
            further = [Requirement(one) for one in requires(name) or ()]
        except PackageNotFoundError:  # for another system than this one
            continue
        asked = [{"extra": extra} for extra in ("", *requirement.extras)]
        todo += [one for one in further if one.marker is None or any(map(one.marker.evaluate, asked))]
    return frozenset(found)


def imports(room: Path) -> Iterator[tuple[str, str]]:
    """Yield the files of a room, each with the packages of others that it imports, at once or when it needs them."""
    for file in [room] if room.is_file() else sorted(room.rglob("*.py")):
        for name in _imported(file):
            yield file.relative_to(PACKAGE).as_posix(), name


@cache
def _imported(file: Path) -> frozenset[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return frozenset({name.partition(".")[0] for name in names} - {"cloudmlops", *sys.stdlib_module_names})


@cache
def _makers() -> Mapping[str, list[str]]:
    return packages_distributions()


def made_by(package: str) -> set[str]:
    return {canonicalize_name(name) for name in _makers().get(package, ())}


def missing(room: Path, *extras: str) -> set[tuple[str, str]]:
    brought = brought_by(*extras)
    return {
        (file, name)
        for file, name in imports(room)
        if brought.isdisjoint(made_by(name)) and (file, name) not in OPTIONAL
    }


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_s_extra_alone_brings_what_it_and_all_common_rooms_import(provider: str) -> None:
    common = [room for room in PACKAGE.iterdir() if room.stem not in {"providers", *APART}]
    shared = [room for room in (PACKAGE / "providers").iterdir() if room.stem not in PROVIDERS]

    lacking = {one for room in [*common, *shared, PACKAGE / "providers" / provider] for one in missing(room, provider)}

    assert lacking == set()


@pytest.mark.parametrize(
    ("room", "extras"),
    [
        ("emulators/google", ("emulators", "vertex")),
        ("emulators/azure", ("emulators",)),
        ("emulators/core", ("emulators", "vertex")),
        ("serving", ("local",)),
        ("testing", ("testing", "local")),
    ],
)
def test_the_rooms_apart_import_what_their_extras_bring(room: str, extras: tuple[str, ...]) -> None:
    assert missing(PACKAGE / room, *extras) == set()


def test_what_may_be_missing_is_still_imported() -> None:
    assert set(imports(PACKAGE)) >= OPTIONAL
