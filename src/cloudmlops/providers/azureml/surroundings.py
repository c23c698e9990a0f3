"""Whether what the settings name is there, and is what the verbs need: Azure Resource Manager is asked, and Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.surroundings import Named
from cloudmlops.providers.azureml.mapping.computes import Kept, agreement, idle_fault
from cloudmlops.providers.surroundings import Seen, looked_at

if TYPE_CHECKING:
    from cloudmlops.providers.azureml.backends import AzureMLBackends
    from cloudmlops.providers.azureml.settings import AzureMLSettings

_OPERATION: Final = "settings.check"
_ML: Final = "2024-10-01"
_EVENT_GRID: Final = "2025-02-15"
Judge = Callable[[Mapping[str, Any]], Seen]


def named(backends: AzureMLBackends) -> Iterator[Named]:
    """Look at what the settings name, one after the other; what cannot be looked at is told as a fault."""
    settings = backends.settings
    group = settings.workspace_id.rpartition("/providers/")[0]
    machines = f"{group}/providers/Microsoft.MachineLearningServices/workspaces"

    def shown(setting: str, name: str, path: str, version: str, judge: Judge) -> Named:
        def ask() -> Seen:
            answer = backends.wire.send("GET", f"{path}?api-version={version}", operation=_OPERATION, resource=name)
            body: Mapping[str, Any] = answer.json()
            return judge({"kind": body.get("kind"), **body.get("properties", {})})

        return looked_at(setting, name, ask)

    yield shown("workspace", settings.workspace, settings.workspace_id, _ML, _workspace)
    yield looked_at("datastore", settings.datastore or "(default)", lambda: _datastore(backends))
    if settings.compute:
        path = f"{settings.workspace_id}/computes/{settings.compute}"
        found = shown("compute", settings.compute, path, _ML, lambda one: _compute(one, settings))
        yield _made_later(found) if settings.compute_machine and not found.found else found
    if settings.feature_store:
        path = f"{machines}/{settings.feature_store}"
        yield shown("feature_store", settings.feature_store, path, _ML, _feature_store)
    if settings.redis_url:
        yield looked_at("redis_url", settings.redis_url, lambda: _redis(backends))
    if settings.topic:
        yield shown("topic", settings.topic, settings.topic_id, _EVENT_GRID, _topic)
    if settings.event_subscription:
        path = f"{settings.topic_id}/eventSubscriptions/{settings.event_subscription}"
        yield shown("event_subscription", settings.event_subscription, path, _EVENT_GRID, _subscription)


def _workspace(one: Mapping[str, Any]) -> Seen:
    kind = str(one.get("kind") or "Default")
    fits = kind.lower() in ("default", "featurestore")
    return (
        f"a workspace of kind {kind}",
        "" if fits else f"a workspace of kind {kind} has no models of its own",
        "" if fits else "Name a workspace of kind Default.",
    )


def _datastore(backends: AzureMLBackends) -> Seen:
    place = backends.place
    return f"container {place.container} of the storage account {place.account}", "", ""


def _compute(one: Mapping[str, Any], settings: AzureMLSettings) -> Seen:
    kept = _kept(one, settings.compute)
    scale = (one.get("properties") or {}).get("scaleSettings") or {}
    found = f"a compute of type {one.get('computeType')}"
    if kept.kind == "amlcompute":
        priority = "LowPriority" if kept.low_priority else "Dedicated"
        found = f"{kept.nodes} to {int(scale.get('maxNodeCount') or 0)} {kept.machine}, {priority}"
    fault = idle_fault(kept, settings)
    return found, fault and f"{fault}, and runs are refused until that is agreed to", fault and agreement(kept)


def _kept(one: Mapping[str, Any], name: str) -> Kept:
    """Return what a compute, as Azure Resource Manager shows it, keeps though nothing runs."""
    kind, content = str(one.get("computeType")).lower(), one.get("properties") or {}
    machine = str(content.get("vmSize") or "")
    match kind:
        case "amlcompute":
            nodes = int((content.get("scaleSettings") or {}).get("minNodeCount") or 0)
            low = str(content.get("vmPriority")).lower() == "lowpriority"
            return Kept(compute=name, machine=machine, nodes=nodes, kind=kind, low_priority=low)
        case "computeinstance":
            ends = content.get("idleTimeBeforeShutdown")
            return Kept(compute=name, machine=machine, nodes=0 if ends else 1, kind=kind)
        case _:
            return Kept(compute=name, machine="", nodes=1, kind=kind)


def _made_later(found: Named) -> Named:
    return Named(setting=found.setting, name=found.name, found="not there yet: the first run makes it")


def _feature_store(one: Mapping[str, Any]) -> Seen:
    kind = str(one.get("kind") or "Default")
    fits = kind.lower() == "featurestore"
    return (
        f"a workspace of kind {kind}",
        "" if fits else f"feature sets are shown by a workspace of kind FeatureStore, and it is of kind {kind}",
        "" if fits else "Name one of kind FeatureStore, or none.",
    )


def _redis(backends: AzureMLBackends) -> Seen:
    from cloudmlops.providers.azureml.feature_store.redis_connection import RedisConnection

    connection = RedisConnection(backends.wire)
    try:
        connection.ask(lambda client: client.get("cloudmlops:doctor"), operation=_OPERATION, resource="redis_url")
    finally:
        connection.close()
    return "it answers, and lets the caller read", "", ""


def _topic(one: Mapping[str, Any]) -> Seen:
    return f"a topic that keeps events for {one.get('eventRetentionInDays')} days", "", ""


def _subscription(one: Mapping[str, Any]) -> Seen:
    delivery = one.get("deliveryConfiguration") or {}
    mode, queue = str(delivery.get("deliveryMode")), delivery.get("queue") or {}
    if mode.lower() != "queue":
        return f"of delivery mode {mode}", "events cannot be pulled from it", "Name one of delivery mode Queue."
    return f"a queue that hands an event out {queue.get('maxDeliveryCount')} times", "", ""
