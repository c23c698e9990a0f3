"""Azure ML's own addresses of data, as addresses on Blob storage."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cloudmlops.errors import UnsupportedError
from cloudmlops.providers.azureml import datastores

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.backends import AzureMLBackends

_IN_DATASTORE: Final = re.compile(
    r"azureml://(?:subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)"
    r"/(?:providers/[^/]+/)?workspaces/(?P<workspace>[^/]+)/)?datastores/(?P<datastore>[^/]+)/paths/(?P<path>.*)",
    re.IGNORECASE,
)


class Addresses:
    """Data assets and paths in the workspace's datastores."""

    def __init__(self, backends: AzureMLBackends) -> None:
        self._wire = backends.wire

    def resolved(self, uri: str, *, operation: str) -> str:
        """Return an address without Azure ML's own names; any other one stays as it is.

        Raises:
            UnsupportedError: It is in another workspace, or no path in a datastore.
        """
        if not uri.startswith("azureml:"):
            return uri
        parts = _IN_DATASTORE.fullmatch(uri)
        workspace = self._wire.settings.workspace
        if parts is None or (parts["workspace"] or workspace).lower() != workspace.lower():
            raise UnsupportedError(
                f"{uri} is no path in a datastore of the workspace {workspace}",
                hint="Write azureml://datastores/NAME/paths/FOLDER, or abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/….",
            )
        place = datastores.named(self._wire, parts["datastore"], operation=operation)
        return place.store(parts["path"])

    def of_data_asset(self, name: str, *, operation: str) -> str | None:
        """Return where the latest version of a data asset lies; None when there is none of that name.

        Raises:
            UnsupportedError: It is an MLTable, which only Azure's own packages read.
        """
        client = self._wire.client
        # Asked for one that is missing, the SDK logs an error.
        listed = self._wire.list(lambda: client.data.list(), operation=operation, resource=name)
        version = next((one.latest_version for one in listed if one.name == name), None)
        if version is None:
            return None
        found = self._wire.ask(lambda: client.data.get(name, version=version), operation=operation, resource=name)
        if str(found.type) == "mltable":
            raise UnsupportedError(
                f"the data asset {name!r} is an MLTable, which only Azure's own packages read",
                hint="Register its files or its Delta table as uri_folder.",
            )
        return self.resolved(str(found.path), operation=operation)
