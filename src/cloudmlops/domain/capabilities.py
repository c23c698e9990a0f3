"""What a provider can do, as data with a reason and a way round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cloudmlops.errors import InvalidRequestError, UnsupportedError


class Capability(StrEnum):
    """A feature on which providers differ."""

    ACCESS_CONTROL = "access.control"
    EVENT_DELIVERY = "events.delivery"
    GPU_STEPS = "pipelines.gpu"
    SPOT_STEPS = "pipelines.spot"
    STEP_IMAGES = "pipelines.images"
    DISTRIBUTED_STEPS = "pipelines.distributed"
    SWEEPS = "pipelines.sweeps"
    MIRROR_TRAFFIC = "endpoints.mirror_traffic"
    SCALE_TO_ZERO = "endpoints.scale_to_zero"
    AUTOSCALE = "endpoints.autoscale"
    MACHINE_TYPES = "endpoints.machine_types"
    BATCH_SCORING = "endpoints.predict_batch"
    ONLINE_FEATURES = "features.online"
    FEATURE_PUSH = "features.push"
    SHARED_REGISTRY = "models.shared_registry"


class Support(StrEnum):
    """How a provider offers a capability."""

    NATIVE = "native"
    EMULATED = "emulated"
    ABSENT = "absent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """Why a capability is not native, and what to do instead."""

    kind: Support
    reason: str
    instead: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What one provider can do; whatever is not limited is native."""

    provider: str
    limits: Mapping[Capability, Limit]

    def of(self, capability: Capability) -> Support:
        """Say how the provider offers `capability`."""
        limit = self.limits.get(capability)
        return limit.kind if limit else Support.NATIVE

    def require(self, *capabilities: Capability | str) -> None:
        """Raise `UnsupportedError`, naming each one that is absent, its reason and the way round.

        Raises:
            UnsupportedError: One is absent.
            InvalidRequestError: There is no such capability.
        """
        if unknown := [name for name in capabilities if name not in list(Capability)]:
            raise InvalidRequestError(
                "; ".join(f"{name!r} is not a capability" for name in unknown),
                hint=f"Known: {', '.join(known.value for known in Capability)}.",
            )
        wanted = [Capability(name) for name in capabilities]
        absent = [(name, self.limits[name]) for name in wanted if self.of(name) is Support.ABSENT]
        if absent:
            raise UnsupportedError(
                "; ".join(f"{self.provider} has no {name}: {limit.reason}" for name, limit in absent),
                hint=" ".join(limit.instead for _, limit in absent if limit.instead),
            )
