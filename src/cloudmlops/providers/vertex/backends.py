"""Vertex AI's parts, each built at first use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.actors import Actor
from cloudmlops.domain.capabilities import Capabilities
from cloudmlops.ports.clock import Clock, SystemClock
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.providers.vertex.limits import LIMITS, OVER_REST
from cloudmlops.providers.vertex.settings import VertexSettings

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import ModelServiceClient
    from google.cloud.aiplatform_v1.types import PipelineJob

    from cloudmlops.domain.surroundings import Named
    from cloudmlops.providers.job_pipelines import JobPipelines
    from cloudmlops.providers.vertex.access import VertexAccess
    from cloudmlops.providers.vertex.endpoints import VertexEndpoints
    from cloudmlops.providers.vertex.events import VertexEvents
    from cloudmlops.providers.vertex.features import VertexFeatures
    from cloudmlops.providers.vertex.models import VertexModels
    from cloudmlops.providers.vertex.wire import Wire

ANONYMOUS: Final = "anonymous@emulator"
"""Who is calling at an emulator's plain address, where nobody is asked."""


class VertexBackends:
    """One project and location."""

    def __init__(self, settings: VertexSettings) -> None:
        self.settings = settings
        self.clock: Clock = SystemClock()
        limits = {**LIMITS, **OVER_REST} if settings.transport == "rest" else LIMITS
        self.capabilities = Capabilities(provider="vertex", limits=limits)
        self._bucket_seen = False

    @property
    def target(self) -> str:
        """The URL that connects another process to this platform."""
        return self.settings.target

    @property
    def address(self) -> str:
        """Project and location."""
        return self.settings.address

    @property
    def registry_address(self) -> str:
        """Project and location: the models lie there."""
        return self.settings.address

    def feature_time(self) -> datetime:
        """The time at which features are read online."""
        return self.settings.as_of or self.clock.now()

    def actor(self) -> Actor:
        """The account that the credentials are of, as Google says."""
        if self.settings.api_url is not None:
            return Actor(id=ANONYMOUS)
        from cloudmlops.providers.vertex.identity import caller

        return Actor(id=caller(self.wire))

    @cached_property
    def wire(self) -> Wire:
        """The way to Google."""
        from cloudmlops.providers.vertex.wire import Wire

        return Wire(self.settings)

    @cached_property
    def objects(self) -> ObjectStore:
        """The store of ledger, inbox and artifacts; where it is, is looked at before the first write."""
        from cloudmlops.providers.vertex.objects import CheckedObjects
        from cloudmlops.storage.opening import open_store

        local = self.settings.api_url is not None
        store = open_store(
            self.settings.store, endpoint=self.settings.api_url, anonymous=local, timeout=self.settings.timeout
        )
        return CheckedObjects(store, self.check_bucket)

    @cached_property
    def pipelines(self) -> JobPipelines[PipelineJob]:
        """Pipeline jobs."""
        from cloudmlops.providers.vertex.pipelines import vertex_pipelines

        return vertex_pipelines(self)

    @cached_property
    def features(self) -> VertexFeatures:
        """Features in BigQuery and Bigtable."""
        from cloudmlops.providers.vertex.features import VertexFeatures

        return VertexFeatures(self)

    @cached_property
    def models(self) -> VertexModels:
        """The model registry."""
        from cloudmlops.providers.vertex.models import VertexModels

        return VertexModels(self)

    @cached_property
    def endpoints(self) -> VertexEndpoints:
        """Endpoints and batch prediction."""
        from cloudmlops.providers.vertex.endpoints import VertexEndpoints

        return VertexEndpoints(self)

    @cached_property
    def events(self) -> VertexEvents:
        """Eventarc and Pub/Sub."""
        from cloudmlops.providers.vertex.events import VertexEvents

        return VertexEvents(self)

    @cached_property
    def access(self) -> VertexAccess:
        """Permissions and roles of the project."""
        from cloudmlops.providers.vertex.access import VertexAccess

        return VertexAccess(self)

    @property
    def native(self) -> ModelServiceClient:
        """The client of Vertex AI's model service; `wire.client` makes the others."""
        from google.cloud.aiplatform_v1 import ModelServiceClient

        return self.wire.client(ModelServiceClient)

    def check_bucket(self, operation: str) -> None:
        """Look where the bucket is, before the first thing is made for a verb; raises what the look does."""
        if not self._bucket_seen:
            from cloudmlops.providers.vertex.buckets import check_bucket

            check_bucket(self.wire, operation)
            self._bucket_seen = True

    def named(self) -> Iterable[Named]:
        """Look at what the settings name."""
        from cloudmlops.providers.vertex.surroundings import named

        return named(self)

    def close(self) -> None:
        """Close connections; what runs goes on."""
        for part in ("features", "endpoints", "pipelines", "events", "access"):
            if part in self.__dict__ and (close := getattr(self.__dict__[part], "close", None)):
                close()
        if "wire" in self.__dict__:
            self.wire.close()
