"""EndpointService: endpoints, the models deployed to them, and their traffic."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import empty_pb2
from google.protobuf.message import Message

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.checking import without_output_fields
from cloudmlops.emulators.google.aiplatform.endpoints.fleet import Fleet, fleet_of
from cloudmlops.emulators.google.aiplatform.endpoints.servers import endpoint_server
from cloudmlops.emulators.google.aiplatform.endpoints.traffic import NEW, checked_split
from cloudmlops.emulators.google.aiplatform.generic import masked
from cloudmlops.emulators.google.aiplatform.handling import Asking, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.models import Models, check_labels
from cloudmlops.emulators.google.aiplatform.names import location_of, new_id

_ENDPOINT_ID: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
_DEPLOYED_ID: Final = re.compile(r"[0-9]{1,10}")
_MUTABLE: Final = frozenset(
    {
        "dedicated_resources.min_replica_count",
        "dedicated_resources.max_replica_count",
        "dedicated_resources.required_replica_count",
        "dedicated_resources.autoscaling_metric_specs",
        "disable_container_logging",
    }
)


def deploying_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of EndpointService that are not plain get and list."""
    endpoints = Endpoints(vertex)
    return {
        "EndpointService.CreateEndpoint": endpoints.create,
        "EndpointService.UpdateEndpoint": lambda request, _: endpoints.update(request),
        "EndpointService.UpdateEndpointLongRunning": endpoints.update_long_running,
        "EndpointService.DeleteEndpoint": endpoints.delete,
        "EndpointService.DeployModel": endpoints.deploy,
        "EndpointService.UndeployModel": endpoints.undeploy,
        "EndpointService.MutateDeployedModel": endpoints.mutate,
    }


class Endpoints:
    """All endpoints of an emulator."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex
        self._surroundings = vertex.surroundings
        self._resources = vertex.resources
        self._models = Models(vertex)
        self._fleet: Fleet = fleet_of(vertex.surroundings.state)
        self._endpoint = message("Endpoint")
        self._being_deployed: set[tuple[str, str]] = set()

    def create(self, request: Any, asking: Asking) -> Any:
        """Make an endpoint, without models."""
        given = request.endpoint
        without_output_fields(given)
        check_labels(given.labels)
        if given.traffic_split:
            raise Refused("INVALID_ARGUMENT", "An endpoint without deployed models has no traffic to split.")
        private = given.network or given.HasField("private_service_connect_config")
        if given.network and given.HasField("private_service_connect_config"):
            raise Refused("INVALID_ARGUMENT", "network and private_service_connect_config are mutually exclusive.")
        if private and given.dedicated_endpoint_enabled:
            raise Refused("INVALID_ARGUMENT", "A private endpoint cannot have a dedicated public DNS name.")
        if request.endpoint_id and not _ENDPOINT_ID.fullmatch(request.endpoint_id):
            raise Refused("INVALID_ARGUMENT", f"The endpoint ID {request.endpoint_id!r} is invalid.")
        identity = request.endpoint_id or new_id()
        name = f"{request.parent}/endpoints/{identity}"
        if given.dedicated_endpoint_enabled:
            _, project, _, location = request.parent.split("/")
            given.dedicated_endpoint_dns = f"{identity}.{location}-{project}.prediction.vertexai.goog"
        if self._resources.exists(name):
            raise Refused("ALREADY_EXISTS", f"Endpoint {name} already exists.")
        return self._vertex.operations.begin(asking.method, name, lambda: self._resources.create(name, given))

    def update(self, request: Any) -> Any:
        """Change fields of an endpoint, its traffic split among them: the next request obeys."""
        given = request.endpoint
        check_labels(given.labels)
        with self._resources.transaction():
            kept: Any = self._resources.get(given.name, self._endpoint)
            self._resources.check_etag(kept, given.etag)
            masked(kept, given, request.update_mask)
            split = checked_split(kept.traffic_split, [model.id for model in kept.deployed_models])
            _set(kept.traffic_split, split)
            return self._resources.put(given.name, kept)

    def update_long_running(self, request: Any, asking: Asking) -> Any:
        """Change how clients are connected; it takes an operation."""
        given = request.endpoint

        def work() -> Message:
            with self._resources.transaction():
                kept: Any = self._resources.get(given.name, self._endpoint)
                for field, _ in given.ListFields():
                    if field.name not in ("name", "etag", "client_connection_config"):
                        raise Refused("INVALID_ARGUMENT", f"The field {field.name!r} is changed by UpdateEndpoint.")
                kept.client_connection_config.CopyFrom(given.client_connection_config)
                put: Message = self._resources.put(given.name, kept)
                return put

        self._resources.get(given.name, self._endpoint)
        return self._vertex.operations.begin(asking.method, given.name, work)

    def delete(self, request: Any, asking: Asking) -> Any:
        """Remove an endpoint that nothing is deployed to."""

        def check() -> None:
            kept: Any = self._resources.get(request.name, self._endpoint)
            coming = [identity for endpoint, identity in self._being_deployed if endpoint == request.name]
            if deployed := [*(model.id for model in kept.deployed_models), *coming]:
                raise Refused(
                    "FAILED_PRECONDITION",
                    f"Endpoint {request.name} has deployed or being-deployed DeployedModels: {', '.join(deployed)}. "
                    "Undeploy them first.",
                )

        def work() -> Message:
            with self._resources.transaction():
                check()
                self._resources.delete(request.name)
            return empty_pb2.Empty()

        check()
        return self._vertex.operations.begin(asking.method, request.name, work)

    def deploy(self, request: Any, asking: Asking) -> Any:
        """Start a model's container, and add it to the endpoint when it is healthy."""
        name, given = request.endpoint, request.deployed_model
        without_output_fields(given)
        split = dict(request.traffic_split)
        with self._resources.transaction():
            endpoint: Any = self._resources.get(name, self._endpoint)
            model = self._models.get(given.model)
            _check_deployable(name, given, model)
            if given.id and not _DEPLOYED_ID.fullmatch(given.id):
                raise Refused("INVALID_ARGUMENT", f"The DeployedModel ID {given.id!r} is not 1 to 10 digits.")
            given.id = given.id or str(secrets.randbelow(9 * 10**9) + 10**9)
            known = [deployed.id for deployed in endpoint.deployed_models]
            if given.id in known or (name, given.id) in self._being_deployed:
                raise Refused("ALREADY_EXISTS", f"DeployedModel {given.id} of Endpoint {name} already exists.")
            checked_split(split, [*known, NEW])
            given.model, given.model_version_id = model.name, model.version_id
            server = endpoint_server(self._vertex, endpoint, given, model)
            self._fleet.take(server)
            self._being_deployed.add((name, given.id))

        def work() -> Any:
            try:
                self._fleet.bring_up(self._surroundings, server)
                try:
                    self._add(name, given, split)
                except Refused:
                    self._fleet.stop(name, given.id)
                    raise
            except Refused as refused:
                raise _with_logs(refused, name) from refused
            finally:
                self._being_deployed.discard((name, given.id))
            return message("DeployModelResponse")(deployed_model=given)

        return self._vertex.operations.begin(asking.method, name, work, apart=True)

    def undeploy(self, request: Any, asking: Asking) -> Any:
        """Take a model from the endpoint, let its requests end, and give its machines back."""
        name, identity = request.endpoint, request.deployed_model_id
        split = dict(request.traffic_split)

        def work() -> Any:
            with self._resources.transaction():
                kept = self._without(name, identity, split)
                self._resources.put(name, kept)
            self._fleet.stop(name, identity)
            return message("UndeployModelResponse")()

        self._without(name, identity, split)
        return self._vertex.operations.begin(asking.method, name, work, apart=True)

    def mutate(self, request: Any, asking: Asking) -> Any:
        """Change how many machines a deployed model has, or whether it is logged."""
        name, given = request.endpoint, request.deployed_model
        if unknown := sorted(set(request.update_mask.paths) - _MUTABLE):
            raise Refused("INVALID_ARGUMENT", f"The update mask names {unknown[0]!r}, which cannot be mutated.")

        def work() -> Any:
            with self._resources.transaction():
                endpoint: Any = self._resources.get(name, self._endpoint)
                deployed = _deployed(endpoint, given.id)
                request.update_mask.MergeMessage(given, deployed, True, True)
                _check_replicas(deployed.dedicated_resources)
                model = self._models.get(f"{deployed.model}@{deployed.model_version_id}")
                self._fleet.change(endpoint_server(self._vertex, endpoint, deployed, model))
                deployed.status.available_replica_count = deployed.dedicated_resources.min_replica_count
                self._resources.put(name, endpoint)
            return message("MutateDeployedModelResponse")(deployed_model=deployed)

        _deployed(self._resources.get(name, self._endpoint), given.id)
        return self._vertex.operations.begin(asking.method, name, work)

    def _add(self, name: str, given: Any, split: Mapping[str, int]) -> None:
        with self._resources.transaction():
            endpoint: Any = self._resources.get(name, self._endpoint)
            given.create_time.FromDatetime(self._surroundings.clock.now().replace(tzinfo=None))
            given.status.available_replica_count = given.dedicated_resources.min_replica_count
            if endpoint.network:
                identity = name.rpartition("/")[2]
                base = f"http://{identity}.aiplatform.googleapis.com/v1/models/{given.id}"
                given.private_endpoints.predict_http_uri = f"{base}:predict"
                given.private_endpoints.health_http_uri = base
            endpoint.deployed_models.append(given)
            if split:
                renamed = {given.id if identity == NEW else identity: share for identity, share in split.items()}
                checked = checked_split(renamed, [deployed.id for deployed in endpoint.deployed_models])
                _set(endpoint.traffic_split, checked)
            self._resources.put(name, endpoint)

    def _without(self, name: str, identity: str, split: Mapping[str, int]) -> Any:
        """Return the endpoint as it is without a deployed model."""
        endpoint: Any = self._resources.get(name, self._endpoint)
        deployed = _deployed(endpoint, identity)
        endpoint.deployed_models.remove(deployed)
        rest = [other.id for other in endpoint.deployed_models]
        if not rest:
            _set(endpoint.traffic_split, {})
        elif split:
            _set(endpoint.traffic_split, checked_split(split, rest))
        elif share := endpoint.traffic_split.get(identity):
            raise Refused(
                "INVALID_ARGUMENT",
                f"DeployedModel {identity} has {share} percent of the traffic of Endpoint {name}; set a traffic_split "
                "that unassigns it.",
            )
        return endpoint


def _check_replicas(resources: Any) -> None:
    """Refuse numbers of machines that cannot be."""
    if resources.min_replica_count < 1:
        raise Refused("INVALID_ARGUMENT", "dedicated_resources.min_replica_count must be at least 1.")
    if resources.max_replica_count and resources.max_replica_count < resources.min_replica_count:
        raise Refused(
            "INVALID_ARGUMENT", "dedicated_resources.max_replica_count must not be less than min_replica_count."
        )


def _check_deployable(name: str, given: Any, model: Any) -> None:
    kind = given.WhichOneof("prediction_resources")
    if kind == "shared_resources":
        raise Refused("UNIMPLEMENTED", "Deployment resource pools are not emulated.")
    if kind != "dedicated_resources":
        raise Refused("INVALID_ARGUMENT", f"Model {model.name} supports dedicated_resources only; set them.")
    if not given.dedicated_resources.machine_spec.machine_type:
        raise Refused("INVALID_ARGUMENT", "dedicated_resources.machine_spec.machine_type is required.")
    _check_replicas(given.dedicated_resources)
    if not given.dedicated_resources.max_replica_count:
        given.dedicated_resources.max_replica_count = given.dedicated_resources.min_replica_count
    if not model.container_spec.image_uri:
        raise Refused("INVALID_ARGUMENT", f"Model {model.name} has no container to be served with.")
    if location_of(model.name) != location_of(name):
        raise Refused("INVALID_ARGUMENT", f"Model {model.name} is in another location than Endpoint {name}.")


def _deployed(endpoint: Any, identity: str) -> Any:
    for deployed in endpoint.deployed_models:
        if deployed.id == identity:
            return deployed
    raise Refused("NOT_FOUND", f"DeployedModel {identity} is not deployed to Endpoint {endpoint.name}.")


def _with_logs(refused: Refused, name: str) -> Refused:
    if not refused.message.startswith("Model server"):
        return refused
    _, project, _, _, _, endpoint = name.split("/")
    where = f"https://console.cloud.google.com/logs/viewer?project={project}&resource=aiplatform.googleapis.com%2FEndpoint%2Fendpoint_id%2F{endpoint}"
    return Refused(refused.code, f"{refused.message} Model server logs can be found at {where}")


def _set(split: Any, wanted: Mapping[str, int]) -> None:
    shares = dict(wanted)
    split.clear()
    split.update(shares)
