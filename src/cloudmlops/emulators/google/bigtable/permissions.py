"""The permissions that each method needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cloudmlops.emulators.core.state import State
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.tokens import Tokens

_TABLES: Final = "bigtable.tables"
_MUTATE: Final = f"{_TABLES}.mutateRows"
PERMISSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Bigtable.CheckAndMutateRow": (_MUTATE,),
    "Bigtable.MutateRow": (_MUTATE,),
    "Bigtable.MutateRows": (_MUTATE,),
    "Bigtable.PingAndWarm": ("bigtable.instances.ping",),
    "Bigtable.ReadModifyWriteRow": (_MUTATE, f"{_TABLES}.readRows"),
    "Bigtable.ReadRows": (f"{_TABLES}.readRows",),
    "Bigtable.SampleRowKeys": (f"{_TABLES}.sampleRowKeys",),
    "BigtableInstanceAdmin.CreateAppProfile": ("bigtable.appProfiles.create",),
    "BigtableInstanceAdmin.CreateCluster": ("bigtable.clusters.create",),
    "BigtableInstanceAdmin.CreateInstance": ("bigtable.instances.create", "bigtable.clusters.create"),
    "BigtableInstanceAdmin.DeleteAppProfile": ("bigtable.appProfiles.delete",),
    "BigtableInstanceAdmin.DeleteCluster": ("bigtable.clusters.delete",),
    "BigtableInstanceAdmin.DeleteInstance": ("bigtable.instances.delete",),
    "BigtableInstanceAdmin.GetAppProfile": ("bigtable.appProfiles.get",),
    "BigtableInstanceAdmin.GetCluster": ("bigtable.clusters.get",),
    "BigtableInstanceAdmin.GetInstance": ("bigtable.instances.get",),
    "BigtableInstanceAdmin.ListAppProfiles": ("bigtable.appProfiles.list",),
    "BigtableInstanceAdmin.ListClusters": ("bigtable.clusters.list",),
    "BigtableInstanceAdmin.ListInstances": ("bigtable.instances.list",),
    "BigtableInstanceAdmin.PartialUpdateInstance": ("bigtable.instances.update",),
    "BigtableInstanceAdmin.UpdateAppProfile": ("bigtable.appProfiles.update",),
    "BigtableInstanceAdmin.UpdateCluster": ("bigtable.clusters.update",),
    "BigtableInstanceAdmin.UpdateInstance": ("bigtable.instances.update",),
    "BigtableTableAdmin.CheckConsistency": (f"{_TABLES}.checkConsistency",),
    "BigtableTableAdmin.CreateTable": (f"{_TABLES}.create",),
    "BigtableTableAdmin.DeleteTable": (f"{_TABLES}.delete",),
    "BigtableTableAdmin.DropRowRange": (_MUTATE,),
    "BigtableTableAdmin.GenerateConsistencyToken": (f"{_TABLES}.generateConsistencyToken",),
    "BigtableTableAdmin.GetTable": (f"{_TABLES}.get",),
    "BigtableTableAdmin.ListTables": (f"{_TABLES}.list",),
    "BigtableTableAdmin.ModifyColumnFamilies": (f"{_TABLES}.update",),
    "BigtableTableAdmin.UpdateTable": (f"{_TABLES}.update",),
}
"""https://cloud.google.com/bigtable/docs/audit-logging names them by method."""


class Permissions:
    """The rules of one emulator."""

    def __init__(self, state: State) -> None:
        self._tokens = Tokens(state)
        self._access = Access(state)

    def principal(self, metadata: Any) -> str:
        """Return who calls, by the metadata of a call.

        Raises:
            Refused: The token is unknown or too old.
        """
        return self._tokens.principal(dict(metadata).get("authorization"))

    def check(self, principal: str, operation: str, resource: str) -> None:
        """Refuse whoever may not do `operation`, in the service's words.

        Raises:
            Refused: A permission was denied.
        """
        for permission in PERMISSIONS.get(operation, ()):
            denied = f"Access denied. Missing IAM permission: {permission}."
            self._access.check(principal, permission, resource, message=denied)
