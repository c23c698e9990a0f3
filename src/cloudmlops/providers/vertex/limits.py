"""What Vertex AI cannot do, or does in another way: why, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cloudmlops.domain.capabilities import Capability, Limit, Support

LIMITS: Final[Mapping[Capability, Limit]] = {
    Capability.MIRROR_TRAFFIC: Limit(
        kind=Support.ABSENT,
        reason="an endpoint splits traffic but does not mirror it",
        instead="Give the new deployment a small share of the traffic.",
    ),
    Capability.SCALE_TO_ZERO: Limit(
        kind=Support.ABSENT,
        reason="a deployment on an endpoint keeps at least one machine",
        instead="Call endpoints.undeploy when it is idle, or score in batches with endpoints.predict_batch.",
    ),
    Capability.SHARED_REGISTRY: Limit(
        kind=Support.EMULATED,
        reason="a registry belongs to one project and location: platforms share it by naming the same",
    ),
}
