"""Custom roles as tests give them: of exactly some actions."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from cloudmlops.emulators.azure.cloud import AzureCloud
from cloudmlops.emulators.azure.rbac.roles import Role
from cloudmlops.providers.azureml.mapping.access import is_data


def role_of(cloud: AzureCloud, actions: Iterable[str]) -> Role:
    """Define a role that grants some actions, on resources and on data."""
    wanted = list(dict.fromkeys(actions))
    granted = {
        "actions": [one for one in wanted if not is_data(one)],
        "dataActions": [one for one in wanted if is_data(one)],
    }
    name = str(uuid4())
    return cloud.access.define({"name": name, "properties": {"roleName": name, "permissions": [granted]}})
