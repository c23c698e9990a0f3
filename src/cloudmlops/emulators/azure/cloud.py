"""The composition of all Azure services for one emulator, and the environment in which Azure's own SDKs use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from cloudmlops.emulators.azure.arm.authorization import add_authorization
from cloudmlops.emulators.azure.arm.operations import Operations
from cloudmlops.emulators.azure.arm.resources import Resources
from cloudmlops.emulators.azure.arm.routes import Routes
from cloudmlops.emulators.azure.arm.service import arm_service
from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.blob.service import blob_service
from cloudmlops.emulators.azure.blob.sharing import Blobs
from cloudmlops.emulators.azure.control import control_service
from cloudmlops.emulators.azure.entra.managed import ManagedIdentities
from cloudmlops.emulators.azure.entra.principals import (
    SERVING_NAME,
    Directory,
    default_directory,
    load_directory,
)
from cloudmlops.emulators.azure.entra.service import entra_service
from cloudmlops.emulators.azure.entra.tokens import LIFETIME_SECONDS, Tokens
from cloudmlops.emulators.azure.eventgrid.grid import EventGrid
from cloudmlops.emulators.azure.history.service import History
from cloudmlops.emulators.azure.insights.autoscale_settings import AutoscaleSettings
from cloudmlops.emulators.azure.insights.scaling import Scaling
from cloudmlops.emulators.azure.jobs.batch import BatchScoring
from cloudmlops.emulators.azure.jobs.execution import Executor
from cloudmlops.emulators.azure.jobs.images import Images
from cloudmlops.emulators.azure.jobs.pipelines import Pipelines
from cloudmlops.emulators.azure.jobs.runner import Runner
from cloudmlops.emulators.azure.jobs.runs import Runs
from cloudmlops.emulators.azure.jobs.sweeps import Sweeps
from cloudmlops.emulators.azure.ml.batch_deployments import BatchDeployments
from cloudmlops.emulators.azure.ml.batch_endpoints import BatchEndpoints
from cloudmlops.emulators.azure.ml.billing import Billing
from cloudmlops.emulators.azure.ml.clusters import Clusters
from cloudmlops.emulators.azure.ml.codes import Codes
from cloudmlops.emulators.azure.ml.components import Components
from cloudmlops.emulators.azure.ml.computes import Computes
from cloudmlops.emulators.azure.ml.data import Data
from cloudmlops.emulators.azure.ml.datastores import add_datastores
from cloudmlops.emulators.azure.ml.environments import Environments
from cloudmlops.emulators.azure.ml.feature_entities import FeatureEntities
from cloudmlops.emulators.azure.ml.feature_sets import FeatureSets
from cloudmlops.emulators.azure.ml.jobs import Jobs
from cloudmlops.emulators.azure.ml.long_running import add_long_running
from cloudmlops.emulators.azure.ml.materialization import Materialization
from cloudmlops.emulators.azure.ml.models import add_models
from cloudmlops.emulators.azure.ml.online_deployments import OnlineDeployments
from cloudmlops.emulators.azure.ml.online_endpoints import OnlineEndpoints
from cloudmlops.emulators.azure.ml.registries import Registries
from cloudmlops.emulators.azure.ml.registry_assets import RegistryAssets
from cloudmlops.emulators.azure.ml.registry_service import registry_services
from cloudmlops.emulators.azure.ml.schedules import Schedules
from cloudmlops.emulators.azure.ml.workspace_deployments import WorkspaceDeployments
from cloudmlops.emulators.azure.ml.workspaces import add_workspaces, ensure_workspace
from cloudmlops.emulators.azure.rbac.assignments import Access
from cloudmlops.emulators.azure.redis.service import URL, Redis
from cloudmlops.emulators.azure.scoring.batch import BatchDoor
from cloudmlops.emulators.azure.scoring.credentials import Credentials
from cloudmlops.emulators.azure.scoring.fleet import Fleet
from cloudmlops.emulators.azure.scoring.service import scoring_service
from cloudmlops.emulators.azure.tracking.measures import Measures
from cloudmlops.emulators.azure.tracking.service import Tracking
from cloudmlops.emulators.core.service import Service, Surroundings

SUBSCRIPTION: Final = "00000000-0000-0000-0000-00000000e001"
ENDPOINT_IDENTITY: Final = "CLOUDMLOPS_AZUREML_ENDPOINT_IDENTITY"
"""The variable of a child in which it finds the identity that endpoints are to act as."""
SERVING_ID: Final = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/identities/providers/Microsoft.ManagedIdentity"
    f"/userAssignedIdentities/{SERVING_NAME}"
)
_LEADING_PAST: Final = (
    "ARM_CLOUD_METADATA_URL",
    "AZUREML_CURRENT_CLOUD",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_PASSWORD",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_USERNAME",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MSI_ENDPOINT",
    "MSI_SECRET",
)


class AzureCloud:
    """Azure Machine Learning and what belongs to it, for an `Emulator`."""

    def __init__(self, principals: Path | None = None) -> None:
        self._directory: Directory = load_directory(principals) if principals else default_directory()
        self._in_file = self._directory.principals if principals else ()
        self._serving = None if principals else self._directory.by_name(SERVING_NAME)
        self._world: World | None = None

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        """Build the services."""
        self.tokens = Tokens(surroundings.state, self._directory)
        """Who there is."""
        self.access = Access(surroundings.state, surroundings.clock, self._directory)
        """Who may do what."""
        self.resources = Resources(surroundings.state, surroundings.clock)
        """What there is."""
        self.operations = Operations(surroundings.state, surroundings.clock)
        """What goes on; `operations.takes` makes it last."""
        world = World(
            surroundings=surroundings,
            tokens=self.tokens,
            access=self.access,
            resources=self.resources,
            operations=self.operations,
        )
        self._world = world
        add_authorization(world)
        self.blobs = Blobs(surroundings)
        """What lies in storage accounts."""
        self._add_workspaces(world)
        self._add_computes(world)
        credentials = Credentials(world)
        self._add_serving(world, credentials)
        self._add_jobs(world)
        self.redis = Redis(surroundings)
        """What features are served from; it starts at first use."""
        return (
            entra_service(surroundings, self.tokens),
            self.identities.service(),
            replace(arm_service(world), resume=self._resume),
            scoring_service(world, self.fleet, credentials, self.batch),
            self.batch.service(),
            blob_service(surroundings, self.tokens, self.access, world.versions),
            self.event_grid.service(),
            control_service(surroundings, self.resources, self.event_grid.events),
            self.history.service(),
            *registry_services(world, self._registry_assets),
            *self.tracking.services(),
            self.redis.service(),
        )

    def _add_workspaces(self, world: World) -> None:
        add_workspaces(world)
        WorkspaceDeployments(world)
        self._registries = Registries(world)
        self._registry_assets = RegistryAssets(world)
        add_datastores(world)
        self.event_grid = EventGrid(world, write=self.blobs.write)
        """What is told of what happens, and what is published."""
        add_models(world, self.event_grid.events)
        add_long_running(world)

    def _add_computes(self, world: World) -> None:
        self.clusters = Clusters(world.surroundings.state, world.surroundings.clock)
        """The nodes of computes: what runs takes them here, and gives them back."""
        self.billing = Billing(self.clusters)
        """What the nodes have cost, busy and idle."""
        self._computes = Computes(world, self.clusters)
        self.schedules = Schedules(world)
        """What is made again and again; `schedules.starter` makes the jobs."""

    def _add_serving(self, world: World, credentials: Credentials) -> None:
        self.identities = ManagedIdentities(world.surroundings, self.tokens, self._in_file)
        """Whose tokens processes get without a secret."""
        self.fleet = Fleet(world, self.identities)
        """What serves deployments: images, the quota, how traffic is shared by chance."""
        self._endpoints = OnlineEndpoints(world, self.fleet, credentials)
        self._deployments = OnlineDeployments(world, self.fleet, self.event_grid.events)
        self.scaling = Scaling(world, self.fleet)
        """How many instances deployments have by the settings of autoscale; `scaling.measure` says what metrics are."""
        AutoscaleSettings(world, self.scaling)

    def _add_jobs(self, world: World) -> None:
        for kind in (Codes, Components, FeatureEntities):
            kind(world)
        self._environments = Environments(world)
        runs = Runs(world.surroundings, self.event_grid.events)
        self.images = Images(world.surroundings.state.folder / "images")
        """Which interpreters stand for which images; extend it with `let`."""
        executor = Executor(world, runs, Data(world), self.identities, self.images, self.clusters)
        self.pace = executor.pace
        """How long jobs are on their way before they run."""
        runner = Runner(world.surroundings, runs)
        sweeps = Sweeps(world.surroundings.clock, runs, executor, Measures(world.surroundings.state))
        self.jobs = Jobs(world, runs, runner, executor, Pipelines(world, runs, executor, sweeps), sweeps)
        """What is executed."""
        Materialization(world, FeatureSets(world), runs, self.jobs)
        self.schedules.starter = self.jobs.start
        self._batch_endpoints = BatchEndpoints(world)
        self._batch_deployments = BatchDeployments(world)
        self.batch = BatchDoor(world, runs, BatchScoring(world, runs, runner, executor), self.jobs)
        """Which jobs requests to batch endpoints began."""
        self.history = History(world, runs, runner)
        """What went on."""
        self.tracking = Tracking(world, runs)
        """What runs have logged; `tracking.measures` has their metrics."""

    @property
    def routes(self) -> Routes:
        """What of Azure Resource Manager is answered."""
        return self._built().routes

    @property
    def registry_routes(self) -> Routes:
        """What of the front end of registries is answered."""
        return self._registry_assets.routes

    @property
    def versions(self) -> Mapping[str, set[str]]:
        """The api-versions that were asked for, by operation; of blobs their `x-ms-version`."""
        return self._built().versions

    def ensure_workspace(
        self,
        name: str,
        *,
        group: str,
        subscription: str = SUBSCRIPTION,
        location: str = "",
        identities: Sequence[str] = (),
    ) -> str:
        """Make a workspace with its storage, unless it is there; return its id.

        Where no file says who there is, the identity that serves may read it, as a platform team's Terraform lets it.

        Args:
            name: Of it.
            group: The resource group.
            subscription: Its id.
            location: Of it; empty is the emulator's own.
            identities: Ids of the user-assigned identities that it is given: serverless jobs may be one of them.
        """
        made = ensure_workspace(self._built(), subscription, group, name, location=location, identities=identities)
        if self._serving is not None:
            for scope, role in _reading(made):
                self.access.ensure_assigned(scope, self._serving, role)
        return str(made["id"])

    def ensure_environment(self, name: str, version: str, *, workspace: str, image: str = "") -> str:
        """Make an environment that jobs can run in, unless it is there; return its id.

        Args:
            name: Of it.
            version: Of it.
            workspace: The id of the one that it is in.
            image: Of its container; empty is one of the environment's name.
        """
        return self._environments.ensure(workspace, name, version, image=image or f"{name}:{version}")

    def ensure_registry(self, name: str, *, group: str, subscription: str = SUBSCRIPTION, location: str = "") -> str:
        """Make a registry with its storage, unless it is there; return its id."""
        return str(self._registries.ensure(subscription, group, name, location=location)["id"])

    def environment(self, folder: Path) -> Mapping[str, str | None]:  # noqa: ARG002 no file is needed
        """Return what Azure's SDKs need in a child's environment: who it is."""
        principal = self._directory.principals[0]
        return {
            **dict.fromkeys(_LEADING_PAST),
            "AZURE_TENANT_ID": self._directory.tenant,
            "AZURE_CLIENT_ID": principal.client_id,
            "AZURE_CLIENT_SECRET": principal.secret or None,
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            URL: self.redis.url,
            **({ENDPOINT_IDENTITY: SERVING_ID} if self._serving is not None else {}),
        }

    def reset(self) -> None:
        """Let operations be done at once and assignments count at once again; forget the api-versions asked for."""
        self.operations.takes = timedelta(0)
        self.operations.stuck = False
        self.access.delay = timedelta(0)
        self.event_grid.reset()
        self.pace.preparing = self.pace.queued = timedelta(0)
        self.billing.reset()
        self.fleet.reset()
        self.scaling.reset()
        self.redis.door.lose_answers(0)
        self.tokens.lifetime_seconds = LIFETIME_SECONDS
        self._built().versions.clear()

    def _resume(self) -> None:
        """Go on where an emulator with this state was."""
        self.clusters.release_all()
        self._computes.resume()
        self.schedules.resume()
        self._endpoints.resume()
        self._batch_endpoints.resume()
        self._batch_deployments.resume()
        self._deployments.resume()
        self.scaling.resume()

    def _built(self) -> World:
        if self._world is None:
            raise RuntimeError("an emulator builds the services first")
        return self._world


def _reading(workspace: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what lets somebody read what a workspace has: places, and names of roles."""
    yield workspace["id"], "Reader"
    yield workspace["properties"]["storageAccount"], "Reader"
    yield workspace["properties"]["storageAccount"], "Storage Blob Data Reader"
