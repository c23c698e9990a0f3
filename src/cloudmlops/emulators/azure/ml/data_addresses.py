"""Where data lies that a job, a model or an endpoint names by an address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.ml import WORKSPACE

_LONG: Final = re.compile(
    r"azureml://subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)(?:/providers/[^/]+)?"
    r"/workspaces/(?P<workspace>[^/]+)/datastores/(?P<datastore>[^/]+)(?:/paths(?:/(?P<path>.*))?)?",
    re.IGNORECASE,
)
_SHORT: Final = re.compile(r"azureml://datastores/(?P<datastore>[^/]+)(?:/paths(?:/(?P<path>.*))?)?", re.IGNORECASE)
_HTTPS: Final = re.compile(
    r"https://(?P<account>[^./]+)\.blob\.core\.windows\.net/(?P<container>[^/?]+)(?:/(?P<path>[^?]*))?(?:\?.*)?"
)
_HADOOP: Final = re.compile(
    r"(?:wasbs|abfss)://(?P<container>[^@/]+)@(?P<account>[^./]+)\.(?:blob|dfs)\.core\.windows\.net(?:/(?P<path>.*))?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """A blob, or all that lies below a prefix."""

    account: str
    container: str
    path: str
    """Without a slash at its beginning; empty is the whole container."""


def storage_of(resources: Resources, workspace: str, address: str) -> Storage:
    """Return where an address leads.

    Args:
        resources: All that there are.
        workspace: The id of that which short addresses are in.
        address: `azureml://…/datastores/D/paths/P` in its long or short form, or a blob's `https`, `wasbs` or `abfss`.

    Raises:
        Refused: It is none of these, or there is no such datastore of blobs.
    """
    for pattern in (_HTTPS, _HADOOP):
        if found := pattern.fullmatch(address):
            path = unquote(found["path"] or "") if pattern is _HTTPS else found["path"] or ""
            return Storage(account=found["account"], container=found["container"], path=path)
    if found := _LONG.fullmatch(address):
        names = {name: found[name] for name in ("subscription", "group", "workspace")}
        return _in_datastore(resources, WORKSPACE.format(**names), found["datastore"], found["path"] or "")
    if found := _SHORT.fullmatch(address):
        return _in_datastore(resources, workspace, found["datastore"], found["path"] or "")
    raise UserError("INVALID_ARGUMENT", f"{address!r} is no address of data.")


def _in_datastore(resources: Resources, workspace: str, datastore: str, path: str) -> Storage:
    found = resources.get(f"{workspace}/datastores/{datastore}")
    if found is None:
        raise UserError("NOT_FOUND", f"Could not find datastore: {datastore}")
    properties = found["properties"]
    if properties["datastoreType"] != "AzureBlob":
        raise UserError("UNIMPLEMENTED", f"data in a datastore of type {properties['datastoreType']} is not emulated")
    return Storage(account=properties["accountName"], container=properties["containerName"], path=path.lstrip("/"))
