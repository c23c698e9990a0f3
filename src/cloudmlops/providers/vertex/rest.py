"""Asking Google's services that speak plain JSON, such as Pub/Sub, the resource manager and Cloud Storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import requests
from google.api_core import exceptions
from google.auth.transport.requests import AuthorizedSession

from cloudmlops.errors import UnexpectedReplyError
from cloudmlops.providers.vertex.errors import PROVIDER, translated

if TYPE_CHECKING:
    from cloudmlops.providers.vertex.wire import Wire

PUBSUB: Final = "pubsub.googleapis.com"
RESOURCE_MANAGER: Final = "cloudresourcemanager.googleapis.com"
STORAGE: Final = "storage.googleapis.com"
IAM: Final = "iam.googleapis.com"


class Rest:
    """One platform's way to services over HTTP and JSON."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._opening = Lock()

    def ask(
        self,
        method: str,
        host: str,
        path: str,
        *,
        operation: str,
        resource: str,
        again: bool,
        body: object = None,
        query: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    ) -> Mapping[str, Any]:
        """Send one request, and return the object that is answered.

        Args:
            method: Of HTTP.
            host: Of the service; at an emulator, the emulator's address stands for it.
            path: Begins with a slash.
            operation: The verb that it is asked for, such as `events.publish`.
            resource: What is concerned, in our names.
            again: Whether it may be repeated when the answer is lost: what was done twice is as if done once.
            body: Sent as JSON.
            query: Names and values.

        Raises:
            ServiceError: The service's answer, as ours.
        """
        url = f"{self._wire.settings.api_url or f'https://{host}'}{path}"

        def send() -> requests.Response:
            try:
                reply: requests.Response = self._session.request(
                    method, url, json=body, params=query, timeout=self._wire.timeout
                )
            except requests.Timeout as error:
                raise exceptions.GatewayTimeout(f"{host} did not answer in time") from error
            except requests.RequestException as error:
                raise exceptions.ServiceUnavailable(f"{host} could not be reached: {error}") from error
            if not reply.ok:
                raise exceptions.from_http_response(reply)
            return reply

        with translated(operation, resource):
            reply = self._wire.retry(send)() if again else send()
        try:
            answered = reply.json() if reply.content else {}
        except ValueError:
            answered = None
        if not isinstance(answered, Mapping):
            raise UnexpectedReplyError(
                f"{host} answered {operation} of {resource!r} with what is no JSON object",
                provider=PROVIDER,
                operation=operation,
                resource=resource,
            )
        return answered

    def close(self) -> None:
        """Close connections."""
        with self._opening:
            if "_session" in self.__dict__:
                self.__dict__.pop("_session").close()

    @cached_property
    def _session(self) -> AuthorizedSession:
        return AuthorizedSession(self._wire.credentials)
