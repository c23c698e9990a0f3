"""What feature store entities and feature sets share: every version is made by an operation that takes a while.

Shapes follow recorded traffic of the real service (azure-sdk-assets, azure-ai-ml 1.12, 2023-10, `feature_set`): a PUT
is answered with 201 and the properties alone, whether there was such a version or not, and the version is followed at
its own address. Roles speak of containers and versions by one action, such as `workspaces/featuresets/read`
(learn.microsoft.com, "Manage access control for managed feature store").
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from cloudmlops.emulators.azure.arm.errors import Detail, UserError
from cloudmlops.emulators.azure.arm.paging import page_size, paged
from cloudmlops.emulators.azure.arm.routes import ArmRequest, action_of
from cloudmlops.emulators.azure.ml import WORKSPACE
from cloudmlops.emulators.azure.ml.assets import Assets, described, properties_of
from cloudmlops.emulators.azure.ml.long_running import at_resource
from cloudmlops.emulators.azure.ml.views import versions_viewed, viewed
from cloudmlops.emulators.azure.ml.workspaces import workspace_of
from cloudmlops.emulators.core.answering import Answer, answer_json
from cloudmlops.emulators.core.faults import Refused

STAGES: Final = ("Development", "Production", "Archived")
DATA_TYPES: Final = ("String", "Integer", "Long", "Float", "Double", "Binary", "Datetime", "Boolean")
"""In the order in which the service numbers them."""
_PAGE: Final = 20


class FeatureAssets(Assets):
    """The handlers of one kind."""

    what: ClassVar[str]
    """What one of the kind is called in errors, such as `Featureset`."""

    def action(self, method: str) -> str:
        return action_of(method, f"{WORKSPACE}/{self.segment.lower()}")

    @abstractmethod
    def provide(self, address: str) -> None:
        """Do what is done of a version while the operation goes on.

        Raises:
            Refused: The operation fails.
        """

    def list(self, request: ArmRequest) -> Answer:
        workspace_of(self._world, request)
        found = [self._shown(one) for one in viewed(self._world.resources, request)]
        return paged(request, found, size=page_size(request, "pageSize", _PAGE))

    def list_versions(self, request: ArmRequest) -> Answer:
        self._container(request)
        found = versions_viewed(self._world.resources, request)
        return paged(request, found, size=page_size(request, "pageSize", _PAGE))

    def put_version(self, request: ArmRequest) -> Answer:
        workspace = workspace_of(self._world, request)
        given = properties_of(request)
        with self._world.surroundings.state.transaction():
            known = self._world.resources.get(request.path)
            kept = self.version_properties(given, known["properties"] if known else None, request)
            made = self.keep_version(request.path, kept, request.caller)

        def failed(_: Refused) -> None:
            there = self._world.resources.get(request.path)
            if there is not None:
                there["properties"]["provisioningState"] = "Failed"
                self._world.resources.update(there)

        headers = self._world.operations.begin(
            request.names["subscription"],
            workspace["location"],
            request.path,
            work=lambda: self.provide(made["id"]),
            failed=failed,
            version=request.version,
        )
        return answer_json({"properties": kept}, status=201, headers=at_resource(headers, request))

    def absent(self, name: str, version: str) -> UserError:
        named = f"{self.what} {name}:{version}" if version else f"{self.what} container with name: {name}"
        detail = Detail(code=f"{self.what}NotFound", message=f"{named} not found.")
        return UserError("NOT_FOUND", "The specified resource was not found.", (detail,))

    def kept(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what every version has of both kinds.

        Raises:
            Refused: The stage is none.
        """
        stage = given.get("stage") or STAGES[0]
        if stage not in STAGES:
            raise UserError("INVALID_ARGUMENT", f"The stage {stage!r} is not one of {', '.join(STAGES)}.")
        return {**described(given), "stage": stage, "provisioningState": "Succeeded"}


def data_type(given: object, where: str) -> str:
    """Return a type of data as it is shown.

    Args:
        given: In any case.
        where: Whose type it is, for the error.

    Raises:
        Refused: It is none.
    """
    found = next((one for one in DATA_TYPES if one.lower() == str(given).lower()), None)
    if found is None:
        raise UserError("INVALID_ARGUMENT", f"The type {given!r} of {where} is not one of {', '.join(DATA_TYPES)}.")
    return found
