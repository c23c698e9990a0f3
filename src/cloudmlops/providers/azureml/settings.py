"""Settings of the Azure Machine Learning provider."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from cloudmlops.providers.azureml.formats import (
    Application,
    Compute,
    ComputeMachine,
    ContainerImage,
    Datastore,
    Environment,
    EventSubscription,
    Group,
    Identity,
    Machine,
    Names,
    Origins,
    RedisUrl,
    SparkInstance,
    SparkRuntime,
    Subscription,
    Tenant,
    Topic,
    Workspace,
    on_this_machine,
)
from cloudmlops.providers.formats import ApiUrl, Prefix
from cloudmlops.providers.targets import OrNone, Seconds, TargetSettings

_EVENT_GRID: Final = "4962773b-9cdb-44cf-a8bf-237846a00ab7"
_SHORTEST_KEY: Final = 16


class AzureMLSettings(TargetSettings):
    """Which workspace, and how it is reached; also read from `CLOUDMLOPS_AZUREML_*` variables.

    Credentials are Azure's own chain (`DefaultAzureCredential`); none are kept here.
    """

    provider: ClassVar[str] = "azureml"
    located_by: ClassVar[tuple[str, ...]] = ("subscription", "resource_group", "workspace")
    hint: ClassVar[str] = "Write azureml://SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE, the subscription as its id."
    secrets: ClassVar[tuple[str, ...]] = ("push_key",)
    model_config = SettingsConfigDict(env_prefix="CLOUDMLOPS_AZUREML_", frozen=True, extra="forbid")

    subscription: Subscription
    """The subscription's id."""
    resource_group: Group
    workspace: Workspace
    datastore: Datastore = ""
    """Holds ledger, inbox, artifacts and snapshots, on Blob storage; empty is the workspace's default."""
    prefix: Prefix = "cloudmlops"
    """Folder in the datastore."""
    cloud_url: Annotated[ApiUrl | None, OrNone] = None
    """None, in a target `none`, is Azure's own cloud; the https address of an emulator, or of another cloud's resource
    manager, whose `/metadata/endpoints` tell the rest."""
    environment: Environment = ""
    """What steps run in, such as `azureml:flights:3`; a step may name an image."""
    compute: Compute = ""
    """Where runs run; empty is serverless compute."""
    compute_machine: ComputeMachine = ""
    """Size of the machines of `compute` where it is to be made when it is not there; empty makes none."""
    compute_max_nodes: Annotated[int, Field(ge=1, le=1000)] = 4
    """How many machines a compute that is made may have."""
    compute_min_nodes: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many it keeps though nothing runs; above 0, `compute_idle_cost` must agree."""
    compute_idle_cost: Annotated[float, Field(ge=0)] = 0.0
    """US dollars a month that you agree to pay for machines that are kept though nothing runs; a compute that costs
    more of them is refused, whoever made it, and the message says how much."""
    unpriced_machines: Names = ""
    """Sizes of machines that may be kept though nothing runs and though this library knows no price of them, with
    commas between; of a compute whose machines Azure ML does not tell, its name. No sum agrees to these."""
    feature_store: Workspace | Literal[""] = ""
    """Workspace of kind FeatureStore, in the same resource group, that shows the feature sets; empty is the workspace
    itself where it is of that kind, else none."""
    spark_from_mib: Annotated[int, Field(ge=0)] = 512
    """Features whose sources hold so many MiB, as they are stored, are joined and reduced by a Spark job of the
    workspace; of less, on this machine."""
    spark_instance: SparkInstance = "standard_e8s_v3"
    """Size of the machines of such a job, which has one more than `spark_executors`."""
    spark_executors: Annotated[int, Field(ge=1, le=256)] = 4
    spark_hourly_cost: Annotated[Annotated[float, Field(ge=0)] | None, OrNone] = None
    """US dollars an hour that the machines of such a job may cost together, by list prices: one that costs more is
    refused before it begins, and 0 lets none begin. None, in a target `none`, sets no bound."""
    spark_runtime: SparkRuntime = "3.5"
    """Version of Spark."""
    redis_url: Annotated[RedisUrl | None, OrNone] = None
    """What features are served from, such as `rediss://flights.redis.cache.windows.net:6380`: with TLS, and with
    tokens of Entra; `redis://` is for this machine's own, without both. None, in a target `none`, serves none."""
    redis_unencrypted: Annotated[bool, Field(validate_default=True)] = False
    """Whether a `redis://` on another machine is meant, though all can be read and changed on its way."""
    redis_forget_after: Annotated[
        Annotated[timedelta, Seconds, Field(ge=timedelta(0), le=timedelta(days=36_500))] | None, OrNone
    ] = None
    """So long after a view's ttl has passed of all that is stored of an entity, Redis may forget it: from then on it is
    MISSING, and no longer EXPIRED. In a target: seconds, or `none` for never."""
    serving_image: ContainerImage = ""
    """Container image that serves models, such as `myregistry.azurecr.io/cloudmlops/serving:latest`."""
    serving: Literal["image", "mlflow"] = "image"
    """What serves models: `serving_image`, or what Azure ML makes for an MLflow model without being told."""
    machine: Machine = "Standard_DS3_v2"
    """Size of the machines of deployments that name none."""
    auth_mode: Literal["aad_token", "aml_token", "key"] = "aad_token"
    """Who may ask a new endpoint for predictions: whoever Entra lets, or who holds a token or a key of the endpoint."""
    endpoint_identity: Identity = ""
    """Resource id of the user-assigned managed identity that new endpoints act as; empty is one of their own."""
    topic: Topic = ""
    """Address of a topic in an Event Grid namespace that our own events are published to, such as
    `https://my-namespace.westeurope-1.eventgrid.azure.net/topics/mlops`; empty publishes none: they are in the inbox
    only."""
    event_subscription: Annotated[EventSubscription, Field(validate_default=True)] = ""
    """Name of the topic's event subscription, of delivery mode Queue, that events are pulled from; empty pulls none."""
    reporter: Literal["library", "event-grid"] = "library"
    """Who tells of registered models: the library, of its own, or Event Grid alone, of all. What Event Grid tells
    counts in both cases; `event-grid` is right only where the workspace's events are brought here."""
    push_audience: str = ""
    """Audience of the token of Entra that each push must carry: the application that the event subscription names."""
    push_tenant: Annotated[Tenant, Field(validate_default=True)] = ""
    """Tenant that issues the tokens; wanted with `push_audience`."""
    push_account: Application = _EVENT_GRID
    """Application that pushes: Event Grid's own in Azure's public cloud, or the client id of a managed identity."""
    push_key: SecretStr = SecretStr("")
    """What each push must carry instead of a token, in the query as `key=` or in the header `x-cloudmlops-key`;
    no target says it."""
    push_origins: Origins = "eventgrid.azure.net"
    """Who may ask, in CloudEvents' handshake, whether events are wanted here."""
    push_unproven: bool = False
    """Whether pushes from other machines need no proof, because something before this authenticates them."""

    # Each of these rules of two settings is asked with the later one, so that all faults are told together.

    @field_validator("redis_unencrypted")
    @classmethod
    def _other_machines_are_reached_by_tls(cls, given: bool, info: ValidationInfo) -> bool:
        url = info.data.get("redis_url")
        if url is not None and not given and url.startswith("redis://") and not on_this_machine(url):
            raise ValueError(
                "redis_url leads to another machine without TLS: write rediss://, or set redis_unencrypted=true"
            )
        return given

    @field_validator("event_subscription")
    @classmethod
    def _subscriptions_have_a_topic(cls, given: str, info: ValidationInfo) -> str:
        if given and info.data.get("topic") == "":
            raise ValueError("it is a subscription of the topic: set topic")
        return given

    @field_validator("push_tenant")
    @classmethod
    def _tokens_have_an_audience_and_a_tenant(cls, given: str, info: ValidationInfo) -> str:
        # Event Grid's application is in every tenant: others' could send tokens that are as good.
        if bool(info.data.get("push_audience")) != bool(given):
            raise ValueError("push_audience and push_tenant go together")
        return given.lower()

    @field_validator("push_key")
    @classmethod
    def _keys_cannot_be_guessed(cls, given: SecretStr) -> SecretStr:
        if 0 < len(given.get_secret_value()) < _SHORTEST_KEY:
            raise ValueError(f"a key has {_SHORTEST_KEY} characters or more")
        return given

    @property
    def workspace_id(self) -> str:
        """The resource's id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )

    @property
    def topic_id(self) -> str:
        """The topic's resource id, in the workspace's own resource group; empty when there is none."""
        if not self.topic:
            return ""
        parts = urlsplit(self.topic)
        namespace = str(parts.hostname).partition(".")[0]
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.EventGrid/namespaces/{namespace}{parts.path}"
        )
