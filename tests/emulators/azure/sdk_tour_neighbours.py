"""What the tour leaves out: what is done seldom, what Azure's other services do, and what no SDK has a verb for."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from conftest import Azure


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Goes where `Tour` has been, to the same workspace."""

    azure: Azure
    folder: Path
    registry: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def go(self) -> None:
        """Visit everything."""
        self._roles()
        self._autoscale()
        with webhook() as url:
            self._event_grid(url)
            self._system_topics(url)
        self._registry()
        self._workspace()

    def _roles(self) -> None:
        from azure.mgmt.authorization import AuthorizationManagementClient
        from azure.mgmt.authorization.models import Permission, RoleDefinition

        client: Any = AuthorizationManagementClient(self.azure.credential(), self.azure.subscription, **self.options)
        scope, name = self.azure.workspace_id, str(uuid4())
        actions = Permission(actions=["Microsoft.MachineLearningServices/workspaces/read"])
        made = RoleDefinition(
            role_name=f"Looker of {self.azure.workspace}",
            description="looks",
            role_type="CustomRole",
            permissions=[actions],
            assignable_scopes=[scope],
        )
        client.role_definitions.create_or_update(scope, name, made)
        client.role_definitions.get(scope, name)
        list(client.role_definitions.list(scope))
        client.role_definitions.delete(scope, name)

    def _autoscale(self) -> None:
        from azure.mgmt.monitor import MonitorManagementClient
        from azure.mgmt.monitor.models import (
            AutoscaleProfile,
            AutoscaleSettingResource,
            MetricTrigger,
            ScaleAction,
            ScaleCapacity,
            ScaleRule,
        )

        client: Any = MonitorManagementClient(self.azure.credential(), self.azure.subscription, **self.options)
        settings, group = client.autoscale_settings, self.azure.group
        target = f"{self.azure.workspace_id}/onlineEndpoints/tour-{self.azure.workspace}/deployments/blue"
        rule = ScaleRule(
            metric_trigger=MetricTrigger(
                metric_name="CpuUtilizationPercentage",
                metric_resource_uri=target,
                time_grain="PT1M",
                statistic="Average",
                time_window="PT5M",
                time_aggregation="Average",
                operator="GreaterThan",
                threshold=70,
            ),
            scale_action=ScaleAction(direction="Increase", type="ChangeCount", value="1", cooldown="PT5M"),
        )
        capacity = ScaleCapacity(minimum="1", maximum="3", default="1")
        profile = AutoscaleProfile(name="always", capacity=capacity, rules=[rule])
        name = f"scale-{self.azure.workspace}"
        made = AutoscaleSettingResource(
            location="westeurope", target_resource_uri=target, enabled=True, profiles=[profile]
        )
        settings.create_or_update(group, name, made)
        settings.get(group, name)
        list(settings.list_by_resource_group(group))
        list(settings.list_by_subscription())
        settings.delete(group, name)

    def _event_grid(self, url: str) -> None:
        from azure.mgmt.eventgrid import EventGridManagementClient, models

        manage = EventGridManagementClient(self.azure.credential(), self.azure.subscription, **self.options)
        group, name = self.azure.group, f"tour-{self.azure.workspace}"
        manage.topics.begin_update(group, name, models.TopicUpdateParameters(tags={"team": "a"})).result()
        key = models.TopicRegenerateKeyRequest(key_name="key1")
        manage.topics.begin_regenerate_key(group, name, key).result()
        topic = str(manage.topics.get(group, name).id)
        hooked = models.EventSubscription(
            destination=models.WebHookEventSubscriptionDestination(endpoint_url=url),
            event_delivery_schema="CloudEventSchemaV1_0",
        )
        named = models.EventSubscriptionUpdateParameters(labels=["tour"])
        outer = manage.event_subscriptions
        outer.begin_create_or_update(topic, "outer", hooked).result()
        outer.get(topic, "outer")
        outer.begin_update(topic, "outer", named).result()
        outer.get_full_url(topic, "outer")
        outer.get_delivery_attributes(topic, "outer")
        list(outer.list_by_resource(group, "Microsoft.EventGrid", "topics", name))
        inner = manage.topic_event_subscriptions
        inner.begin_create_or_update(group, name, "inner", hooked).result()
        inner.get(group, name, "inner")
        inner.begin_update(group, name, "inner", named).result()
        inner.get_full_url(group, name, "inner")
        inner.get_delivery_attributes(group, name, "inner")
        list(inner.list(group, name))
        inner.begin_delete(group, name, "inner").result()
        outer.begin_delete(topic, "outer").result()
        manage.topics.begin_delete(group, name).result()
        space, queues = f"{name}-queues", manage.namespace_topic_event_subscriptions
        manage.namespaces.begin_update(group, space, models.NamespaceUpdateParameters(tags={"team": "a"})).result()
        list(manage.namespaces.list_by_resource_group(group))
        manage.namespaces.list_shared_access_keys(group, space)
        of_namespace = models.NamespaceRegenerateKeyRequest(key_name="key1")
        manage.namespaces.begin_regenerate_key(group, space, of_namespace).result()
        kept = models.NamespaceTopicUpdateParameters(event_retention_in_days=3)
        manage.namespace_topics.begin_update(group, space, "news", kept).result()
        list(manage.namespace_topics.list_by_namespace(group, space))
        manage.namespace_topics.list_shared_access_keys(group, space, "news")
        manage.namespace_topics.begin_regenerate_key(group, space, "news", key).result()
        list(queues.list_by_namespace_topic(group, space, "news"))
        longer = models.DeliveryConfiguration(
            delivery_mode="Queue", queue=models.QueueInfo(receive_lock_duration_in_seconds=120)
        )
        changed = models.SubscriptionUpdateParameters(delivery_configuration=longer)
        queues.begin_update(group, space, "news", "readers", changed).result()
        queues.begin_delete(group, space, "news", "readers").result()
        manage.namespace_topics.begin_delete(group, space, "news").result()
        manage.namespaces.begin_delete(group, space).result()

    def _system_topics(self, url: str) -> None:
        from azure.mgmt.eventgrid import EventGridManagementClient, models

        manage = EventGridManagementClient(self.azure.credential(), self.azure.subscription, **self.options)
        group, name = self.azure.group, f"told-{self.azure.workspace}"
        made = models.SystemTopic(
            location="westeurope",
            source=self.azure.workspace_id,
            topic_type="Microsoft.MachineLearningServices.Workspaces",
        )
        manage.system_topics.begin_create_or_update(group, name, made).result()
        manage.system_topics.get(group, name)
        list(manage.system_topics.list_by_resource_group(group))
        info = models.EventSubscription(destination=models.WebHookEventSubscriptionDestination(endpoint_url=url))
        told = manage.system_topic_event_subscriptions
        told.begin_create_or_update(group, name, "told", info).result()
        told.get(group, name, "told")
        told.begin_update(group, name, "told", models.EventSubscriptionUpdateParameters(labels=["tour"])).result()
        told.get_full_url(group, name, "told")
        told.get_delivery_attributes(group, name, "told")
        list(told.list_by_system_topic(group, name))
        told.begin_delete(group, name, "told").result()
        manage.system_topics.begin_delete(group, name).result()

    def _registry(self) -> None:
        from azure.ai.ml import MLClient, load_component
        from azure.ai.ml.entities import Data

        shared = MLClient(self.azure.credential(), registry_name=self.registry, enable_telemetry=False, **self.options)
        own = self.azure.client(**self.options)
        shared.data.create_or_update(
            Data(name="shared", version="1", path=str(self.folder / "files"), type="uri_folder")
        )
        source = self.folder / "component.yml"
        source.write_text(source.read_text().replace("azureml:steps:1", self._shared_environment))
        shared.components.create_or_update(load_component(source))
        given: Any = {"share_with_name": "brought", "share_with_version": "1", "registry_name": self.registry}
        own.models.share("churn", "1", **given)
        own.environments.share("steps", "1", **given)
        own.data.share("rows", "1", **given)
        for kind, name in (
            ("models", "shared"),
            ("data", "shared"),
            ("environments", "shared"),
            ("components", "step"),
        ):
            operations = getattr(shared, kind)
            operations.get(name, version="1")
            list(operations.list())
            list(operations.list(name))
        shared.models.download("shared", "1", download_path=str(self.folder / "shared"))

    def _workspace(self) -> None:
        from azure.ai.ml.entities import (
            ManagedOnlineEndpoint,
            MaterializationComputeResource,
            MaterializationSettings,
            Workspace,
        )

        ml, workspace = self.azure.client(**self.options), self.azure.workspace
        name = f"made-{workspace}"
        ml.workspaces.begin_create(Workspace(name=name, location="westeurope")).result()
        ml.workspaces.begin_delete(name, delete_dependent_resources=False).result()
        ml.online_endpoints.begin_regenerate_keys(f"tour-{workspace}", key_type="primary").result()
        ml.online_endpoints.begin_create_or_update(
            ManagedOnlineEndpoint(name=f"tokens-{workspace}", auth_mode="aml_token")
        ).result()
        ml.online_endpoints.get_keys(f"tokens-{workspace}")
        delays = ml.feature_sets.get("delays", "1")
        delays.materialization_settings = MaterializationSettings(
            offline_enabled=True,
            resource=MaterializationComputeResource(instance_type="standard_e4s_v3"),
            spark_configuration={"spark.driver.cores": "2"},
        )
        ml.feature_sets.begin_create_or_update(delays).result()
        ml.feature_sets.begin_backfill(
            name="delays",
            version="1",
            feature_window_start_time=datetime(2013, 1, 1, tzinfo=UTC),
            feature_window_end_time=datetime(2013, 2, 1, tzinfo=UTC),
            data_status=["None"],
        ).result()

    @property
    def _shared_environment(self) -> str:
        return f"azureml://registries/{self.registry}/environments/shared/versions/1"


@contextmanager
def webhook() -> Iterator[str]:
    """Agree to both handshakes of Event Grid on loopback."""

    class Agreeing(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            self.send_response(200)
            self.send_header("WebHook-Allowed-Origin", self.headers["WebHook-Request-Origin"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            (event,) = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps({"validationResponse": event["data"].get("validationCode")}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 as http.server names it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Agreeing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook"
        finally:
            server.shutdown()
            thread.join()
