"""Access on one machine: the operating system's permissions on the platform's folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.access import Grant, Lack, Permission, Role
from cloudmlops.domain.capabilities import Capability

if TYPE_CHECKING:
    from cloudmlops.providers.local.backends import LocalBackends

_READ: Final = (Permission(name="read the folder", scope="folder", role=Role.READER),)
_TRAIN: Final = (Permission(name="write to the folder", scope="folder", role=Role.TRAINER),)
_APPROVE: Final = (Permission(name="write to the folder", scope="folder", role=Role.APPROVER),)
_DEPLOY: Final = (Permission(name="write to the folder", scope="folder", role=Role.DEPLOYER),)

PERMISSIONS: Final[Mapping[str, Sequence[Permission]]] = {
    "endpoints.delete": _DEPLOY,
    "endpoints.deploy": _DEPLOY,
    "endpoints.predict": _READ,
    "endpoints.rollback": _DEPLOY,
    "endpoints.shift_traffic": _DEPLOY,
    "endpoints.undeploy": _DEPLOY,
    "events.process": _DEPLOY,
    "events.publish": _TRAIN,
    "features.apply": _TRAIN,
    "features.materialize": _TRAIN,
    "features.online": _READ,
    "features.push": _TRAIN,
    "features.training_table": _READ,
    "models.approve": _APPROVE,
    "models.delete": _DEPLOY,
    "models.get": _READ,
    "models.promote": _DEPLOY,
    "models.register": _TRAIN,
    "models.repair": _DEPLOY,
    "models.rollback": _DEPLOY,
    "models.tag": _TRAIN,
    "pipelines.run": _TRAIN,
    "pipelines.schedule": _TRAIN,
}


class LocalAccess:
    """What the operating system lets this user do."""

    permissions = PERMISSIONS

    def __init__(self, backends: LocalBackends) -> None:
        self._backends = backends

    def lacking(self, permissions: Collection[Permission]) -> Mapping[Permission, Lack]:
        """Ask the operating system about the folder, or about the one that it would be made in."""
        lack = Lack(resource=str(_nearest(self._backends.location)))
        return {permission: lack for permission in permissions if not self._holds(permission)}

    def holders(self, role: Role, principals: Collection[str]) -> frozenset[str]:  # noqa: ARG002 the capability is absent
        """Refuse: there are no roles here."""
        self._backends.capabilities.require(Capability.ACCESS_CONTROL)
        return frozenset()

    def grant(self, role: Role, principal: str) -> None:  # noqa: ARG002 the capability is absent
        """Refuse: the operating system gives permissions here."""
        self._backends.capabilities.require(Capability.ACCESS_CONTROL)

    def revoke(self, role: Role, principal: str) -> None:  # noqa: ARG002 the capability is absent
        """Refuse: the operating system takes permissions here."""
        self._backends.capabilities.require(Capability.ACCESS_CONTROL)

    def list(self) -> Sequence[Grant]:
        """Refuse: there are no roles here."""
        self._backends.capabilities.require(Capability.ACCESS_CONTROL)
        return ()

    def _holds(self, permission: Permission) -> bool:
        mode = os.R_OK if permission.role is Role.READER else os.R_OK | os.W_OK
        return os.access(_nearest(self._backends.location), mode, effective_ids=True)


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
