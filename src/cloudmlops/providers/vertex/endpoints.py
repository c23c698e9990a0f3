"""Endpoints of Vertex AI: models deployed to them, traffic, predictions over their own address, and batches.

An endpoint's name is its id. What Vertex AI does not keep lies in the journal (`providers/deployment_journal.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from google.cloud.aiplatform_v1 import EndpointServiceClient
from google.cloud.aiplatform_v1.types import Endpoint, ListEndpointsRequest

from cloudmlops.domain.endpoints import (
    DeploymentSpec,
    DeploymentStatus,
    EndpointStatus,
    Scoring,
    TrafficChange,
    TrafficReason,
)
from cloudmlops.errors import NotFoundError
from cloudmlops.ports.endpoints import EndpointsPort, Fetch
from cloudmlops.providers import deployment_rules as rules
from cloudmlops.providers.deployment_journal import (
    Act,
    ActState,
    Journal,
    Record,
    split_change,
    undeployed_change,
)
from cloudmlops.providers.vertex.deployments.batches import Batches
from cloudmlops.providers.vertex.deployments.deploying import Deploying
from cloudmlops.providers.vertex.deployments.settling import Settling, check_ours
from cloudmlops.providers.vertex.errors import PROVIDER, invalid
from cloudmlops.providers.vertex.mapping import endpoints as mapping
from cloudmlops.providers.vertex.rest import Rest

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.backends import VertexBackends


class VertexEndpoints(EndpointsPort):
    """The endpoints of one project and location."""

    def __init__(self, backends: VertexBackends) -> None:
        self._backends = backends
        self._settings = backends.settings
        self._wire = backends.wire
        self._rest = Rest(backends.wire)
        self._journal = Journal(backends.objects, backends.clock)
        self._settling = Settling(backends.wire, self._rest, self._journal, backends.clock)
        self._deploying = Deploying(backends.wire, self._journal, self._settling)

    def deploy(self, spec: DeploymentSpec, *, fetch: Fetch, actor: str) -> DeploymentStatus:  # noqa: ARG002 Vertex AI fetches it
        if spec.port is not None:
            raise invalid(
                f"endpoint {spec.endpoint!r} cannot listen on port {spec.port}: Vertex AI gives it an address",
                hint="Leave port= out.",
            )
        if (known := self.deployment(spec.endpoint, spec.deployed_as)) is not None:
            return known
        act, shown = self._deploying.begin(spec, actor)
        return self._status(spec.endpoint, act, shown)

    def deployment(self, endpoint: str, deployed_as: str) -> DeploymentStatus | None:
        act = self._journal.read(endpoint).acts.get(deployed_as)
        if act is None:
            return None
        shown = None
        if act.state in (ActState.BEGUN, ActState.DEPLOYED):
            record, shown = self._settling.settled(endpoint)
            act = record.acts.get(deployed_as)
        return self._status(endpoint, act, shown) if act is not None else None

    def announced(self, endpoint: str, deployed_as: str) -> None:
        self._journal.announce(endpoint, deployed_as)

    def get(self, endpoint: str) -> EndpointStatus:
        record, shown = self._settling.settled(endpoint)
        if shown is None and not record.begun():
            raise self._unknown(endpoint)
        return self._endpoint(endpoint, record, shown)

    def list(self) -> Sequence[EndpointStatus]:
        found = ((*self._settling.settled(name), name) for name in self._names())
        return [self._endpoint(name, record, shown) for record, shown, name in found if shown is not None]

    def set_traffic(self, endpoint: str, traffic: Mapping[str, int], *, reason: TrafficReason, actor: str) -> None:
        shown = self._existing(endpoint)
        check_ours(endpoint, shown, operation="endpoints.shift_traffic")
        self._settling.split(endpoint, shown, mapping.split_by_id(traffic, shown))
        shares = {name: share for name, share in traffic.items() if share}
        self._journal.add(endpoint, split_change("traffic", shares, reason, actor))

    def traffic_history(self, endpoint: str) -> Sequence[TrafficChange]:
        record, shown = self._settling.settled(endpoint)
        if shown is None:
            raise self._unknown(endpoint)
        at: datetime = shown.update_time
        return rules.traffic_history(record, mapping.split_by_name(shown), at)

    def undeploy(self, endpoint: str, deployment: str, *, actor: str) -> None:
        record, shown = self._settling.settled(endpoint)
        if shown is None:
            raise self._unknown(endpoint)
        check_ours(endpoint, shown, operation="endpoints.undeploy")
        rules.check_begun(endpoint, deployment, record, provider=PROVIDER)
        found = next((known for known in shown.deployed_models if known.display_name == deployment), None)
        if found is None:
            names = [known.display_name for known in shown.deployed_models]
            raise rules.no_deployment(endpoint, deployment, names, provider=PROVIDER)
        shown = self._settling.undeploy(endpoint, shown, found.id)
        split = mapping.split_by_name(shown) if shown is not None else {}
        act = next((act for act in record.acts.values() if act.deployed_id == found.id), None)
        self._journal.add(endpoint, undeployed_change(act, split, actor))

    def delete(self, endpoint: str) -> None:
        shown = self._existing(endpoint)
        check_ours(endpoint, shown, operation="endpoints.delete")
        if shown.traffic_split:
            self._settling.split(endpoint, shown, {})
            shown.traffic_split = {}
        for deployed in shown.deployed_models:
            self._settling.undeploy(endpoint, shown, deployed.id)
        self._settling.remove(endpoint, operation="endpoints.delete")
        self._journal.add(endpoint, {"kind": "deleted"})

    def logs(self, endpoint: str, deployment: str) -> str:
        record, shown = self._settling.settled(endpoint)
        named = [act for act in record.acts.values() if act.name == deployment]
        ids = [act.deployed_id for act in named if act.state is not ActState.UNDEPLOYED][-1:]
        ids = ids or [d.id for d in (shown.deployed_models if shown else ()) if d.display_name == deployment]
        if not ids:
            if shown is None and not record.acts:
                raise self._unknown(endpoint)
            raise rules.no_deployment(endpoint, deployment, [act.name for act in record.live()], provider=PROVIDER)
        lines = self._settling.log(endpoint, ids[0])
        return "".join(f"{line}\n" for line in lines) or (named[-1].failure if named else "")

    def scoring(self, endpoint: str) -> Scoring:
        shown = self._existing(endpoint)
        if not shown.traffic_split:
            raise rules.no_traffic(endpoint, provider=PROVIDER)
        if shown.network:
            return Scoring(url=shown.deployed_models[0].private_endpoints.predict_http_uri)
        headers = (
            {"host": shown.dedicated_endpoint_dns} if self._settings.api_url and shown.dedicated_endpoint_dns else {}
        )
        return Scoring(url=f"{self._address(shown)}:rawPredict", headers=self._wire.headers(headers))

    def predict_batch(self, model: str, version: str, *, fetch: Fetch, input_uri: str, output_uri: str) -> None:  # noqa: ARG002 Vertex AI fetches it
        Batches(self._backends).score(self._deploying.native_model(model, version), input_uri, output_uri)

    def close(self) -> None:
        """Close connections."""
        self._rest.close()

    @property
    def _client(self) -> EndpointServiceClient:
        return self._wire.client(EndpointServiceClient)

    def _names(self) -> Iterator[str]:
        request = ListEndpointsRequest(parent=self._settings.parent, filter=f"labels.{mapping.OURS}:*")
        found = self._wire.list(
            self._client.list_endpoints, request, operation="endpoints.list", resource=self._settings.address
        )
        yield from sorted(shown.display_name for shown in found)

    def _existing(self, endpoint: str) -> Endpoint:
        shown = self._settling.shown(endpoint)
        if shown is None:
            raise self._unknown(endpoint)
        return shown

    def _unknown(self, endpoint: str) -> NotFoundError:
        return rules.no_endpoint(endpoint, list(self._names()), provider=PROVIDER)

    def _status(self, endpoint: str, act: Act, shown: Endpoint | None) -> DeploymentStatus:
        if act.state is ActState.DEPLOYED and shown is not None:
            deployed = next((found for found in shown.deployed_models if found.id == act.deployed_id), None)
            if deployed is not None:
                return mapping.deployed_status(endpoint, shown, deployed, act)
        return rules.act_status(endpoint, act)

    def _endpoint(self, endpoint: str, record: Record, shown: Endpoint | None) -> EndpointStatus:
        acts = {act.deployed_id: act for act in record.acts.values()}
        present = [found.id for found in shown.deployed_models] if shown is not None else []
        statuses = [
            rules.act_status(endpoint, act)
            for act in record.begun()
            if act.deployed_id not in present  # noted by nobody yet who may write
        ]
        if shown is not None:
            statuses += [
                mapping.deployed_status(endpoint, shown, found, acts.get(found.id)) for found in shown.deployed_models
            ]
        return EndpointStatus(
            name=endpoint,
            address=self._address(shown) if shown is not None else "",
            traffic=mapping.split_by_name(shown) if shown is not None else {},
            deployments=sorted(statuses, key=lambda found: found.created_at),
        )

    def _address(self, shown: Endpoint) -> str:
        host = shown.dedicated_endpoint_dns or f"{self._settings.location}-aiplatform.googleapis.com"
        return f"{self._settings.api_url or f'https://{host}'}/v1/{shown.name}"
