"""Which of what there is a list shows: what its query asks for, the same for all kinds of assets.

The queries are those of the published OpenAPI (azure-rest-api-specs, Microsoft.MachineLearningServices 2023-10-01).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.arm.routes import ArmRequest

_VIEWS: Final = ("activeonly", "archivedonly", "all")
_ORDERS: Final = ("createdtime desc", "createdtime asc")


def viewed(resources: Resources, request: ArmRequest) -> list[dict[str, Any]]:
    """Return the members of a collection that a list shows, the oldest first: active ones unless it asks for others.

    Raises:
        Refused: The list view type is none.
    """
    found = [one for one in resources.directly_below(request.path) if in_view(one["properties"]["isArchived"], request)]
    if description := request.query("description"):
        found = [one for one in found if one["properties"].get("description") == description]
    if name := request.query("name"):
        found = [one for one in found if one["name"] == name]
    if tags := request.query("tags") or request.query("$tags"):
        found = [one for one in found if tagged(one["properties"].get("tags") or {}, tags)]
    return found


def versions_viewed(resources: Resources, request: ArmRequest) -> Sequence[dict[str, Any]]:
    """Return the versions of an asset that a list shows, the newest first unless it asks for another order.

    Raises:
        Refused: Order or list view type are none.
    """
    order = request.query("$orderBy").lower() or _ORDERS[0]
    if order not in _ORDERS:
        raise UserError("INVALID_ARGUMENT", f"The order {order!r} is not supported.")
    found = viewed(resources, request)
    if stage := request.query("stage"):
        found = [one for one in found if one["properties"].get("stage") == stage]
    if version := request.query("version") or request.query("versionName"):
        found = [one for one in found if one["name"] == version]
    if properties := request.query("properties"):
        found = [one for one in found if tagged(one["properties"].get("properties") or {}, properties)]
    offset = request.query("offset", "0")
    if not offset.isdigit():
        raise UserError("INVALID_ARGUMENT", f"offset must be a number, not {offset}.")
    return (found if order == _ORDERS[1] else found[::-1])[int(offset) :]


def in_view(archived: bool, request: ArmRequest) -> bool:
    """Say whether a list shows what is archived, or is not.

    Raises:
        Refused: The list view type is none.
    """
    # azure-ai-ml 1.35 sends `ListViewType.ACTIVE_ONLY` to registries: what the service makes of that is not known.
    view = request.query("listViewType", "ActiveOnly").rpartition(".")[2].replace("_", "").lower()
    if view not in _VIEWS:
        raise UserError("INVALID_ARGUMENT", f"The list view type {view!r} is not supported.")
    return view == "all" or archived == (view == "archivedonly")


def tagged(tags: Mapping[str, str], wanted: str) -> bool:
    """Say whether there are tags such as `a,b=c`: all of them."""
    for one in wanted.split(","):
        key, given, value = one.partition("=")
        if key not in tags or (given and tags[key] != value):
            return False
    return True
