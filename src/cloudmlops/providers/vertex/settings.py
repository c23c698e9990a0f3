"""Settings of the Vertex AI provider."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import AwareDatetime, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloudmlops.domain.addresses import redacted
from cloudmlops.errors import ConfigurationError

_PROJECT: Final = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]+")
_LOCATION: Final = re.compile(r"[a-z]+-[a-z]+[0-9]+|global")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_HINT: Final = (
    "Write vertex://PROJECT/LOCATION?bucket=BUCKET, such as vertex://my-project/europe-west4?bucket=my-bucket."
)


class VertexSettings(BaseSettings):
    """Which project, where, and how it is reached; also read from `CLOUDMLOPS_VERTEX_*` variables.

    Credentials are Google's own chain (application default credentials); none are kept here.
    """

    provider: ClassVar[str] = "vertex"
    model_config = SettingsConfigDict(env_prefix="CLOUDMLOPS_VERTEX_", frozen=True, extra="forbid")

    project: str
    """The project's id, or its number."""
    location: str
    """A region, such as `europe-west4`."""
    bucket: str
    """Holds ledger, inbox, artifacts and snapshots; in the same region."""
    prefix: str = "cloudmlops"
    """Folder in the bucket."""
    api_url: str | None = None
    """None is Google's own services; an emulator's address, such as `http://127.0.0.1:8080`, works offline, through the
    same code: Vertex AI, BigQuery, Bigtable, Cloud Storage and all others are asked there."""
    transport: Literal["grpc", "rest"] = "grpc"
    """How Vertex AI is asked."""
    dataset: str = "cloudmlops"
    """BigQuery dataset of features; made at the first `features.apply`."""
    online_store: str = "cloudmlops"
    """Feature online store, of Bigtable type; made at the first `features.apply`."""
    image: str = ""
    """Container image that steps run in; a step may name another."""
    serving_image: str = ""
    """Container image that serves models."""
    machine: str = "n1-standard-2"
    """Machine type of deployments and batch predictions that name none."""
    endpoints: Literal["shared", "dedicated", "private"] = "shared"
    """How new endpoints are reached: by Vertex AI's own name, by a name of their own (larger requests, isolated), or
    within `network` alone."""
    service_account: str = ""
    """E-mail address of the account that runs and endpoints act as; empty is Vertex AI's own agent."""
    network: str = ""
    """Full name of the VPC network to peer with, such as `projects/12345/global/networks/vpc`."""
    encryption_key: str = ""
    """Full name of the Cloud KMS key that what is made is encrypted with."""
    topic: str = ""
    """Pub/Sub topic that our own events are published to; empty publishes none: they are in the inbox only."""
    subscription: str = ""
    """Pub/Sub subscription that events are pulled from; empty pulls none: they are pushed."""
    reporter: Literal["library", "audit-log"] = "library"
    """Who tells of registered models and deployments: the library, of its own, or Google's audit log alone, of all.
    What the log tells counts in both cases; `audit-log` is right only where a sink or trigger brings it."""
    push_audience: str = ""
    """Audience of the identity token that each push must carry; empty asks for none: something else authenticates."""
    push_account: str = ""
    """E-mail address of the service account that pushes; wanted with `push_audience`."""
    timeout: timedelta = Field(default=timedelta(seconds=60), gt=timedelta(0))
    """So long one call may take, with its repetitions."""
    as_of: AwareDatetime | None = None
    """Replay history: features are read online as they were known at this time."""

    @field_validator("project")
    @classmethod
    def _is_project(cls, given: str) -> str:
        if not _PROJECT.fullmatch(given):
            raise ValueError(f"{given!r} is neither the id nor the number of a project")
        return given

    @field_validator("location")
    @classmethod
    def _is_location(cls, given: str) -> str:
        if not _LOCATION.fullmatch(given):
            raise ValueError(f"{given!r} is not a region such as europe-west4")
        return given

    @field_validator("bucket")
    @classmethod
    def _is_bucket(cls, given: str) -> str:
        if not _BUCKET.fullmatch(given):
            raise ValueError(f"{given!r} is not the name of a bucket; write it without gs://")
        return given

    @model_validator(mode="after")
    def _pushes_are_proven_wholly(self) -> Self:
        # Anybody at Google's can get a token for any audience; the account alone would take tokens meant for others.
        if bool(self.push_audience) != bool(self.push_account):
            raise ValueError("push_audience and push_account go together")
        return self

    @field_validator("timeout", mode="before")
    @classmethod
    def _seconds(cls, given: object) -> object:
        try:
            return float(given) if isinstance(given, str) else given
        except ValueError:
            return given

    @classmethod
    def from_target(cls, target: str) -> Self:
        """Read a URL: `vertex://PROJECT/LOCATION?bucket=BUCKET` and any other setting in its query.

        Raises:
            ConfigurationError: It is malformed; all faults are listed.
        """
        parts = urlsplit(target)
        location = parts.path.strip("/")
        if not parts.netloc or not location or "/" in location or "@" in parts.netloc:
            raise ConfigurationError(f"the target {redacted(target)!r} names no project and location", hint=_HINT)
        given: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            return cls(**{"project": parts.netloc, "location": location, **given})
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise ConfigurationError(
                f"the target {redacted(target)!r} is not understood: {faults}",
                hint=f"{_HINT} Known settings: {', '.join(cls.model_fields)}.",
            ) from None  # pydantic's error quotes the values

    @property
    def target(self) -> str:
        """The URL that connects another process to this platform."""
        query: dict[str, str] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name in ("project", "location") or value == field.default:
                continue
            query[name] = f"{value.total_seconds():g}" if isinstance(value, timedelta) else _text(value)
        return f"{self.address}?{urlencode(query)}"

    @property
    def address(self) -> str:
        """The platform's stable name: project and location."""
        return f"vertex://{self.project}/{self.location}"

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


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
