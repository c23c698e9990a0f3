"""Asking Google's services: clients made at first use; deadlines and repetition, configured here and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from google.api_core import exceptions
from google.api_core.retry import Retry

from cloudmlops.errors import WaitTimeoutError
from cloudmlops.providers.vertex.errors import translated

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.longrunning.operations_pb2 import Operation

    from cloudmlops.providers.vertex.settings import VertexSettings

_REPLY = TypeVar("_REPLY")
_NO_MORE: Final = object()
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 10.0
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_PASSING: Final = (
    exceptions.ServiceUnavailable,
    exceptions.TooManyRequests,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.GatewayTimeout,
    requests.ConnectionError,
)
"""What may be gone the next time. Repeated for calls only that do the same when they are done twice."""

_OF_PLUGIN: Final = "Getting metadata from plugin failed"
"""How gRPC says that credentials gave it no token: as if the service were away."""
_FIRST_LOOK_SECONDS: Final = 0.05
_LONGEST_LOOK_PAUSE_SECONDS: Final = 5.0
"""Between two looks at a long-running operation."""
_LONGEST_LOOK_SECONDS: Final = 10.0
"""So long an answer to one look is waited for."""


class Wire:
    """One platform's way to Google."""

    def __init__(self, settings: VertexSettings) -> None:
        self.settings = settings
        self._clients: dict[type[Any], Any] = {}
        self._making = Lock()

    @cached_property
    def credentials(self) -> Credentials:
        """Application default credentials; nobody's at an emulator's address."""
        from google.auth.credentials import AnonymousCredentials

        if self.settings.api_url is not None:
            return AnonymousCredentials()
        import google.auth

        with translated("connect", self.settings.address):
            found, _ = google.auth.default(scopes=[_SCOPE], quota_project_id=self.settings.project)
        return found

    @cached_property
    def timeout(self) -> float:
        """Seconds that one call may take, with its repetitions."""
        return self.settings.timeout.total_seconds()

    @cached_property
    def retry(self) -> Retry:
        """How calls that may be repeated are repeated."""
        return Retry(
            predicate=_may_pass,
            initial=_FIRST_PAUSE_SECONDS,
            maximum=_LONGEST_PAUSE_SECONDS,
            timeout=self.timeout,
        )

    def client(self, kind: type[_REPLY]) -> _REPLY:
        """Return a client of a generated class of Vertex AI, such as `ModelServiceClient`; made once."""
        with self._making:
            known = self._clients.get(kind)
            if known is None:
                known = self._clients[kind] = self._made(kind)
            client: _REPLY = known
            return client

    def ask(self, method: Callable[..., _REPLY], request: Any, *, operation: str, resource: str, again: bool) -> _REPLY:
        """Call a method of a client.

        Args:
            method: The client's method.
            request: Its request.
            operation: The verb that it is asked for, such as `models.get`.
            resource: What is concerned, in our names.
            again: Whether it may be repeated when the answer is lost: what was done twice is as if done once.

        Raises:
            ServiceError: Google's answer, as ours.
            TypeError: The method answers in pages, which are asked for outside of here; call `list`.
        """
        with translated(operation, resource):
            reply = self._answer(method, request, again=self.retry if again else None, timeout=self.timeout)
        if hasattr(type(reply), "pages"):
            raise TypeError(f"{method.__name__} answers in pages: ask for them with Wire.list")
        return reply

    def list(self, method: Callable[..., Any], request: Any, *, operation: str, resource: str) -> Iterator[Any]:
        """Yield what a method of a client lists, asking for each page when its first item is wanted.

        Args:
            method: The client's method; one that answers in pages.
            request: Its request.
            operation: The verb that it is asked for, such as `models.list`.
            resource: What is concerned, in our names.

        Raises:
            ServiceError: Google's answer for any of the pages, as ours.
        """
        with translated(operation, resource):
            found = iter(self._answer(method, request, again=self.retry, timeout=self.timeout))
        while True:
            with translated(operation, resource):
                item = next(found, _NO_MORE)
            if item is _NO_MORE:
                return
            yield item

    def finish(self, begun: Operation, *, operation: str, resource: str) -> None:
        """Wait for the end of a long-running operation.

        Each look has a deadline of its own: one that is never answered is cut, and the operation is looked at again.

        Args:
            begun: The operation, as it was last seen.
            operation: The verb that it is waited for, such as `models.register`.
            resource: What is concerned, in our names.

        Raises:
            ServiceError: What it ended with.
            WaitTimeoutError: It has not ended in the time of a call, or could not be looked at so long; it goes on.
        """
        deadline = time.monotonic() + self.timeout
        pause = _FIRST_LOOK_SECONDS
        with translated(operation, resource):
            while not begun.done:
                if (left := deadline - time.monotonic()) <= 0:
                    raise WaitTimeoutError(
                        f"{operation} of {resource!r} has not ended after {self.timeout:g} s",
                        hint="It goes on; look again later, or give the target a longer timeout=SECONDS.",
                    )
                begun = self._looked_at(begun, within=min(left, _LONGEST_LOOK_SECONDS))
                if not begun.done:
                    time.sleep(min(pause, max(deadline - time.monotonic(), 0.0)))
                    pause = min(1.5 * pause, _LONGEST_LOOK_PAUSE_SECONDS)
            if begun.HasField("error"):
                raise exceptions.from_grpc_status(
                    begun.error.code, begun.error.message, errors=(begun.error,), response=begun
                )

    def headers(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return headers that a request to Google needs, beside given ones: a token, renewed whenever they are read."""
        return _Authorized(self, given)

    def channel(self, host: str) -> Any:
        """Return a gRPC channel to a host, or to the emulator's address."""
        import grpc
        from google.api_core import grpc_helpers

        if self.settings.api_url is not None:
            address = urlsplit(self.settings.api_url)
            if address.scheme == "https":
                return grpc.secure_channel(address.netloc, grpc.ssl_channel_credentials())
            # Without a port gRPC would ask at 443.
            return grpc.insecure_channel(address.netloc if address.port else f"{address.netloc}:80")
        return grpc_helpers.create_channel(f"{host}:443", credentials=self.credentials, scopes=[_SCOPE])

    def close(self) -> None:
        """Close all clients."""
        with self._making:
            for client in self._clients.values():
                client.transport.close()
            self._clients.clear()

    def _answer(self, method: Callable[..., _REPLY], request: Any, *, again: Retry | None, timeout: float) -> _REPLY:
        """Call a method, once more with a new token if its token is refused.

        Tokens are renewed before they are too old; a service may think them so earlier. Nothing was done then. Where
        none can be had, renewing says why.
        """
        try:
            return method(request=request, retry=again, timeout=timeout)
        except (exceptions.Unauthenticated, exceptions.ServiceUnavailable) as error:
            if self.settings.api_url is not None or not _is_of_token(error):
                raise
        from google.auth.transport.requests import Request

        with requests.Session() as session:
            self.credentials.refresh(Request(session))
        return method(request=request, retry=again, timeout=timeout)

    def _looked_at(self, begun: Operation, *, within: float) -> Operation:
        """Return an operation as it is now, or as it was when it cannot be seen in some seconds."""
        from google.cloud.aiplatform_v1 import ModelServiceClient

        look = self.client(ModelServiceClient).get_operation  # every service of Vertex AI shows the operations of all
        try:
            seen: Operation = self._answer(look, {"name": begun.name}, again=None, timeout=within)
        except (*_PASSING, requests.Timeout):
            return begun
        return seen

    def _made(self, kind: type[Any]) -> Any:
        settings = self.settings
        host = f"{settings.location}-aiplatform.googleapis.com"
        if settings.transport == "rest":
            return kind(
                transport="rest",
                credentials=self.credentials,
                client_options={"api_endpoint": settings.api_url or host},
            )
        if settings.api_url is None:
            return kind(credentials=self.credentials, client_options={"api_endpoint": host})
        transport = kind.get_transport_class("grpc")
        return kind(transport=transport(channel=self.channel(host)))


def _may_pass(error: Exception) -> bool:
    return isinstance(error, _PASSING) and not _is_of_token(error)


def _is_of_token(error: Exception) -> bool:
    """Say whether gRPC was refused a token, or asked with one that was refused."""
    return isinstance(error, exceptions.Unauthenticated) or _OF_PLUGIN in str(error)


class _Authorized(Mapping[str, str]):
    """Headers with a token that is always valid."""

    def __init__(self, wire: Wire, given: Mapping[str, str]) -> None:
        self._wire = wire
        self._given = given

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, str]:
        from google.auth.transport.requests import Request

        headers = dict(self._given)
        with translated("log in", self._wire.settings.address), requests.Session() as session:
            self._wire.credentials.before_request(Request(session), "POST", "", headers)
        return headers
