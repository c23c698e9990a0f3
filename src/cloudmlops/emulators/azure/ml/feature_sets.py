"""Feature sets: features of entities as a folder with FeatureSetSpec.yaml says.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.12, 2023-10, `feature_set`): what
the specification says is shown as text among the properties, beside the versions of what is materialised of it. A
version's description, tags, stage and materialisation settings can be changed, and nothing else of it
(learn.microsoft.com, "Understanding top-level entities in managed feature store").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.azure.arm.errors import UserError, not_found
from cloudmlops.emulators.azure.arm.paging import page_size, paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.entra.principals import derived_id
from cloudmlops.emulators.azure.ml import PROVIDER, WORKSPACE
from cloudmlops.emulators.azure.ml.assets import unchanged
from cloudmlops.emulators.azure.ml.data_addresses import storage_of
from cloudmlops.emulators.azure.ml.feature_assets import FeatureAssets
from cloudmlops.emulators.azure.ml.feature_specifications import FILE, Column, Specification, read_specification
from cloudmlops.emulators.azure.ml.views import in_view, tagged
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer, answer_json

SET: Final = f"{WORKSPACE}/featuresets/{{name}}/versions/{{version}}"
STORES: Final = ("None", "Online", "Offline", "OnlineAndOffline")
_ENTITY: Final = re.compile(r"azureml:([^/:]+):([^/:]+)")
_TYPE: Final = f"{PROVIDER}/workspaces/featuresets/versions/features"


class FeatureSets(FeatureAssets):
    """The handlers."""

    segment = "featuresets"
    what = "Featureset"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._blobs = Blobs(world.surroundings)
        add, read = world.routes.add, self.action("GET")
        add("GET", f"{SET}/features", self.list_features, action=read)
        add("GET", f"{SET}/features/{{feature}}", self.get_feature, action=read)

    def version_properties(
        self, given: Mapping[str, Any], known: Mapping[str, Any] | None, request: ArmRequest
    ) -> dict[str, Any]:
        entities, path = given.get("entities"), (given.get("specification") or {}).get("path")
        for field, value in (("entities", entities), ("specification.path", path)):
            if not value:
                raise UserError("INVALID_ARGUMENT", f"Request is invalid and/or missing fields: {field} is required.")
        kept = {
            **self.kept(given),
            "entities": [str(one) for one in entities or ()],
            "specification": {"path": str(path)},
            "materializationSettings": _materialization(given.get("materializationSettings")),
        }
        unchanged(known, kept, "entities", "specification")
        self._materialized(kept, known, request.path)
        return kept

    def provide(self, address: str) -> None:
        workspace = address.partition("/featuresets/")[0]
        made = self._world.resources.get(address)
        if made is None:
            return
        properties = made["properties"]
        for entity in properties["entities"]:
            found = _ENTITY.fullmatch(entity)
            id_ = f"{workspace}/featurestoreEntities/{found[1]}/versions/{found[2]}" if found else entity
            if self._world.resources.get(id_) is None:
                raise not_found("FeaturestoreEntityNotFound", f"There is no feature store entity {entity}.")
        properties["properties"]["featuresetPropertiesVersion"] = "1"
        properties["properties"]["featuresetProperties"] = self._specification(made).text
        self._world.resources.update(made)

    def list_features(self, request: ArmRequest) -> Answer:
        """List the features that the specification names."""
        made = self.version_of(request, "/features")
        found = [_shown(made, one) for one in self._specification(made).features if in_view(False, request)]
        if name := request.query("featureName"):
            found = [one for one in found if one["name"] == name]
        if description := request.query("description"):
            found = [one for one in found if one["properties"]["description"] == description]
        if tags := request.query("tags"):
            found = [one for one in found if tagged(one["properties"]["tags"], tags)]
        return paged(request, found, size=page_size(request, "pageSize"))

    def get_feature(self, request: ArmRequest) -> Answer:
        """Show a feature."""
        made, name = self.version_of(request, "/features"), request.names["feature"]
        found = next((one for one in self._specification(made).features if one.name == name), None)
        if found is None:
            raise not_found("FeatureNotFound", f"Feature {name} not found.")
        return answer_json(_shown(made, found))

    def version_of(self, request: ArmRequest, below: str) -> dict[str, Any]:
        """Return the version that a request is about something of.

        Args:
            request: Any.
            below: Where the version's own address ends, such as `/features`.

        Raises:
            Refused: There is none.
        """
        workspace_of(self._world, request)
        address = request.path.rpartition(below)[0]
        found = self._world.resources.get(address)
        if found is None:
            raise self.absent(request.names["name"], request.names["version"])
        return found

    def _specification(self, made: Mapping[str, Any]) -> Specification:
        workspace = str(made["id"]).partition("/featuresets/")[0]
        path = made["properties"]["specification"]["path"]
        place = storage_of(self._world.resources, workspace, path)
        name = "/".join(part for part in (place.path.strip("/"), FILE) if part)
        if not self._blobs.exists(place.account, place.container, name):
            raise UserError("NOT_FOUND", f"There is no {FILE} at {path}.")
        return read_specification(self._blobs.read(place.account, place.container, name))

    @staticmethod
    def _materialized(kept: dict[str, Any], known: Mapping[str, Any] | None, address: str) -> None:
        """Say which version of what is materialised a feature set writes, by store: a new one each time one is let."""
        store = (kept["materializationSettings"] or {}).get("storeType", STORES[0])
        before: Mapping[str, Any] = known["properties"] if known else {}
        for kind in ("offline", "online"):
            let, version = kind.capitalize() in store, f"{kind}MaterializationVersion"
            there = before.get(version)
            kept["properties"][version] = (there or derived_id(version, address.lower())) if let else there
            kept["properties"][f"{kind}StoreConnectionName"] = None


def _shown(made: Mapping[str, Any], feature: Column) -> dict[str, Any]:
    return {
        "id": f"{made['id']}/features/{feature.name}",
        "name": feature.name,
        "type": _TYPE,
        "properties": {
            "description": feature.description,
            "tags": dict(feature.tags),
            "properties": {},
            "featureName": feature.name,
            "dataType": feature.data_type,
        },
        "systemData": made["systemData"],
    }


def _materialization(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    store = given.get("storeType") or STORES[0]
    if store not in STORES:
        raise UserError("INVALID_ARGUMENT", f"The store type {store!r} is not one of {', '.join(STORES)}.")
    if given.get("schedule"):
        raise UserError("UNIMPLEMENTED", "A schedule of a feature set's materialization is not emulated.")
    return {
        "storeType": store,
        "schedule": None,
        "notification": given.get("notification"),
        "resource": given.get("resource"),
        "sparkConfiguration": given.get("sparkConfiguration"),
    }
