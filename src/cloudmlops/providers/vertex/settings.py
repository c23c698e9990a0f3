"""Settings of the Vertex AI provider."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from cloudmlops.providers.formats import ApiUrl, Prefix
from cloudmlops.providers.targets import OrNone, TargetSettings
from cloudmlops.providers.vertex.formats import (
    Account,
    Bucket,
    Dataset,
    EncryptionKey,
    Image,
    Location,
    Machine,
    Network,
    OnlineStore,
    Project,
    Subscription,
    Topic,
)
from cloudmlops.providers.vertex.locations import LOCATIONS, alike


class VertexSettings(TargetSettings):
    """Which project, where, and how it is reached; also read from `CLOUDMLOPS_VERTEX_*` variables.

    Credentials are Google's own chain (application default credentials); none are kept here.
    """

    provider: ClassVar[str] = "vertex"
    located_by: ClassVar[tuple[str, ...]] = ("project", "location")
    hint: ClassVar[str] = (
        "Write vertex://PROJECT/LOCATION?bucket=BUCKET, such as vertex://my-project/europe-west4?bucket=my-bucket."
    )
    model_config = SettingsConfigDict(env_prefix="CLOUDMLOPS_VERTEX_", frozen=True, extra="forbid")

    project: Project
    """The project's id, or its number."""
    location: Location
    """A region, such as `europe-west4`; one that Google opened after this version, with `unlisted_location`."""
    unlisted_location: Annotated[bool, Field(validate_default=True)] = False
    """Whether the location may be one that this version does not know."""
    bucket: Bucket
    """Holds ledger, inbox, artifacts and snapshots; in the same region."""
    prefix: Prefix = "cloudmlops"
    """Folder in the bucket."""
    api_url: Annotated[ApiUrl | None, OrNone] = None
    """None, in a target `none`, is Google's own services; an emulator's address, such as `http://127.0.0.1:8080`, works
    offline, through the same code: Vertex AI, BigQuery, Bigtable, Cloud Storage and all others are asked there."""
    transport: Literal["grpc", "rest"] = "grpc"
    """How Vertex AI is asked."""
    dataset: Dataset = "cloudmlops"
    """BigQuery dataset of features; made at the first `features.apply`."""
    online_store: OnlineStore = "cloudmlops"
    """Feature online store, of Bigtable type; made at the first `features.apply`."""
    image: Image = ""
    """Container image that steps run in; a step may name another."""
    serving_image: Image = ""
    """Container image that serves models."""
    machine: Machine = "n1-standard-2"
    """Machine type of deployments and batch predictions that name none."""
    endpoints: Literal["shared", "dedicated", "private"] = "shared"
    """How new endpoints are reached: by Vertex AI's own name, by a name of their own (larger requests, isolated), or
    within `network` alone."""
    service_account: Account = ""
    """E-mail address of the account that runs and endpoints act as; empty is Vertex AI's own agent."""
    network: Annotated[Network, Field(validate_default=True)] = ""
    """Full name of the VPC network to peer with, such as `projects/12345/global/networks/vpc`."""
    encryption_key: EncryptionKey = ""
    """Full name of the Cloud KMS key that what is made is encrypted with."""
    topic: Topic = ""
    """Pub/Sub topic that our own events are published to; empty publishes none: they are in the inbox only."""
    subscription: Subscription = ""
    """Pub/Sub subscription that events are pulled from; empty pulls none: they are pushed."""
    reporter: Literal["library", "audit-log"] = "library"
    """Who tells of registered models and deployments: the library, of its own, or Google's audit log alone, of all.
    What the log tells counts in both cases; `audit-log` is right only where a sink or trigger brings it."""
    push_audience: str = ""
    """Audience of the identity token that each push must carry; empty asks for none: something else authenticates."""
    push_account: Annotated[Account, Field(validate_default=True)] = ""
    """E-mail address of the service account that pushes; wanted with `push_audience`."""

    # Each of these rules of two settings is asked with the later one, so that all faults are told together.

    @field_validator("unlisted_location")
    @classmethod
    def _location_is_known(cls, given: bool, info: ValidationInfo) -> bool:
        location = info.data.get("location")
        if location is not None and location not in LOCATIONS and not given:
            meant = f"; perhaps {' or '.join(near)}" if (near := alike(location)) else ""
            raise ValueError(f"this version knows no location {location!r} of Vertex AI{meant}; true takes it as it is")
        return given

    @field_validator("network")
    @classmethod
    def _private_is_within_a_network(cls, given: str, info: ValidationInfo) -> str:
        if info.data.get("endpoints") == "private" and not given:
            raise ValueError("endpoints=private are reached within a network: name it")
        return given

    @field_validator("encryption_key")
    @classmethod
    def _key_is_there(cls, given: str, info: ValidationInfo) -> str:
        location = info.data.get("location")
        if given and location is not None and f"/locations/{location}/" not in given:
            raise ValueError(f"the key is not in {location}, where it encrypts")
        return given

    @field_validator("push_account")
    @classmethod
    def _pushes_are_proven_wholly(cls, given: str, info: ValidationInfo) -> str:
        # Anybody at Google's can get a token for any audience; the account alone would take tokens meant for others.
        if bool(info.data.get("push_audience")) != bool(given):
            raise ValueError("push_audience and push_account go together")
        return given

    @property
    def serving_image_uri(self) -> str:
        """The image that serves models: the given one, or where docs/endpoints.md has it built."""
        return self.serving_image or f"{self.location}-docker.pkg.dev/{self.project}/cloudmlops/serving:latest"

    @property
    def parent(self) -> str:
        """The name that Vertex AI's resources lie below."""
        return f"projects/{self.project}/locations/{self.location}"

    @property
    def store(self) -> str:
        """The address of the object store."""
        return f"gs://{self.bucket}/{self.prefix}".rstrip("/")
