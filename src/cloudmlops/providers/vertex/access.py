"""Permissions and roles of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cloudmlops.domain.access import Grant, Permission, Role
from cloudmlops.providers.vertex.mapping.access import permissions_of

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends


class VertexAccess:
    """IAM of one project and its bucket."""

    def __init__(self, backends: VertexBackends) -> None:
        self._backends = backends
        self.permissions: Mapping[str, Sequence[Permission]] = permissions_of(backends.settings)
