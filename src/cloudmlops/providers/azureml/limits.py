"""What Azure ML cannot do, what this library does not do there, or does in another way: why, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cloudmlops.domain.capabilities import Capability, Limit, Support

LIMITS: Final[Mapping[Capability, Limit]] = {
    Capability.EVENT_DELIVERY: Limit(
        kind=Support.EMULATED,
        reason="this library's events are in the platform's own inbox, and at the topic of an Event Grid namespace "
        "where the setting topic names one; what others register, deploy and run is known where an event subscription "
        "of the workspace brings it (docs/azureml.md); a storage queue that it brings it to is not read",
        instead="Deliver to the webhook, or pull from a subscription of a namespace's topic, which waits as a queue "
        "does.",
    ),
    Capability.SCALE_TO_ZERO: Limit(
        kind=Support.ABSENT,
        reason="a managed online deployment keeps at least one machine",
        instead="Call endpoints.undeploy when it is idle, or score in batches with endpoints.predict_batch.",
    ),
    Capability.SHARED_REGISTRY: Limit(
        kind=Support.EMULATED,
        reason="a version's ledger belongs to one workspace: a copy in an Azure ML registry, made with "
        "platform.native.models.share, is Azure's own asset without stages of ours, until another workspace registers "
        "it in its own ledger (docs/azureml.md)",
    ),
    Capability.SWEEPS: Limit(
        kind=Support.EMULATED,
        reason="a sweep is a job of a pipeline that is given as AzureMLSpec, for its trials must be commands that "
        "report a metric to MLflow; a @cm.pipeline may call a step for each value, and choose the best in another step",
    ),
}
