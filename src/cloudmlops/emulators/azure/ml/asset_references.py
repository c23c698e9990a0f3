"""References of jobs and components to environments, code and components: what is not registered is refused.

A component that is not there is answered as recorded (azure-sdk-assets, azure-ai-ml 1.12, 2023-10,
`non_existent_remote_version`), an environment in the service's words and with its status as users quote them (issue
38594 of azure-sdk-for-python). How code that is not there is refused is not recorded.
"""

from __future__ import annotations

import re
from typing import Final

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.ml.registry_addresses import in_registry

_ID: Final = re.compile(
    r"(?:azureml:)?(/subscriptions/.+/workspaces/[^/]+)/(\w+)/([^/]+)/versions/([^/]+)", re.IGNORECASE
)
_SHARED: Final = re.compile(r"(?:azureml:)?azureml://registries/([^/]+)/environments/([^/]+)/versions/([^/]+)")
_NAMED: Final = re.compile(r"azureml:(?!/)([^:/]+):([^:/]+)")
_CURATED: Final = "azureml-"
"""Begins the names of environments that every workspace has from the service."""
_PUBLIC: Final = "azureml"
"""The service's own registry, of which nothing is kept here: what it has stands for itself."""


def check_environment(resources: Resources, workspace: str, reference: str) -> None:
    """Refuse an environment that is in no workspace and no registry; what is no such reference is an image.

    Raises:
        Refused: It is not there.
    """
    if shared := _SHARED.fullmatch(reference):
        registry, name, version = shared.groups()
        known = registry == _PUBLIC or in_registry(resources, reference) is not None
    elif found := _ID.fullmatch(reference):
        name, version = found[3], found[4]
        known = resources.get(reference.removeprefix("azureml:")) is not None
    elif named := _NAMED.fullmatch(reference):
        name, version = named.groups()
        known = resources.get(f"{workspace}/environments/{name}/versions/{version}") is not None
    else:
        return
    if not known and not name.lower().startswith(_CURATED):
        raise UserError("NOT_FOUND", f"No environment exists for name: {name}, version: {version}, label: ")


def check_code(resources: Resources, reference: str) -> None:
    """Refuse code that is not registered; what is no id of code is an address of files.

    Raises:
        Refused: It is not there.
    """
    found = _ID.fullmatch(reference)
    if found is not None and found[2].lower() == "codes" and resources.get(reference.removeprefix("azureml:")) is None:
        raise not_found("CodeNotFound", f"Code {found[3]}:{found[4]} not found.")


def no_component(reference: str) -> UserError:
    """Return the refusal of a component that is not there, by its id."""
    found = _ID.fullmatch(reference)
    name, version = (found[3], found[4]) if found is not None else (reference, "")
    refused = UserError("NOT_FOUND", f"key: {reference}, Message: Not found component {name} (version: {version}).")
    refused.reason = "NotFound"
    return refused
