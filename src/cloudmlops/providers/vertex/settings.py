"""Settings of the Vertex AI provider."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import AwareDatetime, BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cloudmlops.domain.addresses import redacted
from cloudmlops.errors import ConfigurationError
from cloudmlops.providers.vertex.formats import (
    Account,
    ApiUrl,
    Bucket,
    Dataset,
    EncryptionKey,
    Image,
    Location,
    Machine,
    Network,
    OnlineStore,
    Prefix,
    Project,
    Subscription,
    Topic,
)
from cloudmlops.providers.vertex.locations import LOCATIONS, alike

_NONE: Final = "none"
"""None in a target; an empty text is refused, for a shell writes it where a variable is not set."""
_HINT: Final = (
    "Write vertex://PROJECT/LOCATION?bucket=BUCKET, such as vertex://my-project/europe-west4?bucket=my-bucket."
)


def _seconds(given: object) -> object:
    """Read a number of seconds, as a URL and a variable hold it; pydantic reads the rest, such as `PT90S`."""
    try:
        return float(given) if isinstance(given, str) else given
    except ValueError:
        return given


def _none(given: object) -> object:
    return None if given == _NONE else given


class VertexSettings(BaseSettings):
    """Which project, where, and how it is reached; also read from `CLOUDMLOPS_VERTEX_*` variables.

    Credentials are Google's own chain (application default credentials); none are kept here.
    """

    provider: ClassVar[str] = "vertex"
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
    api_url: Annotated[ApiUrl | None, BeforeValidator(_none)] = None
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
    timeout: Annotated[timedelta, BeforeValidator(_seconds), Field(gt=timedelta(0), le=timedelta(days=1))] = timedelta(
        seconds=60
    )
    """So long one call may take, with its repetitions. In a target: seconds."""
    as_of: Annotated[AwareDatetime | None, BeforeValidator(_none)] = None
    """Replay history: features are read online as they were known at this time. None is `none` in a target."""

    def __init__(
        self, *, _named: str = "settings of a vertex:// platform", _faults: Sequence[str] = (), **given: Any
    ) -> None:
        """Take settings by name, and what is not given from variables.

        Raises:
            ConfigurationError: Some are missing or malformed, or contradict others; all faults are listed.
        """
        faults = list(_faults)
        try:
            super().__init__(**given)
        except ValidationError as error:
            faults += _told(error)
        # Raised here, for pydantic's error quotes the values.
        if faults:
            raise ConfigurationError(
                f"{_named} are not understood: {'; '.join(faults)}",
                hint=f"{_HINT} Known settings: {', '.join(type(self).model_fields)}.",
            )

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

    @classmethod
    def from_target(cls, target: str) -> Self:
        """Read a URL: `vertex://PROJECT/LOCATION?bucket=BUCKET` and any other setting in its query.

        Raises:
            ConfigurationError: It is malformed; all faults are listed.
        """
        parts = urlsplit(target)
        credentials, _, project = parts.netloc.rpartition("@")
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = dict(pairs)
        # Other names would reach pydantic's own options, such as the file that variables are read from.
        given = {name: value for name, value in query.items() if name in cls.model_fields}
        given |= {"project": project, "location": parts.path.strip("/")}
        faults = [f"{name}: there is no such setting" for name in query if name not in cls.model_fields]
        faults += [f"{name}: it is given twice" for name in query if [known for known, _ in pairs].count(name) > 1]
        faults += [f"{name}: it stands before the question mark" for name in ("project", "location") if name in query]
        if credentials:
            faults.append("project: credentials stand before it; Google's own chain has them")
        if parts.fragment:
            faults.append("#: it begins nothing that is read; write %23")
        return cls(_named=f"settings of the target {redacted(target)!r}", _faults=faults, **given)

    @property
    def target(self) -> str:
        """The URL that connects another process to this platform."""
        # All that was set, also to its default: the other process may have variables that say something else.
        names = [name for name in type(self).model_fields if name in self.model_fields_set]
        query = {name: _text(getattr(self, name)) for name in names if name not in ("project", "location")}
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
    """Return a value as a target holds it."""
    if isinstance(value, timedelta):
        return repr(value.total_seconds())
    if isinstance(value, datetime):
        return value.isoformat()
    return _NONE if value is None else str(value)


def _told(error: ValidationError) -> Iterator[str]:
    """Yield each fault with the setting's name, and without values."""
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        yield f"{'.'.join(map(str, fault['loc'][:1]))}: {fault['msg'].removeprefix('Value error, ')}"
