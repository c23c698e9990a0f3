"""Bringing journal and Vertex AI together: whoever looks at an endpoint finishes what others began and left."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from google.cloud.aiplatform_v1 import EndpointServiceClient
from google.cloud.aiplatform_v1.types import (
    DeleteEndpointRequest,
    DeployedModel,
    DeployModelOperationMetadata,
    Endpoint,
    GetEndpointRequest,
    UndeployModelRequest,
    UpdateEndpointRequest,
)

from cloudmlops.domain.endpoints import TrafficReason, traffic_without
from cloudmlops.errors import ConflictError, NotFoundError, PermissionDeniedError, ServiceError
from cloudmlops.providers.deployment_journal import Act, ActState, Journal, Record, split_change
from cloudmlops.providers.deployment_rules import listed, not_ours
from cloudmlops.providers.vertex.errors import PROVIDER
from cloudmlops.providers.vertex.logs import log_lines
from cloudmlops.providers.vertex.mapping import endpoints as mapping

if TYPE_CHECKING:
    from cloudmlops.ports.clock import Clock
    from cloudmlops.providers.vertex.rest import Rest
    from cloudmlops.providers.vertex.wire import Wire

_FAILURE_LINES: Final = 40
_KEPT_LINES: Final = 2000


class Settling:
    """Reads endpoints, and does what is to be done before they can be told about."""

    def __init__(self, wire: Wire, rest: Rest, journal: Journal, clock: Clock) -> None:
        self._wire = wire
        self._rest = rest
        self._journal = journal
        self._clock = clock
        self._settings = wire.settings

    def native_name(self, endpoint: str) -> str:
        """Return an endpoint's full name."""
        return f"{self._settings.parent}/endpoints/{mapping.endpoint_id(endpoint)}"

    def shown(self, endpoint: str) -> Endpoint | None:
        """Return an endpoint as Vertex AI has it; None when there is none."""
        try:
            return self._wire.ask(
                self._client.get_endpoint,
                GetEndpointRequest(name=self.native_name(endpoint)),
                operation="endpoints.get",
                resource=endpoint,
                again=True,
            )
        except NotFoundError:
            return None

    def settled(self, endpoint: str) -> tuple[Record, Endpoint | None]:
        """Return journal and endpoint in agreement.

        Deployments that have ended are noted as such, and get traffic when there is none else; a deployment that we had
        given up is removed when it comes to be after all; an endpoint that we made and nothing was ever deployed to is
        removed when nothing is on its way. Who may only read is told what there is, and what others have made is left
        as it is.
        """
        record, shown = self._journal.read(endpoint), self.shown(endpoint)
        if shown is not None and mapping.OURS not in shown.labels:
            return record, shown
        try:
            return self._settle(endpoint, record, shown)
        except PermissionDeniedError:
            return record, shown

    def _settle(self, endpoint: str, record: Record, shown: Endpoint | None) -> tuple[Record, Endpoint | None]:
        # What the journal knew before Vertex AI was asked: what has been deployed since is not missing.
        deployed = [act for act in record.acts.values() if act.state is ActState.DEPLOYED]
        for act in record.begun():
            shown = self._end(endpoint, act, shown)
        record = self._journal.read(endpoint)
        for act in record.acts.values():
            if act.state is ActState.FAILED and shown is not None and _find(shown, act) is not None:
                shown = self.undeploy(endpoint, shown, act.deployed_id)
        for act in deployed:
            if _find(shown, act) is None:
                split = mapping.split_by_name(shown) if shown is not None else {}
                record = self._journal.note(
                    endpoint, act, split_change("undeployed", split, TrafficReason.UNDEPLOYED, "")
                )
        if shown is not None and record.in_vain and not shown.deployed_models and self._removed(endpoint):
            shown = None
        return record, shown

    def remove(self, endpoint: str, *, operation: str) -> None:
        """Remove an endpoint that nothing is deployed to; one that is gone is no error."""
        request = DeleteEndpointRequest(name=self.native_name(endpoint))
        try:
            begun = self._wire.ask(
                self._client.delete_endpoint, request, operation=operation, resource=endpoint, again=True
            )
            self._wire.finish(begun.operation, operation=operation, resource=endpoint)
        except NotFoundError:
            return  # somebody else was faster, or an earlier try of this call

    def split(self, endpoint: str, shown: Endpoint, traffic: dict[str, int], *, etag: str = "") -> Endpoint:
        """Split traffic, by Vertex AI's ids; with an etag, unless somebody has changed the endpoint since."""
        request = UpdateEndpointRequest(
            endpoint=Endpoint(name=shown.name, traffic_split=traffic, etag=etag),
            update_mask={"paths": ["traffic_split"]},
        )
        return self._wire.ask(
            self._client.update_endpoint,
            request,
            operation="endpoints.shift_traffic",
            resource=endpoint,
            again=not etag,
        )

    def undeploy(self, endpoint: str, shown: Endpoint, deployed_id: str) -> Endpoint | None:
        """Take a model from an endpoint; the others take its share."""
        rest = [deployed.id for deployed in shown.deployed_models if deployed.id != deployed_id]
        split = dict(shown.traffic_split)
        request = UndeployModelRequest(
            endpoint=shown.name,
            deployed_model_id=deployed_id,
            traffic_split=traffic_without(split, deployed_id, rest) if split.get(deployed_id) else {},
        )
        try:
            begun = self._wire.ask(
                self._client.undeploy_model, request, operation="endpoints.undeploy", resource=endpoint, again=True
            )
            self._wire.finish(begun.operation, operation="endpoints.undeploy", resource=endpoint)
        except NotFoundError:
            pass  # somebody else was faster, or an earlier try of this call
        return self.shown(endpoint)

    def operation_of(self, endpoint: str, act: Act) -> str | None:
        """Find the operation of an act whose answer was lost: one that no other act has; empty when it has ended well.

        None when Vertex AI knows nothing of the act.
        """
        if _find(self.shown(endpoint), act) is not None:
            return ""
        claimed = {other.operation for other in self._journal.read(endpoint).acts.values()}
        for operation in self._operations(endpoint):
            deploys = operation.metadata.type_url.endswith(DeployModelOperationMetadata.meta.full_name)
            if deploys and operation.name not in claimed and _begun_since(operation, act):
                return str(operation.name)
        return None

    def log(self, endpoint: str, deployed_id: str) -> list[str]:
        """Return the lines that a deployed model's containers wrote last."""
        text = (
            f'resource.type="aiplatform.googleapis.com/Endpoint" AND '
            f'resource.labels.endpoint_id="{mapping.endpoint_id(endpoint)}" AND '
            f'labels.deployed_model_id="{deployed_id}"'
        )
        lines = log_lines(self._rest, self._settings.project, text, operation="endpoints.logs", resource=endpoint)
        return list(islice(lines, _KEPT_LINES))

    @property
    def _client(self) -> EndpointServiceClient:
        return self._wire.client(EndpointServiceClient)

    def _end(self, endpoint: str, act: Act, shown: Endpoint | None) -> Endpoint | None:
        """Note what has become of an act that had begun, if it is known by now."""
        if _find(shown, act) is None:
            ended = self._outcome(endpoint, act)
            if ended is None:
                return shown
            if ended:
                self._journal.fail(endpoint, act, ended)
                return shown
            shown = self.shown(endpoint)
            if shown is None or _find(shown, act) is None:
                self._journal.note(endpoint, act, {"kind": "undeployed"})
                return shown
        if shown is None:
            return None
        if not shown.traffic_split:
            shown = self._give_all(endpoint, act, shown)
        split = mapping.split_by_name(shown)
        change = split_change("deployed", split, TrafficReason.DEPLOYED, act.actor)
        self._journal.note(endpoint, act, change)
        return shown

    def _outcome(self, endpoint: str, act: Act) -> str | None:
        """Return why an act failed; empty when it did not, None while it goes on."""
        operation = act.operation
        if not operation:
            if (self._clock.now() - datetime.fromisoformat(act.created_at)) < 2 * self._settings.timeout:
                return None  # who began it is about to ask, or to note the operation
            found = self.operation_of(endpoint, act)
            if found is None:
                return "the process that deployed it ended before Vertex AI was asked"
            operation = found
        if not operation:
            return ""
        try:
            told = self._wire.ask(
                self._client.get_operation,
                {"name": operation},
                operation="endpoints.status",
                resource=endpoint,
                again=True,
            )
        except NotFoundError:
            return f"Vertex AI knows its operation {operation} no more"
        if not told.done:
            return None
        if not told.HasField("error"):
            return ""
        tail = "\n".join(self.log(endpoint, act.deployed_id)[-_FAILURE_LINES:])
        return f"{told.error.message}\n{tail}".strip()

    def _give_all(self, endpoint: str, act: Act, shown: Endpoint) -> Endpoint:
        """Give an act's deployment all traffic of an endpoint that has none; whoever was faster is right."""
        try:
            return self.split(endpoint, shown, {act.deployed_id: 100}, etag=shown.etag)
        except ConflictError:
            return self.shown(endpoint) or shown

    def _operations(self, endpoint: str) -> Iterable[Any]:
        try:
            listed = self._wire.ask(
                self._client.list_operations,
                {"name": self.native_name(endpoint)},
                operation="endpoints.deploy",
                resource=endpoint,
                again=True,
            )
        except NotFoundError:
            return ()
        found: Iterable[Any] = listed.operations
        return found

    def _removed(self, endpoint: str) -> bool:
        try:
            self.remove(endpoint, operation="endpoints.deploy")
        except ServiceError:  # somebody deploys to it at this moment, or the caller may not: the next look removes it
            return False
        return True


def check_ours(endpoint: str, shown: Endpoint, *, operation: str) -> None:
    """Raise `ConflictError` for an endpoint whose labels do not say that this library made it: it is not changed."""
    if mapping.OURS not in shown.labels:
        known_by = f"its labels are {listed(shown.labels)}" if shown.labels else "it has no labels"
        mark = f"the label {mapping.OURS}=endpoint"
        raise not_ours(endpoint, known_by=known_by, mark=mark, operation=operation, provider=PROVIDER)


def _find(shown: Endpoint | None, act: Act) -> DeployedModel | None:
    deployed = shown.deployed_models if shown is not None else ()
    return next((found for found in deployed if found.id == act.deployed_id), None)


def _begun_since(operation: Any, act: Act) -> bool:
    metadata = DeployModelOperationMetadata.deserialize(operation.metadata.value)
    begun: datetime = metadata.generic_metadata.create_time
    return begun.timestamp() >= datetime.fromisoformat(act.created_at).timestamp() - 1
