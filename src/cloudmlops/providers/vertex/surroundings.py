"""Whether what the settings name is there, and is what the verbs need: Google's services are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.surroundings import Named
from cloudmlops.providers.surroundings import Seen, looked_at
from cloudmlops.providers.vertex.buckets import check_bucket
from cloudmlops.providers.vertex.mapping.events import full_name
from cloudmlops.providers.vertex.rest import PUBSUB, Rest

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends

_OPERATION: Final = "settings.check"
Judge = Callable[[Mapping[str, Any]], Seen]


def named(backends: VertexBackends) -> Iterator[Named]:
    """Look at what the settings name, one after the other; what cannot be looked at is told as a fault.

    Left out are data set and online store, which the first `features.apply` makes, and the service account:
    `check_access` asks whether runs may act as it.
    """
    settings, rest = backends.settings, Rest(backends.wire)

    def bucket() -> Seen:
        check_bucket(backends.wire, _OPERATION)
        return f"a bucket that {settings.location} can use", "", ""

    def shown(setting: str, name: str, host: str, path: str, judge: Judge) -> Named:
        def ask() -> Seen:
            return judge(rest.ask("GET", host, path, operation=_OPERATION, resource=name, again=True))

        return looked_at(setting, name, ask)

    try:
        yield looked_at("bucket", settings.bucket, bucket)
        if settings.topic:
            path = f"/v1/{full_name(settings.project, 'topics', settings.topic)}"
            yield shown("topic", settings.topic, PUBSUB, path, lambda _: ("a topic", "", ""))
        if settings.subscription:
            path = f"/v1/{full_name(settings.project, 'subscriptions', settings.subscription)}"
            yield shown("subscription", settings.subscription, PUBSUB, path, _subscription)
    finally:
        rest.close()


def _subscription(one: Mapping[str, Any]) -> Seen:
    if address := one.get("pushConfig", {}).get("pushEndpoint"):
        told = f"a subscription that pushes to {address}"
        return told, "events cannot be pulled from it: it pushes them", "Name a subscription that pushes nowhere."
    letters = "has a dead letter topic" if one.get("deadLetterPolicy") else "has no dead letter topic"
    return f"a subscription of {one.get('topic')}, which {letters}", "", ""
