"""Feature store entities: the columns by which features are joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudmlops.emulators.azure.arm.errors import UserError
from cloudmlops.emulators.azure.arm.routes import ArmRequest
from cloudmlops.emulators.azure.ml.assets import unchanged
from cloudmlops.emulators.azure.ml.feature_assets import FeatureAssets, data_type


class FeatureEntities(FeatureAssets):
    """The handlers."""

    segment = "featurestoreEntities"
    what = "FeaturestoreEntity"

    def version_properties(
        self,
        given: Mapping[str, Any],
        known: Mapping[str, Any] | None,
        request: ArmRequest,  # noqa: ARG002 for kinds that need it
    ) -> dict[str, Any]:
        columns = given.get("indexColumns")
        if not columns:
            raise UserError("INVALID_ARGUMENT", "Request is invalid and/or missing fields: indexColumns is required.")
        missing = [one for one in columns if not one.get("columnName")]
        if missing:
            raise UserError("INVALID_ARGUMENT", "An index column has no columnName.")
        kept = {
            **self.kept(given),
            "indexColumns": [
                {
                    "columnName": one["columnName"],
                    "dataType": data_type(one.get("dataType"), f"the index column {one['columnName']}"),
                }
                for one in columns
            ],
        }
        unchanged(known, kept, "indexColumns")
        return kept

    def provide(self, address: str) -> None:
        """Nothing is left to be done."""
