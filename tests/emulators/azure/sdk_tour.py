"""A tour through all that azure-ai-ml and Azure's other SDKs do with one workspace, one of each kind, by public names.

What was said on the wire is then looked at: which api-versions were sent, and what was answered.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from cloudmlops.emulators.azure.scoring.images import ServingImage

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from conftest import Azure

QUIET = pytest.mark.filterwarnings(
    "ignore::marshmallow.warnings.RemovedInMarshmallow4Warning",
    "ignore:The use of a 'BlobProperties':DeprecationWarning",
    "ignore:content_as_bytes is deprecated:DeprecationWarning",
)
"""What azure-ai-ml 1.35 itself does that others warn of: it is written for marshmallow 3 and an older storage SDK."""
IMAGE = "quick.azurecr.io/tour:1"
SIZE = "Standard_F4s_v2"
_SERVER = Path(__file__).parents[2] / "azureml" / "quick_server.py"
_FEATURES = """
source:
  type: parquet
  path: abfss://flights@store.dfs.core.windows.net/delays/
  timestamp_column: {name: at}
features:
  - {name: delay, type: double}
index_columns:
  - {name: flight, type: string}
"""
_COMPONENT = (
    "command: python train.py\nenvironment: azureml:steps:1\ntype: command\nname: step\nversion: '1'\ncode: {}\n"
)


@dataclass(frozen=True, kw_only=True)
class Tour:
    """What was made."""

    azure: Azure
    folder: Path
    registry: str

    def go(self) -> None:
        """Visit everything."""
        command = [sys.executable, "-S", "-u", str(_SERVER), "{port}"]
        self.azure.cloud.fleet.images.let(IMAGE, ServingImage(command=command))
        ml = self.azure.client()
        self._workspaces(ml)
        self._assets(ml)
        self._features(ml)
        self._computes(ml)
        self._jobs(ml)
        self._online(ml)
        self._batch(ml)
        self._registries()
        self._roles()
        self._event_grid()

    def _workspaces(self, ml: MLClient) -> None:
        from azure.ai.ml.entities import AzureBlobDatastore, SasTokenConfiguration

        workspace = ml.workspaces.get(self.azure.workspace)
        workspace.tags = {"team": "a"}
        ml.workspaces.begin_update(workspace).result()
        list(ml.workspaces.list())
        list(ml.connections.list())
        store = AzureBlobDatastore(
            name="lake",
            account_name=workspace.storage_account.rpartition("/")[2],
            container_name="lake",
            credentials=SasTokenConfiguration(sas_token="sv=x"),
        )
        ml.datastores.create_or_update(store)
        ml.datastores.get("lake", include_secrets=True)
        list(ml.datastores.list())
        ml.datastores.delete("lake")

    def _assets(self, ml: MLClient) -> None:
        from azure.ai.ml import load_component
        from azure.ai.ml.entities import Data, Environment, Model

        files = self._files("files", factor="3")
        for kind, entity in (
            ("models", Model(name="churn", version="1", path=str(files), type="custom_model", tags={"team": "a"})),
            ("data", Data(name="rows", version="1", path=str(files), type="uri_folder")),
            ("environments", Environment(name="steps", version="1", image=IMAGE)),
        ):
            operations = getattr(ml, kind)
            operations.create_or_update(entity)
            operations.get(entity.name, version="1")
            operations.get(entity.name, label="latest")
            list(operations.list())
            list(operations.list(entity.name))
            operations.archive(entity.name, version="1")
            operations.restore(entity.name, version="1")
            operations.archive(entity.name)
            operations.restore(entity.name)
        ml.models.download("churn", "1", download_path=str(self.folder / "down"))
        source = self.folder / "component.yml"
        source.write_text(_COMPONENT.format(self._files("code", train="print(1)")))
        ml.components.create_or_update(load_component(source))
        ml.components.get("step", label="latest")
        list(ml.components.list())
        ml.components.archive("step", version="1")
        ml.components.restore("step", version="1")

    def _features(self, ml: MLClient) -> None:
        from azure.ai.ml.entities import DataColumn, FeatureSet, FeatureSetSpecification, FeatureStoreEntity

        columns = [DataColumn(name="flight", type="string")]
        ml.feature_store_entities.begin_create_or_update(
            FeatureStoreEntity(name="flight", version="1", index_columns=columns)
        ).result()
        ml.feature_store_entities.get("flight", "1")
        list(ml.feature_store_entities.list())
        list(ml.feature_store_entities.list(name="flight"))
        place = self.folder / "delays"
        place.mkdir()
        (place / "FeatureSetSpec.yaml").write_text(_FEATURES)
        made = FeatureSet(
            name="delays",
            version="1",
            entities=["azureml:flight:1"],
            specification=FeatureSetSpecification(path=str(place)),
        )
        ml.feature_sets.begin_create_or_update(made).result()
        ml.feature_sets.get("delays", "1")
        list(ml.feature_sets.list())
        list(ml.feature_sets.list(name="delays"))
        list(ml.feature_sets.list_features("delays", "1"))
        ml.feature_sets.get_feature("delays", "1", feature_name="delay")

    def _computes(self, ml: MLClient) -> None:
        from azure.ai.ml.entities import AmlCompute, ComputeInstance

        ml.compute.begin_create_or_update(AmlCompute(name="cluster", size=SIZE, max_instances=2)).result()
        ml.compute.get("cluster")
        list(ml.compute.list())
        list(ml.compute.list_nodes("cluster"))
        ml.compute.begin_update(AmlCompute(name="cluster", size=SIZE, max_instances=1)).result()
        desk = f"desk-{self.azure.workspace}"
        ml.compute.begin_create_or_update(ComputeInstance(name=desk, size=SIZE)).result()
        ml.compute.begin_stop(desk).result()
        ml.compute.begin_start(desk).result()
        ml.compute.begin_restart(desk).result()
        ml.compute.begin_delete(desk).result()

    def _jobs(self, ml: MLClient) -> None:
        from azure.ai.ml import command, dsl, load_component
        from azure.ai.ml.entities import CronTrigger, Environment, JobSchedule

        job = command(
            command="echo ${{inputs.number}}",
            environment=Environment(image="mcr.microsoft.com/azureml/minimal:latest"),
            inputs={"number": 3},
            compute="cluster",
            code=str(self.folder / "code"),
        )
        self.azure.cloud.pace.queued = timedelta(hours=1)
        made = ml.jobs.create_or_update(job)
        ml.jobs.get(made.name)
        list(ml.jobs.list(max_results=2))
        ml.jobs.archive(made.name)
        ml.jobs.restore(made.name)
        ml.jobs.begin_cancel(made.name).result()
        step = load_component(self.folder / "component.yml")

        @dsl.pipeline(name="nightly")
        def nightly() -> None:
            step()

        pipeline = nightly()
        pipeline.settings.default_compute = "cluster"
        submitted = ml.jobs.create_or_update(pipeline)
        ml.jobs.begin_cancel(submitted.name).result()
        self.azure.cloud.pace.queued = timedelta(0)
        trigger = CronTrigger(expression="15 10 * * 1")
        schedule = JobSchedule(name="weekly", trigger=trigger, create_job=pipeline)
        ml.schedules.begin_create_or_update(schedule).result()
        ml.schedules.get("weekly")
        list(ml.schedules.list())
        ml.schedules.begin_disable("weekly").result()
        gone = JobSchedule(name="gone", trigger=trigger, create_job=pipeline)
        ml.schedules.begin_create_or_update(gone).result()
        ml.schedules.begin_disable("gone").result()
        ml.schedules.begin_delete("gone").result()

    def _online(self, ml: MLClient) -> None:
        from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint

        from cloudmlops.testing.model_folders import write_scaling_model

        folder = write_scaling_model(self.folder / "scaling", factor=2.0)
        name = f"tour-{self.azure.workspace}"
        ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode="key")).result()
        self._model(ml, "scaling", folder)
        route = {"port": 8080, "path": "/"}
        from azure.ai.ml.entities import Environment

        blue = ManagedOnlineDeployment(
            name="blue",
            endpoint_name=name,
            model="azureml:scaling:1",
            environment=Environment(
                image=IMAGE,
                inference_config={"liveness_route": route, "readiness_route": route, "scoring_route": route},
            ),
            instance_type=SIZE,
            instance_count=1,
        )
        ml.online_deployments.begin_create_or_update(blue).result()
        endpoint = ml.online_endpoints.get(name)
        endpoint.traffic = {"blue": 100}
        ml.online_endpoints.begin_create_or_update(endpoint).result()
        list(ml.online_endpoints.list())
        ml.online_endpoints.get_keys(name)
        ml.online_deployments.get("blue", name)
        list(ml.online_deployments.list(name))
        ml.online_deployments.get_logs("blue", name, lines=5)
        gone = f"gone-{self.azure.workspace}"
        ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=gone, auth_mode="key")).result()
        ml.online_endpoints.begin_delete(gone).result()

    def _batch(self, ml: MLClient) -> None:
        from azure.ai.ml.entities import BatchEndpoint, Model, ModelBatchDeployment

        from cloudmlops.testing.model_folders import write_scaling_model

        name = f"batch-{self.azure.workspace}"
        ml.batch_endpoints.begin_create_or_update(BatchEndpoint(name=name)).result()
        folder = write_scaling_model(self.folder / "batch", factor=2.0)
        model = ml.models.create_or_update(Model(name="batch", version="1", path=str(folder), type="mlflow_model"))
        blue = ModelBatchDeployment(name="blue", endpoint_name=name, model=model, compute="cluster")
        ml.batch_deployments.begin_create_or_update(blue).result()
        ml.batch_endpoints.get(name)
        list(ml.batch_endpoints.list())
        ml.batch_deployments.get("blue", name)
        list(ml.batch_deployments.list(name))

    def _registries(self) -> None:
        from azure.ai.ml import MLClient
        from azure.ai.ml.entities import (
            Environment,
            Registry,
            RegistryRegionDetails,
            SystemCreatedAcrAccount,
            SystemCreatedStorageAccount,
        )

        details = RegistryRegionDetails(
            location="westeurope",
            acr_config=[SystemCreatedAcrAccount(acr_account_sku="Premium")],
            storage_config=SystemCreatedStorageAccount(storage_account_hns=False, storage_account_type="standard_lrs"),
        )
        registries = self.azure.client().registries
        made = Registry(name=self.registry, location="westeurope", replication_locations=[details])
        registries.begin_create(made).result()
        registries.get(self.registry)
        list(registries.list())
        shared = MLClient(self.azure.credential(), registry_name=self.registry, enable_telemetry=False)
        shared.environments.create_or_update(Environment(name="shared", version="1", image=IMAGE))
        shared.environments.get("shared", version="1")
        list(shared.environments.list("shared"))
        self._model(shared, "shared", self.folder / "files")

    def _roles(self) -> None:
        from azure.mgmt.authorization import AuthorizationManagementClient

        client: Any = AuthorizationManagementClient(self.azure.credential(), self.azure.subscription)
        (reader,) = client.role_definitions.list("", filter="roleName eq 'Reader'")
        scope, name = self.azure.workspace_id, str(uuid4())
        given = {"role_definition_id": reader.id, "principal_id": self.azure.principal("nobody").object_id}
        client.role_assignments.create(scope, name, given)
        client.role_assignments.get(scope, name)
        list(client.role_assignments.list_for_scope(scope))
        client.role_assignments.delete(scope, name)

    def _event_grid(self) -> None:
        from azure.core.messaging import CloudEvent
        from azure.eventgrid import EventGridConsumerClient, EventGridPublisherClient
        from azure.mgmt.eventgrid import EventGridManagementClient
        from azure.mgmt.eventgrid.models import Namespace, NamespaceTopic, Subscription, Topic

        credential, group = self.azure.credential(), self.azure.group
        manage = EventGridManagementClient(credential, self.azure.subscription)
        name = f"tour-{self.azure.workspace}"
        topic = manage.topics.begin_create_or_update(
            group, name, Topic(location="westeurope", input_schema="CloudEventSchemaV1_0")
        ).result()
        manage.topics.list_shared_access_keys(group, name)
        list(manage.topics.list_by_resource_group(group))
        space = f"{name}-queues"
        manage.namespaces.begin_create_or_update(group, space, Namespace(location="westeurope")).result()
        manage.namespace_topics.begin_create_or_update(group, space, "news", NamespaceTopic()).result()
        manage.namespace_topic_event_subscriptions.begin_create_or_update(
            group, space, "news", "readers", Subscription()
        ).result()
        made = manage.namespaces.get(group, space)
        who = self.azure.credential
        event = CloudEvent(source="/tour", type="seen", data={"n": 1})
        EventGridPublisherClient(topic.endpoint, who("sender")).send([event])
        host = f"https://{made.topics_configuration.hostname}"
        EventGridPublisherClient(host, who("sender"), namespace_topic="news").send([event])
        consumer = EventGridConsumerClient(host, who("receiver"), namespace_topic="news", subscription="readers")
        (got,) = consumer.receive(max_events=1, max_wait_time=10)
        consumer.acknowledge(lock_tokens=[got.broker_properties.lock_token])

    def _model(self, ml: MLClient, name: str, folder: Path) -> None:
        from azure.ai.ml.entities import Model

        ml.models.create_or_update(Model(name=name, version="1", path=str(folder), type="custom_model"))

    def _files(self, folder: str, **texts: str) -> Path:
        made = self.folder / folder
        made.mkdir(exist_ok=True)
        for name, text in texts.items():
            (made / (f"{name}.py" if folder == "code" else f"{name}.txt")).write_text(text)
        return made
