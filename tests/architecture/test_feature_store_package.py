"""azureml-featurestore is imported nowhere: its pandas, its Spark and its own point-in-time join are not ours."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = ("azureml.featurestore", "azureml_featurestore")


def taken(text: str) -> Iterator[str]:
    """Yield the modules that a program imports, in whatever way."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{one.name}" for one in node.names)
        elif isinstance(node, ast.Call):
            yield from (one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str))


def forbidden(text: str) -> list[str]:
    return [name for name in taken(text) if any(name == one or name.startswith(f"{one}.") for one in FORBIDDEN)]


def test_the_package_of_the_feature_store_is_imported_nowhere() -> None:
    found = {path: forbidden(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py")}

    assert len(found) > 100
    assert {str(path): names for path, names in found.items() if names} == {}


def test_no_extra_needs_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]

    assert [one for one in needed if one.lower().replace("_", "-").startswith("azureml-featurestore")] == []


@pytest.mark.parametrize(
    "text",
    [
        "import azureml.featurestore",
        "import azureml.featurestore.contracts as contracts",
        "from azureml import featurestore",
        "from azureml.featurestore import FeatureStoreClient",
        "def f():\n    from azureml.featurestore.contracts.feature import Feature",
        "importlib.import_module('azureml.featurestore')",
    ],
)
def test_whatever_way_it_is_imported_it_is_seen(text: str) -> None:
    assert forbidden(text)
