"""Managed online endpoints of Azure ML: deployments, traffic, predictions over their own address, and batches.

What Azure does not keep lies in the journal (`providers/deployment_journal.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.endpoints import (
    DeploymentSpec,
    DeploymentStatus,
    EndpointStatus,
    Scoring,
    TrafficChange,
    TrafficReason,
)
from cloudmlops.errors import InvalidRequestError
from cloudmlops.ports.endpoints import EndpointsPort, Fetch
from cloudmlops.providers import deployment_rules as rules
from cloudmlops.providers.azureml.deployments.batches import Batches
from cloudmlops.providers.azureml.deployments.callers import Caller
from cloudmlops.providers.azureml.deployments.deploying import Deploying
from cloudmlops.providers.azureml.deployments.resources import Resources, check_ours
from cloudmlops.providers.azureml.deployments.settling import Settling
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import endpoints as mapping
from cloudmlops.providers.azureml.mapping.endpoints import Shown
from cloudmlops.providers.deployment_journal import (
    Act,
    ActState,
    Journal,
    Record,
    split_change,
    undeployed_change,
)

if TYPE_CHECKING:
    from cloudmlops.errors import NotFoundError
    from cloudmlops.providers.azureml.backends import AzureMLBackends

_LINES: Final = 2000


class AzureMLEndpoints(EndpointsPort):
    """The online endpoints of one workspace."""

    def __init__(self, backends: AzureMLBackends) -> None:
        self._backends = backends
        self._settings = backends.settings
        self._wire = backends.wire
        self._resources = Resources(backends.wire)

    # The store is looked up in these, which asking for predictions needs none of.

    @cached_property
    def _journal(self) -> Journal:
        return Journal(self._backends.objects, self._backends.clock)

    @cached_property
    def _settling(self) -> Settling:
        return Settling(self._backends, self._resources, self._journal, self._backends.clock)

    @cached_property
    def _deploying(self) -> Deploying:
        return Deploying(self._wire, self._resources, self._journal, self._settling)

    def deploy(self, spec: DeploymentSpec, *, fetch: Fetch, actor: str) -> DeploymentStatus:  # noqa: ARG002 Azure ML fetches it
        _check_spec(spec)
        if (known := self.deployment(spec.endpoint, spec.deployed_as)) is not None:
            return known
        return rules.act_status(spec.endpoint, self._deploying.begin(spec, actor))

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
        found = ((*self._settling.settled(name), name) for name in self._resources.names())
        return [self._endpoint(name, record, shown) for record, shown, name in found if shown is not None]

    def set_traffic(self, endpoint: str, traffic: Mapping[str, int], *, reason: TrafficReason, actor: str) -> None:
        shares = {name: share for name, share in traffic.items() if share}
        self._resources.split(endpoint, mapping.native_split(shares))
        self._journal.add(endpoint, split_change("traffic", shares, reason, actor))

    def set_mirror(self, endpoint: str, deployment: str, percent: int) -> None:
        mapping.check_mirror(endpoint, percent)
        shown = self._resources.shown(endpoint)
        if shown is None:
            raise self._unknown(endpoint)
        self._resources.split(
            endpoint,
            mapping.traffic_shown(shown),
            mirror=mapping.native_split({deployment: percent}),
            expected=mapping.traffic_shown(shown),
            operation="endpoints.mirror_traffic",
        )

    def traffic_history(self, endpoint: str) -> Sequence[TrafficChange]:
        record, shown = self._settling.settled(endpoint)
        if shown is None:
            raise self._unknown(endpoint)
        # Azure does not say when other tools have changed it.
        return rules.traffic_history(record, mapping.split(shown), self._backends.clock.now())

    def undeploy(self, endpoint: str, deployment: str, *, actor: str) -> None:
        record, shown = self._settling.settled(endpoint)
        if shown is None:
            raise self._unknown(endpoint)
        check_ours(endpoint, mapping.tags_of(shown.endpoint), operation="endpoints.undeploy")
        rules.check_begun(endpoint, deployment, record, provider=PROVIDER)
        names = [mapping.own_name(str(one.name)) for one in shown.deployments]
        if deployment not in names:
            raise rules.no_deployment(endpoint, deployment, names, provider=PROVIDER)
        found = shown.deployments[names.index(deployment)]
        act = next((act for act in record.acts.values() if shown.of(act) is found), None)
        after = self._settling.undeploy(endpoint, shown, str(found.name), act)
        split = {mapping.own_name(name): share for name, share in after.items()}
        self._journal.add(endpoint, undeployed_change(act, split, actor))

    def delete(self, endpoint: str) -> None:
        shown = self._resources.shown(endpoint)
        if shown is None:
            raise self._unknown(endpoint)
        check_ours(endpoint, mapping.tags_of(shown.endpoint), operation="endpoints.delete")
        self._settling.delete(endpoint)
        self._journal.add(endpoint, {"kind": "deleted"})

    def logs(self, endpoint: str, deployment: str) -> str:
        record, shown = self._settling.settled(endpoint)
        native = mapping.native_name(deployment)
        if shown is not None and any(one.name == native for one in shown.deployments):
            return self._resources.logs(endpoint, native, _LINES)
        named = [act for act in record.acts.values() if act.name == deployment]
        if not named:
            if shown is None and not record.acts:
                raise self._unknown(endpoint)
            raise rules.no_deployment(endpoint, deployment, [act.name for act in record.live()], provider=PROVIDER)
        return f"{named[-1].failure}\n" if named[-1].failure else ""

    def scoring(self, endpoint: str) -> Scoring:
        shown = self._resources.shown(endpoint)
        if shown is None:
            raise self._unknown(endpoint)
        if not mapping.split(shown):
            raise rules.no_traffic(endpoint, provider=PROVIDER)
        caller = Caller(self._wire, endpoint, str(shown.endpoint.auth_mode))
        return mapping.scoring(shown, headers=caller, renew=caller.renew)

    def predict_batch(self, model: str, version: str, *, fetch: Fetch, input_uri: str, output_uri: str) -> None:  # noqa: ARG002 Azure ML fetches it
        native = self._deploying.native_model(model, version, operation="endpoints.predict_batch")
        Batches(self._backends).score(native, self._deploying.image_environment(), input_uri, output_uri)

    def _unknown(self, endpoint: str) -> NotFoundError:
        return rules.no_endpoint(endpoint, self._resources.names(), provider=PROVIDER)

    def _status(self, endpoint: str, act: Act, shown: Shown | None) -> DeploymentStatus:
        if act.state is ActState.DEPLOYED and shown is not None:
            deployed = shown.of(act)
            if deployed is not None:
                return mapping.deployed_status(endpoint, shown, deployed, act)
        return rules.act_status(endpoint, act)

    def _endpoint(self, endpoint: str, record: Record, shown: Shown | None) -> EndpointStatus:
        statuses = [rules.act_status(endpoint, act) for act in record.begun()]
        # What is there of an act that has begun is told above, and of one that has ended is on its way out.
        others = {act.deployed_as for act in record.acts.values() if act.state is not ActState.DEPLOYED}
        for found in shown.deployments if shown is not None else ():
            act = record.acts.get(mapping.deployed_as(found))
            if shown is not None and (act is None or act.deployed_as not in others):
                statuses.append(mapping.deployed_status(endpoint, shown, found, act))
        return EndpointStatus(
            name=endpoint,
            address=str(shown.endpoint.scoring_uri or "") if shown is not None else "",
            traffic=mapping.split(shown) if shown is not None else {},
            deployments=sorted(statuses, key=lambda found: found.created_at),
            mirror=mapping.mirror(shown) if shown is not None else {},
        )


def _check_spec(spec: DeploymentSpec) -> None:
    faults = mapping.name_faults(spec.endpoint, spec.name, spec.machine)
    if spec.port is not None:
        faults.append(f"it cannot listen on port {spec.port}: Azure ML gives it an address; leave port= out")
    if faults:
        raise InvalidRequestError(
            f"{spec.model}@{spec.version} cannot be deployed at {spec.endpoint!r} so on Azure ML", faults=faults
        )
