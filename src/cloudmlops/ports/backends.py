"""All that one provider supplies, each part built at first use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a process of one noun does not load the values of all
    from cloudmlops.domain.actors import Actor
    from cloudmlops.domain.capabilities import Capabilities
    from cloudmlops.domain.surroundings import Named
    from cloudmlops.ports.access import AccessPort
    from cloudmlops.ports.clock import Clock
    from cloudmlops.ports.endpoints import EndpointsPort
    from cloudmlops.ports.events import EventsPort
    from cloudmlops.ports.features import FeaturesPort
    from cloudmlops.ports.models import ModelsPort
    from cloudmlops.ports.objects import ObjectStore
    from cloudmlops.ports.pipelines import PipelinesPort


class Backends(Protocol):
    """One connected provider. Attributes are properties, so that nothing is loaded or contacted before its use."""

    @property
    def target(self) -> str:
        """The URL that connects another process to this platform."""
        ...

    @property
    def address(self) -> str:
        """The stable name of the platform in events and records: the target without query and credentials."""
        ...

    @property
    def registry_address(self) -> str:
        """The stable name of the place that holds the models: `address`, unless several platforms share that place."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def clock(self) -> Clock: ...

    def feature_time(self) -> datetime:
        """The time at which features are read online: now, or the moment of history that is replayed."""
        ...

    def actor(self) -> Actor:
        """Who is calling, as the provider knows it."""
        ...

    @property
    def objects(self) -> ObjectStore: ...

    @property
    def pipelines(self) -> PipelinesPort: ...

    @property
    def features(self) -> FeaturesPort: ...

    @property
    def models(self) -> ModelsPort: ...

    @property
    def endpoints(self) -> EndpointsPort: ...

    @property
    def events(self) -> EventsPort: ...

    @property
    def access(self) -> AccessPort: ...

    @property
    def native(self) -> object:
        """The vendor's own client, for what the neutral interface does not cover."""
        ...

    def named(self) -> Iterable[Named]:
        """Look at what the settings name beside the platform itself, such as a compute or a topic."""
        ...

    def close(self) -> None:
        """Let go of connections and files; nothing that runs is stopped."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """What an entry point of the group `cloudmlops.providers` names."""

    name: str
    """The scheme of its targets: `local` serves `local://…`."""
    extra: str
    """The extra to install when its packages are missing."""
    open: Callable[[Any], Backends]
    """Opens a target or the provider's own settings; raises `ConfigurationError` for a wrong one, before any I/O."""
