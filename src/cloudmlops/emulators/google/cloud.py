"""All services of Google's together."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from cloudmlops.emulators.core.deferred import begun, deferred
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.aiplatform import service as vertex_wires
from cloudmlops.emulators.google.aiplatform.build import aiplatform, vertex_of
from cloudmlops.emulators.google.aiplatform.catalogue import Method
from cloudmlops.emulators.google.aiplatform.dispatch import SERVICE
from cloudmlops.emulators.google.aiplatform.endpoints.fleet import fleet_of
from cloudmlops.emulators.google.aiplatform.images import Image, images_of
from cloudmlops.emulators.google.aiplatform.names import subject_of
from cloudmlops.emulators.google.aiplatform.permissions import permission
from cloudmlops.emulators.google.audit import Audit
from cloudmlops.emulators.google.control import control_service
from cloudmlops.emulators.google.enabled import service_usage_service
from cloudmlops.emulators.google.identity import credentials_service, identity_service
from cloudmlops.emulators.google.logs import Logs, logging_service
from cloudmlops.emulators.google.metrics import metrics_service
from cloudmlops.emulators.google.pubsub.service import pubsub_service
from cloudmlops.emulators.google.pushing import Pusher
from cloudmlops.emulators.google.storage.service import service as storage_service
from cloudmlops.emulators.google.storage.sharing import Objects
from cloudmlops.emulators.google.tokens import Tokens
from cloudmlops.emulators.google.vertex_audit import VertexAudit

_SDK: Final = "google.cloud.aiplatform_v1"
PROJECT: Final = "emulated"
"""Of the credentials of a child whose environment names none."""
_OVERRIDDEN: Final = (
    "AIPLATFORM",
    "BIGQUERY",
    "CLOUDRESOURCEMANAGER",
    "IAMCREDENTIALS",
    "LOGGING",
    "PUBSUB",
    "SERVICEUSAGE",
    "STORAGE",
)
_LEADING_PAST: Final = (
    "BIGQUERY_EMULATOR_HOST",
    "BIGTABLE_EMULATOR_HOST",
    "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
    "CLOUDSDK_ACTIVE_CONFIG_NAME",
    "GCE_METADATA_HOST",
    "GCE_METADATA_IP",
    "PUBSUB_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
)


class GoogleCloud:
    """Vertex AI and what belongs to it, for an `Emulator`."""

    def __init__(self, *, images: Mapping[str, Image] = MappingProxyType({})) -> None:
        """Prepare; nothing is built.

        Args:
            images: What runs for which images, by patterns, beside our own.
        """
        self._surroundings: Surroundings | None = None
        self._given_images = images

    def services(self, surroundings: Surroundings) -> Sequence[Service]:
        """Build the services."""
        self._surroundings = surroundings
        self.tokens = Tokens(surroundings.state)
        """Who a caller is."""
        self.access = Access(surroundings.state)
        """Who may do what."""
        self.objects = Objects(surroundings)
        """What is in Cloud Storage."""
        self.vertex = vertex_of(surroundings)
        """What Vertex AI holds; `vertex.operations.takes` makes operations last."""
        self.fleet = fleet_of(surroundings.state)
        """The machines that serve models; `fleet.quota` limits them."""
        self.images = images_of(surroundings.state)
        """What runs for which image, in jobs and at endpoints; `images.let` says so."""
        self.images.begin_with(self._given_images)
        self.logs = Logs(surroundings)
        """What is in Cloud Logging."""
        self.pusher = Pusher(surroundings, self.tokens)
        """What is sent to the targets of triggers and subscriptions."""
        self.audit = Audit(surroundings, self.logs, self.pusher)
        """What was changed, and who wants to know."""
        tokens, access, audit, pusher = self.tokens, self.access, self.audit, self.pusher
        written = VertexAudit(self.vertex, surroundings.state, audit)
        pusher.resume()
        return (
            self._vertex_ai(written),
            _bigquery(surroundings, self.objects, audit),
            _bigtable(surroundings, audit),
            storage_service(surroundings, audit=audit),
            identity_service(surroundings, tokens),
            credentials_service(surroundings, tokens=tokens, access=access),
            _resource_manager(surroundings, tokens, access, audit),
            service_usage_service(surroundings),
            metrics_service(surroundings),
            logging_service(surroundings, self.logs, tokens=tokens, access=access),
            pubsub_service(surroundings, tokens=tokens, access=access, audit=audit, pusher=pusher),
            control_service(surroundings, tokens=tokens, access=access, audit=audit, pusher=pusher, images=self.images),
        )

    @property
    def project(self) -> str:
        """The project of a child's credentials."""
        return os.environ.get("GOOGLE_CLOUD_PROJECT", PROJECT)

    def ensure_bucket(self, name: str, location: str) -> None:
        """Make a bucket in the project of a child's credentials, unless there is one of that name.

        Raises:
            Refused: The name is none.
        """
        try:
            self.objects.make_bucket(name, project=self.project, location=location)
        except Refused as refused:
            if refused.code != "ALREADY_EXISTS":
                raise

    def _vertex_ai(self, written: VertexAudit) -> Service:
        if find_spec(_SDK) is None:
            raise ModuleNotFoundError(f"No module named {_SDK!r}", name=_SDK)

        def build() -> Service:
            # It loads the SDK with all its services, which takes longer than all else; a child loads it too, meanwhile.
            return aiplatform(self.vertex, mutated=written.mutated, check=self._check, principal=self.tokens.principal)

        return begun(
            SERVICE,
            build,
            hosts=vertex_wires.HOSTS,
            paths=vertex_wires.PATHS,
            methods=vertex_wires.METHODS,
        )

    def environment(self, folder: Path) -> Mapping[str, str | None]:
        """Return what Google's SDKs and gcloud need in a child's environment."""
        if self._surroundings is None:
            raise RuntimeError("an emulator builds the services first")
        project = self.project
        key = folder / "service-account.json"
        if not key.exists():
            account = self.tokens.service_account(f"emulated@{project}.iam.gserviceaccount.com", project)
            key.touch(mode=0o600)
            key.write_text(json.dumps(account))
        url = f"http://{self._surroundings.address()}/"
        return {
            **dict.fromkeys(_LEADING_PAST),
            "GOOGLE_APPLICATION_CREDENTIALS": str(key),
            "GOOGLE_CLOUD_PROJECT": project,
            "NO_GCE_CHECK": "true",
            "GOOGLE_API_USE_CLIENT_CERTIFICATE": "false",
            "GOOGLE_API_USE_MTLS_ENDPOINT": "never",
            # A probe of a bucket's kind over gRPC, which the emulated storage does not speak.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": url for name in _OVERRIDDEN},
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_CORE_PROJECT": project,
            "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": str(folder / "ca.pem"),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        }

    def _check(self, principal: str, method: Method, request: Any) -> None:
        """Refuse what was denied, in Vertex AI's words."""
        if (needed := permission(method)) is not None:
            self.access.check(principal, needed, subject_of(request))

    def reset(self) -> None:
        """Let all be granted again, any number of machines be had, nobody wait for events; images are as at first."""
        if self._surroundings is None:
            return
        self.access.allow()
        for trigger in self.audit.triggers():
            self.audit.remove(trigger.id)
        self.vertex.operations.takes = timedelta(0)
        self.vertex.operations.stuck = False
        self.fleet.reset()
        self.images.reset()


def _bigquery(surroundings: Surroundings, objects: Objects, audit: Audit) -> Service:
    def build() -> Service:
        from cloudmlops.emulators.google.bigquery.service import service  # here, because it loads DuckDB and sqlglot

        return service(surroundings, read_object=objects.read, write_object=objects.write, audit=audit)

    paths = ("/bigquery/v2", "/upload/bigquery/v2", "/resumable/upload/bigquery/v2")
    return deferred("bigquery", build, hosts=("bigquery.googleapis.com",), paths=paths)


def _bigtable(surroundings: Surroundings, audit: Audit) -> Service:
    def build() -> Service:
        from cloudmlops.emulators.google.bigtable.service import service  # here, because it loads Bigtable's packages

        return service(surroundings, audit=audit)

    hosts = ("bigtable.googleapis.com", "bigtableadmin.googleapis.com", "*-bigtable.googleapis.com")
    return deferred("bigtable", build, hosts=hosts, methods=("/google.bigtable.",))


def _resource_manager(surroundings: Surroundings, tokens: Tokens, access: Access, audit: Audit) -> Service:
    def build() -> Service:
        from cloudmlops.emulators.google.projects import resource_manager_service  # here, because it loads its package

        return resource_manager_service(surroundings, tokens=tokens, access=access, audit=audit)

    return deferred(
        "resourcemanager",
        build,
        hosts=("cloudresourcemanager.googleapis.com",),
        paths=("/v3/projects", "/v1/projects/*$"),
        methods=("/google.cloud.resourcemanager.",),
    )
