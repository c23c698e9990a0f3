"""Azure ML's parts, each built at first use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING

from cloudmlops.domain.actors import Actor
from cloudmlops.domain.capabilities import Capabilities
from cloudmlops.ports.clock import Clock, SystemClock
from cloudmlops.ports.objects import ObjectStore
from cloudmlops.providers.azureml.limits import limits_of
from cloudmlops.providers.azureml.settings import AzureMLSettings

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Job

    from cloudmlops.domain.surroundings import Named
    from cloudmlops.providers.azureml.access import AzureMLAccess
    from cloudmlops.providers.azureml.computes import Computes
    from cloudmlops.providers.azureml.datastores import Place
    from cloudmlops.providers.azureml.endpoints import AzureMLEndpoints
    from cloudmlops.providers.azureml.events import AzureMLEvents
    from cloudmlops.providers.azureml.features import AzureMLFeatures
    from cloudmlops.providers.azureml.models import AzureMLModels
    from cloudmlops.providers.azureml.wire import Wire
    from cloudmlops.providers.job_pipelines import JobPipelines


class AzureMLBackends:
    """One workspace."""

    def __init__(self, settings: AzureMLSettings) -> None:
        self.settings = settings
        self.clock: Clock = SystemClock()
        limits = limits_of(compute=settings.compute, redis_url=settings.redis_url)
        self.capabilities = Capabilities(provider="azureml", limits=limits)
        self._building = RLock()

    @property
    def target(self) -> str:
        """The URL that connects another process to this platform."""
        return self.settings.target

    @property
    def address(self) -> str:
        """Subscription, resource group and workspace."""
        return self.settings.address

    @property
    def registry_address(self) -> str:
        """The workspace: the models lie there."""
        return self.settings.address

    def feature_time(self) -> datetime:
        """The time at which features are read online."""
        return self.settings.as_of or self.clock.now()

    def actor(self) -> Actor:
        """Whose the credentials are, as Entra says: an object id."""
        from cloudmlops.providers.azureml.credentials import caller

        return caller(self.wire.management_token())

    @cached_property
    def wire(self) -> Wire:
        """The way to Azure."""
        from cloudmlops.providers.azureml.wire import Wire

        return Wire(self.settings)

    @property
    def place(self) -> Place:
        """Where the datastore has its files; asked at first use."""
        with self._building:
            return self._place

    @property
    def objects(self) -> ObjectStore:
        """The store of ledger, inbox and artifacts, in the datastore; where that is, is asked at first use."""
        with self._building:
            return self._objects

    @cached_property
    def computes(self) -> Computes:
        """The compute that runs and batches run on."""
        from cloudmlops.providers.azureml.computes import Computes

        return Computes(self.wire)

    @cached_property
    def models(self) -> AzureMLModels:
        """The model registry."""
        from cloudmlops.providers.azureml.models import AzureMLModels

        return AzureMLModels(self)

    @cached_property
    def events(self) -> AzureMLEvents:
        """Event Grid."""
        from cloudmlops.providers.azureml.events import AzureMLEvents

        return AzureMLEvents(self)

    @cached_property
    def access(self) -> AzureMLAccess:
        """Roles and their assignments."""
        from cloudmlops.providers.azureml.access import AzureMLAccess

        return AzureMLAccess(self)

    @cached_property
    def pipelines(self) -> JobPipelines[Job]:
        """Pipeline jobs."""
        from cloudmlops.providers.azureml.pipelines import azureml_pipelines

        return azureml_pipelines(self)

    @cached_property
    def features(self) -> AzureMLFeatures:
        """The feature store."""
        from cloudmlops.providers.azureml.features import AzureMLFeatures

        return AzureMLFeatures(self)

    @cached_property
    def endpoints(self) -> AzureMLEndpoints:
        """Online endpoints and batch scoring."""
        from cloudmlops.providers.azureml.endpoints import AzureMLEndpoints

        return AzureMLEndpoints(self)

    @property
    def native(self) -> MLClient:
        """The workspace's client of azure-ai-ml."""
        return self.wire.client

    def named(self) -> Iterable[Named]:
        """Look at what the settings name."""
        from cloudmlops.providers.azureml.surroundings import named

        return named(self)

    def close(self) -> None:
        """Close connections; what runs goes on."""
        if "features" in self.__dict__:
            self.features.close()
        if "pipelines" in self.__dict__:
            self.pipelines.close()
        if "events" in self.__dict__:
            self.events.close()
        if "wire" in self.__dict__:
            self.wire.close()

    @cached_property
    def _place(self) -> Place:
        from cloudmlops.providers.azureml.datastores import look_up

        return look_up(self.wire)

    @cached_property
    def _objects(self) -> ObjectStore:
        from cloudmlops.storage.opening import open_store

        return open_store(
            self._place.store(self.settings.prefix), tokens=self.wire.storage_token, timeout=self.settings.timeout
        )
