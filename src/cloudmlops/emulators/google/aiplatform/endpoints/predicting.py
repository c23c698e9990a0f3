"""PredictionService: requests are passed to the container of the deployed model whose turn it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import json_format, struct_pb2

from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.google.aiplatform.catalogue import message
from cloudmlops.emulators.google.aiplatform.endpoints.containers import Answered, Container
from cloudmlops.emulators.google.aiplatform.endpoints.fleet import fleet_of
from cloudmlops.emulators.google.aiplatform.endpoints.servers import endpoint_server
from cloudmlops.emulators.google.aiplatform.endpoints.traffic import Turns
from cloudmlops.emulators.google.aiplatform.handling import Asking, Forwarded, Handlers, Vertex
from cloudmlops.emulators.google.aiplatform.models import Models

_SHARED_BYTES: Final = 1_572_864
_DEDICATED_BYTES: Final = 10 * 1024 * 1024
_LONGEST_SECONDS: Final = 60.0
_OK: Final = range(200, 300)
_CODES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""What a container's status is in gRPC (google/rpc/code.proto); any other 4xx is INVALID_ARGUMENT, 5xx INTERNAL."""


def predicting_handlers(vertex: Vertex) -> Handlers:
    """Return the handlers of PredictionService."""
    prediction = Prediction(vertex)
    return {
        "PredictionService.Predict": prediction.predict,
        "PredictionService.RawPredict": prediction.raw_predict,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Turn:
    """Who answers a request."""

    container: Container
    route: str
    deployed: Any
    model: Any
    seconds: float


class Prediction:
    """Predictions of all endpoints."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex
        self._fleet = fleet_of(vertex.surroundings.state)
        self._models = Models(vertex)
        self._turns = Turns()

    def predict(self, request: Any, asking: Asking) -> Any:
        """Pass instances and parameters as JSON, and read `predictions` from the answer."""
        content: dict[str, Any] = {"instances": [json_format.MessageToDict(value) for value in request.instances]}
        if request.HasField("parameters"):
            content["parameters"] = json_format.MessageToDict(request.parameters)
        with self._turn(request.endpoint, asking, request.ByteSize()) as turn:
            answered = turn.container.exchange(
                turn.route, json.dumps(content).encode(), "application/json", seconds=turn.seconds
            )
        if answered.status not in _OK:
            raise Refused(_code(answered.status), answered.data.decode(errors="replace"))
        response: Any = message("PredictResponse")(
            deployed_model_id=turn.deployed.id,
            model=turn.deployed.model,
            model_version_id=turn.deployed.model_version_id,
            model_display_name=turn.model.display_name,
        )
        _read_predictions(answered, response)
        return response

    def raw_predict(self, request: Any, asking: Asking) -> Any:
        """Pass the body on as it is, and the answer back as it is."""
        body = request.http_body
        with self._turn(request.endpoint, asking, len(body.data)) as turn:
            answered = turn.container.exchange(turn.route, body.data, body.content_type, seconds=turn.seconds)
        headers = {
            "X-Vertex-AI-Deployed-Model-Id": turn.deployed.id,
            "X-Vertex-AI-Model": turn.deployed.model,
            "X-Vertex-AI-Model-Version-Id": turn.deployed.model_version_id,
        }
        return Forwarded(
            code="OK" if answered.status in _OK else _code(answered.status),
            status=answered.status,
            content_type=answered.content_type,
            data=answered.data,
            headers=headers,
        )

    @contextmanager
    def _turn(self, name: str, asking: Asking, size: int) -> Iterator[_Turn]:
        """Choose who answers; its container is not stopped meanwhile."""
        resources = self._vertex.resources
        with resources.transaction():
            endpoint: Any = resources.find(name, message("Endpoint"))
            if endpoint is None:
                raise Refused("NOT_FOUND", f"Endpoint `{name}` not found.")
            _check_way(endpoint, asking.host)
            _check_size(endpoint, size)
            if not endpoint.traffic_split:
                raise Refused(
                    "FAILED_PRECONDITION", f"Endpoint `{name}` has no deployed model that traffic is assigned to."
                )
            identity = self._turns.next(name, endpoint.traffic_split)
            deployed = next(known for known in endpoint.deployed_models if known.id == identity)
            model = self._models.get(f"{deployed.model}@{deployed.model_version_id}")
            server = endpoint_server(self._vertex, endpoint, deployed, model)
            held = self._fleet.hold(server)
        with held as running:
            timeout = endpoint.client_connection_config.inference_timeout
            yield _Turn(
                container=running.container(self._vertex.surroundings, self._fleet),
                route=server.predict_route,
                deployed=deployed,
                model=model,
                seconds=timeout.ToTimedelta().total_seconds() or _LONGEST_SECONDS,
            )


def _check_way(endpoint: Any, host: str) -> None:
    """Refuse a request that reached a private or dedicated endpoint by the shared name."""
    if endpoint.network or endpoint.HasField("private_service_connect_config"):
        raise Refused(
            "FAILED_PRECONDITION",
            f"Endpoint `{endpoint.name}` is private: predictions are asked for within its network.",
        )
    dedicated = endpoint.dedicated_endpoint_dns
    if dedicated and host.endswith("aiplatform.googleapis.com"):
        raise Refused(
            "FAILED_PRECONDITION",
            f"This endpoint is a dedicated endpoint and cannot be accessed through the shared Vertex AI domain {host}. "
            f"Please access the endpoint using its dedicated dns name '{dedicated}'.",
        )
    if host.endswith(".prediction.vertexai.goog") and host != dedicated:
        raise Refused("NOT_FOUND", f"Endpoint `{endpoint.name}` is not behind {host}.")


def _check_size(endpoint: Any, size: int) -> None:
    most = _DEDICATED_BYTES if endpoint.dedicated_endpoint_enabled else _SHARED_BYTES
    if size > most:
        raise Refused(
            "FAILED_PRECONDITION", f"The request size ({size} bytes) exceeds {most / 1024 / 1024:.3f}MB limit."
        )


def _code(status: int) -> str:
    return _CODES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")


def _read_predictions(answered: Answered, response: Any) -> None:
    try:
        content = json.loads(answered.data)
        values = content["predictions"]
        response.predictions.extend(json_format.ParseDict(value, struct_pb2.Value()) for value in values)
        if "metadata" in content:
            json_format.ParseDict(content["metadata"], response.metadata)
    except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
        raise Refused("INTERNAL", f"The model server's answer holds no list of predictions: {error!r}.") from error
