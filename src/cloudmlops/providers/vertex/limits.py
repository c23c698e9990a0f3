"""What Vertex AI cannot do, or does in another way: why, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cloudmlops.domain.capabilities import Capability, Limit, Support

LIMITS: Final[Mapping[Capability, Limit]] = {
    Capability.DISTRIBUTED_STEPS: Limit(
        kind=Support.ABSENT,
        reason="this library writes each step as one container",
        instead="Give the step one machine with several accelerators, or start a custom job with several worker pools "
        "in the step.",
    ),
    Capability.EVENT_DELIVERY: Limit(
        kind=Support.EMULATED,
        reason="this library's events are in the platform's own inbox, and at a Pub/Sub topic where the setting topic "
        "names one; what others register and deploy is known where Eventarc or a log sink tells it; no log tells the "
        "end of a run (docs/events.md)",
    ),
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
    Capability.SWEEPS: Limit(
        kind=Support.ABSENT,
        reason="this library starts no hyperparameter tuning jobs",
        instead="Call a step for each value in the pipeline, which may loop, and choose the best in another step.",
    ),
}

OVER_REST: Final[Mapping[Capability, Limit]] = {
    Capability.FEATURE_PUSH: Limit(
        kind=Support.ABSENT,
        reason="the service takes direct writes over gRPC only",
        instead="Connect with transport=grpc, or materialise the view.",
    ),
}
"""What is limited beside these when Vertex AI is asked over REST."""
