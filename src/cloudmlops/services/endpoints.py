"""What a user does with endpoints; the port does the provider's part."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cloudmlops.domain.capabilities import Capability
from cloudmlops.domain.endpoints import (
    DeploymentSpec,
    DeploymentState,
    DeploymentStatus,
    EndpointStatus,
    Shortfall,
    TrafficReason,
    check_mirror,
    check_spec,
    check_traffic,
    previous_split,
    traffic_with,
)
from cloudmlops.domain.events import ModelDeployed
from cloudmlops.errors import (
    CloudMLOpsError,
    DeploymentFailedError,
    InvalidTrafficError,
    NotFoundError,
    PermissionDeniedError,
    WaitTimeoutError,
)
from cloudmlops.services.effects import effect_key
from cloudmlops.services.scoring import ScoringClient
from cloudmlops.services.telemetry import span

if TYPE_CHECKING:
    from cloudmlops.domain.models import ModelVersion
    from cloudmlops.ports.endpoints import EndpointsPort
    from cloudmlops.services.context import ServiceContext
    from cloudmlops.services.models import Models

_POLL_S: Final = 0.05
_LONGEST_POLL_S: Final = 10.0
_POLLS: Final = 40
"""Looks grow rarer: one lasts as long as a fortieth of the time waited so far."""
_log: Final = logging.getLogger("cloudmlops.endpoints")
_SERVING: Final = (DeploymentState.HEALTHY, DeploymentState.DEGRADED)


class Endpoints:
    """Deploy model versions, split traffic between them, and ask them for predictions."""

    def __init__(self, context: ServiceContext, *, models: Models) -> None:
        self._context = context
        self._models = models
        self._client = ScoringClient(lambda endpoint: self._port.scoring(endpoint))

    def deploy(
        self,
        version: ModelVersion,
        *,
        to: str,
        name: str | None = None,
        machine: str | None = None,
        replicas: tuple[int, int] = (1, 1),
        traffic_percent: int | None = None,
        port: int | None = None,
    ) -> Deployment:
        """Begin to serve `version` at endpoint `to`, which is made if there is none; traffic moves when it is healthy.

        Args:
            version: What to serve.
            to: The endpoint.
            name: The deployment's; `v` and the version by default.
            machine: The provider's machine type; recorded only, where the provider has one machine.
            replicas: (fewest, most); they are equal where the provider cannot scale by load.
            traffic_percent: Its share once it is healthy; the others keep their proportions. By default all for an
                endpoint's first deployment, else nothing.
            port: Where a new endpoint listens, where the provider lets one choose.

        Returns:
            The deployment's handle: call `wait` to know that it is healthy.

        Raises:
            InvalidRequestError: All that is wrong with the request.
            NotFoundError: There is no such version, or it was deleted.
            ConflictError: Another deployment has that name.
            UnsupportedError: The provider lacks what is asked for.
        """
        with span("endpoints.deploy", model=version.model, version=version.version, endpoint=to):
            spec = DeploymentSpec(
                endpoint=to,
                name=name or _default_name(version),
                model=version.model,
                version=version.version,
                artifact_uri=version.artifact_uri,
                replicas=replicas,
                machine=machine,
                traffic_percent=traffic_percent,
                features=version.features,
                port=port,
                deployed_as=effect_key("deploy", *_subject(version, to, name)) or uuid.uuid4().hex,
            )
            check_spec(spec)
            self._models.get(version.model, version.version)  # what is deleted is refused before anything is asked for
            if replicas[0] != replicas[1]:
                self._context.backends.capabilities.require(Capability.AUTOSCALE)
            if traffic_percent is not None:
                traffic_with(self._traffic(to), spec.name, traffic_percent)
            status = self._port.deploy(
                spec,
                fetch=lambda folder: self._models.download(version.model, version.version, to=folder),
                actor=str(self._context.actor),
            )
            self._client.forget(to)  # it may be given more time for an answer than the others
            return Deployment(self, status)

    def shift_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> EndpointStatus:
        """Split an endpoint's traffic, deployment to whole percent, summing to 100; the next request obeys.

        Raises:
            InvalidTrafficError: All that is wrong with the split.
            NotFoundError: There is no such endpoint.
        """
        with span("endpoints.shift_traffic", endpoint=endpoint):
            self._check_traffic(endpoint, traffic)
            self._set_traffic(endpoint, traffic, TrafficReason.SHIFTED)
            return self.status(endpoint)

    def mirror_traffic(self, endpoint: str, deployment: str, *, percent: int) -> EndpointStatus:
        """Send copies of an endpoint's requests to a deployment that has no traffic; what it answers, nobody gets.

        Args:
            endpoint: Its name.
            deployment: The only one that gets copies from now on.
            percent: How many of the requests; 0 ends it.

        Raises:
            UnsupportedError: The provider does not mirror.
            InvalidTrafficError: All that is wrong with it.
            NotFoundError: There is no such endpoint.
        """
        with span("endpoints.mirror_traffic", endpoint=endpoint, deployment=deployment):
            self._context.backends.capabilities.require(Capability.MIRROR_TRAFFIC)
            check_mirror(self._port.get(endpoint), deployment, percent)
            self._port.set_mirror(endpoint, deployment, percent)
            return self.status(endpoint)

    def rollback(self, endpoint: str) -> EndpointStatus:
        """Go back to the split before the last change; again, to the one before that.

        Raises:
            InvalidTrafficError: There is none, or a deployment that it names is gone.
        """
        with span("endpoints.rollback", endpoint=endpoint):
            traffic = previous_split(self._port.traffic_history(endpoint))
            if traffic is None:
                raise InvalidTrafficError(
                    f"endpoint {endpoint!r} has had one split of traffic only: there is nothing to roll back to",
                    hint="Use endpoints.shift_traffic to choose another one.",
                )
            if not traffic:
                raise InvalidTrafficError(
                    f"nothing at endpoint {endpoint!r} had traffic before the last change",
                    hint="Use endpoints.shift_traffic to choose a split, or endpoints.undeploy to stop serving.",
                )
            self._check_traffic(endpoint, traffic)
            self._set_traffic(endpoint, traffic, TrafficReason.ROLLED_BACK)
            return self.status(endpoint)

    def predict(self, endpoint: str, instances: Sequence[Any]) -> list[Any]:
        """Ask for a prediction for each instance.

        Args:
            endpoint: Its name.
            instances: A mapping of column to value, or a list of values, each. Where the model was registered with a
                feature service, the keys and request columns are enough.

        Raises:
            InvalidRequestError: The model refused the input; `faults` says where and why.
            NotFoundError: There is no such endpoint, or nothing is deployed there.
            UnavailableError: No replica could answer; `retryable` says whether another try makes sense.
        """
        with span("endpoints.predict", endpoint=endpoint, instances=len(instances)):
            return self._client.predict(endpoint, instances)

    def predict_batch(self, model: str | ModelVersion, input_uri: str, output_uri: str) -> None:
        """Score a file, row by row as `predict` would, and write its columns and `prediction` to another.

        Args:
            model: A model version, or an endpoint: then the deployment with the most traffic.
            input_uri: A `.parquet` or `.jsonl` file.
            output_uri: Likewise; replaced whole at the end.

        Raises:
            NotFoundError: There is no such version, or it was deleted.
        """
        name, version = self._model_of(model) if isinstance(model, str) else (model.model, model.version)
        with span("endpoints.predict_batch", model=name, version=version, input=input_uri, output=output_uri):
            self._models.get(name, version)
            self._port.predict_batch(
                name,
                version,
                fetch=lambda folder: self._models.download(name, version, to=folder),
                input_uri=input_uri,
                output_uri=output_uri,
            )

    def undeploy(self, endpoint: str, deployment: str, *, traffic: Shortfall = Shortfall.REFUSE) -> None:
        """Stop a deployment after its requests in flight.

        Raises:
            InvalidTrafficError: It has traffic, others could take it, and `traffic` does not say that they shall.
            NotFoundError: There is no such deployment.
        """
        with span("endpoints.undeploy", endpoint=endpoint, deployment=deployment):
            status = self._port.get(endpoint)
            found = status.deployment(deployment)
            if found is None:
                raise _no_deployment(status, deployment)
            others = [other.name for other in status.deployments if other.name != deployment]
            if found.traffic_percent and others and traffic is Shortfall.REFUSE:
                raise InvalidTrafficError(
                    f"deployment {deployment!r} has {found.traffic_percent} % of the traffic of endpoint {endpoint!r}",
                    hint=f"Shift it to {', '.join(others)} first, or undeploy with traffic=cm.Shortfall.REDISTRIBUTE.",
                )
            self._port.undeploy(endpoint, deployment, actor=str(self._context.actor))

    def delete(self, endpoint: str) -> None:
        """Stop an endpoint and all that is deployed there, and remove it."""
        with span("endpoints.delete", endpoint=endpoint):
            self._port.delete(endpoint)
            self._client.forget(endpoint)

    def logs(self, endpoint: str, deployment: str) -> str:
        """Return what a deployment's replicas wrote; also of one that failed."""
        with span("endpoints.logs", endpoint=endpoint, deployment=deployment):
            return self._port.logs(endpoint, deployment)

    def status(self, endpoint: str) -> EndpointStatus:
        """Return an endpoint as it is now."""
        with span("endpoints.status", endpoint=endpoint):
            status = self._port.get(endpoint)
            self._try_to_announce(status.deployments)
            return status

    def list(self) -> Sequence[EndpointStatus]:
        """Return all endpoints, by name."""
        with span("endpoints.list"):
            found = self._port.list()
            for status in found:
                self._try_to_announce(status.deployments)
            return found

    def deployment(self, endpoint: str, deployed_as: str) -> DeploymentStatus | None:
        """Return one act of deploying, also one that failed; None when it is unknown or was undeployed."""
        status = self._port.deployment(endpoint, deployed_as)
        if status is not None:
            self._try_to_announce([status])
        return status

    def revive(self, endpoint: str) -> None:
        """Start an endpoint again whose supervision has ended; one that runs is left alone."""
        self._port.scoring(endpoint)

    @property
    def _port(self) -> EndpointsPort:
        return self._context.backends.endpoints

    def _traffic(self, endpoint: str) -> Mapping[str, int]:
        try:
            return self._port.get(endpoint).traffic
        except NotFoundError:
            return {}

    def _check_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        status = self._port.get(endpoint)
        check_traffic(endpoint, traffic, {found.name: found.state for found in status.deployments})

    def _set_traffic(self, endpoint: str, traffic: Mapping[str, int], reason: TrafficReason) -> None:
        shares = {name: share for name, share in traffic.items() if share}
        self._port.set_traffic(endpoint, shares, reason=reason, actor=str(self._context.actor))

    def _model_of(self, endpoint: str) -> tuple[str, str]:
        status = self._port.get(endpoint)
        if not status.traffic:
            raise NotFoundError(f"endpoint {endpoint!r} has no deployment with traffic", hint="Deploy a version first.")
        most = max(status.deployments, key=lambda found: found.traffic_percent)
        return most.model, most.version

    def _try_to_announce(self, deployments: Sequence[DeploymentStatus]) -> None:
        """Announce while somebody reads, who is told all the same: what he cannot publish, the next one does."""
        try:
            self._announce(deployments)
        except PermissionDeniedError:
            return
        except CloudMLOpsError as error:
            _log.warning("deployments are healthy, and the event of it is not out yet: %s", error)

    def _announce(self, deployments: Sequence[DeploymentStatus]) -> None:
        """Publish `ModelDeployed` for what became healthy since anybody looked; the same one twice is one event."""
        for status in deployments:
            if status.announced or status.state not in _SERVING:
                continue
            self._context.publish(
                ModelDeployed(
                    platform=self._context.backends.address,
                    time=self._context.backends.clock.now(),
                    model=status.model,
                    version=status.version,
                    endpoint=status.endpoint,
                    deployment=status.name,
                    deployed_as=status.deployed_as,
                )
            )
            self._port.announced(status.endpoint, status.deployed_as)


class Deployment:
    """A handle to one act of deploying."""

    def __init__(self, endpoints: Endpoints, status: DeploymentStatus) -> None:
        self._endpoints = endpoints
        self._first = status

    @property
    def name(self) -> str:
        """The deployment's name at its endpoint."""
        return self._first.name

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""
        return self._first.endpoint

    @property
    def status(self) -> DeploymentStatus:
        """How it is now."""
        found = self._endpoints.deployment(self.endpoint, self._first.deployed_as)
        return found or replace(self._first, state=DeploymentState.GONE, traffic_percent=0, healthy_replicas=0)

    def wait(self, *, timeout: timedelta | None = None) -> Deployment:
        """Wait until it is healthy and has its traffic.

        Raises:
            DeploymentFailedError: It did not become healthy; the endpoint is as it was. The message ends with its log.
            WaitTimeoutError: Not within `timeout`; it goes on.
        """
        begun = time.monotonic()
        deadline = None if timeout is None else begun + timeout.total_seconds()
        while True:
            status = self.status
            if status.state in _SERVING:
                return self
            if status.state is DeploymentState.GONE:  # it was healthy, and was undeployed since
                return self
            if status.state is DeploymentState.FAILED:
                raise DeploymentFailedError(
                    f"deployment {self.name!r} of {status.model}@{status.version} at endpoint {self.endpoint!r} "
                    f"failed: {status.failure}",
                    deployment=status,
                    hint="The endpoint is as it was before.",
                )
            if status.state is DeploymentState.DOWN:
                self._endpoints.revive(self.endpoint)
            if deadline is not None and time.monotonic() > deadline:
                raise WaitTimeoutError(
                    f"deployment {self.name!r} at endpoint {self.endpoint!r} is still {status.state.value}",
                    hint="It goes on; call wait again, or read its log.",
                )
            time.sleep(min(max(_POLL_S, (time.monotonic() - begun) / _POLLS), _LONGEST_POLL_S))

    def __repr__(self) -> str:
        return f"Deployment({self.endpoint!r}, {self.name!r})"


def _subject(version: ModelVersion, endpoint: str, name: str | None) -> tuple[str, ...]:
    return (version.model, version.version, endpoint, name or _default_name(version))


def _default_name(version: ModelVersion) -> str:
    text = re.sub(r"[^a-z0-9_-]", "-", version.version.lower())
    return text if re.match(r"v\d", text) else f"v{text}"[:63]


def _no_deployment(status: EndpointStatus, name: str) -> NotFoundError:
    names = ", ".join(found.name for found in status.deployments) or "nothing"
    return NotFoundError(
        f"there is no deployment {name!r} at endpoint {status.name!r}", hint=f"Deployed there: {names}."
    )
