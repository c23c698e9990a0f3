"""Nothing of ours uses what Azure's packages keep to themselves: it may be gone with any of their versions."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudmlops.emulators import azure
from cloudmlops.providers import azureml

OURS = ("self", "cls", "super")
_NAMING = ("getattr", "setattr", "hasattr", "delattr", "methodcaller", "attrgetter")


def sources() -> Iterator[Path]:
    for package in (azureml, azure):
        yield from Path(inspect.getfile(package)).parent.rglob("*.py")


def private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def used(text: str) -> Iterator[str]:
    """Yield the private names that a program takes from anybody but itself, and those of Azure's packages by name."""
    tree = ast.parse(text)
    own = {
        name
        for node in ast.walk(tree)
        for name in (
            [node.name]
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            else [node.target.id]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            else [node.attr]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in OURS
            else []
        )
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and not _of_our_own(node, own):
            yield f"line {node.lineno}: .{node.attr}"
        elif isinstance(node, ast.Call) and _called(node) in _NAMING:
            texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            yield from (f"line {node.lineno}: {text}" for text in texts if any(map(private, text.split("."))))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("azure", "msrest"):
            parts = [*(node.module or "").split("."), *(one.name for one in node.names)]
            yield from (f"line {node.lineno}: {part}" for part in parts if private(part))
        elif isinstance(node, ast.Import):
            yield from (
                f"line {node.lineno}: {one.name}"
                for one in node.names
                if one.name.startswith("azure.") and any(map(private, one.name.split(".")))
            )
        elif (
            isinstance(node, ast.Constant)
            and str(node.value).startswith("azure.")
            and any(map(private, str(node.value).split(".")))
        ):
            yield f"line {node.lineno}: {node.value}"


def _of_our_own(node: ast.Attribute, own: set[str]) -> bool:
    """Say whether an attribute is of the object itself, or of another one by a name that the same file makes."""
    return isinstance(node.value, ast.Name) and (node.value.id in OURS or node.attr in own)


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def test_nothing_private_is_used_of_azures_packages() -> None:
    found = {source.name: list(used(source.read_text(encoding="utf-8"))) for source in sources()}

    assert len(found) > 100
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "text",
    [
        "from azure.ai.ml import _restclient",
        "from azure.ai.ml._restclient import models",
        "import azure.ai.ml._utils.utils as utils",
        "ml()._telemetry",
        "client._requests_pipeline",
        "self._client._client.send_request()",
        "getattr(client, '_config')",
        "setattr(client, '_config', 1)",
        "attrgetter('models._operation')(client)",
        "import_module('azure.ai.ml._artifacts')",
    ],
)
def test_whatever_way_something_private_is_taken_it_is_seen(text: str) -> None:
    assert list(used(text))


@pytest.mark.parametrize(
    "text",
    [
        "self._client",
        "client.models",
        "getattr(client, 'models')",
        "made.__class__",
        "class A:\n    _b: int\n\nother._b",
    ],
)
def test_what_is_public_or_our_own_is_let_be(text: str) -> None:
    assert list(used(text)) == []
