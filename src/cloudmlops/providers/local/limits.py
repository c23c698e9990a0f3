"""What a single machine cannot do, why, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cloudmlops.domain.capabilities import Capability, Limit, Support

LIMITS: Final[Mapping[Capability, Limit]] = {
    Capability.ACCESS_CONTROL: Limit(
        kind=Support.ABSENT,
        reason="whoever can read the folder can do everything in it",
        instead="Protect the folder with the operating system's permissions.",
    ),
    Capability.AUTOSCALE: Limit(
        kind=Support.ABSENT,
        reason="a deployment has the number of worker processes it was given",
        instead="Give replicas=(n, n) with the number that the machine can carry.",
    ),
    Capability.DISTRIBUTED_STEPS: Limit(
        kind=Support.ABSENT,
        reason="a step is one process of this machine",
        instead="Leave out nodes, processes and distribution here; the step may start processes of its own.",
    ),
    Capability.GPU_STEPS: Limit(
        kind=Support.EMULATED,
        reason="a step sees the accelerators that this machine has; none is reserved for it",
    ),
    Capability.MACHINE_TYPES: Limit(
        kind=Support.EMULATED, reason="a deployment runs on this machine: the type is recorded and has no effect"
    ),
    Capability.MIRROR_TRAFFIC: Limit(
        kind=Support.ABSENT,
        reason="an endpoint splits traffic but does not mirror it",
        instead="Give the new deployment a small share of the traffic.",
    ),
    Capability.SCALE_TO_ZERO: Limit(
        kind=Support.ABSENT,
        reason="a deployment's workers run until it is undeployed",
        instead="Call endpoints.undeploy when the deployment is idle.",
    ),
    Capability.SHARED_REGISTRY: Limit(
        kind=Support.EMULATED,
        reason="platforms share a registry by sharing a folder or an object store",
    ),
    Capability.SPOT_STEPS: Limit(
        kind=Support.EMULATED, reason="this machine has one price: a spot step runs like any other"
    ),
    Capability.STEP_IMAGES: Limit(
        kind=Support.EMULATED,
        reason="no container engine is assumed: the image is recorded, and the step runs in this Python environment",
    ),
    Capability.SWEEPS: Limit(
        kind=Support.ABSENT,
        reason="there is no service that chooses what to try next",
        instead="Call a step for each value in the pipeline, which may loop, and choose the best in another step.",
    ),
}
