"""Asking Azure: clients made at first use; deadlines and repetition, configured here and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urljoin

from azure.core import PipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, UserAgentPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest

from cloudmlops.errors import AuthenticationError, ServiceError, WaitTimeoutError
from cloudmlops.providers.azureml.clouds import PUBLIC, Cloud, cloud_at
from cloudmlops.providers.azureml.credentials import Renewable, chain, ends
from cloudmlops.providers.azureml.errors import PROVIDER, translated
from cloudmlops.providers.azureml.repetition import Repeating, Repetition
from cloudmlops.providers.azureml.sdk import ml

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.polling import LROPoller
    from azure.core.rest import HttpResponse
    from azure.mgmt.authorization import AuthorizationManagementClient

    from cloudmlops.providers.azureml.settings import AzureMLSettings

_REPLY = TypeVar("_REPLY")
_NO_MORE: Final = object()
_LONGEST_CONNECTING_SECONDS: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 10
_SHORTEST_PAUSE_SECONDS: Final = 0.05
_PAUSES: Final = 10
"""Looks grow rarer: one lasts as long as a tenth of the time waited so far."""
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_STORAGE_SCOPE: Final = "https://storage.azure.com/.default"


class Wire:
    """One platform's way to Azure."""

    def __init__(self, settings: AzureMLSettings) -> None:
        self.settings = settings
        self._making = RLock()

    @property
    def timeout(self) -> float:
        """Seconds that one call may take, with its repetitions."""
        return self.settings.timeout.total_seconds()

    @property
    def client(self) -> MLClient:
        """The client of azure-ai-ml for the workspace; made once."""
        with self._making, translated("connect", self.settings.address):
            return self._client

    def client_of(self, workspace: str) -> MLClient:
        """Make a client of azure-ai-ml for another workspace of the resource group."""
        with self._making, translated("connect", workspace):
            return self._client_of(workspace)

    @property
    def authorization(self) -> AuthorizationManagementClient:
        """The client of roles and their assignments; made once."""
        with self._making, translated("connect", self.settings.address):
            return self._authorization

    @property
    def credential(self) -> Renewable:
        """Azure's own chain: `DefaultAzureCredential`; made once."""
        with self._making, translated("connect", self.settings.address):
            return self._credential

    @property
    def options(self) -> dict[str, Any]:
        """What other clients of Azure's SDKs are made with: connections, deadlines and repetition."""
        with self._making, translated("connect", self.settings.address):
            return self._options

    def ask(self, call: Callable[[], _REPLY], *, operation: str, resource: str) -> _REPLY:
        """Do a call of Azure's SDK; once more with a new token, when the service finds the token too old.

        Args:
            call: It, with its arguments.
            operation: The verb that it is asked for, such as `models.get`.
            resource: What is concerned, in our names.

        Raises:
            ServiceError: Azure's answer, as ours.
        """
        try:
            with translated(operation, resource):
                return call()
        except AuthenticationError as error:
            if not _is_unauthorized(error):
                raise
            self.credential.renew()
        with translated(operation, resource):
            return call()

    def list(self, call: Callable[[], Iterable[_REPLY]], *, operation: str, resource: str) -> Iterator[_REPLY]:
        """Yield what a call of Azure's SDK lists, asking for each page when its first item is wanted.

        Raises:
            ServiceError: Azure's answer for any of the pages, as ours.
        """
        first: Any
        found, first = self.ask(lambda: _begun(call()), operation=operation, resource=resource)
        while first is not _NO_MORE:
            yield first
            with translated(operation, resource):
                first = next(found, _NO_MORE)

    def finish(self, begin: Callable[[], LROPoller[_REPLY]], *, operation: str, resource: str) -> _REPLY:
        """Begin what takes a while, and wait for its end.

        Args:
            begin: A call of Azure's SDK whose name begins so.
            operation: The verb that it is waited for, such as `endpoints.deploy`.
            resource: What is concerned, in our names.

        Raises:
            ServiceError: What it ended with.
            WaitTimeoutError: It has not ended in the time of a call; it goes on.
        """
        begun = self.ask(begin, operation=operation, resource=resource)
        with translated(operation, resource):
            begun.wait(self.timeout)
            if begun.done():
                return begun.result()
        raise self._unended(operation, resource)

    def settle(self, begin: Callable[..., object], *, operation: str, resource: str) -> None:
        """Begin what takes a while, and wait here for its end: azure-ai-ml prints dots while it waits for schedules.

        Args:
            begin: A call of Azure's SDK whose name begins so, which takes the options of azure-core.
            operation: The verb that it is waited for, such as `pipelines.schedule`.
            resource: What is concerned, in our names.

        Raises:
            ServiceError: What it ended with.
            WaitTimeoutError: It has not ended in the time of a call; it goes on.
        """
        try:
            self.ask(lambda: begin(raw_response_hook=_stop_at_answer), operation=operation, resource=resource)
        except _Begun as begun:
            followed = begun.followed
        else:
            return
        at = followed.find(f"/subscriptions/{self.settings.subscription}/")
        if at < 0:  # it has ended, or it is followed elsewhere, where no token is sent
            return
        began = time.monotonic()
        while (waited := time.monotonic() - began) < self.timeout:
            told: Mapping[str, Any] = self.send("GET", followed[at:], operation=operation, resource=resource).json()
            status = str(told.get("status", ""))
            if status == "Succeeded":
                return
            if status in ("Failed", "Canceled"):
                why = (told.get("error") or {}).get("message") or f"it ended as {status}"
                raise ServiceError(
                    f"{operation} of {resource!r} failed: {why}",
                    provider=PROVIDER,
                    operation=operation,
                    resource=resource,
                )
            time.sleep(min(max(_SHORTEST_PAUSE_SECONDS, waited / _PAUSES), _LONGEST_PAUSE_SECONDS))
        raise self._unended(operation, resource)

    def send(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, operation: str, resource: str
    ) -> HttpResponse:
        """Ask Azure Resource Manager for what its SDKs do not ask for, or not as this library needs it.

        Args:
            method: Of HTTP; all but a POST may be repeated.
            path: Below the resource manager's address, such as `/subscriptions/…?api-version=…`.
            body: JSON to send.
            operation: The verb that it is asked for.
            resource: What is concerned, in our names.

        Raises:
            ServiceError: Azure's answer, as ours.
        """
        with self._making, translated("connect", self.settings.address):
            client, base = self._manager, self._cloud.resource_manager.rstrip("/")

        def answered() -> HttpResponse:
            answer: HttpResponse = client.send_request(HttpRequest(method, f"{base}{path}", json=body))
            answer.raise_for_status()
            return answer

        return self.ask(answered, operation=operation, resource=resource)

    def score(
        self, url: str, body: Mapping[str, Any], *, headers: Mapping[str, str], operation: str, resource: str
    ) -> HttpResponse:
        """Send JSON to the scoring address of a batch endpoint, as the caller; the SDK's `invoke` mixes up headers.

        Raises:
            ServiceError: Azure's answer, as ours.
        """
        with self._making, translated("connect", self.settings.address):
            client = self._scorer

        def answered() -> HttpResponse:
            answer: HttpResponse = client.send_request(HttpRequest("POST", url, json=body, headers=dict(headers)))
            answer.raise_for_status()
            return answer

        return self.ask(answered, operation=operation, resource=resource)

    def scoring_token(self) -> str:
        """Return a token for asking endpoints for predictions, renewed before it ends."""
        with self._making, translated("connect", self.settings.address):
            scope = self._cloud.scoring_scope
        return self._token(scope)[0]

    def storage_token(self, *, lasting: timedelta = timedelta(0)) -> tuple[str, datetime]:
        """Return a token for Blob storage, and when it ends.

        Args:
            lasting: One that has less left is replaced by a new one, which lasts as long as Entra lets it.
        """
        token, end = self._token(_STORAGE_SCOPE)
        if end - datetime.now(UTC) >= lasting:
            return token, end
        self.credential.renew()
        return self._token(_STORAGE_SCOPE)

    def management_token(self) -> str:
        """Return a token for Azure Resource Manager."""
        with self._making, translated("connect", self.settings.address):
            scope = self._cloud.scope
        return self._token(scope)[0]

    def public(self, path: str, *, operation: str) -> Any:
        """Return JSON that Entra shows to anybody.

        Args:
            path: Below the address where one logs in, such as `TENANT/v2.0/.well-known/openid-configuration`; or a
                whole address.
            operation: The verb that it is asked for.

        Raises:
            ServiceError: Azure's answer, as ours.
        """
        with translated(operation, path):
            with self._making:
                url = urljoin(f"{self._cloud.login.rstrip('/')}/", path)
                options = self._options
            policies = [options["retry_policy"]]
            client: PipelineClient[Any, Any] = PipelineClient(url, policies=policies, transport=options["transport"])
            answer = client.send_request(HttpRequest("GET", url))
            answer.raise_for_status()
            return answer.json()

    def close(self) -> None:
        """Close connections."""
        with self._making:
            for part in ("_transport", "_credential"):
                if part in self.__dict__:
                    self.__dict__[part].close()
            for part in ("_client", "_authorization", "_manager", "_scorer", "_transport", "_credential", "_cloud"):
                self.__dict__.pop(part, None)

    def _unended(self, operation: str, resource: str) -> WaitTimeoutError:
        return WaitTimeoutError(
            f"{operation} of {resource!r} has not ended after {self.timeout:g} s",
            hint="It goes on; look again later, or give the target a longer timeout=SECONDS.",
        )

    def _token(self, scope: str) -> tuple[str, datetime]:
        with translated("log in", self.settings.address):
            token = self.credential.get_token(scope)
        return token.token, ends(token)

    @cached_property
    def _cloud(self) -> Cloud:
        url = self.settings.cloud_url
        return PUBLIC if url is None else cloud_at(url, self._transport)

    @cached_property
    def _credential(self) -> Renewable:
        if self.settings.cloud_url is None:
            return Renewable(chain)  # the environment may say which cloud
        cloud = self._cloud
        return Renewable(lambda: chain(authority=cloud.login, disable_instance_discovery=not cloud.vouched_for))

    @cached_property
    def _transport(self) -> RequestsTransport:
        """One pool of connections for the many clients that `MLClient` is made of."""
        return RequestsTransport(
            connection_timeout=min(self.timeout, _LONGEST_CONNECTING_SECONDS), read_timeout=self.timeout
        )

    @property
    def _options(self) -> dict[str, Any]:
        return {"transport": self._transport, "retry_policy": self._repetition()}

    def _repetition(self) -> Repetition:
        return Repetition(timeout=self.timeout, retry_backoff_max=_LONGEST_PAUSE_SECONDS)

    @cached_property
    def _client(self) -> MLClient:
        return self._client_of(self.settings.workspace)

    def _client_of(self, workspace: str) -> MLClient:
        settings, cloud = self.settings, self._cloud
        client: MLClient = ml().MLClient(
            self._credential,
            settings.subscription,
            settings.resource_group,
            workspace,
            enable_telemetry=False,
            show_progress=False,
            **({} if settings.cloud_url is None else {"cloud": cloud.name, "cloud_metadata": cloud.metadata}),
            transport=Repeating(self._transport, self._repetition),
            retry_total=0,
        )
        return client

    @cached_property
    def _manager(self) -> PipelineClient[HttpRequest, HttpResponse]:
        return self._as_caller(self._cloud.resource_manager, self._cloud.scope)

    @cached_property
    def _scorer(self) -> PipelineClient[HttpRequest, HttpResponse]:
        return self._as_caller("", self._cloud.scoring_scope)

    def _as_caller(self, base: str, scope: str) -> PipelineClient[HttpRequest, HttpResponse]:
        """Return a client that asks as the caller."""
        options = self._options
        policies = [
            UserAgentPolicy(),
            options["retry_policy"],
            BearerTokenCredentialPolicy(self._credential, scope),
        ]
        return PipelineClient(base.rstrip("/"), policies=policies, transport=options["transport"])

    @cached_property
    def _authorization(self) -> AuthorizationManagementClient:
        from azure.mgmt.authorization import AuthorizationManagementClient

        return AuthorizationManagementClient(
            self._credential,
            self.settings.subscription,
            base_url=self._cloud.resource_manager.rstrip("/"),
            credential_scopes=[self._cloud.scope],
            **self._options,
        )


class _Begun(Exception):  # noqa: N818 nothing is wrong: it takes the answer past the SDK's own waiting
    """Azure has begun what was asked for."""

    def __init__(self, followed: str) -> None:
        super().__init__(followed)
        self.followed = followed


def _stop_at_answer(response: Any) -> None:
    answer = response.http_response
    if answer.status_code < _BAD_REQUEST:
        raise _Begun(answer.headers.get("azure-asyncoperation", ""))


def _begun(listed: Iterable[_REPLY]) -> tuple[Iterator[_REPLY], object]:
    found = iter(listed)
    return found, next(found, _NO_MORE)


def _is_unauthorized(error: ServiceError) -> bool:
    cause = error.__cause__
    return isinstance(cause, HttpResponseError) and cause.status_code == _UNAUTHORIZED
