"""What the parts of Azure Resource Manager share."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from cloudmlops.emulators.azure.arm.operations import Operations
from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.arm.routes import Routes
from cloudmlops.emulators.azure.entra.tokens import Tokens
from cloudmlops.emulators.azure.rbac.assignments import Access
from cloudmlops.emulators.core.service import Surroundings


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """One emulated Azure."""

    surroundings: Surroundings
    tokens: Tokens
    access: Access
    resources: Resources
    operations: Operations
    routes: Routes = field(default_factory=Routes)
    location: str = "westeurope"
    """Where everything is that nobody says otherwise of."""
    versions: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The api-versions that were asked for, by operation: a new SDK that sends a new one is noticed."""
