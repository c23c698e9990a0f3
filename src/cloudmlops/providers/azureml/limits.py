"""What Azure ML cannot do, what this library does not do there, or does in another way: why, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cloudmlops.domain.capabilities import Capability, Limit, Support

LIMITS: Final[Mapping[Capability, Limit]] = {
    Capability.ACCESS_CONTROL: Limit(
        kind=Support.EMULATED,
        reason="roles are made of Azure's built-in ones, which part less finely: a trainer is a deployer and an "
        "approver, too, and a deployer an approver (docs/azureml.md)",
        instead="Let policies ask for approvals of others, or assign custom roles of Azure with fewer actions.",
    ),
    Capability.BATCH_SCORING: Limit(
        kind=Support.EMULATED,
        reason="a batch endpoint scores on the cluster that the setting compute names, with this library's server; the "
        "cluster is made only where compute_machine says of what",
    ),
    Capability.EVENT_DELIVERY: Limit(
        kind=Support.EMULATED,
        reason="this library's events are in the platform's own inbox, and at the topic of an Event Grid namespace "
        "where the setting topic names one; what others register, deploy and run is known where an event subscription "
        "of the workspace brings it (docs/azureml.md); a storage queue that it brings it to is not read",
        instead="Deliver to the webhook, or pull from a subscription of a namespace's topic, which waits as a queue "
        "does.",
    ),
    Capability.ONLINE_FEATURES: Limit(
        kind=Support.EMULATED,
        reason="values lie in a Redis of yours that the setting redis_url names: this library makes none, for it costs "
        "though nobody reads it",
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

_WITHOUT_CLUSTER: Final = Limit(
    kind=Support.ABSENT,
    reason="the setting compute names no cluster to score on",
    instead="Set compute to the name of one, and compute_machine for it to be made.",
)
_WITHOUT_REDIS: Final = Limit(
    kind=Support.ABSENT,
    reason="the setting redis_url names no Redis that holds the values",
    instead="Make an Azure Managed Redis and set redis_url to its address (docs/azureml.md).",
)


def limits_of(*, compute: str, redis_url: str | None) -> Mapping[Capability, Limit]:
    """Return what is limited with some settings: what they name nothing for is absent."""
    absent = {} if compute else {Capability.BATCH_SCORING: _WITHOUT_CLUSTER}
    return {**LIMITS, **absent, **({} if redis_url else {Capability.ONLINE_FEATURES: _WITHOUT_REDIS})}
