"""Assets of registries by their addresses: `azureml://registries/R/models/N/versions/V`, from any workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.ml.registries import registry_named

_ADDRESS: Final = re.compile(r"(?:azureml:)?azureml://registries/([^/]+)/(\w+)/([^/]+)/versions/([^/]+)")


def address_of(registry: str, kind: str, name: str, version: str) -> str:
    """Return the address of a version."""
    return f"azureml://registries/{registry}/{kind}/{name}/versions/{version}"


def in_registry(resources: Resources, address: str) -> dict[str, Any] | None:
    """Return what an address leads to; None when it is no such address, or leads nowhere."""
    found = _ADDRESS.fullmatch(address)
    registry = registry_named(resources, found[1]) if found is not None else None
    if found is None or registry is None:
        return None
    return resources.get(f"{registry['id']}/{found[2]}/{found[3]}/versions/{found[4]}")


def registries_in(resources: Resources, given: object) -> Iterator[dict[str, Any]]:
    """Yield the registries that addresses in what was sent are of, wherever in it they are."""
    if isinstance(given, Mapping):
        for one in given.values():
            yield from registries_in(resources, one)
    elif isinstance(given, list):
        for one in given:
            yield from registries_in(resources, one)
    elif isinstance(given, str) and (found := _ADDRESS.fullmatch(given)) is not None:
        registry = registry_named(resources, found[1])
        if registry is not None:
            yield registry


def kind_at(address: str) -> str | None:
    """Return the kind of asset that an address of a registry names, such as `models`; None of any other."""
    found = _ADDRESS.fullmatch(address)
    return found[2] if found else None
