"""An adapter is called as its port says: the same names, the same parameters, the same defaults."""

import inspect
from importlib import import_module

import pytest

from cloudmlops.ports.backends import Backends
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.providers.local.backends import LocalBackends
from cloudmlops.storage.local import LocalStore

NOUNS = ["pipelines", "features", "models", "endpoints", "events", "access"]

PAIRS = [
    pytest.param(
        getattr(import_module(f"cloudmlops.ports.{noun}"), f"{noun.title()}Port"),
        getattr(import_module(f"cloudmlops.providers.local.{noun}"), f"Local{noun.title()}"),
        id=noun,
    )
    for noun in NOUNS
]


def members(protocol: type) -> dict[str, object]:
    return {name: member for name, member in vars(protocol).items() if not name.startswith("_")}


def parameters(function: object) -> list[tuple[str, object, object]]:
    assert callable(function)
    signature = inspect.signature(function)
    return [(p.name, p.kind, p.default) for p in signature.parameters.values() if p.name != "self"]


@pytest.mark.parametrize(
    ("port", "adapter"),
    [
        *PAIRS,
        pytest.param(ObjectStore, LocalStore, id="object store"),
        pytest.param(Backends, LocalBackends, id="backends"),
    ],
)
def test_the_local_adapter_is_called_as_its_port_says(port: type, adapter: type) -> None:
    for name, promised in members(port).items():
        offered = getattr(adapter, name, None)
        if not inspect.isfunction(promised):
            # A property: an adapter may compute it or set it when it is made.
            assert not inspect.isfunction(offered), f"{name} is an attribute of the port and a method of the adapter"
            continue
        assert inspect.isfunction(offered), f"{adapter.__name__} lacks {name}"
        assert parameters(offered) == parameters(promised), f"{adapter.__name__}.{name}"
