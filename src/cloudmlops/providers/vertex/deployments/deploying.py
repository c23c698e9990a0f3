"""One act of deploying: noted, then asked for; a lost answer is looked for, what cannot be begun leaves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.cloud.aiplatform_v1 import EndpointServiceClient, ModelServiceClient
from google.cloud.aiplatform_v1.types import (
    CreateEndpointRequest,
    DeployModelRequest,
    Endpoint,
    ListModelVersionsRequest,
)

from cloudmlops.domain.endpoints import DeploymentSpec, traffic_with
from cloudmlops.errors import ConflictError, NotFoundError, ServiceError, UnavailableError, WaitTimeoutError
from cloudmlops.providers import deployment_rules as rules
from cloudmlops.providers.deployment_journal import Act, Journal, Record
from cloudmlops.providers.vertex.deployments.settling import check_ours
from cloudmlops.providers.vertex.errors import PROVIDER
from cloudmlops.providers.vertex.mapping import endpoints as mapping
from cloudmlops.providers.vertex.mapping import models as model_mapping

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.deployments.settling import Settling
    from cloudmlops.providers.vertex.wire import Wire

_TRIES: Final = 2


class Deploying:
    """Begins deployments."""

    def __init__(self, wire: Wire, journal: Journal, settling: Settling) -> None:
        self._wire = wire
        self._settings = wire.settings
        self._journal = journal
        self._settling = settling

    def begin(self, spec: DeploymentSpec, actor: str) -> tuple[Act, Endpoint | None]:
        """Note an act and ask Vertex AI for it, unless that was done before.

        Returns:
            The act, and the endpoint as it was before.

        Raises:
            ConflictError: Another deployment has that name.
            ServiceError: Vertex AI refuses it.
        """
        _, shown = self._settling.settled(spec.endpoint)
        if shown is not None:
            check_ours(spec.endpoint, shown, operation="endpoints.deploy")
        native = self.native_model(spec.model, spec.version)
        present = [deployed.display_name for deployed in (shown.deployed_models if shown is not None else ())]

        def asked(record: Record) -> dict[str, object]:
            rules.check_name(spec, record, present, provider=PROVIDER)
            return rules.act_of(
                spec,
                actor=actor,
                native_model=native,
                deployed_id=mapping.deployed_id(spec.deployed_as),
                machine=self._settings.machine,
            )

        record, begun = self._journal.begin(spec.endpoint, spec.deployed_as, asked)
        act = record.acts[spec.deployed_as]
        if begun:
            rules.tell_cost(spec.endpoint, act)
            self._ask(spec, act, record, shown)
        return act, shown

    def native_model(self, model: str, version: str) -> str:
        """Return Vertex AI's name of a version; of copies that say they are the same one, the earliest's.

        Raises:
            NotFoundError: It is not in Vertex AI's registry.
        """
        request = ListModelVersionsRequest(
            name=f"{self._settings.parent}/models/{model}",
            filter=f'labels.{model_mapping.VERSION}="{version}"',
        )
        listed = self._wire.list(
            self._wire.client(ModelServiceClient).list_model_versions,
            request,
            operation="endpoints.deploy",
            resource=f"{model}@{version}",
        )
        if (found := model_mapping.of_ledger(listed).get(version)) is not None:
            return model_mapping.native_name(found)
        raise NotFoundError(
            f"version {version} of model {model!r} is not in Vertex AI's registry",
            hint="Somebody removed it there; the ledger still has it. Register it again.",
            provider=PROVIDER,
            operation="endpoints.deploy",
            resource=f"{model}@{version}",
        )

    @property
    def _client(self) -> EndpointServiceClient:
        return self._wire.client(EndpointServiceClient)

    def _ask(self, spec: DeploymentSpec, act: Act, record: Record, shown: Endpoint | None) -> None:
        """Ask Vertex AI to deploy, and note the operation; what cannot be begun leaves nothing."""
        try:
            operation = self._deployed(spec, act, record, shown)
        except (ServiceError, WaitTimeoutError) as error:
            self._journal.fail(spec.endpoint, act, error.message)
            self._settling.settled(spec.endpoint)
            raise
        change = {"kind": "operation", "deployed_as": act.deployed_as, "operation": operation}
        self._journal.add(spec.endpoint, change)

    def _deployed(self, spec: DeploymentSpec, act: Act, record: Record, shown: Endpoint | None) -> str:
        """Begin to deploy, and return the name of the operation; empty when it has ended."""
        request = DeployModelRequest(
            endpoint=self._settling.native_name(spec.endpoint),
            deployed_model=mapping.deployed_model(act, self._settings),
            traffic_split=_split(spec, act, record, shown),
        )
        for left in reversed(range(_TRIES)):
            if shown is None:
                self._create(spec.endpoint)
            try:
                begun = self._wire.ask(
                    self._client.deploy_model,
                    request,
                    operation="endpoints.deploy",
                    resource=f"{spec.endpoint}/{spec.name}",
                    again=False,
                )
                return str(begun.operation.name)
            except (ConflictError, UnavailableError):  # it may have been begun all the same
                if (found := self._settling.operation_of(spec.endpoint, act)) is not None:
                    return found
                if not left:
                    raise
            except NotFoundError:  # another process has removed the endpoint, for its own deployment had failed
                if not left:
                    raise
                shown = None
        raise AssertionError("the last try returns or raises")

    def _create(self, endpoint: str) -> None:
        request = CreateEndpointRequest(
            parent=self._settings.parent,
            endpoint=mapping.endpoint(endpoint, self._settings),
            endpoint_id=mapping.endpoint_id(endpoint),
        )
        try:
            begun = self._wire.ask(
                self._client.create_endpoint, request, operation="endpoints.deploy", resource=endpoint, again=True
            )
            self._wire.finish(begun.operation, operation="endpoints.deploy", resource=endpoint)
        except ConflictError:  # another process, or an earlier try of this call, has made it
            if (there := self._settling.shown(endpoint)) is not None:
                check_ours(endpoint, there, operation="endpoints.deploy")


def _split(spec: DeploymentSpec, act: Act, record: Record, shown: Endpoint | None) -> dict[str, int]:
    """Return the split that deploying brings; empty leaves it as it is."""
    current = mapping.split_by_name(shown) if shown is not None else {}
    if shown is not None and current:
        if not spec.traffic_percent:
            return {}
        wanted = traffic_with(current, spec.name, spec.traffic_percent)
        return mapping.split_by_id(wanted, shown, coming=spec.name)
    first = all(other.deployed_as == act.deployed_as for other in record.begun())
    return {mapping.NEW: 100} if first else {}
