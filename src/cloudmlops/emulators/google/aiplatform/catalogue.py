"""Every method of Vertex AI, read off the installed SDK: types, HTTP rules, results of long-running operations.

The SDK's generated clients hold all of it, though in no public form: `gapic_metadata.json`, the annotations of the
transports, the HTTP rules of the REST transports and the clients' own source. Nothing is copied into this package.
"""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module, resources
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from google.protobuf.message import Message

Version = Literal["v1", "v1beta1"]
_PACKAGES: Final[Mapping[Version, str]] = {
    "v1": "google.cloud.aiplatform_v1",
    "v1beta1": "google.cloud.aiplatform_v1beta1",
}
_OPERATION: Final = re.compile(
    r"operation(?:_async)?\.from_gapic\(\s*response,.*?operations_client,\s*([\w.]+),\s*metadata_type=([\w.]+)",
    re.DOTALL,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One HTTP form of a method (google.api.HttpRule)."""

    verb: str
    uri: str
    body: str
    """`*`, the name of a field, or nothing."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method."""

    version: Version
    service: str
    name: str
    path: str
    """As gRPC names it: `/google.cloud.aiplatform.v1.ModelService/UploadModel`."""
    request: type[Message]
    response: type[Message]
    requests_stream: bool
    responses_stream: bool
    rules: tuple[Rule, ...]

    @property
    def key(self) -> str:
        """Such as `ModelService.UploadModel`, the same in all versions."""
        return f"{self.service}.{self.name}"

    @cached_property
    def operation(self) -> tuple[type[Message], type[Message]] | None:
        """What its long-running operation results in, and the type of its metadata; None for any other method."""
        if self.response.DESCRIPTOR.full_name != "google.longrunning.Operation":
            return None
        client = _client_module(self.version, self.service)
        source = inspect.getsource(_client_method(self.version, self.service, self.name))
        found = _OPERATION.search(source)
        return (_named(client, found[1]), _named(client, found[2])) if found else None


@cache
def service_names(version: Version) -> tuple[str, ...]:
    """Return the names of all services of a version."""
    return tuple(_metadata(version)["services"])


@cache
def methods(version: Version, service: str) -> Mapping[str, Method]:
    """Return the methods of a service by name; empty when there is no such service."""
    described = _metadata(version)["services"].get(service)
    if described is None:
        return {}
    package = f"{_PACKAGES[version]}.services.{_snake(service)}"
    transport = getattr(import_module(f"{package}.transports.base"), f"{service}Transport")
    rest = getattr(import_module(f"{package}.transports.rest_base"), f"_Base{service}RestTransport")
    proto_package = _metadata(version)["protoPackage"]
    found = {}
    for name, spelt in described["clients"]["grpc"]["rpcs"].items():
        request, response = _types(transport, spelt["methods"][0])
        signature = inspect.signature(_client_method(version, service, name))
        rules: Any = getattr(getattr(rest, f"_Base{name}", None), "_get_http_options", list)()
        streamed = signature.parameters.get("requests")
        found[name] = Method(
            version=version,
            service=service,
            name=name,
            path=f"/{proto_package}.{service}/{name}",
            request=_raw(request),
            response=_raw(response),
            requests_stream=streamed is not None and "Iterator" in str(streamed.annotation),
            responses_stream="Iterable" in str(signature.return_annotation),
            rules=_rules(rules),
        )
    return found


@cache
def common_methods(version: Version) -> Mapping[str, Method]:
    """Return what every service has beside its own methods, by gRPC path: operations and locations."""
    from google.cloud.location import locations_pb2
    from google.longrunning import operations_pb2
    from google.protobuf import empty_pb2

    operations, locations = "google.longrunning.Operations", "google.cloud.location.Locations"
    forms: list[tuple[str, str, Any, Any]] = [
        (operations, "GetOperation", operations_pb2.GetOperationRequest, operations_pb2.Operation),
        (operations, "WaitOperation", operations_pb2.WaitOperationRequest, operations_pb2.Operation),
        (operations, "ListOperations", operations_pb2.ListOperationsRequest, operations_pb2.ListOperationsResponse),
        (operations, "CancelOperation", operations_pb2.CancelOperationRequest, empty_pb2.Empty),
        (operations, "DeleteOperation", operations_pb2.DeleteOperationRequest, empty_pb2.Empty),
        (locations, "GetLocation", locations_pb2.GetLocationRequest, locations_pb2.Location),
        (locations, "ListLocations", locations_pb2.ListLocationsRequest, locations_pb2.ListLocationsResponse),
    ]
    package = f"{_PACKAGES[version]}.services.model_service.transports.rest_base"
    rest = getattr(import_module(package), "_BaseModelServiceRestTransport")  # noqa: B009 mypy does not know it
    return {
        f"/{service}/{name}": Method(
            version=version,
            service=service.rpartition(".")[2],
            name=name,
            path=f"/{service}/{name}",
            request=request,
            response=response,
            requests_stream=False,
            responses_stream=False,
            rules=_rules(getattr(rest, f"_Base{name}")._get_http_options()),  # noqa: SLF001 there is no public form
        )
        for service, name, request, response in forms
    }


def method_of_path(path: str) -> Method | None:
    """Return the method that gRPC calls by this path; None when Vertex AI has none of it."""
    if (common := common_methods("v1").get(path)) is not None:
        return common
    package, _, rest = path.lstrip("/").rpartition(".")
    service, _, name = rest.partition("/")
    version = package.rpartition(".")[2]
    if package not in ("google.cloud.aiplatform.v1", "google.cloud.aiplatform.v1beta1"):
        return None
    return methods("v1" if version == "v1" else "v1beta1", service).get(name)


@cache
def message(name: str, version: Version = "v1") -> type[Message]:
    """Return the message class of a type, such as `Model`."""
    return _raw(getattr(types_of(version), name))


def types_of(version: Version) -> Any:
    """Return the module that has the SDK's own types of a version, with their documentation."""
    return import_module(f"{_PACKAGES[version]}.types")


@cache
def _metadata(version: Version) -> Any:
    return json.loads((resources.files(_PACKAGES[version]) / "gapic_metadata.json").read_text())


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _client_module(version: Version, service: str) -> Any:
    return import_module(f"{_PACKAGES[version]}.services.{_snake(service)}.client")


def _client_method(version: Version, service: str, name: str) -> Any:
    described = _metadata(version)["services"][service]["clients"]["grpc"]
    client = getattr(_client_module(version, service), described["libraryClient"])
    spelt = described["rpcs"][name]["methods"][0]
    return (
        getattr(client, spelt, None) or getattr(client, f"_{spelt.lstrip('_')}", None) or getattr(client, f"{spelt}_")
    )


def _types(transport: Any, spelt: str) -> tuple[Any, Any]:
    """Read request and response off a transport's property: `Callable[[Request], Union[Response, Awaitable[…]]]`."""
    member = (
        getattr(transport, spelt, None)
        or getattr(transport, f"{spelt}_", None)
        or getattr(transport, spelt.lstrip("_"))
    )
    (request,), response = get_args(get_type_hints(member.fget)["return"])
    if get_origin(response) in (Union, types.UnionType):
        response = get_args(response)[0]
    return request, response


def _raw(kind: Any) -> type[Message]:
    found: type[Message] = kind if isinstance(kind, type) and issubclass(kind, Message) else kind.pb()
    return found


def _named(module: Any, dotted: str) -> type[Message]:
    found = module
    for part in dotted.split("."):
        found = getattr(found, part)
    return _raw(found)


def _rules(options: Any) -> tuple[Rule, ...]:
    return tuple(
        Rule(verb=option["method"].upper(), uri=option["uri"], body=option.get("body", "")) for option in options
    )
